/** Names that may have been meant by one that there is not. */
/** The end of a sentence about an unknown name. */
export declare function hint(name: string, known: readonly string[], none: string): string;
/** The known name that is near enough to be what was meant, and nearest. */
export declare function nearest(name: string, known: readonly string[]): string | undefined;
