/** The first message of the host: what a module gets before it starts. */
import { type Message } from "./schema/read.ts";
import type { Schema } from "./schema/schema.ts";
/** What the manifest grants. */
export interface Capabilities {
    readonly event_subscribe: readonly string[];
    readonly event_emit: readonly string[];
    readonly call: readonly string[];
    readonly entity_read?: readonly string[];
    readonly entity_create?: readonly string[];
    readonly entity_write?: readonly string[];
    readonly entity_delete?: readonly string[];
}
/** What a module gets; `C` is the type of its configuration. */
export interface Init<C = unknown> {
    /** The module's name in this host. */
    readonly module: string;
    /** This process's name among all that the host has started for the module. */
    readonly instance: string;
    /** The manifest's `[config]`. */
    readonly config: C;
    /** A folder of the module's own, which outlives the process. */
    readonly dataDir: string;
    readonly limits: {
        readonly frameBytesMax: number;
        readonly window: number;
        readonly requestsMax: number;
    };
    readonly capabilities: Capabilities;
    /** What follows an exception that is no `Fault`, once the request was answered. */
    readonly onPanic: "restart" | "continue";
}
/**
 * Reads the first message.
 *
 * @throws Fault for another message, another version of the wire, or a configuration that does not fit.
 */
export declare function readInit<C>(message: Message, config: Schema<C>): Init<C>;
