/** The sentences in which values are refused. They are a contract: SDKs for other languages have the same. */
import { found } from "../json/compact.js";
import { LEVELS_MAX, NAMES_MAX, QUOTE_CHARACTERS_MAX } from "../limits.js";
import { hint } from "../nearest.js";
import { cut } from "../quote.js";
/** Why a value does not fit, and at which place inside of what was given. */
export class Refusal {
    form;
    expected;
    found;
    /** Whether it is of the right type, and would be changed. */
    inexact;
    /** The way to the place, the innermost step first. */
    way = [];
    constructor(form, expected, found, inexact = false) {
        this.form = form;
        this.expected = expected;
        this.found = found;
        this.inexact = inexact;
    }
    /** The same refusal, seen from one step further out. */
    inside(place) {
        this.way.push(place);
        return this;
    }
    /** Where it is, with dots between the steps. */
    get path() {
        return this.way
            .map((step) => String(step).replace(/[\\.]/g, "\\$&"))
            .reverse()
            .join(".");
    }
    /** For a person. `whole` is what all of it was expected to be. */
    sentence(called, whole) {
        if (this.way.length === 0)
            return `expected ${whole ?? this.expected}, found ${this.found}`;
        const path = `\`${cut(this.path, QUOTE_CHARACTERS_MAX)}\``;
        switch (this.form) {
            case "twice":
                return `${called} ${path} stands there twice`;
            case "unknown":
                return `unknown ${called} ${path}; ${this.expected}`;
            case "missing":
                return `missing ${called} ${path}; expected ${this.expected}`;
            case "wrong":
                return `${called} ${path}: expected ${this.expected}, found ${this.found}`;
        }
    }
}
/** A value of another type. */
export function wrong(words, node) {
    return new Refusal("wrong", alternatives(words), found(node));
}
/** A number that would change. */
export function inexact(node) {
    return new Refusal("wrong", "a number that a double holds exactly", found(node), true);
}
/** Lists and objects within each other without an end. */
export function tooDeep() {
    return new Refusal("wrong", `at most ${LEVELS_MAX} levels of lists and objects`, "more");
}
/** A member that is required. */
export function missing(name, words) {
    return new Refusal("missing", alternatives(words), "").inside(name);
}
/** A member that there is not. */
export function unknown(name, known) {
    return new Refusal("unknown", hint(name, known, "expected none"), "").inside(name);
}
/** A member that is there twice. */
export function twice(name) {
    return new Refusal("twice", "", "").inside(name);
}
/** `a text, an integer or null`. */
export function alternatives(words) {
    const named = [...new Set(words)];
    const last = named.length > NAMES_MAX ? `${named.length - NAMES_MAX} others` : named.pop();
    const before = named.slice(0, NAMES_MAX).join(", ");
    return before === "" ? String(last) : `${before} or ${last}`;
}
