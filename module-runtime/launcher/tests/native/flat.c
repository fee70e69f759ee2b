/* A library as there are some that were written before this border was specified: it answers with flat
 * objects, to `init` with any JSON, to events with an acknowledgement, and knows neither
 * `shutdown` nor queries. Its answers are constants, of which free_string knows. */
#include <string.h>

static int created;

void *create_module(void) { return &created; }
void destroy_module(void *module) { (void)module; }
void free_string(char *string) { (void)string; }

char *handle_message(void *module, const char *type, const char *payload) {
    (void)module, (void)payload;
    if (strcmp(type, "init") == 0) {
        return INIT;
    }
    if (strcmp(type, "command") == 0) {
        created++;
        return "{\"status\":\"created\",\"log_id\":\"log-7\",\"count\":1}";
    }
    if (strcmp(type, "event") == 0) {
        return "{\"status\":\"acknowledged\"}";
    }
    return "{\"status\":\"error\",\"message\":\"unknown message type\",\"type\":7}";
}
