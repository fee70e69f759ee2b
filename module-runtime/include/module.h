/* The C border of Bulkhead: what a shared library or a WebAssembly module exports to be a module,
 * and what it may call. C99 or newer, or C++. This file needs no other file of Bulkhead.
 *
 * A module is four functions and JSON:
 *
 *     create_module    makes the module
 *     handle_message   is called once for every message, and answers it
 *     free_string      frees an answer
 *     destroy_module   ends the module
 *
 * Everything else here is optional. One source file can be built as both kinds:
 *
 *     cc -Wall -fPIC -shared -O2 -o greeter.so greeter.c
 *     clang --target=wasm32-wasi -mexec-model=reactor -O2 -o greeter.wasm greeter.c
 *
 * A library is loaded by `module-runtime native` into a process of its own, never into the host. If
 * it crashes, its callers get an error, and the host starts it again.
 *
 * Strings
 *   Every string is UTF-8 with a NUL at its end; a payload and an answer are JSON.
 *   - What the runtime passes in (`type`, `payload`) is the runtime's. It is valid until the function
 *     returns; copy what must live longer. It is never null.
 *   - What the module returns is the module's own until the runtime gives it back: each string that
 *     is not null is passed to `free_string` exactly once, as soon as it has been read. A string
 *     constant may be returned if `free_string` knows it and leaves it alone.
 *   - What a function of the host returns is freed by the module, exactly once, with
 *     `bulkhead_free`, never with `free`.
 *   - What the module passes to a function of the host stays the module's.
 *
 * Threads
 *   The runtime calls every function of the module on one and the same thread, one at a time, except
 *   that `before_answers` may be called while `handle_message` waits inside a function of the host.
 *   The module may start threads. On them, outside of `handle_message`, and while that handles `init`,
 *   only `log`, `time`, `random` and `free_string` of the host may be called; every other function
 *   answers the error `bad_request` there, and does nothing else.
 *
 * Ends
 *   No exception and no panic may leave a function: it ends the process (SIGABRT). `exit` ends the
 *   process too. Both are a crash for the host, and standard error says in which function it was. A
 *   library is never unloaded; its destructors run when the process ends.
 *
 * Standard streams
 *   Standard output and standard error are the module's log; standard input is empty.
 */
#ifndef BULKHEAD_MODULE_H
#define BULKHEAD_MODULE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Makes a function visible to the runtime. The functions below have it already: a module that
 * includes this file and defines them exports them, whatever -fvisibility says. */
#if defined(__wasm__)
#define BULKHEAD_EXPORT(name) __attribute__((export_name(#name)))
#elif defined(__GNUC__)
#define BULKHEAD_EXPORT(name) __attribute__((visibility("default")))
#else
#define BULKHEAD_EXPORT(name)
#endif

/* ---------------------------------------------------------------- What every module defines */

/* Makes the module, once, after `set_host` and before everything else. What is returned is passed to
 * the functions below; the runtime never looks into it, so that a module without a state may return
 * any address but null. Null: it failed, and the host does not try again until a start is requested. Better
 * let `init` fail, which can say why. */
BULKHEAD_EXPORT(create_module) void *create_module(void);

/* Ends the module: once, after the answer to `shutdown`, or when the host is gone. Not called after a
 * crash or after an answer that ends the process (`panicked`). `module` is what `create_module` gave. */
BULKHEAD_EXPORT(destroy_module) void destroy_module(void *module);

