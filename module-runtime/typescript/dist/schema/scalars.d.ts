/** Texts, numbers, booleans, null, and values out of a list. */
import { NumberText } from "../json/raw.ts";
import type { Node } from "../json/tree.ts";
import { type JsonSchema, type Kind, Schema } from "./schema.ts";
export declare class Text extends Schema<string> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    quick(value: unknown): unknown;
    exact(node: Node): string;
    protected keywords(): JsonSchema;
}
/** A whole number that a double keeps. */
export declare class Integer extends Schema<number> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    quick(value: unknown): unknown;
    exact(node: Node): number;
    protected keywords(): JsonSchema;
}
/** A number that a double keeps. */
export declare class Double extends Schema<number> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    quick(value: unknown): unknown;
    exact(node: Node): number;
    protected keywords(): JsonSchema;
}
/** A whole number of any size, up to `BIGINT_DIGITS_MAX` digits. */
export declare class Big extends Schema<bigint> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    readonly needsText = true;
    quick(): unknown;
    exact(node: Node): bigint;
    protected keywords(): JsonSchema;
}
/** Any number, with the digits that were sent. */
export declare class Digits extends Schema<NumberText> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    readonly needsText = true;
    quick(): unknown;
    exact(node: Node): NumberText;
    protected keywords(): JsonSchema;
}
export declare class Truth extends Schema<boolean> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    quick(value: unknown): unknown;
    exact(node: Node): boolean;
    protected keywords(): JsonSchema;
}
export declare class Null extends Schema<null> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    quick(value: unknown): unknown;
    exact(node: Node): null;
    protected keywords(): JsonSchema;
}
/** What may stand in a list of values. */
export type Constant = string | number | boolean | null;
/** One of some values. */
export declare class OneOf<V extends Constant> extends Schema<V> {
    readonly words: readonly string[];
    readonly kinds: readonly Kind[];
    readonly values: readonly V[];
    /** @throws TypeError for none, and for a number that is not whole and safe. */
    constructor(values: readonly V[]);
    quick(value: unknown): unknown;
    exact(node: Node): V;
    protected keywords(): JsonSchema;
}
