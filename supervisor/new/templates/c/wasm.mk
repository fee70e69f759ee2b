# `make` builds the module, `make test` tests it as a program of this machine.

WARNINGS = -Wall -Wextra -Werror=implicit-function-declaration
CFLAGS ?= -g -O2
WASM_CC ?= @CLANG@

# Under another name first: a process may have the old file mapped.
module.wasm: module.c module.h
	$(WASM_CC) --target=wasm32-wasi -mexec-model=reactor $(WARNINGS) $(CFLAGS) -o $@.new module.c
	mv -f $@.new $@

test: module.c module.h test.c
	$(CC) $(WARNINGS) $(CFLAGS) -o test-module test.c module.c
	./test-module

clean:
	rm -f module.wasm test-module

.PHONY: test clean
