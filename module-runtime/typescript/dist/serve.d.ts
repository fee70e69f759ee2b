/**
 * From the first message to the exit code: the greeting, the order in which requests are handled, the answers,
 * the end. How bytes travel is not known here.
 */
import type { Channel, Receiver } from "./channel.ts";
import type { Module } from "./module.ts";
import type { Schema } from "./schema/schema.ts";
/**
 * Serves a module over a channel.
 *
 * Invariant: a request that is not concurrent begins only when every earlier one was answered, and the answers
 * have left the process. The host takes the first unanswered request as the only one that may have begun.
 */
export declare class Server implements Receiver {
    #private;
    constructor(module: Module<Schema>, channel: Channel, exit: (code: number) => void);
    /** Begins to serve. */
    open(): void;
    frame(text: string): void;
    end(reason?: string): void;
}
