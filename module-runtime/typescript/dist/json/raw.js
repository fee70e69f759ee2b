/** Values that JavaScript has no type for: JSON as it was sent, and a number that keeps its digits. */
import { isNumberText } from "./number.js";
/** Set while a value is written, when one of these is met: it is written by other means then. */
export const met = { special: false };
/**
 * JSON as it was sent: digits, white space and the order of members included.
 *
 * `t.raw()` takes an argument as it came. Wherever a `Raw` stands in what is sent, in an answer, an event or a
 * request, its text goes out as it is.
 */
export class Raw {
    /** The JSON text. */
    text;
    /**
     * @param text JSON.
     * @throws SyntaxError where it is none.
     */
    constructor(text) {
        JSON.parse(text);
        this.text = text;
    }
    /** A text that is known to be JSON, without another look at it. */
    static trusted(text) {
        const raw = Object.create(Raw.prototype);
        raw.text = text;
        return raw;
    }
    /** The value, as `JSON.parse` makes it: a number may be another one in it. */
    parse() {
        return JSON.parse(this.text);
    }
    toString() {
        return this.text;
    }
    /** Marks that plain JSON is not enough. `JSON.stringify` outside of this SDK writes the text as a text. */
    toJSON() {
        met.special = true;
        return this.text;
    }
}
/** A number as the text that was sent, for numbers that a double would change. Where it is sent it is that number again. */
export class NumberText {
    /** The number, as JSON has it. */
    text;
    /**
     * @param text A number, as JSON has it.
     * @throws TypeError where it is none.
     */
    constructor(text) {
        if (!isNumberText(text))
            throw new TypeError(`expected a number as JSON has it, found ${JSON.stringify(text)}`);
        this.text = text;
    }
    toString() {
        return this.text;
    }
    /** Marks that plain JSON is not enough. `JSON.stringify` outside of this SDK writes the number as a text. */
    toJSON() {
        met.special = true;
        return this.text;
    }
}
