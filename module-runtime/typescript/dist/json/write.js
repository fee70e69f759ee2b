/**
 * The text of a value that is sent. `Raw`, `NumberText` and `bigint` keep their digits; a number that JSON does
 * not have is refused and does not become `null`.
 */
import { LEVELS_SENT_MAX } from "../limits.js";
import { met, NumberText, Raw } from "./raw.js";
/**
 * The text of a value; `undefined` is `null`.
 *
 * @throws TypeError for what JSON does not have, with the place of it.
 */
export function write(value) {
    if (value === undefined || value === null)
        return "null";
    if (value instanceof Raw)
        return value.text;
    met.special = false;
    let text;
    try {
        text = JSON.stringify(value);
    }
    catch (error) {
        // A bigint, a circle, or a depth that the stack does not hold: the other way knows which, and where.
        if (!(error instanceof TypeError || error instanceof RangeError))
            throw error;
        return writeExactly(value);
    }
    // What JSON has no number for was written as null.
    const isPlain = !met.special && text !== undefined && !text.includes("null");
    return isPlain ? text : writeExactly(value);
}
function writeExactly(value) {
    return part(value, "", []) ?? "null";
}
/** The text of a part, or `undefined` where a member is left out, as by `JSON.stringify`. */
function part(value, name, around) {
    if (value instanceof Raw || value instanceof NumberText)
        return value.text;
    const given = hasToJson(value) ? value.toJSON(name) : value;
    switch (typeof given) {
        case "bigint":
            return given.toString();
        case "number":
            if (!Number.isFinite(given))
                throw new TypeError(`${where(name)}expected a number that JSON has, found ${given}`);
            return String(given === 0 ? 0 : given);
        case "string":
        case "boolean":
            return JSON.stringify(given);
        case "object":
            return given === null ? "null" : container(given, name, around);
        default:
            return undefined;
    }
}
function container(value, name, around) {
    if (value instanceof Number || value instanceof String || value instanceof Boolean)
        return JSON.stringify(value);
    if (around.includes(value))
        throw new TypeError(`${where(name)}expected JSON, found a value that is a part of itself`);
    if (around.length >= LEVELS_SENT_MAX) {
        throw new TypeError(`${where(name)}expected at most ${LEVELS_SENT_MAX} levels of lists and objects, found more`);
    }
    around.push(value);
    const parts = [];
    if (Array.isArray(value)) {
        for (let at = 0; at < value.length; at += 1)
            parts.push(part(value[at], String(at), around) ?? "null");
    }
    else {
        for (const [key, member] of Object.entries(value)) {
            const text = part(member, key, around);
            if (text !== undefined)
                parts.push(`${JSON.stringify(key)}:${text}`);
        }
    }
    around.pop();
    return Array.isArray(value) ? `[${parts.join(",")}]` : `{${parts.join(",")}}`;
}
function hasToJson(value) {
    return typeof value === "object" && value !== null && typeof value.toJSON === "function";
}
function where(name) {
    return name === "" ? "" : `${JSON.stringify(name)}: `;
}
