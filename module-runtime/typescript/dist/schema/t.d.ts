/** `t`: the types of arguments, answers, events and configuration. */
import { type Constant } from "./scalars.ts";
import type { Infer, Json, Schema } from "./schema.ts";
import { Known, type Members, Optional } from "./structures.ts";
import type { NumberText, Raw } from "../json/raw.ts";
/** The optional member, with or without a default. */
declare function optional<T>(schema: Schema<T>): Optional<T, "absent">;
declare function optional<T>(schema: Schema<T>, fallback: NoInfer<T>): Optional<T, "default">;
/**
 * Makes types. Each is what a handler gets in TypeScript, a check of what came, and a JSON Schema 2020-12.
 *
 * ```ts
 * t.object({ id: t.string(), count: t.optional(t.integer(), 1) })  // { id: string; count: number }
 * ```
 */
export declare const t: {
    /** A text. */
    string: () => Schema<string>;
    /** A whole number that a double keeps; `1.0` and `1e3` are whole. Others are refused: see `bigint`. */
    integer: () => Schema<number>;
    /** A number that a double keeps. Others are refused: see `numberText`. */
    number: () => Schema<number>;
    /** A whole number of up to 4300 digits, as a `bigint`. */
    bigint: () => Schema<bigint>;
    /** Any number, with the digits that were sent. */
    numberText: () => Schema<NumberText>;
    /** `true` or `false`. */
    boolean: () => Schema<boolean>;
    /** `null`. */
    null: () => Schema<null>;
    /** One of these values. */
    oneOf: <const V extends readonly Constant[]>(...values: V) => Schema<V[number]>;
    /** A list, whose items are all of one type. */
    array: <T>(items: Schema<T>) => Schema<T[]>;
    /** An object with these members and no others. */
    object: <M extends Members>(members: M) => Known<M>;
    /** An object with any names, whose members are all of one type. */
    record: <T>(members: Schema<T>) => Schema<Record<string, T>>;
    /** One of several types: the first one that fits. */
    union: <S extends Schema<unknown>[]>(...parts: S) => Schema<Infer<S[number]>>;
    /** This type, or `null`. */
    nullable: <T>(schema: Schema<T>) => Schema<T | null>;
    /** Any JSON whose numbers a double keeps. */
    json: () => Schema<Json>;
    /** Any JSON, as it was sent. */
    raw: () => Schema<Raw>;
    /** A member of `t.object` that may be left out, with what the handler gets then. */
    optional: typeof optional;
};
export {};
