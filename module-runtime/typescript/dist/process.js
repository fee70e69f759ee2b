/** A module as a process: its channel is the one that the host gave it, and its end is the end of the process. */
import { DescriptorChannel } from "./channel.js";
import { NoHost, openDescriptors } from "./descriptors.js";
import { EXIT_USAGE } from "./limits.js";
import { Server } from "./serve.js";
/** Serves the module until the host says `shutdown` or is gone. */
export function runProcess(module) {
    try {
        const { input, output } = openDescriptors();
        const channel = new DescriptorChannel(input, output);
        new Server(module, channel, (code) => process.exit(code)).open();
    }
    catch (error) {
        if (!(error instanceof NoHost))
            throw error;
        process.stderr.write(`${module.name}: ${error.message}\n`);
        process.exit(EXIT_USAGE);
    }
}
