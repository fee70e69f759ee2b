/** JSON text without white space between its parts, for people to read the beginning of. */
import { type Node } from "./tree.ts";
/** What was found, cut: numbers with the digits that were sent, texts with the escapes that JSON requires. */
export declare function found(node: Node): string;
