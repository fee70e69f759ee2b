/* One of everything that a module can do, each with a command of its own, in C. The conformance
 * suite drives it as a shared library and as WebAssembly; its sister in Rust is `modules/specimen`,
 * and both answer the same. It deliberately uses nothing but C and the border, so that one source
 * file builds as both. */

#define BULKHEAD_IMPLEMENT_SET_HOST
#define BULKHEAD_IMPLEMENT_STRINGS
#include "module.h"

#include "json.h"

enum { RANDOM_BYTES_MAX = 65536, SPIN_MS_MAX = 60000, WAIT_MS_MAX = 3600000 };
static const int64_t GROW_BYTES_MAX = INT64_C(2) << 30;
static const int64_t NANOSECONDS_IN_MS = 1000000;

/* What the module remembers from its creation to its end. */
struct specimen {
    int64_t count;
    int64_t events;
    char *last_event; /* its payload, or null */
};

/* ------------------------------------------------------------------------------------ The answers */

static char *copy(const char *words) {
    struct text text = text_new();
    text_add(&text, words);
    return text_end(&text);
}

static char *error(const char *code, const char *sentence) {
    struct text text = text_new();
    text_add(&text, "{\"status\":\"error\",\"code\":");
    text_add_string(&text, code);
    text_add(&text, ",\"error\":");
    text_add_string(&text, sentence);
    text_add(&text, "}");
    return text_end(&text);
}

static char *bad_request(const char *sentence) { return error("bad_request", sentence); }

/* Success; `data` is written between these two. */
static struct text success(void) {
    struct text text = text_new();
    text_add(&text, "{\"status\":\"success\",\"data\":");
    return text;
}

static char *done(struct text *answer) {
    text_add(answer, "}");
    return text_end(answer);
}

static char *success_json(struct json data) {
    struct text text = success();
    text_add_json(&text, data);
    return done(&text);
}

/* Success with the data {"NAME":number}. */
static char *success_number(const char *name, int64_t number) {
    struct text text = success();
    text_add(&text, "{");
    text_add_string(&text, name);
    text_add(&text, ":");
    text_add_number(&text, number);
    text_add(&text, "}");
    return done(&text);
}

static char *success_nothing(void) { return copy("{\"status\":\"success\",\"data\":{}}"); }

/* The host's error, if it is one, as an answer of our own; else null. Frees the host's. */
static char *failed(char *from_host) {
    if (!from_host) {
        return error("module_error", "there is no host");
    }
    struct json answer = json_value(from_host);
    char *result = NULL;
    if (json_says(json_member(answer, "status"), "error")) {
        struct text text = text_new();
        text_add(&text, "{\"status\":\"error\",\"code\":");
        text_add_json(&text, json_member(answer, "code"));
        text_add(&text, ",\"error\":");
        text_add_json(&text, json_member(answer, "error"));
        text_add(&text, "}");
        result = text_end(&text);
    }
    bulkhead_free(from_host);
    return result;
}

/* The host's answer as data, so that the suite sees errors as the module saw them. Frees the host's. */
static char *as_data(char *from_host) {
    if (!from_host) {
        return error("module_error", "there is no host");
    }
    struct json answer = json_value(from_host);
    struct text text = success();
    if (json_says(json_member(answer, "status"), "error")) {
        text_add(&text, "{\"code\":");
        text_add_json(&text, json_member(answer, "code"));
        text_add(&text, ",\"error\":");
        text_add_json(&text, json_member(answer, "error"));
    } else {
        text_add(&text, "{\"data\":");
        text_add_json(&text, json_member(answer, "data"));
    }
    bulkhead_free(from_host);
    text_add(&text, "}");
    return done(&text);
}

/* --------------------------------------------------- Commands that answer what the module got */

static char *echo(struct specimen *self, struct json args) {
    (void)self;
    return success_json(args);
}

static char *count(struct specimen *self, struct json args) {
    (void)args;
    self->count++;
    return success_number("count", self->count);
}

static char *events(struct specimen *self, struct json args) {
    (void)args;
    struct text text = success();
    text_add(&text, "{\"count\":");
    text_add_number(&text, self->events);
    text_add(&text, ",\"last\":");
    text_add(&text, self->last_event ? self->last_event : "null");
    text_add(&text, "}");
    return done(&text);
}

