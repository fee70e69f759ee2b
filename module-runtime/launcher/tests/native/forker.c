/* Forks at one point, PLACE, in one way, WAY, and goes on in both processes. What the copy does before
 * it returns is DOES. */
#define _GNU_SOURCE
#define BULKHEAD_IMPLEMENT_SET_HOST
#include "module.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CONSTRUCTOR, CREATE, METADATA, INIT, MESSAGE, FREE, BARRIER };
enum { FORK, CLONE, FORK_OF_FORK };
enum { NOTHING, ASKS, EMITS, PROGRESSES, WAITS, PANICS, EXITS, ENDS };

static int number;
static char answer[64];

static int copy(void) {
    return WAY == CLONE ? (int)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : (int)fork();
}

/* Returns twice. In the copy, 1. */
static int fork_here(int place) {
    if (place != PLACE || copy() != 0) {
        return 0;
    }
    if (WAY == FORK_OF_FORK) {
        copy();
    }
    return 1;
}

__attribute__((constructor)) static void at_loading(void) { fork_here(CONSTRUCTOR); }

void *create_module(void) {
    fork_here(CREATE);
    return &number;
}

void destroy_module(void *module) {
    (void)module;
    /* A copy that got here would report so twice. */
    fprintf(stderr, "destroyed\n");
}

char *get_module_metadata(void) {
    fork_here(METADATA);
    return NULL;
}

char *before_answers(void *module) {
    (void)module;
    fork_here(BARRIER);
    return NULL;
}

void free_string(char *string) {
    (void)string;
    fork_here(FREE);
}

char *handle_message(void *module, const char *type, const char *payload) {
    (void)module;
    if (strcmp(type, "init") == 0) {
        fork_here(INIT);
    }
    if (strcmp(type, "command") != 0) {
        return "{}";
    }
    number++;
    /* A buffer of the C library that is not empty when the process is copied. */
    printf("number %d ", number);
    if (strstr(payload, "\"fork\"") && fork_here(MESSAGE)) {
        switch (DOES) {
        case NOTHING: break;
        case ASKS: bulkhead_free(bulkhead_query(NULL, "{}", -1)); break;
        case EMITS: bulkhead_free(bulkhead_event("copy.made", "1")); break;
        case PROGRESSES: bulkhead_free(bulkhead_progress("1")); break;
        case WAITS: bulkhead_wait(5); break;
        case PANICS: return "{\"status\":\"error\",\"error\":\"of the copy\",\"panicked\":true}";
        case EXITS: exit(0);
        case ENDS: _exit(0);
        }
    }
    snprintf(answer, sizeof answer, "%d", number);
    return answer;
}
