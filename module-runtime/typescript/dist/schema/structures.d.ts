/** Lists, and objects with known or with any names. */
import type { Node } from "../json/tree.ts";
import { type Infer, type JsonSchema, type Kind, Schema } from "./schema.ts";
/** Reads a part, and says where it is if it is refused. */
export declare function exactInside<T>(schema: Schema<T>, node: Node, place: string | number): T;
/** The first member that stands there twice. */
export declare function repeated(node: Node & {
    kind: "object";
}): string | undefined;
/** Sets a member, also one whose name means something to JavaScript. */
export declare function put(object: object, name: string, value: unknown): void;
export declare class List<T> extends Schema<T[]> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    readonly needsText: boolean;
    readonly items: Schema<T>;
    constructor(items: Schema<T>);
    quick(value: unknown): unknown;
    exact(node: Node): T[];
    protected keywords(): JsonSchema;
}
/** An object with any names. */
export declare class Dictionary<T> extends Schema<Record<string, T>> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    readonly needsText: boolean;
    readonly members: Schema<T>;
    constructor(members: Schema<T>);
    quick(value: unknown): unknown;
    exact(node: Node): Record<string, T>;
    protected keywords(): JsonSchema;
}
/** A member that may be left out; `P` says whether the handler then finds a default. */
export declare class Optional<T, P extends "default" | "absent"> {
    /** Tells the two kinds apart for the compiler. */
    readonly presence: P;
    readonly schema: Schema<T>;
    /** What the handler gets where the member is left out. */
    readonly fallback: T | undefined;
    constructor(schema: Schema<T>, fallback: T | undefined);
    /** The same with a word for people. */
    describe(description: string): Optional<T, P>;
}
/** The members of an object, by name. */
export type Members = {
    readonly [name: string]: Schema<unknown> | Optional<unknown, "default" | "absent">;
};
type Absent<M extends Members> = {
    [K in keyof M]: M[K] extends Optional<unknown, "absent"> ? K : never;
}[keyof M];
type Value<S> = S extends Optional<infer T, "default" | "absent"> ? T : Infer<S>;
type Flat<O> = {
    [K in keyof O]: O[K];
} & {};
/** What a handler gets of an object with these members. */
export type ObjectOf<M extends Members> = Flat<{
    -readonly [K in Exclude<keyof M, Absent<M>>]: Value<M[K]>;
} & {
    -readonly [K in Absent<M>]?: Value<M[K]>;
}>;
interface Entry {
    readonly name: string;
    readonly schema: Schema<unknown>;
    readonly isRequired: boolean;
    readonly fallback: unknown;
    /** Whether each object of JavaScript has something of this name. */
    readonly isInherited: boolean;
}
/** An object with known names. */
export declare class Known<M extends Members> extends Schema<ObjectOf<M>> {
    readonly words: string[];
    readonly kinds: readonly Kind[];
    readonly needsText: boolean;
    readonly entries: readonly Entry[];
    readonly names: readonly string[];
    /** Whether members with other names are passed over. */
    readonly ignoresOthers: boolean;
    /** @throws TypeError for a member named `__proto__`. */
    constructor(members: M);
    /** The same type, where members with other names are passed over and left out. */
    ignoringOthers(): this;
    quick(value: unknown): unknown;
    exact(node: Node): ObjectOf<M>;
    /** As `exact`, with another way to read the members. */
    exactWith(node: Node, read: typeof exactInside): ObjectOf<M>;
    protected keywords(): JsonSchema;
}
export {};