static char *key(struct specimen *self, struct json args) {
    (void)self, (void)args;
    char *found = bulkhead_key();
    struct text text = success();
    text_add(&text, "{\"key\":");
    if (found) {
        text_add_string(&text, found);
    } else {
        text_add(&text, "null");
    }
    text_add(&text, "}");
    bulkhead_free(found);
    return done(&text);
}

static char *deadline(struct specimen *self, struct json args) {
    (void)self, (void)args;
    int64_t left = bulkhead_deadline_ms();
    return left < 0 ? copy("{\"status\":\"success\",\"data\":{\"deadline_ms\":null}}")
                    : success_number("deadline_ms", left);
}

static char *time_now(struct specimen *self, struct json args) {
    (void)self, (void)args;
    return success_number("unix_ms", bulkhead_time(0) / NANOSECONDS_IN_MS);
}

static char *fail(struct specimen *self, struct json args) {
    (void)self;
    struct json code = json_member(args, "code"), message = json_member(args, "message");
    if (!code.at || *code.at != '"' || !message.at || *message.at != '"') {
        return bad_request("expected {\"code\":text,\"message\":text}");
    }
    struct text text = text_new();
    text_add(&text, "{\"status\":\"error\",\"code\":");
    text_add_json(&text, code);
    text_add(&text, ",\"error\":");
    text_add_json(&text, message);
    static const char *const more[] = {"retryable", "data"};
    for (size_t i = 0; i < sizeof more / sizeof *more; i++) {
        struct json member = json_member(args, more[i]);
        if (member.at) {
            text_add(&text, ",");
            text_add_string(&text, more[i]);
            text_add(&text, ":");
            text_add_json(&text, member);
        }
    }
    text_add(&text, "}");
    return text_end(&text);
}

/* ---------------------------------------------------------- Commands that speak with the host */

/* A value as JSON text of its own, to be freed. */
static char *owned(struct json value) {
    struct text text = text_new();
    text_add_json(&text, value);
    return text_end(&text);
}

static char *ask(struct specimen *self, struct json args) {
    (void)self;
    char *to = json_text(json_member(args, "to")), *name = json_text(json_member(args, "name"));
    char *rest = owned(json_member(args, "args"));
    char *answer = to && name ? as_data(bulkhead_command(to, name, rest, -1))
                              : bad_request("expected {\"to\":text,\"name\":text,\"args\":…}");
    free(to);
    free(name);
    free(rest);
    return answer;
}

typedef char *asking(const char *to, const char *payload, int64_t timeout_ms);

static char *ask_for_data(struct json args, asking *function) {
    struct json to = json_member(args, "to");
    bool is_named = to.at && *to.at != 'n';
    char *name = json_text(to), *payload = owned(json_member(args, "payload"));
    char *answer = is_named && !name ? bad_request("expected {\"to\":text or null,\"payload\":…}")
                                     : as_data(function(name, payload, -1));
    free(name);
    free(payload);
    return answer;
}

static char *ask_query(struct specimen *self, struct json args) {
    (void)self;
    return ask_for_data(args, bulkhead_query);
}

static char *ask_mutation(struct specimen *self, struct json args) {
    (void)self;
    return ask_for_data(args, bulkhead_mutation);
}

static char *emit(struct specimen *self, struct json args) {
    (void)self;
    char *event = json_text(json_member(args, "event")), *data = owned(json_member(args, "data"));
    char *answer = event ? failed(bulkhead_event(event, data)) : bad_request("expected {\"event\":text,\"data\":…}");
    free(event);
    free(data);
    return answer ? answer : success_nothing();
}

/* The error of a request that was cancelled or is overdue, after so many milliseconds; null: it was not. */
static char *unwanted(int64_t milliseconds) {
    switch (bulkhead_wait(milliseconds)) {
    case 0: return NULL;
    case 1: return error("cancelled", "the caller cancelled");
    case 2: return error("deadline_exceeded", "the deadline passed while the module worked on it");
    default: return error("module_error", "there is no host");
    }
}

