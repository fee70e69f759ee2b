/**
 * The TypeScript SDK of Bulkhead: a module is a `Module` with its commands, and `run` makes it a process that a
 * host can start.
 *
 * ```ts
 * import { Module, t } from "bulkhead";
 *
 * const app = new Module("greeter", "1.0.0");
 *
 * app.command("greet", {
 *   description: "Says hello.",
 *   idempotent: true,
 *   args: t.object({ name: t.string() }),
 *   run: (_ctx, { name }) => ({ hello: name }),
 * });
 *
 * app.run();
 * ```
 */
export type { AskOptions, Context, DataOptions } from "./context.ts";
export { type Delivery, Fault, type FaultOptions } from "./fault.ts";
export type { Capabilities, Init } from "./init.ts";
export { NumberText, Raw } from "./json/raw.ts";
export type { Change, Changed, Conditions, Entity, Page, Query } from "./layer1.ts";
export { type Level, log } from "./log.ts";
export { type CommandOptions, type DataHandler, type Event, type EventHandler, type Example, Module, type ModuleOptions, } from "./module.ts";
export type { Infer, Json, JsonSchema, Schema } from "./schema/schema.ts";
export { t } from "./schema/t.ts";
