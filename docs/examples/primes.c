/* The module of docs/native-modules.md and docs/wasm-modules.md. It has a bug, which they find. */

#define BULKHEAD_IMPLEMENT_SET_HOST
#define BULKHEAD_IMPLEMENT_STRINGS
#include "module.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A number below 2^64 has at most so many prime factors. */
#define FACTORS_MAX 63

typedef unsigned long long number;

/* What the module remembers. */
struct primes {
    number done;
    char folder[4096];
};

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

/* After the value at `at`. It is JSON that was checked, so there is nothing to look out for. */
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

/* Whether the value at `at` is a whole number that has room in one. */
static int read_number(const char *at, number *n) {
    char *end;
    if (at == NULL || *at < '0' || *at > '9') {
        return 0;
    }
    errno = 0;
    *n = strtoull(at, &end, 10);
    return errno == 0 && strchr(".eE", *end) == NULL;
}

/* factor {"number":360}: {"factors":[2,2,2,3,3,5]} */
static char *factor(struct primes *primes, number n) {
    number *found = (number *)malloc(FACTORS_MAX * sizeof *found);
    char list[FACTORS_MAX * 21] = "";
    size_t count = 0, length = 0;
    if (found == NULL) {
        return failed("module_error", "there is no memory left");
    }
    for (number divisor = 2; n != 1;) {
        if (n % divisor == 0) {
            found[count++] = divisor;
            n /= divisor;
        } else if (divisor > n / divisor) {
            divisor = n; /* what is left is a prime */
        } else if (++divisor % 1000000 == 0 && bulkhead_wait(0) > 0) {
            free(found);
            return failed("cancelled", "the caller does not wait for the factors any more");
        }
    }
    for (size_t i = 0; i < count; i++) {
        length += (size_t)snprintf(list + length, sizeof list - length, i ? ",%llu" : "%llu", found[i]);
    }
    free(found);
    primes->done++;
    return answer("{\"status\":\"success\",\"data\":{\"factors\":[%s]}}", list);
}

/* below {"number":100}: {"primes":25,"largest":97} */
static char *below(number n) {
    char *crossed_out = n > 1 && n < SIZE_MAX ? (char *)calloc((size_t)n, 1) : NULL;
    number count = 0, largest = 0;
    if (crossed_out == NULL) {
        return failed("module_error", "there is not enough memory for so many numbers");
    }
    for (number i = 2; i < n; i++) {
        if (!crossed_out[i]) {
            count++;
            largest = i;
            for (number multiple = i * i; i <= n / i && multiple < n; multiple += i) {
                crossed_out[multiple] = 1;
            }
        }
    }
    free(crossed_out);
    return answer("{\"status\":\"success\",\"data\":{\"primes\":%llu,\"largest\":%llu}}", count, largest);
}

/* keep {"number":7}: writes it after those that were kept before */
static char *keep(struct primes *primes, number n) {
    char path[sizeof primes->folder + 16];
    FILE *file;
    snprintf(path, sizeof path, "%s/kept.txt", primes->folder);
    file = primes->folder[0] ? fopen(path, "a") : NULL;
    if (file == NULL) {
        return failed("not_found", "there is no folder that it may write to");
    }
    fprintf(file, "%llu\n", n);
    return fclose(file) == 0 ? answer("{\"kept\":%llu}", n) : failed("module_error", "the file cannot be written");
}

static char *command(struct primes *primes, const char *payload) {
    const char *name = member(payload, "name");
    const char *number_at = member(member(payload, "args"), "number");
    number n;
    if (says(name, "done")) {
        return answer("{\"status\":\"success\",\"data\":{\"done\":%llu}}", primes->done);
    }
    if (!read_number(number_at, &n)) {
        return failed("bad_request", "expected args like {\\\"number\\\":360}, a whole number below 2^64");
    }
    if (says(name, "factor")) {
        return factor(primes, n);
    }
    if (says(name, "below")) {
        return below(n);
    }
    if (says(name, "keep")) {
        return keep(primes, n);
    }
    return failed("unknown_command", "expected factor, below, keep or done");
}

/* The folder to write to: that of the manifest's [config], else the module's own. */
static char *init(struct primes *primes, const char *payload) {
    const char *folder = member(member(payload, "config"), "folder");
    folder = folder ? folder : member(payload, "data_dir");
    if (folder != NULL && *folder == '"') {
        size_t length = (size_t)(skip_value(folder) - folder) - 2;
        if (length >= sizeof primes->folder) {
            return answer("{\"status\":\"error\",\"permanent\":true,\"error\":\"the folder has too long a name\"}");
        }
        memcpy(primes->folder, folder + 1, length);
    }
    bulkhead_log("info", "ready to compute");
    return answer("{\"status\":\"success\"}");
}

void *create_module(void) { return calloc(1, sizeof(struct primes)); }

void destroy_module(void *module) { free(module); }

char *get_module_metadata(void) {
    return answer("{\"name\":\"primes\",\"version\":\"0.1.0\",\"commands\":["
                  "{\"name\":\"factor\",\"idempotent\":true},{\"name\":\"below\",\"idempotent\":true},"
                  "{\"name\":\"done\",\"idempotent\":true},\"keep\"]}");
}

char *handle_message(void *module, const char *type, const char *payload) {
    struct primes *primes = (struct primes *)module;
    payload = skip_space(payload);
    if (strcmp(type, "command") == 0) {
        return command(primes, payload);
    }
    if (strcmp(type, "init") == 0) {
        return init(primes, payload);
    }
    return strcmp(type, "shutdown") == 0 ? answer("null") : failed("unknown_type", "this module knows commands only");
}
