/** `t`: the types of arguments, answers, events and configuration. */

import { AnyOf, Anything, AsSent } from "./others.ts";
import { Big, type Constant, Digits, Double, Integer, Null, OneOf, Text, Truth } from "./scalars.ts";
import type { Infer, Json, Schema } from "./schema.ts";
import { Dictionary, Known, List, type Members, Optional } from "./structures.ts";
import type { NumberText, Raw } from "../json/raw.ts";

/** The optional member, with or without a default. */
function optional<T>(schema: Schema<T>): Optional<T, "absent">;
function optional<T>(schema: Schema<T>, fallback: NoInfer<T>): Optional<T, "default">;
function optional<T>(schema: Schema<T>, fallback?: T): Optional<T, "default" | "absent"> {
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
  string: (): Schema<string> => new Text(),
  /** A whole number that a double keeps; `1.0` and `1e3` are whole. Others are refused: see `bigint`. */
  integer: (): Schema<number> => new Integer(),
  /** A number that a double keeps. Others are refused: see `numberText`. */
  number: (): Schema<number> => new Double(),
  /** A whole number of up to 4300 digits, as a `bigint`. */
  bigint: (): Schema<bigint> => new Big(),
  /** Any number, with the digits that were sent. */
  numberText: (): Schema<NumberText> => new Digits(),
  /** `true` or `false`. */
  boolean: (): Schema<boolean> => new Truth(),
  /** `null`. */
  null: (): Schema<null> => new Null(),
  /** One of these values. */
  oneOf: <const V extends readonly Constant[]>(...values: V): Schema<V[number]> => new OneOf<V[number]>(values),
  /** A list, whose items are all of one type. */
  array: <T>(items: Schema<T>): Schema<T[]> => new List(items),
  /** An object with these members and no others. */
  object: <M extends Members>(members: M): Known<M> => new Known(members),
  /** An object with any names, whose members are all of one type. */
  record: <T>(members: Schema<T>): Schema<Record<string, T>> => new Dictionary(members),
  /** One of several types: the first one that fits. */
  union: <S extends Schema<unknown>[]>(...parts: S): Schema<Infer<S[number]>> =>
    new AnyOf(parts as Schema<Infer<S[number]>>[]),
  /** This type, or `null`. */
  nullable: <T>(schema: Schema<T>): Schema<T | null> => new AnyOf<T | null>([schema, new Null()]),
  /** Any JSON whose numbers a double keeps. */
  json: (): Schema<Json> => new Anything(),
  /** Any JSON, as it was sent. */
  raw: (): Schema<Raw> => new AsSent(),
  /** A member of `t.object` that may be left out, with what the handler gets then. */
  optional,
};
