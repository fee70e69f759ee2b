#!/bin/sh
# A module in POSIX shell: each line of standard input is a message, and each line of standard
# output is its answer.
#
#   in   {"type":"command","payload":{"name":"greet","args":{"who":"World"}}}
#   out  {"status":"success","data":{"hello":"World"}}
#
# One line out for each line in, always: only the order shows which answer is for which message. What is meant
# for a person goes to standard error, which is the module's log.
#
# JSON is read here only as far as this module needs it, and in the form in which the `bulkhead`
# command writes it. A module that needs more asks jq, or is written in another language.

answer() { printf '{"status":"success","data":%s}\n' "$1"; }

fail() { printf '{"status":"error","code":"%s","error":"%s"}\n' "$1" "$2"; }

# The text at the key $2 of the object $1, still escaped as in JSON, so that it can be put into JSON
# again as it is.
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
            who=$(text_of "$args" who)
            if [ -n "$who" ]; then
                answer '{"hello":"'"$who"'"}'
            else
                fail bad_request "expected the argument who, a text that is not empty"
            fi
            ;;
        echo) answer "$args" ;;
        # A code of the module's own, for programs; the sentence is for people.
        fail)
            echo "about to fail, as ordered" >&2
            fail out_of_greetings "there are no greetings left"
            ;;
        *) fail unknown_command "there is no such command; known are greet, echo and fail" ;;
    esac
done
