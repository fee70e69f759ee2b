try (
    if .type == "command" and .payload.name == "total" then
        .payload.args | {status: "success", data: {total: (.price * .count)}}
    else
        {status: "error", code: "unknown_command", error: "expected the command total"}
    end
) catch {status: "error", code: "bad_request", error: .}
