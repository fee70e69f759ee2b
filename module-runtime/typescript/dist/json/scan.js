/**
 * One look over a JSON text that was read by `JSON.parse`, for what a value does not show any more: members
 * that stand there twice, numbers that were changed, and how deep it is. It makes no values.
 */
import { isKept } from "./number.js";
const QUOTE = 34;
const BACKSLASH = 92;
/** Looks over a text that is JSON. */
export function look(text) {
    let members = 0;
    let levels = 0;
    let level = 0;
    let kept = true;
    const end = text.length;
    for (let at = 0; at < end; at += 1) {
        const c = text.charCodeAt(at);
        if (c === QUOTE) {
            at = endOfString(text, at);
        }
        else if (c === 58) {
            members += 1;
        }
        else if (c === 123 || c === 91) {
            level += 1;
            if (level > levels)
                levels = level;
        }
        else if (c === 125 || c === 93) {
            level -= 1;
        }
        else if ((c >= 48 && c <= 57) || c === 45) {
            const stop = endOfNumber(text, at);
            if (stop - at > 15 || hasExponent(text, at, stop))
                kept &&= isKept(text.slice(at, stop));
            at = stop - 1;
        }
    }
    return { members, levels, kept };
}
/** How many members the objects in a value have. Only of a value that is known not to be deep. */
export function membersOf(value) {
    if (typeof value !== "object" || value === null)
        return 0;
    let members = 0;
    if (Array.isArray(value)) {
        for (const item of value)
            members += membersOf(item);
        return members;
    }
    const object = value;
    for (const name in object)
        members += 1 + membersOf(object[name]);
    return members;
}
/** The place of the quote that ends the string which begins here. */
export function endOfString(text, at) {
    let end = text.indexOf('"', at + 1);
    while (text.charCodeAt(end - 1) === BACKSLASH) {
        let escapes = 1;
        while (text.charCodeAt(end - 1 - escapes) === BACKSLASH)
            escapes += 1;
        if (escapes % 2 === 0)
            break;
        end = text.indexOf('"', end + 1);
    }
    return end;
}
/** The position after the number that begins here. */
export function endOfNumber(text, at) {
    let end = at + 1;
    for (; end < text.length; end += 1) {
        const c = text.charCodeAt(end);
        const isPart = (c >= 48 && c <= 57) || c === 46 || c === 101 || c === 69 || c === 43 || c === 45;
        if (!isPart)
            break;
    }
    return end;
}
function hasExponent(text, at, end) {
    for (let i = at; i < end; i += 1) {
        const c = text.charCodeAt(i);
        if (c === 101 || c === 69)
            return true;
    }
    return false;
}
