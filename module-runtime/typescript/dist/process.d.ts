/** A module as a process: its channel is the one that the host gave it, and its end is the end of the process. */
import type { Module } from "./module.ts";
import type { Schema } from "./schema/schema.ts";
/** Serves the module until the host says `shutdown` or is gone. */
export declare function runProcess<C extends Schema>(module: Module<C>): void;
