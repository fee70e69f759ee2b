/* Answers the bytes that it is asked for: those of the first "hex":"…" in the payload, up to the first
 * zero. {"null":true} is answered with a null pointer, {"long":true} with a text of LONG bytes, and
 * everything else with {}. Its get_module_metadata answers what is in METADATA_FILE, if
 * it is built with that. */
#include "module.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int nibble(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

enum { LONG = 70000 };

static char *parrot(const char *words) {
    if (strstr(words, "\"long\":true")) {
        char *text = malloc(LONG + 1);
        memset(text, 'x', LONG);
        text[0] = text[LONG - 1] = '"';
        text[LONG] = '\0';
        return text;
    }
    const char *found = strstr(words, "\"hex\":\"");
    const char *digits = found ? found + 7 : "7b7d\"";
    size_t length = strcspn(digits, "\"") / 2;
    char *answer = strstr(words, "\"null\":true") ? NULL : malloc(length + 1);
    for (size_t i = 0; answer && i < length; i++) {
        answer[i] = (char)(nibble(digits[2 * i]) << 4 | nibble(digits[2 * i + 1]));
    }
    if (answer) {
        answer[length] = '\0';
    }
    return answer;
}

void *create_module(void) { return malloc(1); }
void destroy_module(void *module) { free(module); }
void free_string(char *string) { free(string); }

#ifdef METADATA_FILE
char *get_module_metadata(void) {
    FILE *file = fopen(METADATA_FILE, "r");
    char *text = calloc(1, LONG);
    if (file && text) {
        text[fread(text, 1, LONG - 1, file)] = '\0';
    }
    if (file) {
        fclose(file);
    }
    return text;
}
#endif

char *handle_message(void *module, const char *type, const char *payload) {
    (void)module, (void)type;
    return parrot(payload);
}
