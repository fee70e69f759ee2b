/* Lacks something: two functions, or one that it calls itself, or a module. */
#include <stddef.h>

#ifdef LACKS_A_FUNCTION_OF_ITS_OWN
void no_such_function_anywhere(void);
void *create_module(void) {
    no_such_function_anywhere();
    return NULL;
}
#else
void *create_module(void) { return NULL; }
#endif

void destroy_module(void *module) { (void)module; }

#ifndef LACKS_FUNCTIONS
char *handle_message(void *module, const char *type, const char *payload) {
    (void)module, (void)type, (void)payload;
    return NULL;
}
void free_string(char *string) { (void)string; }
#endif
