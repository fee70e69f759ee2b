/** What a value may be: the one interface of all types that `t` makes. How single types read is not known here. */
import type { Node } from "../json/tree.ts";
/** A value that is JSON. */
export type Json = string | number | boolean | null | Json[] | {
    [name: string]: Json;
};
/** A JSON Schema 2020-12. */
export type JsonSchema = {
    [keyword: string]: unknown;
};
/** The types that JSON has. */
export type Kind = "text" | "number" | "boolean" | "null" | "list" | "object";
export declare const KINDS: readonly Kind[];
/** What `Schema.quick` returns for a value that does not fit. */
export declare const NO: unique symbol;
/** A type of values; `T` is what a handler gets. */
export declare abstract class Schema<out T = unknown> {
    /** The type alone: there is no such member at run time. */
    readonly type: T;
    /** What a refusal says was expected. */
    abstract readonly words: readonly string[];
    /** The types of JSON that a value of it may have. */
    abstract readonly kinds: readonly Kind[];
    /** Whether it is read from the text only, since a value of JavaScript is not enough. */
    readonly needsText: boolean;
    /** Whether it takes any text as it is, however deep. */
    readonly isRaw: boolean;
    /** What it is, for people. */
    readonly description: string | undefined;
    /**
     * What a handler gets of a value that `JSON.parse` made of a text in which nothing is lost by that, or `NO`.
     * Why a value does not fit is said by `exact`.
     */
    abstract quick(value: unknown): unknown;
    /**
     * What a handler gets of a part of a text.
     *
     * @throws Refusal for one that does not fit.
     */
    abstract exact(node: Node): T;
    /** Its JSON Schema, but for the description. */
    protected abstract keywords(): JsonSchema;
    /** The JSON Schema 2020-12 of what it takes. */
    toJsonSchema(): JsonSchema;
    /** The same type with a word for people, which is the `description` of its JSON Schema. */
    describe(description: string): this;
}
/** What a handler gets of a type: `Infer<typeof args>`. */
export type Infer<S> = S extends Schema<infer T> ? T : never;
