# `make` builds the module, `make test` tests it.

WARNINGS = -Wall -Wextra -Werror=implicit-function-declaration
CFLAGS ?= -g -O2

# Under another name first: a process may have the old file mapped.
module.so: module.c module.h
	$(CC) $(WARNINGS) $(CFLAGS) -fPIC -shared -o $@.new module.c
	mv -f $@.new $@

test: module.c module.h test.c
	$(CC) $(WARNINGS) $(CFLAGS) -o test-module test.c module.c
	./test-module

clean:
	rm -f module.so test-module

.PHONY: test clean
