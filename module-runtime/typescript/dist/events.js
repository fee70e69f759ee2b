/** Names of events, and the patterns that choose among them. */
import { Fault } from "./fault.js";
import { EVENT_NAME_BYTES_MAX } from "./limits.js";
/** @throws Fault `bad_request` for a text that is no name of an event. */
export function checkEventName(name) {
    const bytes = Buffer.byteLength(name);
    if (bytes === 0 || bytes > EVENT_NAME_BYTES_MAX) {
        throw new Fault(`an event's name has 1 to ${EVENT_NAME_BYTES_MAX} bytes, found ${bytes}`, { code: "bad_request" });
    }
    const odd = /[\s\p{Cc}]/u.exec(name);
    if (odd !== null) {
        const found = JSON.stringify(odd[0]);
        throw new Fault(`an event's name has no white space and no control characters, found ${found}`, {
            code: "bad_request",
        });
    }
    if (name.includes("*")) {
        throw new Fault(`a '*' stands only at the end of a pattern, found ${JSON.stringify(name)}`, {
            code: "bad_request",
        });
    }
}
/** @throws Fault `bad_request` for a text that is no pattern: a name, or the beginning of one with `*` after it. */
export function checkPattern(pattern) {
    if (pattern !== "*")
        checkEventName(pattern.endsWith("*") ? pattern.slice(0, -1) : pattern);
}
/** Whether the pattern chooses the name. */
export function matches(pattern, name) {
    return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
