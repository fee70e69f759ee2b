# A filter that is given whole messages. It knows the commands echo, fail and
# random of the specimen, and answers a query or a mutation with its payload.
if .type != "command" then
    {status: "success", data: .payload}
elif .payload.name == "echo" then
    {status: "success", data: (.payload.args // {})}
elif .payload.name == "fail" then
    .payload.args | {status: "error", error: .message} + del(.message)
elif .payload.name == "random" then
    # Not random, and as long as it would be.
    {status: "success", data: {hex: ("0" * (2 * .payload.args.bytes))}}
else
    {status: "error", code: "unknown_command", error: "there is no command \(.payload.name)"}
end