static char *progress(struct specimen *self, struct json args) {
    (void)self;
    int64_t steps = json_count(json_member(args, "steps"));
    if (steps < 0) {
        return bad_request("expected {\"steps\":number}");
    }
    for (int64_t step = 1; step <= steps; step++) {
        struct text data = text_new();
        text_add(&data, "{\"step\":");
        text_add_number(&data, step);
        char *words = done(&data);
        char *answer = unwanted(0);
        if (!answer) {
            answer = failed(bulkhead_progress(words));
        }
        free(words);
        if (answer) {
            return answer;
        }
    }
    return success_number("steps", steps);
}

static char *wait_for(struct specimen *self, struct json args) {
    (void)self;
    int64_t ms = json_count(json_member(args, "ms"));
    if (ms < 0) {
        return bad_request("expected {\"ms\":number}");
    }
    char *answer = unwanted(ms < WAIT_MS_MAX ? ms : WAIT_MS_MAX);
    return answer ? answer : success_number("waited", ms);
}

static char *write_log(struct specimen *self, struct json args) {
    (void)self;
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    char *message = json_text(json_member(args, "message"));
    for (size_t i = 0; message && i < sizeof levels / sizeof *levels; i++) {
        if (json_says(json_member(args, "level"), levels[i])) {
            bulkhead_log(levels[i], message);
            free(message);
            return success_nothing();
        }
    }
    free(message);
    return bad_request("expected {\"level\":text,\"message\":text}, and a level of debug, info, warn or error");
}

/* --------------------------------------------- Commands that take something of the machine, bounded */

static char *crash(struct specimen *self, struct json args) {
    (void)self, (void)args;
    abort();
}

/* C has no panics. The nearest is to report that the module's state is in doubt. */
static char *panic(struct specimen *self, struct json args) {
    (void)self, (void)args;
#if defined(__wasm__)
    bulkhead_panic("the specimen panicked on request");
    __builtin_trap();
#else
    return copy("{\"status\":\"error\",\"panicked\":true,\"error\":\"the specimen panicked on request\"}");
#endif
}

