/* Calls the host where it may and where it may not, and answers with what it got: what `get` names. */
#define BULKHEAD_IMPLEMENT_SET_HOST
#define BULKHEAD_IMPLEMENT_STRINGS
#include "module.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static char *in_create, *in_init, *in_barrier;
static int barriers;

static char *copy(const char *words) {
    char *answer = malloc(strlen(words) + 1);
    return answer ? strcpy(answer, words) : NULL;
}

/* What the host answered, as an answer of our own. */
static char *own(char *from_host) {
    char *answer = from_host ? copy(from_host) : NULL;
    bulkhead_free(from_host);
    return answer;
}

static void *on_a_thread(void *argument) {
    char bytes[8], line[200];
    char **result = argument;
    char *answer = bulkhead_query("other", "1", -1), *found = bulkhead_key();
    bulkhead_log("warn", "from a thread");
    snprintf(line, sizeof line,
             "{\"wait\":%d,\"deadline\":%d,\"id\":%d,\"key\":%d,\"random\":%d,\"time\":%d,\"refused\":%d}",
             (int)bulkhead_wait(0), (int)bulkhead_deadline_ms(), (int)bulkhead_request_id(), found != NULL,
             (int)bulkhead_random(bytes, sizeof bytes), bulkhead_time(1) > 0,
             answer && strstr(answer, "\"code\":\"bad_request\"") != NULL);
    bulkhead_free(answer);
    bulkhead_free(found);
    *result = copy(line);
    return NULL;
}

void *create_module(void) {
    in_create = bulkhead_query(NULL, "1", -1);
    return &barriers;
}

void destroy_module(void *module) {
    (void)module;
    bulkhead_log("info", "destroyed");
    bulkhead_free(in_create);
    bulkhead_free(in_init);
    bulkhead_free(in_barrier);
}

char *before_answers(void *module) {
    (void)module;
    barriers++;
    if (!in_barrier) {
        in_barrier = bulkhead_event("a.b", "1");
    }
#ifdef BARRIER_FAILS_AT
    if (barriers == BARRIER_FAILS_AT) {
        return copy("the disk is full");
    }
#endif
    return NULL;
}

static char *get(const char *payload) {
    char line[64];
    if (strstr(payload, "in_create")) {
        return copy(in_create);
    }
    if (strstr(payload, "in_init")) {
        return copy(in_init);
    }
    if (strstr(payload, "in_barrier")) {
        return copy(in_barrier ? in_barrier : "null");
    }
    if (strstr(payload, "barriers")) {
        snprintf(line, sizeof line, "%d", barriers);
        return copy(line);
    }
    if (strstr(payload, "table")) {
        const struct bulkhead_host *host = bulkhead_the_host;
        snprintf(line, sizeof line, "[%u,%u,%u]", (unsigned)host->version, (unsigned)host->size, (unsigned)sizeof *host);
        return copy(line);
    }
    if (strstr(payload, "on_a_thread")) {
        pthread_t thread;
        char *answer = NULL;
        if (pthread_create(&thread, NULL, on_a_thread, &answer) == 0) {
            pthread_join(thread, NULL);
        }
        return answer;
    }
    if (strstr(payload, "null_name")) {
        return own(bulkhead_command("other", NULL, "{}", -1));
    }
    if (strstr(payload, "bad_json")) {
        return own(bulkhead_query("other", "{\"a\":", -1));
    }
    if (strstr(payload, "bad_text")) {
        return own(bulkhead_query("\xff\xfe", "1", -1));
    }
    if (strstr(payload, "bad_event")) {
        return own(bulkhead_event("not a name", "1"));
    }
    if (strstr(payload, "null_payload")) {
        return own(bulkhead_query(NULL, NULL, -1));
    }
    if (strstr(payload, "hurried")) {
        return own(bulkhead_command("other", "x", NULL, 200));
    }
    return own(bulkhead_command("other", "x", "[1]", -1));
}

char *handle_message(void *module, const char *type, const char *payload) {
    (void)module;
    if (strcmp(type, "init") == 0) {
        in_init = bulkhead_event("a.b", "1");
    }
    return strcmp(type, "command") == 0 ? get(payload) : copy("{}");
}
