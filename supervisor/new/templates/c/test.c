/* Calls the module as the runtime does, in this process and without a host. */

#include "module.h"

#include <stdio.h>
#include <string.h>

static void *module;
static int failures;

/* Checks the answer to a command. */
static void expect(const char *payload, const char *expected) {
    char *found = handle_message(module, "command", payload);
    if (found == NULL || strcmp(found, expected) != 0) {
        fprintf(stderr, "%s\n  expected %s\n  found    %s\n", payload, expected, found == NULL ? "nothing" : found);
        failures++;
    }
    if (found != NULL) {
        free_string(found);
    }
}

int main(void) {
    module = create_module();
    expect("{\"name\":\"greet\",\"args\":{\"name\":\"Ada\"}}",
           "{\"status\":\"success\",\"data\":{\"greeting\":\"hello, Ada\"}}");
    expect("{ \"args\": { \"other\": [1, \"]\"], \"name\": \"A \\\"B\\\"\" }, \"name\": \"greet\" }",
           "{\"status\":\"success\",\"data\":{\"greeting\":\"hello, A \\\"B\\\"\"}}");
    expect("{\"name\":\"greet\"}",
           "{\"status\":\"error\",\"code\":\"bad_request\",\"error\":\"expected the argument name, a text\"}");
    expect("{\"name\":\"part\"}",
           "{\"status\":\"error\",\"code\":\"unknown_command\",\"error\":\"expected the command greet\"}");
    destroy_module(module);
    puts(failures == 0 ? "all tests passed" : "some tests failed");
    return failures != 0;
}
