/** What a module says of itself in its answer to `init`. */
import type { Module } from "./module.ts";
import type { Schema } from "./schema/schema.ts";
/**
 * The data of the answer, as JSON.
 *
 * @throws Fault permanent, for a description that is too long and for an example that its command would refuse.
 */
export declare function describe(module: Module<Schema>): string;
/** Whether any handler may run beside another. */
export declare function isConcurrent({ declared }: Module<Schema>): boolean;
