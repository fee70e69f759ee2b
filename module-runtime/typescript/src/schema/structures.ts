/** Lists, and objects with known or with any names. */

import type { Node } from "../json/tree.ts";
import { missing, Refusal, twice, unknown, wrong } from "./refusal.ts";
import { type Infer, type JsonSchema, type Kind, NO, Schema } from "./schema.ts";

/** Reads a part, and says where it is if it is refused. */
export function exactInside<T>(schema: Schema<T>, node: Node, place: string | number): T {
  try {
    return schema.exact(node);
  } catch (fault) {
    throw fault instanceof Refusal ? fault.inside(place) : fault;
  }
}

/** The first member that stands there twice. */
export function repeated(node: Node & { kind: "object" }): string | undefined {
  const names = new Set<string>();
  for (const { name } of node.members) {
    if (names.has(name)) return name;
    names.add(name);
  }
  return undefined;
}

/** Sets a member, also one whose name means something to JavaScript. */
export function put(object: object, name: string, value: unknown): void {
  if (name === "__proto__") {
    Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
  } else {
    (object as Record<string, unknown>)[name] = value;
  }
}

export class List<T> extends Schema<T[]> {
  readonly words = ["a list"];
  readonly kinds: readonly Kind[] = ["list"];
  override readonly needsText: boolean;
  readonly items: Schema<T>;

  constructor(items: Schema<T>) {
    super();
    this.items = items;
    this.needsText = items.needsText;
  }

  quick(value: unknown): unknown {
    if (!Array.isArray(value)) return NO;
    const items: unknown[] = new Array(value.length);
    for (let at = 0; at < value.length; at += 1) {
      const item = this.items.quick(value[at]);
      if (item === NO) return NO;
      items[at] = item;
    }
    return items;
  }

  exact(node: Node): T[] {
    if (node.kind !== "list") throw wrong(this.words, node);
    return node.items.map((item, at) => exactInside(this.items, item, at));
  }

  protected keywords(): JsonSchema {
    return { type: "array", items: this.items.toJsonSchema() };
  }
}

/** An object with any names. */
export class Dictionary<T> extends Schema<Record<string, T>> {
  readonly words = ["an object"];
  readonly kinds: readonly Kind[] = ["object"];
  override readonly needsText: boolean;
  readonly members: Schema<T>;

  constructor(members: Schema<T>) {
    super();
    this.members = members;
    this.needsText = members.needsText;
  }

  quick(value: unknown): unknown {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return NO;
    const members = {};
    for (const name in value) {
      const member = this.members.quick((value as Record<string, unknown>)[name]);
      if (member === NO) return NO;
      put(members, name, member);
    }
    return members;
  }

  exact(node: Node): Record<string, T> {
    if (node.kind !== "object") throw wrong(this.words, node);
    const again = repeated(node);
    if (again !== undefined) throw twice(again);
    const members: Record<string, T> = {};
    for (const { name, value } of node.members) put(members, name, exactInside(this.members, value, name));
    return members;
  }

  protected keywords(): JsonSchema {
    return { type: "object", additionalProperties: this.members.toJsonSchema() };
  }
}

/** A member that may be left out; `P` says whether the handler then finds a default. */
export class Optional<T, P extends "default" | "absent"> {
  /** Tells the two kinds apart for the compiler. */
  declare readonly presence: P;
  readonly schema: Schema<T>;
  /** What the handler gets where the member is left out. */
  readonly fallback: T | undefined;

  constructor(schema: Schema<T>, fallback: T | undefined) {
    this.schema = schema;
    this.fallback = fallback;
  }

  /** The same with a word for people. */
  describe(description: string): Optional<T, P> {
    return new Optional<T, P>(this.schema.describe(description), this.fallback);
  }
}

/** The members of an object, by name. */
export type Members = { readonly [name: string]: Schema<unknown> | Optional<unknown, "default" | "absent"> };

type Absent<M extends Members> = { [K in keyof M]: M[K] extends Optional<unknown, "absent"> ? K : never }[keyof M];
type Value<S> = S extends Optional<infer T, "default" | "absent"> ? T : Infer<S>;
type Flat<O> = { [K in keyof O]: O[K] } & {};

