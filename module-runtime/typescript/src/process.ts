/** A module as a process: its channel is the one that the host gave it, and its end is the end of the process. */

import { DescriptorChannel } from "./channel.ts";
import { NoHost, openDescriptors } from "./descriptors.ts";
import { EXIT_USAGE } from "./limits.ts";
import type { Module } from "./module.ts";
import type { Schema } from "./schema/schema.ts";
import { Server } from "./serve.ts";

/** Serves the module until the host says `shutdown` or is gone. */
export function runProcess<C extends Schema>(module: Module<C>): void {
  try {
    const { input, output } = openDescriptors();
    const channel = new DescriptorChannel(input, output);
    new Server(module as unknown as Module<Schema>, channel, (code) => process.exit(code)).open();
  } catch (error) {
    if (!(error instanceof NoHost)) throw error;
    process.stderr.write(`${module.name}: ${error.message}\n`);
    process.exit(EXIT_USAGE);
  }
}