/* Handles one message and answers it. Messages come one after the other, in the order in which they
 * were sent. No pointer is null, and the payload is JSON that has been checked.
 *
 * `type`       `payload`
 * "init"       {"protocol":1,"module":…,"instance":…,"config":{…},"limits":{…},"capabilities":{…},
 *              "data_dir":…,"on_panic":…}; the first message, and the only one of its type
 * "command"    {"name":…,"args":…}; args may be absent or null
 * "query"      any JSON
 * "mutation"   any JSON
 * "event"      {"event":…,"data":…}
 * "shutdown"   null; the last message
 *
 * `ping` and `cancel` of the wire never arrive here, nor do types that the runtime does not know. There
 * may be more types one day: answer those that you do not know with the code unknown_type.
 *
 * The answer is one JSON value:
 *
 * {"status":"success","data":…}                    success with this data
 * {"status":"error","error":"a sentence","code":…} an error; see below
 * an object with "status" and no "data"            success; the data is an object of its other members
 * any other JSON value                             success; the value is the data
 *
 * Members of an error, all optional:
 *   error        a sentence for a person: lower case, no final period ("message" is read in its place)
 *   code         one of bad_request, unknown_type, unknown_command, module_error, deadline_exceeded,
 *                cancelled, overloaded, frame_too_large, permission_denied, not_found, conflict; or a
 *                code of the module's own
 *   retryable    true: the same request may succeed later
 *   data         details for programs; without it, members of other names are the details
 *   permanent    in the answer to init, true: it is of no use to start the module again
 *   panicked     true: the state of the module is in doubt. The manifest's `on_panic` says whether
 *                the process ends (the default), or continues. If it ends, messages that were sent
 *                after this one have not begun, and the next process does them. This is how a module
 *                asks for a fresh process; `exit` is a crash.
 *
 * A null pointer, bytes that are no UTF-8, text that is no JSON, an answer that is longer than a
 * message may be (limits.frame_bytes_max of init): the caller gets an error that says which it was.
 *
 * init      Any answer but an error means that the module is ready, also text that is no JSON. Where the
 *           data is an object with "name", "version", "commands" or "features", these are what the
 *           module reports about itself; they take precedence over get_module_metadata. A command may
 *           say there what it takes and answers with: see get_module_metadata.
 * event     Any answer but an error means that the event was handled.
 * shutdown  Any answer but an error means success. So do an error without a code, one with the
 *           code unknown_type, and a null pointer: that is a module that does not know `shutdown`.
 *           An error with another code is a shutdown that failed: the process ends with 1. */
BULKHEAD_EXPORT(handle_message) char *handle_message(void *module, const char *type, const char *payload);

/* Frees a string that the module returned. Never called with null. In WebAssembly it also frees what
 * `alloc_string` gave. */
BULKHEAD_EXPORT(free_string) void free_string(char *string);

/* ---------------------------------------------------------------- What a module may define */

/* What the module reports about itself, as JSON; each member is optional, and null is as if the function
 * were not there:
 *
 *   {"name":"greeter","version":"1.0.0",
 *    "commands":["greet",{"name":"count","idempotent":true,"description":"counts"}],
 *    "features":["keys"],"batch_answers":false}
 *
 * An entry of "commands" may also have "args" and "returns", JSON Schemas of what the command takes and
 * answers with, and "examples", a list of {"args":…,"returns":…}. `bulkhead describe` shows them, and
 * the host checks nothing by them.
 *
 * Called at most once, after `create_module` and before `init`. An idempotent command is one that may
 * be done twice: the host sends it again after a crash. "batch_answers": answers to requests that are
 * safe to repeat may be sent together, which is faster for a module whose messages take microseconds.
 * See PROTOCOL.md for the features. */
BULKHEAD_EXPORT(get_module_metadata) char *get_module_metadata(void);

/* Work that must be done before answers leave, such as flushing a file: once for all that leave
 * together. It may be called while `handle_message` waits in a function of the host, must not call the
 * host, and should cost next to nothing if there is nothing to do. Also called after an answer that
 * says `panicked`, as others may have been given before it. Null: done. A string is the reason why it failed,
 * a sentence or an error as above, and is freed by free_string; the answers are not sent then, and the
 * process ends with 1. */
BULKHEAD_EXPORT(before_answers) char *before_answers(void *module);

#if defined(__wasm__)
/* Required in WebAssembly, and never called elsewhere: memory for a string of the runtime. `length`
 * counts its NUL. Freed with free_string: by the runtime after `handle_message` has returned, by the
 * module (bulkhead_free) for what a function of the host returned. Null: there is no memory left. */
BULKHEAD_EXPORT(alloc_string) char *alloc_string(uint32_t length);
#endif

/* ---------------------------------------------------------------- What the host offers */

