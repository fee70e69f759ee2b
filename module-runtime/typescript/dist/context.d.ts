/** What a handler may do while it works: ask the host, report progress, see whether it is still wanted. */
import type { Channel } from "./channel.ts";
import { EntityContext } from "./layer1.ts";
import type { Requests } from "./requests.ts";
import type { Schema } from "./schema/schema.ts";
import type { Task } from "./task.ts";
/** How a request is sent, and how its answer is read. */
export interface AskOptions<T> {
    /** The type of the answer. Left out: any JSON, in which a number that a double would change is an error. */
    returns?: Schema<T>;
    /** Waits at most so long. Left out, and never longer than: until the deadline of the request that is handled. */
    timeoutMs?: number;
    /** The same key is the same work, done once. */
    key?: string;
    /** Called with each progress of the other module. */
    onProgress?: (data: unknown) => void;
}
/** How a query or a mutation is sent. */
export interface DataOptions<T> extends AskOptions<T> {
    /** The module that it is for. Left out: Layer 1, the host's data store. */
    to?: string;
}
/** The request that a handler works on, and its way back to the host. */
export declare class Context extends EntityContext {
    #private;
    /** Lines of the module's log, each with its level. */
    readonly log: {
        debug: (message: string) => void;
        info: (message: string) => void;
        warn: (message: string) => void;
        error: (message: string) => void;
    };
    /** @internal */
    constructor(task: Task, requests: Requests, channel: Channel);
    /**
     * Sends the command `name` to the module `to` and waits for its answer. The manifest must grant `call`.
     *
     * @throws Fault What the other module answered, `deadline_exceeded`, or `cancelled` as soon as the request
     * that is handled is cancelled.
     */
    call<T = any>(to: string, name: string, args?: unknown, options?: AskOptions<T>): Promise<T>;
    /**
     * Reads from the data store as the payload says, or from the module `to`, for which the manifest must grant
     * `call`. `find` and its like write the payload and read the answer.
     *
     * @throws Fault As `call`.
     */
    query<T = any>(payload: unknown, options?: DataOptions<T>): Promise<T>;
    /**
     * Changes the data store as the payload says, or lets the module `to` do so. Others see it together with the
     * success of the request that is handled, and never if that fails.
     *
     * @throws Fault As `call`.
     */
    mutate<T = any>(payload: unknown, options?: DataOptions<T>): Promise<T>;
    /**
     * Waits until everything that this module has read from the data store is on the disk. It is for what leaves the
     * data store: a file, a mail, a request to another machine. What is changed in the handling of this request is no
     * part of it, since that is committed with the request's success.
     *
     * @throws Fault As `call`.
     */
    flush(options?: {
        timeoutMs?: number;
    }): Promise<void>;
    /**
     * Publishes an event, without waiting for who takes it. The manifest must grant `event_emit`; a refusal is a
     * line in the module's log.
     *
     * @throws Fault Where the name is none, the event is longer than a frame, or the request is not wanted any more.
     */
    emit(event: string, data?: unknown): Promise<void>;
    /**
     * Tells the caller how far the work is. An event without a number has no caller, and no progress.
     *
     * @throws Fault Where the data is longer than a frame, or the request was answered.
     */
    progress(data: unknown): Promise<void>;
    /** Aborted as soon as the work is not wanted any more: it was cancelled, its deadline passed, or the host is gone. */
    get signal(): AbortSignal;
    /**
     * For loops that compute. It lets the channel be read first, so that a cancel is seen: `await ctx.check()`.
     *
     * @throws Fault `cancelled` or `deadline_exceeded`.
     */
    check(): Promise<void>;
    /**
     * Waits for so many milliseconds, or until the work is not wanted any more.
     *
     * @throws Fault As `check`, as soon as it is known.
     */
    wait(ms: number): Promise<void>;
    /** The milliseconds that are left, 0 when they are over; `undefined` without a deadline. */
    get deadline(): number | undefined;
    /** The idempotency key: the same key is the same work. */
    get key(): string | undefined;
    /** The host's number of the request, for logs; an event may have none. */
    get id(): number | undefined;
    /** Which trace the request belongs to, as W3C Trace Context has it. Own requests carry it along. */
    get traceparent(): string | undefined;
    /** What systems of tracing keep of it. */
    get tracestate(): string | undefined;
    /**
     * The process ends on purpose after the answer to this request, with this code: 0 is a clean end, 125 asks
     * for no other process. The host gives to the next process what it had sent this one. Requests that are
     * handled at the same time are answered first.
     */
    end(code?: number): void;
}