/** What a handler gets of an object with these members. */
export type ObjectOf<M extends Members> = Flat<
  { -readonly [K in Exclude<keyof M, Absent<M>>]: Value<M[K]> } & { -readonly [K in Absent<M>]?: Value<M[K]> }
>;

interface Entry {
  readonly name: string;
  readonly schema: Schema<unknown>;
  readonly isRequired: boolean;
  readonly fallback: unknown;
  /** Whether each object of JavaScript has something of this name. */
  readonly isInherited: boolean;
}

/** An object with known names. */
export class Known<M extends Members> extends Schema<ObjectOf<M>> {
  readonly words = ["an object"];
  readonly kinds: readonly Kind[] = ["object"];
  override readonly needsText: boolean;
  readonly entries: readonly Entry[];
  readonly names: readonly string[];
  /** Whether members with other names are passed over. */
  readonly ignoresOthers: boolean = false;

  /** @throws TypeError for a member named `__proto__`. */
  constructor(members: M) {
    super();
    if (Object.hasOwn(members, "__proto__")) throw new TypeError("no member of t.object can be named __proto__");
    this.entries = Object.entries(members).map(([name, member]) => {
      const isRequired = member instanceof Schema;
      const schema = isRequired ? member : member.schema;
      const fallback = isRequired ? undefined : member.fallback;
      return { name, schema, isRequired, fallback, isInherited: name in Object.prototype };
    });
    this.names = Object.keys(members);
    this.needsText = this.entries.some(({ schema }) => schema.needsText);
  }

  /** The same type, where members with other names are passed over and left out. */
  ignoringOthers(): this {
    const open = Object.create(Object.getPrototypeOf(this) as object) as this;
    return Object.assign(open, this, { ignoresOthers: true });
  }

  quick(value: unknown): unknown {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return NO;
    const given = value as Record<string, unknown>;
    const members: Record<string, unknown> = {};
    let known = 0;
    for (const entry of this.entries) {
      const { name } = entry;
      const member = entry.isInherited && !Object.hasOwn(given, name) ? undefined : given[name];
      if (member === undefined) {
        if (entry.isRequired) return NO;
        if (entry.fallback !== undefined) members[name] = copyOf(entry.fallback);
        continue;
      }
      known += 1;
      const read = entry.schema.quick(member);
      if (read === NO) return NO;
      members[name] = read;
    }
    if (this.ignoresOthers) return members;
    for (const _ in given) known -= 1;
    return known === 0 ? members : NO;
  }

  exact(node: Node): ObjectOf<M> {
    return this.exactWith(node, exactInside);
  }

  /** As `exact`, with another way to read the members. */
  exactWith(node: Node, read: typeof exactInside): ObjectOf<M> {
    if (node.kind !== "object") throw wrong(this.words, node);
    const again = repeated(node);
    if (again !== undefined) throw twice(again);
    const given = new Map(node.members.map(({ name, value }) => [name, value]));
    for (const name of given.keys()) {
      if (!this.ignoresOthers && !this.names.includes(name)) throw unknown(name, this.names);
    }
    for (const { name, schema, isRequired } of this.entries) {
      if (isRequired && !given.has(name)) throw missing(name, schema.words);
    }
    const members: Record<string, unknown> = {};
    for (const { name, schema, fallback } of this.entries) {
      const member = given.get(name);
      if (member !== undefined) members[name] = read(schema, member, name);
      else if (fallback !== undefined) members[name] = copyOf(fallback);
    }
    return members as ObjectOf<M>;
  }

  protected keywords(): JsonSchema {
    const properties = this.entries.map(({ name, schema, fallback }) => {
      const form = schema.toJsonSchema();
      return [name, fallback === undefined ? form : { ...form, default: fallback }];
    });
    const required = this.entries.filter(({ isRequired }) => isRequired).map(({ name }) => name);
    return {
      type: "object",
      properties: Object.fromEntries(properties),
      required,
      additionalProperties: this.ignoresOthers,
    };
  }
}

/** A default that a handler may change without changing the next one's. */
function copyOf(fallback: unknown): unknown {
  return typeof fallback === "object" && fallback !== null ? structuredClone(fallback) : fallback;
}