/* The functions of the host, as a library gets them. Authors who use the bulkhead_… functions below
 * need not look here.
 *
 * What query, mutation, command, event and progress return is never null, and is the wire's answer:
 *   {"status":"success","data":…}
 *   {"status":"error","error":"a sentence","code":…,"retryable":…, and perhaps "delivery", "data", …} */
struct bulkhead_host {
    uint32_t size;    /* bytes of this structure as the runtime knows it */
    uint32_t version; /* 1. Later versions only append; look at `size` before you use what they added. */

    /* Asks the module `to`, or the host's data store if `to` is null, and waits for the answer: at
     * most `timeout_ms` milliseconds and never longer than the deadline of the request in progress, which
     * alone counts if `timeout_ms` is negative. If the request in progress is cancelled, the answer is the
     * error `cancelled`, at once. `payload` is JSON; null is the JSON null. The manifest must grant
     * `call`. */
    char *(*query)(const char *to, const char *payload, int64_t timeout_ms);
    char *(*mutation)(const char *to, const char *payload, int64_t timeout_ms);
    /* The same with the command `name` and its arguments. */
    char *(*command)(const char *to, const char *name, const char *args, int64_t timeout_ms);
    /* Publishes an event, without waiting for its recipients. The manifest must grant `event_emit`. */
    char *(*event)(const char *name, const char *data);
    /* Reports to the caller of the request in progress how far the work is. */
    char *(*progress)(const char *data);
    /* Waits for so many milliseconds, or until the request in progress is not wanted any more.
     * 0: still wanted. 1: cancelled, or the host is gone. 2: its deadline passed. wait(0) only asks.
     * Where it may not be called it returns 1 at once. */
    int32_t (*wait)(int64_t milliseconds);
    /* Milliseconds left for the request in progress, 0 when they are over; -1 if there is no deadline. */
    int64_t (*deadline_ms)(void);
    /* The host's number for the request in progress, for logs; -1 if it has none. */
    int64_t (*request_id)(void);
    /* The idempotency key of the request in progress, or null. A string to be freed. */
    char *(*key)(void);
    /* Writes a line to the module's log. `level` is debug, info, warn or error; others are info. */
    void (*log)(const char *level, const char *message);
    /* Nanoseconds: clock 0 is the time since 1970 (UTC), clock 1 never goes back. -1: no such clock. */
    int64_t (*time)(int32_t clock);
    /* Fills the buffer with unpredictable bytes. 0: done, -1: it could not be. */
    int32_t (*random)(void *buffer, uint32_t length);
    /* Frees what a function of this table returned. Null is nothing. */
    void (*free_string)(char *string);
};

#if !defined(__wasm__)
/* Gives the library the functions of the host: once, before `create_module`, if it is exported. The
 * table lives as long as the process and never changes. WebAssembly imports the functions instead,
 * under their names in the table, from the module "bulkhead". */
BULKHEAD_EXPORT(set_host) void set_host(const struct bulkhead_host *host);
#endif

/* ---------------------------------------------------------------- The same from one source on both */

/* The functions bulkhead_query, bulkhead_command, … below are those of the table, and work natively
 * and in WebAssembly. In exactly one source file, write before the #include:
 *
 *     #define BULKHEAD_IMPLEMENT_SET_HOST   defines set_host, natively: the functions need the table
 *     #define BULKHEAD_IMPLEMENT_STRINGS    defines free_string as free, and for WebAssembly
 *                                           alloc_string as malloc
 *
 * Without a host, as in a test that loads the library by itself, those that return a string return
 * null, and the others -1. */

#if defined(__wasm__)

