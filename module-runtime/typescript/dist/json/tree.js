/**
 * JSON text as a tree that forgets nothing: numbers keep their digits, objects the order of their members and
 * those that stand there twice, and each part its place in the text. It is for texts that `JSON.parse` has
 * read, and for the few messages of which a value is not enough.
 */
import { LEVELS_MAX } from "../limits.js";
import { endOfNumber, endOfString } from "./scan.js";
/** Parts this deep in a message are not looked into: its members and those of its payload lie around arguments. */
const LEVELS_READ_MAX = LEVELS_MAX + 4;
/** The tree of a text that is JSON. */
export function parseTree(text) {
    return new Parser(text).value(0);
}
/** The member of this name, the last one if there are several. */
export function memberOf(node, name) {
    if (node?.kind !== "object")
        return undefined;
    return node.members.findLast((member) => member.name === name)?.value;
}
/** The text of a part, as it was sent. */
export function sourceOf(node) {
    return node.text.slice(node.start, node.end);
}
class Parser {
    #text;
    #at = 0;
    constructor(text) {
        this.#text = text;
    }
    value(level) {
        this.#space();
        const text = this.#text;
        const start = this.#at;
        switch (text.charCodeAt(start)) {
            case 123:
                return level < LEVELS_READ_MAX ? this.#object(level + 1) : this.#deep();
            case 91:
                return level < LEVELS_READ_MAX ? this.#list(level + 1) : this.#deep();
            case 34:
                return { kind: "text", value: this.#string(), ...this.#part(start, 0) };
            case 116:
            case 102: {
                const value = text.charCodeAt(start) === 116;
                this.#at += value ? 4 : 5;
                return { kind: "boolean", value, ...this.#part(start, 0) };
            }
            case 110:
                this.#at += 4;
                return { kind: "null", ...this.#part(start, 0) };
            default:
                this.#at = endOfNumber(text, start);
                return { kind: "number", source: text.slice(start, this.#at), ...this.#part(start, 0) };
        }
    }
    #object(level) {
        const start = this.#at;
        const members = [];
        let levels = 0;
        this.#at += 1;
        while (!this.#ends(125)) {
            const name = this.#string();
            this.#space();
            this.#at += 1;
            const value = this.value(level);
            levels = Math.max(levels, value.levels);
            members.push({ name, value });
        }
        return { kind: "object", members, ...this.#part(start, levels + 1) };
    }
    #list(level) {
        const start = this.#at;
        const items = [];
        let levels = 0;
        this.#at += 1;
        while (!this.#ends(93)) {
            const item = this.value(level);
            levels = Math.max(levels, item.levels);
            items.push(item);
        }
        return { kind: "list", items, ...this.#part(start, levels + 1) };
    }
    /** Goes to the next member or item; whether there is none, and the end was passed. */
    #ends(close) {
        this.#space();
        if (this.#text.charCodeAt(this.#at) === 44) {
            this.#at += 1;
            this.#space();
        }
        if (this.#text.charCodeAt(this.#at) !== close)
            return false;
        this.#at += 1;
        return true;
    }
    /** Passes over a list or an object without looking into it, so that its depth costs no stack. */
    #deep() {
        const start = this.#at;
        let level = 0;
        do {
            const c = this.#text.charCodeAt(this.#at);
            if (c === 34)
                this.#at = endOfString(this.#text, this.#at);
            else if (c === 123 || c === 91)
                level += 1;
            else if (c === 125 || c === 93)
                level -= 1;
            this.#at += 1;
        } while (level > 0);
        return { kind: "deep", ...this.#part(start, Number.POSITIVE_INFINITY) };
    }
    #string() {
        const end = endOfString(this.#text, this.#at) + 1;
        const value = JSON.parse(this.#text.slice(this.#at, end));
        this.#at = end;
        return value;
    }
    #space() {
        for (;;) {
            const c = this.#text.charCodeAt(this.#at);
            if (c !== 32 && c !== 10 && c !== 13 && c !== 9)
                return;
            this.#at += 1;
        }
    }
    #part(start, levels) {
        return { text: this.#text, start, end: this.#at, levels };
    }
}
