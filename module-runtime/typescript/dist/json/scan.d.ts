/**
 * One look over a JSON text that was read by `JSON.parse`, for what a value does not show any more: members
 * that stand there twice, numbers that were changed, and how deep it is. It makes no values.
 */
/** What a text is like. */
export interface Look {
    /** Members of all objects. */
    members: number;
    /** Lists and objects within each other. */
    levels: number;
    /** Whether a double keeps each number. */
    kept: boolean;
}
/** Looks over a text that is JSON. */
export declare function look(text: string): Look;
/** How many members the objects in a value have. Only of a value that is known not to be deep. */
export declare function membersOf(value: unknown): number;
/** The place of the quote that ends the string which begins here. */
export declare function endOfString(text: string, at: number): number;
/** The position after the number that begins here. */
export declare function endOfNumber(text: string, at: number): number;
