/** One request of the host that a handler works on, or that waits for it: its time, its key, whether it is wanted. */
import { Fault } from "./fault.ts";
import type { Message } from "./schema/read.ts";
/** What is reported of the end of a task. */
type Listener = (fault: Fault) => void;
export declare class Task {
    #private;
    readonly message: Message;
    /** The host's number; an event may have none. */
    readonly id: number | undefined;
    /** The type of the request. */
    readonly kind: string;
    readonly payload: unknown;
    readonly key: string | undefined;
    readonly traceparent: string | undefined;
    readonly tracestate: string | undefined;
    /** When its caller stops waiting, by `performance.now()`. */
    readonly deadline: number | undefined;
    /** Why it is not wanted any more. */
    unwanted: Fault | undefined;
    isAnswered: boolean;
    /** The code with which the process ends after its answer. */
    last: number | undefined;
    constructor(message: Message, request: Record<string, unknown>);
    /** The milliseconds that are left, 0 when they are over. */
    get left(): number | undefined;
    /**
     * The milliseconds after which the handler is stopped without a word of the host. The host cancels at the
     * deadline, and its answer says more than the module's, as it knows how far the request got: it goes first.
     */
    get timeout(): number | undefined;
    /** Why it need not be gone on with, if that is so. */
    get stop(): Fault | undefined;
    /** The host says that it is not wanted any more, which it also does at the deadline. */
    cancel(): void;
    /** Tells the handler that it need not go on. */
    abort(fault: Fault): void;
    /** Calls back once when the task is not wanted any more. What is returned takes that back. */
    onAbort(listener: Listener): () => void;
    /** Made when it is asked for: most handlers never do, and it costs more than a short request. */
    get signal(): AbortSignal;
    /** Nothing of it is waited for any more. */
    finish(): void;
}
export {};
