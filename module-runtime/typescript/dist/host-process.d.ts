/**
 * The process `bulkhead test-host` and the wire to it: requests and answers, events, and what is asked of fakes. What a
 * test asserts is not known here.
 */
import { Fault } from "./fault.ts";
/** A message, as JSON has it. */
export type Message = Record<string, any>;
/** The command `bulkhead`: what `BULKHEAD_BIN` names, else that of `PATH`. */
export declare function findProgram(): string;
/** A request on its way. Awaited, it is its answer. */
export declare class Call implements Promise<any> {
    #private;
    readonly [Symbol.toStringTag] = "Call";
    readonly id: number;
    /** What it has sent of its progress so far, in order. */
    readonly progress: any[];
    /** @internal */
    answered: (message: Message) => void;
    /** @internal */
    failed: (fault: Fault) => void;
    /** @internal */
    isAnswered: boolean;
    /** @internal */
    constructor(process: HostProcess, id: number);
    then<A = any, B = never>(fulfilled?: ((data: any) => A | PromiseLike<A>) | null, rejected?: ((fault: any) => B | PromiseLike<B>) | null): Promise<A | B>;
    catch<B = never>(rejected?: ((fault: any) => B | PromiseLike<B>) | null): Promise<any>;
    finally(settled?: (() => void) | null): Promise<any>;
    /** Waits until it has sent so much progress, or is answered; the progress so far. */
    waitProgress(count?: number, timeoutMs?: number): Promise<any[]>;
    /** Asks the module to stop working on it. It still gets its answer. */
    cancel(): Promise<void>;
}
/** A test host that runs. */
export declare class HostProcess {
    #private;
    /** All events so far: the payloads of the messages. */
    readonly events: Message[];
    /** What is done with a request to a fake. */
    asked: (message: Message) => void;
    finalFailure: Message | undefined;
    hasEnded: boolean;
    constructor(args: readonly string[], env: NodeJS.ProcessEnv);
    /** What it has printed on standard error. */
    get stderr(): string;
    /** Sends a request. */
    ask(type: string, to: string | undefined, payload: unknown, members?: Message): Call;
    /** Sends a message. */
    send(message: Message): void;
    /** Waits until `look` finds something. */
    wait<T>(look: () => T | undefined, timeoutMs: number | undefined, otherwise: () => string): Promise<T>;
    /** Why nothing can be asked of it any more. */
    fault(): Fault;
    /** Ends it with its modules. */
    close(): Promise<void>;
}
