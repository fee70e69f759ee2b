/** Whether the text of a number is the same number once it is a double. */
/** Whether the text has the form of a number of JSON. */
export declare function isNumberText(text: string): boolean;
/** Whether a double keeps the number: the shortest text of the double is the same decimal as this one. */
export declare function isKept(text: string): boolean;
/** Whether the text is a whole number, as `1.0` and `1e3` are. */
export declare function isWhole(text: string): boolean;
/** The whole number of a text. Only of one that `isWhole`, and whose exponent is bounded by the caller. */
export declare function toBigInt(text: string): bigint;
/** How many digits a whole number has when it is written without an exponent. */
export declare function wholeDigits(text: string): number;
