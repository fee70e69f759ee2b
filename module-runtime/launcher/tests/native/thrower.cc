// Throws WHAT in one place, PLACE; elsewhere it behaves.
#define BULKHEAD_IMPLEMENT_STRINGS
#include "module.h"

#include <cstring>
#include <pthread.h>
#include <stdexcept>
#include <string>

enum { CREATE, MESSAGE, FREE, DEEP, NOEXCEPT, CAUGHT, RETHROWN };
enum { ERROR, NUMBER, LONG };

static void throw_here(int place) {
    if (place != PLACE) {
        return;
    }
    switch (WHAT) {
    case ERROR: throw std::runtime_error("the ink is dry");
    case NUMBER: throw 7;
    case LONG: throw std::logic_error(std::string(100000, 'x'));
    }
}

struct Cleanup {
    ~Cleanup() { asm volatile(""); }
};

static void deeper(int depth) {
    Cleanup cleanup;
    if (depth == 0) {
        throw_here(DEEP);
    } else {
        deeper(depth - 1);
    }
}

static void never() noexcept { throw_here(NOEXCEPT); }

extern "C" {
void *create_module(void) {
    throw_here(CREATE);
    return reinterpret_cast<void *>(1);
}
void destroy_module(void *) {}
char *handle_message(void *, const char *type, const char *) {
    if (std::strcmp(type, "command") == 0) {
        throw_here(MESSAGE);
        deeper(20);
        never();
        try {
            throw_here(CAUGHT);
        } catch (const std::exception &caught) {
            return strdup("\"caught\"");
        }
        try {
            throw_here(RETHROWN);
        } catch (...) {
            throw;
        }
    }
    return strdup("null");
}
}
