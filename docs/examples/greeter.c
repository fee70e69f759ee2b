/* The module `greeter` of docs/c.md: what `bulkhead new` makes, with a second command and something to remember. */

#define BULKHEAD_IMPLEMENT_SET_HOST
#define BULKHEAD_IMPLEMENT_STRINGS
#include "module.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------- Answers and arguments */

/* Text that is the module's own until the runtime gives it to free_string. */
static char *answer(const char *format, ...) {
    char *text = NULL;
    va_list values, again;
    va_start(values, format);
    va_copy(again, values);
    int length = vsnprintf(NULL, 0, format, values);
    if (length >= 0 && (text = (char *)malloc((size_t)length + 1)) != NULL) {
        vsnprintf(text, (size_t)length + 1, format, again);
    }
    va_end(again);
    va_end(values);
    return text;
}

static char *failed(const char *code, const char *sentence) {
    return answer("{\"status\":\"error\",\"code\":\"%s\",\"error\":\"%s\"}", code, sentence);
}

static const char *skip_space(const char *at) { return at + strspn(at, " \t\r\n"); }

/* What follows the value at `at`. It is JSON that was checked, so there is nothing to look out for. */
static const char *skip_value(const char *at) {
    int depth = 0;
    do {
        if (*at == '"') {
            while (*++at != '"') {
                at += *at == '\\';
            }
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        } else if (depth == 0) {
            return at + strcspn(at, ",]} \t\r\n");
        }
        at++;
    } while (depth > 0);
    return at;
}

/* The value of a member of the object at `at`; null if there is none, or no object. */
static const char *member(const char *at, const char *name) {
    size_t length = strlen(name);
    if (at == NULL || *at != '{') {
        return NULL;
    }
    for (at = skip_space(at + 1); *at == '"'; at = skip_space(at + (*at == ','))) {
        const char *key = at + 1;
        at = skip_space(skip_value(at));
        at = skip_space(at + 1);
        if (strncmp(key, name, length) == 0 && key[length] == '"') {
            return at;
        }
        at = skip_space(skip_value(at));
    }
    return NULL;
}

/* Whether the text at `at` is `text`. */
static int says(const char *at, const char *text) {
    size_t length = strlen(text);
    return at != NULL && *at == '"' && strncmp(at + 1, text, length) == 0 && at[length + 1] == '"';
}

/* -------------------------------------------------------------------------------------- Commands */

/* What the module remembers. */
struct greeter {
    unsigned long greeted;
};

/* greet {"name":"Ada"}: {"greeting":"hello, Ada"} */
static char *greet(struct greeter *greeter, const char *args) {
    const char *name = member(args, "name");
    if (name == NULL || *name != '"') {
        return failed("bad_request", "expected the argument name, a text");
    }
    /* What stands between the quotes goes into the answer as it is: it is part of a JSON text already. */
    int length = (int)(skip_value(name) - name) - 2;
    if (length == 0) {
        bulkhead_log("warn", "a name is empty");
        return failed("nameless", "expected a name with at least one letter");
    }
    greeter->greeted++;
    return answer("{\"status\":\"success\",\"data\":{\"greeting\":\"hello, %.*s\"}}", length, name + 1);
}

/* count: {"greeted":2} */
static char *count(struct greeter *greeter) {
    return answer("{\"status\":\"success\",\"data\":{\"greeted\":%lu}}", greeter->greeted);
}

static char *command(struct greeter *greeter, const char *payload) {
    const char *name = member(payload, "name");
    if (says(name, "greet")) {
        return greet(greeter, member(payload, "args"));
    }
    if (says(name, "count")) {
        return count(greeter);
    }
    return failed("unknown_command", "expected the command greet or count");
}

/* ----------------------------------------------------------------- What the runtime calls */

void *create_module(void) { return calloc(1, sizeof(struct greeter)); }

void destroy_module(void *module) { free(module); }

char *get_module_metadata(void) {
    return answer("%s", "{\"name\":\"greeter\",\"version\":\"0.1.0\",\"commands\":[{"
                        "\"name\":\"greet\",\"description\":\"greets by name\","
                        "\"args\":{\"type\":\"object\",\"required\":[\"name\"],\"properties\":{"
                        "\"name\":{\"type\":\"string\",\"description\":\"who is greeted\"}}},"
                        "\"examples\":[{\"args\":{\"name\":\"Ada\"},\"returns\":{\"greeting\":\"hello, Ada\"}}]"
                        "},{\"name\":\"count\",\"idempotent\":true,\"description\":\"how many were greeted\"}]}");
}

char *handle_message(void *module, const char *type, const char *payload) {
    if (strcmp(type, "command") == 0) {
        return command((struct greeter *)module, skip_space(payload));
    }
    if (strcmp(type, "init") == 0 || strcmp(type, "shutdown") == 0) {
        return answer("{\"status\":\"success\"}");
    }
    return failed("unknown_type", "this module knows commands only");
}
