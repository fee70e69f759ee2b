/** Texts, numbers, booleans, null, and values out of a list. */

import { isKept, isWhole, toBigInt, wholeDigits } from "../json/number.ts";
import { NumberText } from "../json/raw.ts";
import type { Node } from "../json/tree.ts";
import { BIGINT_DIGITS_MAX } from "../limits.ts";
import { inexact, wrong } from "./refusal.ts";
import { type JsonSchema, type Kind, NO, Schema } from "./schema.ts";

export class Text extends Schema<string> {
  readonly words = ["a text"];
  readonly kinds: readonly Kind[] = ["text"];

  quick(value: unknown): unknown {
    return typeof value === "string" ? value : NO;
  }

  exact(node: Node): string {
    if (node.kind !== "text") throw wrong(this.words, node);
    return node.value;
  }

  protected keywords(): JsonSchema {
    return { type: "string" };
  }
}

/** A whole number that a double keeps. */
export class Integer extends Schema<number> {
  readonly words = ["an integer"];
  readonly kinds: readonly Kind[] = ["number"];

  quick(value: unknown): unknown {
    return Number.isInteger(value) ? value : NO;
  }

  exact(node: Node): number {
    if (node.kind !== "number" || !isWhole(node.source)) throw wrong(this.words, node);
    if (!isKept(node.source)) throw inexact(node);
    return Number(node.source);
  }

  protected keywords(): JsonSchema {
    return { type: "integer" };
  }
}

/** A number that a double keeps. */
export class Double extends Schema<number> {
  readonly words = ["a number"];
  readonly kinds: readonly Kind[] = ["number"];

  quick(value: unknown): unknown {
    return typeof value === "number" ? value : NO;
  }

  exact(node: Node): number {
    if (node.kind !== "number") throw wrong(this.words, node);
    if (!isKept(node.source)) throw inexact(node);
    return Number(node.source);
  }

  protected keywords(): JsonSchema {
    return { type: "number" };
  }
}

/** A whole number of any size, up to `BIGINT_DIGITS_MAX` digits. */
export class Big extends Schema<bigint> {
  readonly words = ["an integer"];
  readonly kinds: readonly Kind[] = ["number"];
  override readonly needsText = true;

  quick(): unknown {
    return NO;
  }

  exact(node: Node): bigint {
    if (node.kind !== "number" || !isWhole(node.source)) throw wrong(this.words, node);
    if (wholeDigits(node.source) > BIGINT_DIGITS_MAX) throw inexact(node);
    return toBigInt(node.source);
  }

  protected keywords(): JsonSchema {
    return { type: "integer" };
  }
}

/** Any number, with the digits that were sent. */
export class Digits extends Schema<NumberText> {
  readonly words = ["a number"];
  readonly kinds: readonly Kind[] = ["number"];
  override readonly needsText = true;

  quick(): unknown {
    return NO;
  }

  exact(node: Node): NumberText {
    if (node.kind !== "number") throw wrong(this.words, node);
    return new NumberText(node.source);
  }

  protected keywords(): JsonSchema {
    return { type: "number" };
  }
}

export class Truth extends Schema<boolean> {
  readonly words = ["true or false"];
  readonly kinds: readonly Kind[] = ["boolean"];

  quick(value: unknown): unknown {
    return typeof value === "boolean" ? value : NO;
  }

  exact(node: Node): boolean {
    if (node.kind !== "boolean") throw wrong(this.words, node);
    return node.value;
  }

  protected keywords(): JsonSchema {
    return { type: "boolean" };
  }
}

export class Null extends Schema<null> {
  readonly words = ["null"];
  readonly kinds: readonly Kind[] = ["null"];

  quick(value: unknown): unknown {
    return value === null ? null : NO;
  }

  exact(node: Node): null {
    if (node.kind !== "null") throw wrong(this.words, node);
    return null;
  }

  protected keywords(): JsonSchema {
    return { type: "null" };
  }
}

/** What may stand in a list of values. */
export type Constant = string | number | boolean | null;

/** One of some values. */
export class OneOf<V extends Constant> extends Schema<V> {
  readonly words: readonly string[];
  readonly kinds: readonly Kind[];
  readonly values: readonly V[];

  /** @throws TypeError for none, and for a number that is not whole and safe. */
  constructor(values: readonly V[]) {
    super();
    if (values.length === 0) throw new TypeError("expected at least one value in t.oneOf, found none");
    for (const value of values) {
      if (typeof value === "number" && !Number.isSafeInteger(value)) {
        throw new TypeError(`expected texts, safe integers, true, false or null in t.oneOf, found ${value}`);
      }
    }
    this.values = values;
    this.words = values.map((value) => JSON.stringify(value));
    this.kinds = [...new Set(values.map(kindOf))];
  }

  quick(value: unknown): unknown {
    return this.values.includes(value as V) ? value : NO;
  }

  exact(node: Node): V {
    const value = constantOf(node);
    const fits = value !== undefined && this.values.includes(value as V);
    if (!fits) throw wrong(this.words, node);
    return value as V;
  }

  protected keywords(): JsonSchema {
    return { enum: [...this.values] };
  }
}

function kindOf(value: Constant): Kind {
  if (value === null) return "null";
  if (typeof value === "string") return "text";
  return typeof value === "number" ? "number" : "boolean";
}

function constantOf(node: Node): Constant | undefined {
  switch (node.kind) {
    case "text":
    case "boolean":
      return node.value;
    case "null":
      return null;
    case "number":
      return isKept(node.source) ? Number(node.source) : undefined;
    default:
      return undefined;
  }
}
