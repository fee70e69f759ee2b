#!/bin/sh
# The module `@NAME@` in POSIX shell: each line of standard input is a message, and each line of standard output is
# its answer.
#
#   in   {"type":"command","payload":{"name":"greet","args":{"name":"Ada"}}}
#   out  {"status":"success","data":{"greeting":"hello, Ada"}}
#
# One line out for each line in, always: only the order shows which answer is for which message. What is printed to
# standard error is the module's log.
#
# JSON is read here only as far as this module needs it, and in the form in which the `bulkhead` command writes it. A
# module that needs more asks jq, or is written in another language.

answer() { printf '{"status":"success","data":%s}\n' "$1"; }

fail() { printf '{"status":"error","code":"%s","error":"%s"}\n' "$1" "$2"; }

# The text at the key $2 of the object $1, still escaped as in JSON, so that it can be put into JSON again as it is.
text_of() { printf '%s\n' "$1" | sed -nE 's/.*"'"$2"'" *: *"(([^"\\]|\\.)*)".*/\1/p'; }

while IFS= read -r line; do
    command=${line#'{"type":"command","payload":{"name":"'}
    if [ "$command" = "$line" ]; then
        fail unknown_type "this module answers commands only"
        continue
    fi
    command=${command%%'"'*}
    case $line in
        *'"args":'*) args=${line#*'"args":'} args=${args%'}}'} ;;
        *) args='{}' ;;
    esac

    case $command in
        greet)
            name=$(text_of "$args" name)
            if [ -n "$name" ]; then
                answer '{"greeting":"hello, '"$name"'"}'
            else
                fail bad_request "expected the argument name, a text that is not empty"
            fi
            ;;
        *) fail unknown_command "expected the command greet" ;;
    esac
done
