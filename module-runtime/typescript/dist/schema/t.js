/** `t`: the types of arguments, answers, events and configuration. */
import { AnyOf, Anything, AsSent } from "./others.js";
import { Big, Digits, Double, Integer, Null, OneOf, Text, Truth } from "./scalars.js";
import { Dictionary, Known, List, Optional } from "./structures.js";
function optional(schema, fallback) {
    return new Optional(schema, fallback);
}
/**
 * Makes types. Each is what a handler gets in TypeScript, a check of what came, and a JSON Schema 2020-12.
 *
 * ```ts
 * t.object({ id: t.string(), count: t.optional(t.integer(), 1) })  // { id: string; count: number }
 * ```
 */
export const t = {
    /** A text. */
    string: () => new Text(),
    /** A whole number that a double keeps; `1.0` and `1e3` are whole. Others are refused: see `bigint`. */
    integer: () => new Integer(),
    /** A number that a double keeps. Others are refused: see `numberText`. */
    number: () => new Double(),
    /** A whole number of up to 4300 digits, as a `bigint`. */
    bigint: () => new Big(),
    /** Any number, with the digits that were sent. */
    numberText: () => new Digits(),
    /** `true` or `false`. */
    boolean: () => new Truth(),
    /** `null`. */
    null: () => new Null(),
    /** One of these values. */
    oneOf: (...values) => new OneOf(values),
    /** A list, whose items are all of one type. */
    array: (items) => new List(items),
    /** An object with these members and no others. */
    object: (members) => new Known(members),
    /** An object with any names, whose members are all of one type. */
    record: (members) => new Dictionary(members),
    /** One of several types: the first one that fits. */
    union: (...parts) => new AnyOf(parts),
    /** This type, or `null`. */
    nullable: (schema) => new AnyOf([schema, new Null()]),
    /** Any JSON whose numbers a double keeps. */
    json: () => new Anything(),
    /** Any JSON, as it was sent. */
    raw: () => new AsSent(),
    /** A member of `t.object` that may be left out, with what the handler gets then. */
    optional,
};
