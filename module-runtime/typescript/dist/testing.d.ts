/**
 * A module under test: `Harness.start` runs it in the test's own process and plays the host; what a real channel and a
 * real process do is not tried by it. `TestHost` runs it under the real host.
 */
import type { Event, Module } from "./module.ts";
import type { Schema } from "./schema/schema.ts";
export { type AskedOfFake, type Call, type CallOptions, type FakeAnswer, type SeenEvent, type TestCommandOptions, TestHost, type TestHostOptions, } from "./host-of-test.ts";
/** A message of the module: a request of its own. */
export interface Asked {
    readonly type: string;
    readonly to?: string;
    readonly payload: any;
    readonly of?: number;
    readonly [member: string]: unknown;
}
/** What the host answers to a request of the module: the data, or a `Fault` that is thrown. */
export type HostAnswers = (asked: Asked) => unknown;
export interface HarnessOptions {
    /** The manifest's `[config]`. */
    config?: unknown;
    /** A folder that the module may use. */
    dataDir?: string;
    /** What the host answers. Left out: it grants nothing. */
    hostAnswers?: HostAnswers;
}
/** How a request is sent to the module. */
export interface SendOptions {
    key?: string;
    deadlineMs?: number;
    /** Called with each progress. */
    onProgress?: (data: any) => void;
    /** Other members of the request, such as `traceparent`. */
    members?: Record<string, unknown>;
    /** Aborted, it is a cancel of the request. */
    signal?: AbortSignal;
}
/** A module that runs. */
export declare class Harness {
    #private;
    /** The events that the module published, in their order. */
    readonly emitted: {
        event: string;
        data: any;
    }[];
    /** The requests that the module sent, in their order. */
    readonly asked: Asked[];
    /** What the module said of itself. */
    description: any;
    /** The code with which its process would have ended. */
    exitCode: number | undefined;
    private constructor();
    /**
     * Starts the module.
     *
     * @throws Fault with what it answers to `init`, where it cannot start.
     */
    static start<C extends Schema>(module: Module<C>, options?: HarnessOptions): Promise<Harness>;
    /**
     * Calls a command.
     *
     * @throws Fault with what the module answers.
     */
    command(name: string, args?: unknown, options?: SendOptions): Promise<any>;
    /** Sends a query. */
    query(payload: unknown, options?: SendOptions): Promise<any>;
    /** Sends a mutation. */
    mutation(payload: unknown, options?: SendOptions): Promise<any>;
    /** Delivers an event. */
    event(event: string, data?: unknown, more?: Partial<Event>): Promise<any>;
    /** Stops the module, and returns its exit code. */
    shutdown(): Promise<number | undefined>;
    /** Sends a request of any type. */
    send(type: string, payload: unknown, options?: SendOptions): Promise<any>;
}
