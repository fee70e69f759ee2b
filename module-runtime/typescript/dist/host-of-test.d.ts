/**
 * A module under the real host, in a process of its own: `TestHost` starts the program `bulkhead test-host`. What the
 * host does is not done here again.
 */
import { type Call } from "./host-process.ts";
import type { Changed, Entity } from "./layer1.ts";
export type { Call } from "./host-process.ts";
/** A request to a fake. */
export interface AskedOfFake {
    /** `command`, `query` or `mutation`. */
    readonly type: string;
    /** The command's name; `undefined` for others. */
    readonly name: string | undefined;
    /** The command's arguments, or the payload of others. */
    readonly args: any;
    readonly key: string | undefined;
}
/** How a fake answers: the data, at once or later, or a `Fault` that is thrown. */
export type FakeAnswer = (asked: AskedOfFake) => unknown;
/** An event that was published. */
export interface SeenEvent {
    readonly event: string;
    readonly data: any;
    /** Its place among all stored events; of one of the host's own, that of the one before. */
    readonly cursor: number;
    /** The module that published it; `undefined` for the test. */
    readonly source?: string;
    /** Whether it is one of the host's own, such as `module.ready`. */
    readonly live?: boolean;
}
export interface TestHostOptions {
    /** Members that replace those of the manifest's `[config]`. */
    config?: Record<string, unknown>;
    /** Other values for keys of the manifest: `{ "limits.deadline_default": "1s" }`. */
    settings?: Record<string, string | number | boolean | string[]>;
    /** Folders of other modules that run beside it. */
    with?: readonly string[];
    /** Modules that the test answers: for each name a function for all requests, or one for each command. */
    fakes?: Record<string, FakeAnswer | Record<string, (args: any) => unknown>>;
    /** `false`: the module waits for `start()`, so that the test can create first. */
    start?: boolean;
    /** `true`: restarts, stops and hangs take the time that they take in production. */
    realWaits?: boolean;
    /** How long a test waits for anything. */
    timeoutMs?: number;
    /** Other variables of the host's environment. */
    env?: Record<string, string>;
}
/** As for a folder, and what a manifest would say. */
export interface TestCommandOptions extends TestHostOptions {
    /** The module's name. Left out: that of its file. */
    name?: string;
    /** What it may do, as in `[capabilities]`: `{ event_subscribe: ["stock.*"] }`. Left out: everything. */
    capabilities?: Record<string, readonly string[]>;
}
/** How a request is sent. */
export interface CallOptions {
    /** Another module than the one under test. */
    to?: string;
    key?: string;
    /** The deadline. */
    timeoutMs?: number;
}
/** A module that runs under a host of its own, with its data store. `close` ends it, and so does `await using`. */
export declare class TestHost {
    #private;
    /** The name of the module under test. */
    name: string;
    private constructor();
    /**
     * Runs the module whose `module.toml` is in this folder, usually `import.meta.dirname`.
     *
     * @throws Fault with the reason and its last lines, where it does not start.
     */
    static folder(folder: string, options?: TestHostOptions): Promise<TestHost>;
    /**
     * Runs a module that is this command and has no manifest: `["node", "main.ts"]`.
     *
     * @throws Fault with the reason and its last lines, where it does not start.
     */
    static command(command: readonly string[], options?: TestCommandOptions): Promise<TestHost>;
    /** Ends the host with all modules, and removes what they stored. */
    close(): Promise<void>;
    [Symbol.asyncDispose](): Promise<void>;
    /**
     * Calls a command. Awaited, it is the data of the answer; before that it has `progress`, `waitProgress` and `cancel`.
     *
     * @throws Fault with `code`, `moduleCode`, `delivery`, `exit` and `stderr`.
     */
    call(name: string, args?: unknown, options?: CallOptions): Call;
    /** Sends a query to the module under test. */
    query(payload: unknown, options?: CallOptions): Call;
    /** Sends a mutation to the module under test. */
    mutate(payload: unknown, options?: CallOptions): Call;
    /** Calls a command of the host itself: `supervisor("status")`. */
    supervisor(name: string, args?: unknown): Call;
    /** Creates an entity. */
    create(entity: string, data: unknown): Promise<Changed>;
    /** Changes an entity by a merge patch. */
    update(entity: string, id: string, data: unknown): Promise<Changed>;
    /** Deletes an entity. */
    delete(entity: string, id: string): Promise<Changed>;
    /** The entity with this id. */
    entity(entity: string, id: string): Promise<Entity<any>>;
    /** All entities for which the filters hold. */
    entities(entity: string, filters?: Record<string, unknown>): Promise<Entity<any>[]>;
    /** Publishes an event, and does not wait for those who subscribe to it. */
    emit(event: string, data?: unknown): Promise<{
        subscribers: number;
        cursor: number;
        epoch: string;
    }>;
    /** Publishes an event, and waits until the module under test has handled it. */
    deliver(event: string, data?: unknown, timeoutMs?: number): Promise<void>;
    /** All stored events of this pattern so far, in order; those of all that was answered are among them. */
    events(pattern?: string): Promise<SeenEvent[]>;
    /** The host's own events so far, such as `module.ready` and `module.crashed`. */
    hostEvents(pattern?: string): Promise<SeenEvent[]>;
    /**
     * Waits for the next event of this pattern: the first one is the first since the start, and each wait for the same
     * pattern goes on after the event that the last one returned.
     */
    waitEvent(pattern: string, where?: (event: SeenEvent) => boolean, timeoutMs?: number): Promise<SeenEvent>;
    /** The status of the module under test. */
    status(): Promise<any>;
    /** The records of its crashes, the oldest first: `reason`, `exit`, `stderr`, `in_flight`. */
    crashes(): Promise<any[]>;
    /**
     * The last lines of its log, the oldest first. A line may come a moment after the answer to the call that has printed
     * it: `waitLog` waits for one.
     */
    logs(lines?: number): Promise<{
        line: string;
        stream: string;
        level: string | null;
    }[]>;
    /** Waits for a line that has this text in it; the first one since the start. */
    waitLog(text: string, timeoutMs?: number): Promise<{
        line: string;
        stream: string;
        level: string | null;
    }>;
    /**
     * Kills the process of the module, once it is ready, and waits until it is gone; returns its number. The host starts
     * another one by the module's rules: the next call waits for it.
     */
    kill(signal?: NodeJS.Signals): Promise<number>;
    /** Waits until the module is ready. */
    waitReady(): Promise<void>;
    /** Starts the module, after `start: false` or `stop`. */
    start(): Promise<void>;
    /** Stops it. */
    stop(): Promise<void>;
    /** What was asked of a fake so far, in order. */
    asked(fake: string): AskedOfFake[];
}
