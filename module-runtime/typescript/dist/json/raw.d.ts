/** Values that JavaScript has no type for: JSON as it was sent, and a number that keeps its digits. */
/** Set while a value is written, when one of these is met: it is written by other means then. */
export declare const met: {
    special: boolean;
};
/**
 * JSON as it was sent: digits, white space and the order of members included.
 *
 * `t.raw()` takes an argument as it came. Wherever a `Raw` stands in what is sent, in an answer, an event or a
 * request, its text goes out as it is.
 */
export declare class Raw {
    /** The JSON text. */
    readonly text: string;
    /**
     * @param text JSON.
     * @throws SyntaxError where it is none.
     */
    constructor(text: string);
    /** A text that is known to be JSON, without another look at it. */
    static trusted(text: string): Raw;
    /** The value, as `JSON.parse` makes it: a number may be another one in it. */
    parse(): unknown;
    toString(): string;
    /** Marks that plain JSON is not enough. `JSON.stringify` outside of this SDK writes the text as a text. */
    toJSON(): string;
}
/** A number as the text that was sent, for numbers that a double would change. Where it is sent it is that number again. */
export declare class NumberText {
    /** The number, as JSON has it. */
    readonly text: string;
    /**
     * @param text A number, as JSON has it.
     * @throws TypeError where it is none.
     */
    constructor(text: string);
    toString(): string;
    /** Marks that plain JSON is not enough. `JSON.stringify` outside of this SDK writes the number as a text. */
    toJSON(): string;
}
