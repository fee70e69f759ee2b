/**
 * How an answer of the data store is read: what each entity holds by the module's type, all around it as it is.
 * An entity may have been written by a later version of its module, so members that the type has not are passed over.
 */
import { type Node } from "./json/tree.ts";
import type { Page } from "./layer1.ts";
import { type JsonSchema, type Kind, Schema } from "./schema/schema.ts";
export declare class PageOf<T> extends Schema<Page<T>> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    readonly needsText: boolean;
    readonly data: Schema<T>;
    constructor(data: Schema<T>);
    quick(value: unknown): unknown;
    exact(node: Node): Page<T>;
    protected keywords(): JsonSchema;
}
