/* Keeps what it is asked to until before_answers, and reports then how much it wrote. Its answers may
 * leave together. A payload with "panic" is answered as by a handler that panicked. With FAILS it can
 * write nothing. */
#include "module.h"

#include <stdio.h>
#include <string.h>

static int kept;

void *create_module(void) { return &kept; }
void destroy_module(void *module) {
    (void)module;
    fprintf(stderr, "destroyed\n");
}
void free_string(char *string) { (void)string; }
char *get_module_metadata(void) { return "{\"batch_answers\":true}"; }

char *before_answers(void *module) {
    (void)module;
#ifdef FAILS
    if (kept > 0) {
        return "the disk is full";
    }
#endif
    if (kept > 0) {
        fprintf(stderr, "wrote %d\n", kept);
    }
    kept = 0;
    return NULL;
}

char *handle_message(void *module, const char *type, const char *payload) {
    (void)module;
    if (strstr(payload, "panic")) {
        return "{\"status\":\"error\",\"error\":\"in doubt\",\"panicked\":true}";
    }
    kept += strcmp(type, "query") == 0;
    return "{\"data\":\"kept\"}";
}