#define BULKHEAD_IMPORT(name) __attribute__((import_module("bulkhead"), import_name(name)))
BULKHEAD_IMPORT("query") char *bulkhead_import_query(const char *to, const char *payload, int64_t timeout_ms);
BULKHEAD_IMPORT("mutation") char *bulkhead_import_mutation(const char *to, const char *payload, int64_t timeout_ms);
BULKHEAD_IMPORT("command")
char *bulkhead_import_command(const char *to, const char *name, const char *args, int64_t timeout_ms);
BULKHEAD_IMPORT("event") char *bulkhead_import_event(const char *name, const char *data);
BULKHEAD_IMPORT("progress") char *bulkhead_import_progress(const char *data);
BULKHEAD_IMPORT("wait") int32_t bulkhead_import_wait(int64_t milliseconds);
BULKHEAD_IMPORT("deadline_ms") int64_t bulkhead_import_deadline_ms(void);
BULKHEAD_IMPORT("request_id") int64_t bulkhead_import_request_id(void);
BULKHEAD_IMPORT("key") char *bulkhead_import_key(void);
BULKHEAD_IMPORT("log") void bulkhead_import_log(const char *level, const char *message);
BULKHEAD_IMPORT("time") int64_t bulkhead_import_time(int32_t clock);
BULKHEAD_IMPORT("random") int32_t bulkhead_import_random(void *buffer, uint32_t length);
BULKHEAD_IMPORT("panic") void bulkhead_import_panic(const char *message);
#define BULKHEAD_CALL(function, arguments, otherwise) (bulkhead_import_##function arguments)

#else

#if defined(__GNUC__)
__attribute__((visibility("hidden")))
#endif
extern const struct bulkhead_host *bulkhead_the_host;
#define BULKHEAD_CALL(function, arguments, otherwise) \
    (bulkhead_the_host ? bulkhead_the_host->function arguments : (otherwise))

#ifdef BULKHEAD_IMPLEMENT_SET_HOST
const struct bulkhead_host *bulkhead_the_host;
void set_host(const struct bulkhead_host *host) { bulkhead_the_host = host; }
#endif

#endif

static inline char *bulkhead_query(const char *to, const char *payload, int64_t timeout_ms) {
    return BULKHEAD_CALL(query, (to, payload, timeout_ms), (char *)0);
}
static inline char *bulkhead_mutation(const char *to, const char *payload, int64_t timeout_ms) {
    return BULKHEAD_CALL(mutation, (to, payload, timeout_ms), (char *)0);
}
static inline char *bulkhead_command(const char *to, const char *name, const char *args, int64_t timeout_ms) {
    return BULKHEAD_CALL(command, (to, name, args, timeout_ms), (char *)0);
}
static inline char *bulkhead_event(const char *name, const char *data) {
    return BULKHEAD_CALL(event, (name, data), (char *)0);
}
static inline char *bulkhead_progress(const char *data) {
    return BULKHEAD_CALL(progress, (data), (char *)0);
}
static inline int32_t bulkhead_wait(int64_t milliseconds) {
    return BULKHEAD_CALL(wait, (milliseconds), -1);
}
static inline int64_t bulkhead_deadline_ms(void) {
    return BULKHEAD_CALL(deadline_ms, (), -1);
}
static inline int64_t bulkhead_request_id(void) {
    return BULKHEAD_CALL(request_id, (), -1);
}
static inline char *bulkhead_key(void) {
    return BULKHEAD_CALL(key, (), (char *)0);
}
static inline void bulkhead_log(const char *level, const char *message) {
    BULKHEAD_CALL(log, (level, message), (void)0);
}
static inline int64_t bulkhead_time(int32_t clock) {
    return BULKHEAD_CALL(time, (clock), -1);
}
static inline int32_t bulkhead_random(void *buffer, uint32_t length) {
    return BULKHEAD_CALL(random, (buffer, length), -1);
}

/* Frees a string that one of the functions above returned; null is nothing. */
static inline void bulkhead_free(char *string) {
#if defined(__wasm__)
    if (string) {
        free_string(string);
    }
#else
    BULKHEAD_CALL(free_string, (string), (void)0);
#endif
}

#if defined(__wasm__)
/* WebAssembly only: says why the trap that comes next was raised; the sentence becomes the answer. */
static inline void bulkhead_panic(const char *message) {
    bulkhead_import_panic(message);
}
#endif

#ifdef BULKHEAD_IMPLEMENT_STRINGS
#ifdef __cplusplus
}
#endif
#include <stdlib.h>
#ifdef __cplusplus
extern "C" {
#endif
void free_string(char *string) { free(string); }
#if defined(__wasm__)
char *alloc_string(uint32_t length) { return (char *)malloc(length); }
#endif
#endif

#ifdef __cplusplus
}
#endif

#endif
