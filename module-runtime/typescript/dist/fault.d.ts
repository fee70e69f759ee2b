/** The error with which a request is answered, and the one that an answer of another brings. */
/** How far a failed request got. */
export type Delivery = "not_started" | "started" | "unknown";
export interface FaultOptions {
    /**
     * One of the wire's codes (`not_found`, `conflict`, `permission_denied`, …), or one of the module's own, such
     * as `out_of_stock`, which callers see as `module_code` beside `module_error`. Left out: `module_error`.
     */
    code?: string;
    /** Details for programs: JSON. */
    data?: unknown;
    /** Whether the same request may succeed later. Left out: as the code says. */
    retryable?: boolean;
    /** The process ends after the answer, and is not started again until a person changes something. */
    permanent?: boolean;
    /** What caused it. It is not sent. */
    cause?: unknown;
}
/**
 * Why a request failed, for the one who sent it.
 *
 * A handler that throws it answers its request with it, and the module goes on. Anything else that is thrown
 * means that the handler has a bug: that is answered as well, and then the process ends.
 *
 * One that `ctx.call` and its like throw is what the host answered: it also has `delivery`, `exit` and
 * `stderr`. If it is not caught, it is passed on with its sentence.
 */
export declare class Fault extends Error {
    #private;
    /** The code on the wire. */
    readonly code: string;
    /** The module's own code, beside `module_error`. */
    readonly moduleCode: string | undefined;
    /** Details for programs. */
    readonly data: unknown;
    /** Whether trying again would be in vain until a person changes something. */
    readonly permanent: boolean;
    /** How far the request got, where the host said so. */
    readonly delivery: Delivery | undefined;
    /** How the other module's process ended, for a crash. */
    readonly exit: {
        code?: number;
        signal?: string;
    } | undefined;
    /** The last lines of the other module's standard error, for a crash. */
    readonly stderr: readonly string[];
    /** @param sentence For a person; lower case, no final period. */
    constructor(sentence: string, options?: FaultOptions, from?: Answered);
    get name(): string;
    /** Whether the same request may succeed later. */
    get retryable(): boolean;
    /** Whether it has this code, of the wire or a module's own. */
    is(code: string): boolean;
    /**
     * The members of an answer. A module speaks for itself: what another answered keeps its sentence, but not a
     * code, a crash or a delivery that is not this module's.
     */
    members(): Record<string, unknown>;
    /** The error that a response of the host brings. */
    static of(response: Record<string, unknown>): Fault;
}
/** What only an answer of the host has. */
interface Answered {
    moduleCode?: string | undefined;
    delivery?: Delivery | undefined;
    exit?: {
        code?: number;
        signal?: string;
    } | undefined;
    stderr?: string[] | undefined;
}
export {};
