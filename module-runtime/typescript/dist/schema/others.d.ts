/** Any JSON, JSON as it was sent, and alternatives. */
import { Raw } from "../json/raw.ts";
import { type Node } from "../json/tree.ts";
import { type Json, type JsonSchema, type Kind, Schema } from "./schema.ts";
/** Any JSON whose numbers a double keeps. */
export declare class Anything extends Schema<Json> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    quick(value: unknown): unknown;
    exact(node: Node): Json;
    protected keywords(): JsonSchema;
}
/** JSON as it was sent. */
export declare class AsSent extends Schema<Raw> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    readonly needsText = true;
    readonly isRaw = true;
    quick(): unknown;
    exact(node: Node): Raw;
    protected keywords(): JsonSchema;
}
/** One of several types. */
export declare class AnyOf<T> extends Schema<T> {
    readonly words: readonly string[];
    readonly kinds: readonly Kind[];
    readonly needsText: boolean;
    readonly parts: readonly Schema<T>[];
    constructor(parts: readonly Schema<T>[]);
    quick(value: unknown): unknown;
    exact(node: Node): T;
    protected keywords(): JsonSchema;
}
