/**
 * Layer 1, the host's data store, as a module uses it: entities with what they hold as the module's own types.
 * Nothing is checked here that the host checks: it is the one place that knows the grammar.
 */

import { Fault } from "./fault.ts";
import { PageOf } from "./pages.ts";
import type { Json, Schema } from "./schema/schema.ts";
import { t } from "./schema/t.ts";

/** One entity. */
export interface Entity<T = any> {
  /** Its id, a UUID. */
  readonly id: string;
  /** Its type. */
  readonly entity: string;
  /** How often it was changed, its creation counted. */
  readonly version: number;
  /** When it was created, like `2026-03-01T12:00:00.000000Z`. */
  readonly created_at: string;
  /** When it was changed last. */
  readonly updated_at: string;
  /** What it holds. */
  readonly data: T;
  /** What the query included, by its name. */
  readonly included?: { readonly [name: string]: readonly Entity[] };
  /** The names of what the query included only a part of. */
  readonly more?: readonly string[];
}

/** A page of entities. */
export interface Page<T = any> {
  readonly entities: readonly Entity<T>[];
  /** The place to go on from, by `after`; null where there is nothing more. */
  readonly next: string | null;
  /** How many there are in all, where the query asked. */
  readonly count?: number;
}

/** What a change came to. */
export interface Changed {
  readonly id: string;
  /** That of a deleted entity is one more than its last. */
  readonly version: number;
}

/** The conditions on the value at a path. */
export interface Conditions {
  eq?: unknown;
  ne?: unknown;
  gt?: unknown;
  gte?: unknown;
  lt?: unknown;
  lte?: unknown;
  in?: readonly unknown[];
  contains?: unknown;
  exists?: boolean;
}

/** Which entities of a type are wanted, as PROTOCOL.md says. */
export interface Query {
  /** For each path a value, or conditions that must all hold. */
  filters?: { readonly [path: string]: Conditions | Json };
  /** Words that must all be there: `two words`, `"side by side"`, `begin*`, `-without`. */
  search?: string;
  /** `"path"`, or `"-path"` for the greatest first. */
  order?: string | readonly string[];
  /** 1 to 1000, 100 unless said otherwise; 0 only counts. */
  limit?: number;
  /** The `next` of an earlier page. */
  after?: string;
  count?: boolean;
  include?: readonly { entity: string; field: string; as?: string; limit?: number }[];
}

/** One of several changes that are made together. */
export type Change =
  | { entity: string; operation: "create"; data: unknown; id?: string }
  | { entity: string; operation: "update"; id: string; data: unknown; expected_version?: number }
  | { entity: string; operation: "delete"; id: string; expected_version?: number };

const DATA = t.json() as Schema<any>;

/** The part of a context that is for entities. */
export abstract class EntityContext {
  abstract query<T = any>(payload: unknown, options?: { returns?: Schema<T> }): Promise<T>;
  abstract mutate<T = any>(payload: unknown, options?: { returns?: Schema<T> }): Promise<T>;

  /**
   * The entity of this type with this id. With a type for what it holds, that is checked.
   *
   * @throws Fault `not_found` where there is none, and what the host answers.
   */
  async entity<T = any>(entity: string, id: string, data: Schema<T> = DATA): Promise<Entity<T>> {
    const page = await this.query({ entity, id }, { returns: new PageOf(data) });
    const [found] = page.entities;
    if (found === undefined) throw new Fault(`there is no ${entity} ${id}`, { code: "not_found" });
    return found;
  }

  /** The entity of this type with this id, or `undefined` where there is none. */
  async entityIfAny<T = any>(entity: string, id: string, data: Schema<T> = DATA): Promise<Entity<T> | undefined> {
    try {
      return await this.entity(entity, id, data);
    } catch (fault) {
      if (fault instanceof Fault && fault.code === "not_found") return undefined;
      throw fault;
    }
  }

  /** One page of the entities of this type that the query asks for. */
  async find<T = any>(entity: string, query: Query = {}, data: Schema<T> = DATA): Promise<Page<T>> {
    return await this.query({ entity, ...query }, { returns: new PageOf(data) });
  }

  /** All of them, page by page: the memory holds one page at a time. */
  async *entities<T = any>(
    entity: string,
    query: Query = {},
    data: Schema<T> = DATA,
  ): AsyncGenerator<Entity<T>, void, void> {
    let after = query.after ?? null;
    do {
      const page: Page<T> = await this.find(entity, after === null ? query : { ...query, after }, data);
      yield* page.entities;
      after = page.next;
    } while (after !== null);
  }

  /** Creates an entity, with an id of the module's own if one is given. */
  async create(entity: string, data: unknown, options: { id?: string } = {}): Promise<Changed> {
    return await this.mutate({ entity, operation: "create", id: options.id, data });
  }

  /**
   * Changes what an entity holds by a merge patch (RFC 7396): members replace or add, `null` removes.
   *
   * @throws Fault `conflict` where `expectedVersion` is given and the entity has another one.
   */
  async update(
    entity: string,
    id: string,
    patch: unknown,
    options: { expectedVersion?: number } = {},
  ): Promise<Changed> {
    return await this.mutate({
      entity,
      operation: "update",
      id,
      data: patch,
      expected_version: options.expectedVersion,
    });
  }

  /** Deletes an entity. */
  async delete(entity: string, id: string, options: { expectedVersion?: number } = {}): Promise<Changed> {
    return await this.mutate({ entity, operation: "delete", id, expected_version: options.expectedVersion });
  }

  /** Makes 1 to 1000 changes, one after the other, all or none. */
  async change(operations: readonly Change[]): Promise<readonly Changed[]> {
    const answer = await this.mutate<{ results: readonly Changed[] }>({ operations });
    return answer.results;
  }
}
