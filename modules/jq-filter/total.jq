# Adds up an order: {"items":[{"name","price","count"}]} becomes {"count","total","most"}.
#
# The one rule of a filter: one line out for each line in, always, since only the order shows which
# answer is for which message. jq prints nothing for a line on which it fails, so a failure is caught and
# printed too. For the same reason there is no `empty` here, and nothing that prints twice.
try (
    .items // error("expected {\"items\":[{\"name\",\"price\",\"count\"}]}")
    | map(. + {cost: (.price * .count)})
    | {
        count: (map(.count) | add // 0),
        total: (map(.cost) | add // 0),
        most: (max_by(.cost) | .name?)
    }
) catch {problem: .}
