/**
 * JSON text as a tree that forgets nothing: numbers keep their digits, objects the order of their members and
 * those that stand there twice, and each part its place in the text. It is for texts that `JSON.parse` has
 * read, and for the few messages of which a value is not enough.
 */
/** A member of an object. */
export interface Member {
    readonly name: string;
    readonly value: Node;
}
/** A part of a text. */
export type Node = {
    readonly text: string;
    readonly start: number;
    readonly end: number;
    readonly levels: number;
} & ({
    readonly kind: "object";
    readonly members: readonly Member[];
} | {
    readonly kind: "list";
    readonly items: readonly Node[];
} | {
    readonly kind: "text";
    readonly value: string;
} | {
    readonly kind: "number";
    readonly source: string;
} | {
    readonly kind: "boolean";
    readonly value: boolean;
} | {
    readonly kind: "null";
}
/** A list or an object that lies deeper than anything that is read. */
 | {
    readonly kind: "deep";
});
/** The tree of a text that is JSON. */
export declare function parseTree(text: string): Node;
/** The member of this name, the last one if there are several. */
export declare function memberOf(node: Node | undefined, name: string): Node | undefined;
/** The text of a part, as it was sent. */
export declare function sourceOf(node: Node): string;
