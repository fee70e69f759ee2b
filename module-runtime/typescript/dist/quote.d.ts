/** Text for people: control characters are written out, so that they steer no terminal. */
/** The text between double quotes. */
export declare function quoteText(text: string): string;
/** The first characters of a text, as many as `max`, and `…` where there are more. Characters are code points. */
export declare function cut(text: string, max: number): string;
