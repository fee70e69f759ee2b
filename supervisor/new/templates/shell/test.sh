#!/bin/sh
# Sends lines to the module, and compares each answer. The exit code is 1 if one differs.
set -eu
cd "$(dirname "$0")"
failed=0

expect() {
    found=$(printf '%s\n' "$1" | sh module.sh)
    if [ "$found" = "$2" ]; then
        echo "passed: $1"
    else
        printf 'failed: %s\n  expected %s\n  found    %s\n' "$1" "$2" "$found"
        failed=1
    fi
}

expect '{"type":"command","payload":{"name":"greet","args":{"name":"Ada"}}}' \
    '{"status":"success","data":{"greeting":"hello, Ada"}}'
expect '{"type":"command","payload":{"name":"greet"}}' \
    '{"status":"error","code":"bad_request","error":"expected the argument name, a text that is not empty"}'
expect '{"type":"command","payload":{"name":"part"}}' \
    '{"status":"error","code":"unknown_command","error":"expected the command greet"}'
exit "$failed"