static char *random_bytes(struct specimen *self, struct json args) {
    (void)self;
    static const char digits[] = "0123456789abcdef";
    int64_t wanted = json_count(json_member(args, "bytes"));
    if (wanted < 0 || wanted > RANDOM_BYTES_MAX) {
        return bad_request("expected {\"bytes\":number}, at most 65536");
    }
    unsigned char *bytes = malloc((size_t)wanted + 1);
    if (!bytes || bulkhead_random(bytes, (uint32_t)wanted) != 0) {
        free(bytes);
        return error("module_error", "there is nothing random to be had");
    }
    struct text text = success();
    text_add(&text, "{\"hex\":\"");
    for (int64_t i = 0; i < wanted; i++) {
        char pair[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        text_add_bytes(&text, pair, sizeof pair);
    }
    text_add(&text, "\"}");
    free(bytes);
    return done(&text);
}

static char *spin(struct specimen *self, struct json args) {
    (void)self;
    int64_t ms = json_count(json_member(args, "ms"));
    if (ms < 0 || ms > SPIN_MS_MAX) {
        return bad_request("expected {\"ms\":number}, at most 60000");
    }
    int64_t end = bulkhead_time(1) + ms * NANOSECONDS_IN_MS;
    while (bulkhead_time(1) < end) {
        for (volatile int i = 0; i < 10000; i++) {
        }
    }
    return success_number("spun", ms);
}

/* Memory that cannot be had is the end of the module, as in most programs. */
static char *grow(struct specimen *self, struct json args) {
    (void)self;
    int64_t bytes = json_count(json_member(args, "bytes"));
    if (bytes < 0 || bytes > GROW_BYTES_MAX) {
        return bad_request("expected {\"bytes\":number}, at most 2147483648");
    }
    volatile char *memory = malloc((size_t)bytes + 1);
    if (!memory) {
        abort();
    }
    /* Ones and not zeros: the system gives pages of zeros without having any. */
    for (int64_t i = 0; i < bytes; i += 4096) {
        memory[i] = 1;
    }
    free((void *)memory);
    return success_number("bytes", bytes);
}

/* ------------------------------------------------------------------------------------- The border */

typedef char *act(struct specimen *self, struct json args);

static const struct {
    const char *name;
    bool is_idempotent;
    const char *description;
    act *act;
} COMMANDS[] = {
    {"echo", true, "answers with its arguments as they came", echo},
    {"count", true, "how often it was asked since the module was created", count},
    {"events", true, "how many events came, and the last of them", events},
    {"key", true, "the request's idempotency key", key},
    {"deadline", true, "how many milliseconds are left", deadline},
    {"time", true, "milliseconds since 1970", time_now},
    {"fail", false, "answers with the error {\"code\",\"message\",\"retryable\",\"data\"}", fail},
    {"ask", false, "sends the command {\"name\",\"args\"} to the module {\"to\"}", ask},
    {"ask_query", false, "sends the query {\"payload\"} to {\"to\"}, or to the data store", ask_query},
    {"ask_mutation", false, "sends the mutation {\"payload\"} to {\"to\"}, or to the data store", ask_mutation},
    {"emit", false, "publishes the event {\"event\",\"data\"}", emit},
    {"progress", false, "reports {\"steps\"} steps", progress},
    {"wait", false, "waits for {\"ms\"}", wait_for},
    {"log", false, "writes {\"message\"} to the log at {\"level\"}", write_log},
    {"crash", false, "ends the process in the hard way", crash},
    {"panic", false, "says that its state is in doubt", panic},
    {"random", false, "{\"bytes\"} random bytes, in hexadecimal", random_bytes},
    {"spin", false, "uses the processor for {\"ms\"}, without a call", spin},
    {"grow", false, "uses {\"bytes\"} of memory until it has answered", grow},
};
enum { COMMANDS_COUNT = sizeof COMMANDS / sizeof *COMMANDS };

void *create_module(void) { return calloc(1, sizeof(struct specimen)); }

void destroy_module(void *module) {
    struct specimen *self = module;
    free(self->last_event);
    free(self);
}

char *get_module_metadata(void) {
    struct text text = text_new();
    text_add(&text, "{\"name\":\"specimen-c\",\"version\":\"1.0.0\",\"commands\":[");
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        text_add(&text, i ? ",{\"name\":" : "{\"name\":");
        text_add_string(&text, COMMANDS[i].name);
        text_add(&text, COMMANDS[i].is_idempotent ? ",\"idempotent\":true" : ",\"idempotent\":false");
        text_add(&text, ",\"description\":");
        text_add_string(&text, COMMANDS[i].description);
        text_add(&text, "}");
    }
    text_add(&text, "]");
    return done(&text);
}

static char *command(struct specimen *self, struct json payload) {
    struct json name = json_member(payload, "name"), args = json_member(payload, "args");
    if (!args.at || *args.at == 'n') {
        args = json_value("{}");
    }
    for (size_t i = 0; i < COMMANDS_COUNT; i++) {
        if (json_says(name, COMMANDS[i].name)) {
            return COMMANDS[i].act(self, args);
        }
    }
    struct text sentence = text_new();
    char *words = json_text(name);
    text_add(&sentence, "there is no command ");
    text_add_string(&sentence, words ? words : "");
    free(words);
    words = text_end(&sentence);
    char *answer = error("unknown_command", words ? words : "there is no such command");
    free(words);
    return answer;
}

static char *event(struct specimen *self, const char *payload) {
    self->events++;
    free(self->last_event);
    self->last_event = copy(payload);
    return copy("{\"status\":\"success\"}");
}

char *handle_message(void *module, const char *type, const char *payload) {
    struct specimen *self = module;
    if (strcmp(type, "command") == 0) {
        return command(self, json_value(payload));
    }
    if (strcmp(type, "query") == 0 || strcmp(type, "mutation") == 0) {
        return success_json(json_value(payload));
    }
    if (strcmp(type, "event") == 0) {
        return event(self, payload);
    }
    if (strcmp(type, "init") == 0 || strcmp(type, "shutdown") == 0) {
        return copy("{\"status\":\"success\"}");
    }
    return error("unknown_type", "this module does not know requests of this type");
}
