/* Does one bad thing, SIN, at one point, PLACE; elsewhere it behaves. It has all the optional
 * functions, so that each of them can be that point. */
#include "module.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unwind.h>

enum { CONSTRUCTOR, SET_HOST, CREATE, METADATA, MESSAGE, FREE, BARRIER, DESTROY, DESTRUCTOR, THREAD, FORKED, NOWHERE };
enum { ABORT, NULL_WRITE, DIVIDE, ILLEGAL, KILL_BUS, OVERFLOW, EXIT_3, EXCEPTION, WILD_ANSWER };

static volatile int *volatile nothing;
static volatile int zero;

static int deeper(int depth) {
    volatile char filler[4096];
    filler[0] = (char)depth;
    return filler[0] + (depth < 1 << 30 ? deeper(depth + 1) : 0);
}

static void sin_here(int place) {
    static struct _Unwind_Exception exception;
    if (place != PLACE) {
        return;
    }
    switch (SIN) {
    case ABORT: abort();
    case NULL_WRITE: *nothing = 1; break;
    /* Not by a division: some processors divide by zero without a signal. */
    case DIVIDE: raise(SIGFPE); break;
    case ILLEGAL: __builtin_trap();
    case KILL_BUS: raise(SIGBUS); break;
    case OVERFLOW: zero = deeper(0); break;
    case EXIT_3: exit(3);
    case EXCEPTION:
        memcpy(&exception.exception_class, "FOREIGN!", 8);
        _Unwind_RaiseException(&exception);
        break;
    case WILD_ANSWER: break;
    }
}

__attribute__((constructor)) static void at_loading(void) { sin_here(CONSTRUCTOR); }
__attribute__((destructor)) static void at_unloading(void) { sin_here(DESTRUCTOR); }

static void *on_a_thread(void *argument) {
    sin_here(THREAD);
    return argument;
}

void set_host(const struct bulkhead_host *host) {
    (void)host;
    sin_here(SET_HOST);
}

void *create_module(void) {
    sin_here(CREATE);
    return (void *)&zero;
}

void destroy_module(void *module) {
    (void)module;
    sin_here(DESTROY);
}

char *get_module_metadata(void) {
    sin_here(METADATA);
    return NULL;
}

char *before_answers(void *module) {
    (void)module;
    sin_here(BARRIER);
    return NULL;
}

void free_string(char *string) {
    (void)string;
    sin_here(FREE);
}

char *handle_message(void *module, const char *type, const char *payload) {
    (void)module, (void)payload;
    if (strcmp(type, "command") == 0) {
        pthread_t thread;
        sin_here(MESSAGE);
        if (PLACE == THREAD && pthread_create(&thread, NULL, on_a_thread, NULL) == 0) {
            pthread_join(thread, NULL);
        }
        if (PLACE == FORKED) {
            pid_t child = fork();
            if (child == 0) {
                sin_here(FORKED);
                _exit(0);
            }
            waitpid(child, NULL, 0);
        }
        if (SIN == WILD_ANSWER) {
            return (char *)16;
        }
    }
    return "{}";
}
