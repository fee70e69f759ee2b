/** Any JSON, JSON as it was sent, and alternatives. */

import { isKept } from "../json/number.ts";
import { Raw } from "../json/raw.ts";
import { type Node, sourceOf } from "../json/tree.ts";
import { inexact, Refusal, tooDeep, twice, wrong } from "./refusal.ts";
import { type Json, type JsonSchema, type Kind, KINDS, NO, Schema } from "./schema.ts";
import { exactInside, put, repeated } from "./structures.ts";

/** Any JSON whose numbers a double keeps. */
export class Anything extends Schema<Json> {
  readonly words = ["any JSON"];
  readonly kinds = KINDS;

  quick(value: unknown): unknown {
    return value;
  }

  exact(node: Node): Json {
    switch (node.kind) {
      case "text":
      case "boolean":
        return node.value;
      case "null":
        return null;
      case "number":
        if (!isKept(node.source)) throw inexact(node);
        return Number(node.source);
      case "list":
        return node.items.map((item, at) => exactInside(this, item, at));
      case "object": {
        const again = repeated(node);
        if (again !== undefined) throw twice(again);
        const members: { [name: string]: Json } = {};
        for (const { name, value } of node.members) put(members, name, exactInside(this, value, name));
        return members;
      }
      case "deep":
        throw tooDeep();
    }
  }

  protected keywords(): JsonSchema {
    return {};
  }
}

/** JSON as it was sent. */
export class AsSent extends Schema<Raw> {
  readonly words = ["any JSON"];
  readonly kinds = KINDS;
  override readonly needsText = true;
  override readonly isRaw = true;

  quick(): unknown {
    return NO;
  }

  exact(node: Node): Raw {
    return Raw.trusted(sourceOf(node));
  }

  protected keywords(): JsonSchema {
    return {};
  }
}

/** One of several types. */
export class AnyOf<T> extends Schema<T> {
  readonly words: readonly string[];
  readonly kinds: readonly Kind[];
  override readonly needsText: boolean;
  readonly parts: readonly Schema<T>[];

  constructor(parts: readonly Schema<T>[]) {
    super();
    this.parts = parts;
    this.words = parts.flatMap((part) => part.words);
    this.kinds = [...new Set(parts.flatMap((part) => part.kinds))];
    this.needsText = parts.some((part) => part.needsText);
  }

  quick(value: unknown): unknown {
    for (const part of this.parts) {
      const read = part.quick(value);
      if (read !== NO) return read;
    }
    return NO;
  }

  exact(node: Node): T {
    const refusals: Refusal[] = [];
    for (const part of this.parts) {
      if (node.kind !== "deep" && !part.kinds.includes(node.kind)) continue;
      try {
        return part.exact(node);
      } catch (fault) {
        if (!(fault instanceof Refusal)) throw fault;
        refusals.push(fault);
      }
    }
    // Of one alternative that it may have been meant as, the fault inside of it says more than all of them.
    const [only] = refusals;
    if (refusals.length === 1 && only !== undefined && (only.way.length > 0 || only.inexact)) throw only;
    throw wrong(this.words, node);
  }

  protected keywords(): JsonSchema {
    return { anyOf: this.parts.map((part) => part.toJsonSchema()) };
  }
}
