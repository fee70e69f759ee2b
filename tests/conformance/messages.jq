# A filter that is given whole messages. It knows the commands echo and fail of the specimen, and
# answers a query or a mutation with its payload.
if .type != "command" then
    {status: "success", data: .payload}
elif .payload.name == "echo" then
    {status: "success", data: (.payload.args // {})}
elif .payload.name == "fail" then
    {status: "error", code: .payload.args.code, error: .payload.args.message}
else
    {status: "error", code: "unknown_command", error: "there is no command \(.payload.name)"}
end
