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
export { Fault } from "./fault.js";
export { NumberText, Raw } from "./json/raw.js";
export { log } from "./log.js";
export { Module, } from "./module.js";
export { t } from "./schema/t.js";
