/**
 * Which function of a module a request is for, and how its arguments are read. When it is called is not decided
 * here.
 */
import type { Context } from "./context.ts";
import type { Declared } from "./module.ts";
import type { Task } from "./task.ts";
/** Whether the request may be handled beside others. */
export declare function mayRunBeside(declared: Declared, task: Task): boolean;
/**
 * Calls the handler of a request; what it returns is the data of the answer, or a promise of it.
 *
 * @throws Fault where there is no handler, or what came does not fit it; and what the handler throws.
 */
export declare function handle(declared: Declared, task: Task, context: Context): unknown;
