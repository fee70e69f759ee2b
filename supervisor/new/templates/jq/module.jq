# The module `@NAME@`: each line is a message, and the line that comes out is its answer.
#
#   in   {"type":"command","payload":{"name":"greet","args":{"name":"Ada"}}}
#   out  {"status":"success","data":{"greeting":"hello, Ada"}}
#
# One line out for each line in, always: no `empty` and no `select` at the top, and all of it in `try`.

def answer: {status: "success", data: .};
def refuse(code; sentence): {status: "error", code: code, error: sentence};

try (
    if .type == "command" and .payload.name == "greet" then
        .payload.args.name as $name
        | if ($name | type) == "string" then
            {greeting: "hello, \($name)"} | answer
        else
            refuse("bad_request"; "expected the argument name, a text")
        end
    else
        refuse("unknown_command"; "expected the command greet")
    end
) catch refuse("bad_request"; .)
