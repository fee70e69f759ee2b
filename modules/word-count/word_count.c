/* Counts the words, lines and characters of a text. One source file, two kinds of module: a shared
 * library and WebAssembly; `modules/build-c.sh` builds both.
 *
 *   count {"text":"…"}   {"words":…,"lines":…,"characters":…}
 *   total                {"texts":…,"words":…} since the module was started
 *
 * It deliberately has no JSON library. What the runtime passes in is JSON that has been checked, so
 * that a walk over it is short: it need not look for faults, and needs no memory. */

#define BULKHEAD_IMPLEMENT_SET_HOST
#define BULKHEAD_IMPLEMENT_STRINGS
#include "module.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

struct word_count {
    unsigned long long texts;
    unsigned long long words;
};

/* ------------------------------------------------------------------------------ A walk over JSON */

static const char *skip_space(const char *at) {
    while (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') {
        at++;
    }
    return at;
}

/* The end of the string that begins at `at`. */
static const char *skip_string(const char *at) {
    for (at++; *at != '"'; at++) {
        if (*at == '\\') {
            at++;
        }
    }
    return at + 1;
}

/* The end of the value that begins at `at`. For any nesting, only a depth is kept. */
static const char *skip_value(const char *at) {
    size_t depth = 0;
    do {
        if (*at == '"') {
            at = skip_string(at);
            continue;
        }
        if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        } else if (depth == 0) {
            return at + strcspn(at, ",]} \t\n\r");
        }
        at++;
    } while (depth > 0);
    return at;
}

/* The value of a member of the object at `at`, or null if that has no such member or is no object. */
static const char *member(const char *at, const char *name) {
    if (!at || *at != '{') {
        return NULL;
    }
    for (at = skip_space(at + 1); *at == '"'; at = skip_space(at + (*at == ','))) {
        const char *key = at + 1;
        at = skip_string(at);
        size_t length = (size_t)(at - 1 - key);
        at = skip_space(skip_space(at) + 1);
        if (length == strlen(name) && memcmp(key, name, length) == 0) {
            return at;
        }
        at = skip_space(skip_value(at));
    }
    return NULL;
}

/* Whether the string at `at` is `text`. */
static bool says(const char *at, const char *text) {
    size_t length = strlen(text);
    return at && *at == '"' && strncmp(at + 1, text, length) == 0 && at[1 + length] == '"';
}

static unsigned four_digits(const char *at) {
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        char digit = at[i];
        value = value * 16 + (unsigned)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    return value;
}

/* Takes one character from inside a string: its number in Unicode. */
static unsigned next_character(const char **at) {
    const unsigned char *byte = (const unsigned char *)*at;
    if (*byte == '\\' && byte[1] == 'u') {
        unsigned high = four_digits(*at + 2);
        *at += 6;
        bool pair = high >= 0xD800 && high < 0xDC00 && (*at)[0] == '\\' && (*at)[1] == 'u';
        unsigned low = pair ? four_digits(*at + 2) : 0;
        if (low < 0xDC00 || low > 0xDFFF) {
            return high;
        }
        *at += 6;
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
    }
    if (*byte == '\\') {
        *at += 2;
        switch (byte[1]) {
        case 'n': return '\n';
        case 't': return '\t';
        case 'r': return '\r';
        case 'f': return '\f';
        case 'b': return '\b';
        default: return byte[1];
        }
    }
    int more = *byte < 0xC0 ? 0 : *byte < 0xE0 ? 1 : *byte < 0xF0 ? 2 : 3;
    unsigned character = more == 0 ? *byte : *byte & (0x3Fu >> more);
    for (int i = 1; i <= more; i++) {
        character = character << 6 | (byte[i] & 0x3F);
    }
    *at += 1 + more;
    return character;
}

/* ------------------------------------------------------------------------------------ The answers */

/* A string of its own, which the runtime passes to free_string. */
static char *answer(const char *format, ...) {
    va_list values;
    va_start(values, format);
    int length = vsnprintf(NULL, 0, format, values);
    va_end(values);
    char *text = length < 0 ? NULL : (char *)malloc((size_t)length + 1);
    if (text) {
        va_start(values, format);
        vsnprintf(text, (size_t)length + 1, format, values);
        va_end(values);
    }
    return text;
}

static char *failed(const char *code, const char *sentence) {
    return answer("{\"status\":\"error\",\"code\":\"%s\",\"error\":\"%s\"}", code, sentence);
}

/* Where words end: the characters that Unicode calls white space. */
static bool is_space(unsigned c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static char *count(struct word_count *state, const char *args) {
    const char *text = member(args, "text");
    if (!text || *text != '"') {
        return failed("bad_request", "expected args like {\\\"text\\\":\\\"some words\\\"}");
    }
    unsigned long long words = 0, lines = 0, characters = 0;
    bool in_word = false;
    unsigned character = '\n';
    for (const char *at = text + 1; *at != '"'; characters++) {
        character = next_character(&at);
        bool space = is_space(character);
        words += !space && !in_word;
        lines += character == '\n';
        in_word = !space;
    }
    /* The last line counts, also if nothing ends it. */
    lines += character != '\n';
    state->texts++;
    state->words += words;
    return answer("{\"status\":\"success\",\"data\":{\"words\":%llu,\"lines\":%llu,\"characters\":%llu}}", words, lines,
                  characters);
}

static char *command(struct word_count *state, const char *payload) {
    const char *name = member(skip_space(payload), "name");
    if (says(name, "count")) {
        return count(state, member(skip_space(payload), "args"));
    }
    if (says(name, "total")) {
        return answer("{\"status\":\"success\",\"data\":{\"texts\":%llu,\"words\":%llu}}", state->texts, state->words);
    }
    return failed("unknown_command", "expected the command count or total");
}

/* ------------------------------------------------------------------------------------- The border */

void *create_module(void) { return calloc(1, sizeof(struct word_count)); }

void destroy_module(void *module) { free(module); }

char *get_module_metadata(void) {
    return answer("{\"name\":\"word-count\",\"version\":\"1.0.0\",\"commands\":["
                  "{\"name\":\"count\",\"idempotent\":true,\"description\":\"counts words, lines and characters\"},"
                  "{\"name\":\"total\",\"idempotent\":true,\"description\":\"what was counted so far\"}]}");
}

char *handle_message(void *module, const char *type, const char *payload) {
    if (strcmp(type, "command") == 0) {
        return command((struct word_count *)module, payload);
    }
    if (strcmp(type, "init") == 0) {
        bulkhead_log("info", "ready to count");
        return answer("{\"status\":\"success\"}");
    }
    if (strcmp(type, "shutdown") == 0) {
        return answer("{\"status\":\"success\"}");
    }
    return failed("unknown_type", "this module knows commands only");
}
