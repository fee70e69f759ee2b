/* As much JSON as the specimen needs. The reader walks over text that is known to be JSON and checks
 * nothing but types; it must not be used on anything that has not been checked. */
#ifndef SPECIMEN_JSON_H
#define SPECIMEN_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------------------------------- Reading */

/* A value as it stands in the text, without the space around it; `at` is null if there is none. */
struct json {
    const char *at;
    size_t length;
};

static const char *json_skip_space(const char *at) { return at + strspn(at, " \t\n\r"); }

static const char *json_skip_string(const char *at) {
    for (at++; *at != '"'; at++) {
        if (*at == '\\') {
            at++;
        }
    }
    return at + 1;
}

/* The value that begins at or after `text`. */
static struct json json_value(const char *text) {
    const char *start = json_skip_space(text);
    const char *at = start;
    size_t depth = 0;
    do {
        switch (*at) {
        case '"': at = json_skip_string(at); break;
        case '{':
        case '[': depth++, at++; break;
        case '}':
        case ']': depth--, at++; break;
        default: at += depth ? 1 : strcspn(at, ",]} \t\n\r");
        }
    } while (depth > 0);
    return (struct json){start, (size_t)(at - start)};
}

static unsigned json_hex(const char *at) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        value = value * 16 + (unsigned)(at[i] <= '9' ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10);
    }
    return value;
}

static size_t json_put_utf8(char *out, unsigned c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* The character that an escape at `*at` stands for: 0 for what no C string can hold, which is
 * U+0000 and half a surrogate pair. */
static unsigned json_escape(const char **at) {
    static const char letters[] = "nrtbf", meanings[] = "\n\r\t\b\f";
    char letter = (*at)[1];
    if (letter != 'u') {
        const char *found = strchr(letters, letter);
        *at += 2;
        return (unsigned char)(found ? meanings[found - letters] : letter);
    }
    unsigned high = json_hex(*at + 2);
    *at += 6;
    if (high < 0xD800 || high > 0xDFFF) {
        return high;
    }
    if (high > 0xDBFF || (*at)[0] != '\\' || (*at)[1] != 'u') {
        return 0;
    }
    unsigned low = json_hex(*at + 2);
    if (low < 0xDC00 || low > 0xDFFF) {
        return 0;
    }
    *at += 6;
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
}

/* The text of a string, to be freed; null if it is no string that C can hold. */
static char *json_text(struct json value) {
    if (!value.at || *value.at != '"') {
        return NULL;
    }
    /* No escape is shorter than what it stands for. */
    char *text = malloc(value.length);
    size_t length = 0;
    for (const char *at = value.at + 1; text && at < value.at + value.length - 1;) {
        if (*at != '\\') {
            text[length++] = *at++;
            continue;
        }
        unsigned character = json_escape(&at);
        if (character == 0) {
            free(text);
            return NULL;
        }
        length += json_put_utf8(text + length, character);
    }
    if (text) {
        text[length] = '\0';
    }
    return text;
}

static bool json_says(struct json value, const char *expected) {
    char *text = json_text(value);
    bool same = text && strcmp(text, expected) == 0;
    free(text);
    return same;
}

/* The value of a member; none if there is no such member, or this is no object. */
static struct json json_member(struct json object, const char *name) {
    if (object.at && *object.at == '{') {
        const char *at = json_skip_space(object.at + 1);
        while (*at == '"') {
            struct json key = json_value(at);
            /* After the key is a colon. */
            struct json value = json_value(json_skip_space(key.at + key.length) + 1);
            if (json_says(key, name)) {
                return value;
            }
            at = json_skip_space(value.at + value.length);
            at = *at == ',' ? json_skip_space(at + 1) : at;
        }
    }
    return (struct json){NULL, 0};
}

/* A whole number of at least 0 that is written as one; -1 for everything else. */
static int64_t json_count(struct json value) {
    int64_t number = 0;
    for (size_t i = 0; i < value.length; i++) {
        char digit = value.at[i];
        if (digit < '0' || digit > '9' || number > (INT64_MAX - 9) / 10) {
            return -1;
        }
        number = number * 10 + (digit - '0');
    }
    return value.length > 0 ? number : -1;
}

/* ---------------------------------------------------------------------------------------- Writing */

/* Text that grows. If there is no memory, it stays null from then on. */
struct text {
    char *at;
    size_t length;
    size_t room;
};

static struct text text_new(void) { return (struct text){malloc(64), 0, 64}; }

static void text_add_bytes(struct text *text, const char *bytes, size_t length) {
    while (text->at && text->room - text->length <= length) {
        char *more = realloc(text->at, text->room * 2);
        if (!more) {
            free(text->at);
        }
        text->at = more;
        text->room *= 2;
    }
    if (text->at) {
        memcpy(text->at + text->length, bytes, length);
        text->length += length;
    }
}

static void text_add(struct text *text, const char *words) { text_add_bytes(text, words, strlen(words)); }

static void text_add_json(struct text *text, struct json value) {
    if (value.at) {
        text_add_bytes(text, value.at, value.length);
    } else {
        text_add(text, "null");
    }
}

/* A string of JSON with these words. */
static void text_add_string(struct text *text, const char *words) {
    static const char digits[] = "0123456789abcdef";
    text_add(text, "\"");
    for (; *words; words++) {
        unsigned char byte = (unsigned char)*words;
        if (byte < 0x20) {
            char escape[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 15]};
            text_add_bytes(text, escape, sizeof escape);
        } else {
            if (byte == '"' || byte == '\\') {
                text_add(text, "\\");
            }
            text_add_bytes(text, words, 1);
        }
    }
    text_add(text, "\"");
}

static void text_add_number(struct text *text, int64_t number) {
    char digits[21];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0) {
        digits[--at] = '-';
    }
    text_add_bytes(text, digits + at, sizeof digits - at);
}

/* The text as a C string, to be freed. */
static char *text_end(struct text *text) {
    text_add_bytes(text, "", 1);
    return text->at;
}

#endif
