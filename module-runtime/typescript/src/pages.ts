/**
 * How an answer of the data store is read: what each entity holds by the module's type, all around it as it is.
 * An entity may have been written by a later version of its module, so members that the type has not are passed over.
 */

import { memberOf, type Node } from "./json/tree.ts";
import type { Page } from "./layer1.ts";
import { Anything } from "./schema/others.ts";
import { Refusal, wrong } from "./schema/refusal.ts";
import { type JsonSchema, type Kind, NO, Schema } from "./schema/schema.ts";
import { exactInside, Known } from "./schema/structures.ts";

const ANYTHING = new Anything();

export class PageOf<T> extends Schema<Page<T>> {
  readonly words = ["an object with entities"];
  readonly kinds: readonly Kind[] = ["object"];
  override readonly needsText: boolean;
  readonly data: Schema<T>;

  constructor(data: Schema<T>) {
    super();
    this.data = data instanceof Known ? (data.ignoringOthers() as unknown as Schema<T>) : data;
    this.needsText = data.needsText;
  }

  quick(value: unknown): unknown {
    const { entities } = value as { entities?: unknown };
    if (!Array.isArray(entities)) return NO;
    if (this.data instanceof Anything) return value;
    const read: unknown[] = [];
    for (const entity of entities) {
      const data = this.data.quick(entity.data);
      if (data === NO) return NO;
      read.push({ ...entity, data });
    }
    return { ...(value as object), entities: read };
  }

  exact(node: Node): Page<T> {
    const entities = memberOf(node, "entities");
    if (node.kind !== "object" || entities?.kind !== "list") throw wrong(this.words, node);
    const page: Record<string, unknown> = {};
    for (const { name, value } of node.members) {
      page[name] =
        name === "entities" ? exactInside(new Entities(this.data), value, name) : exactInside(ANYTHING, value, name);
    }
    return page as unknown as Page<T>;
  }

  protected keywords(): JsonSchema {
    return { type: "object", properties: { entities: new Entities(this.data).toJsonSchema() } };
  }
}

/** The list of a page. */
class Entities extends Schema<unknown[]> {
  readonly words = ["a list"];
  readonly kinds: readonly Kind[] = ["list"];
  readonly data: Schema<unknown>;

  constructor(data: Schema<unknown>) {
    super();
    this.data = data;
  }

  quick(): unknown {
    return NO;
  }

  exact(node: Node): unknown[] {
    if (node.kind !== "list") throw wrong(this.words, node);
    return node.items.map((item, at) => {
      if (item.kind !== "object") throw wrong(["an object"], item).inside(at);
      const entity: Record<string, unknown> = {};
      for (const { name, value } of item.members) {
        const read: Schema<unknown> = name === "data" ? this.data : ANYTHING;
        try {
          entity[name] = exactInside(read, value, name);
        } catch (refusal) {
          throw refusal instanceof Refusal ? refusal.inside(at) : refusal;
        }
      }
      return entity;
    });
  }

  protected keywords(): JsonSchema {
    return { type: "array", items: { type: "object", properties: { data: this.data.toJsonSchema() } } };
  }
}
