/** What a module is: its commands, queries, mutations and events, as its author declares them. Nothing runs here. */
import type { Context } from "./context.ts";
import type { Init } from "./init.ts";
import type { Infer, Schema } from "./schema/schema.ts";
/** What a handler returns: the data of the answer, at once or later. */
type Answer<R> = R | Promise<R>;
/** A call of a command, for people. */
export interface Example {
    /** The arguments. */
    args: unknown;
    /** What such a call answers with. */
    returns?: unknown;
    /** What it shows. */
    description?: string;
}
/** A command. */
export interface CommandOptions<A extends Schema, R extends Schema> {
    /** What it does, for people. */
    description?: string;
    /** A promise: doing it twice is the same as doing it once. After a crash the host sends it again by itself. */
    idempotent?: boolean;
    /** It changes nothing. `bulkhead mcp --read-only` shows only such commands. */
    readOnly?: boolean;
    /**
     * It may be handled while other concurrent commands are. The host then cannot tell how far each of them got
     * when the process ends. A command without it begins when everything before it was answered, and is alone.
     */
    concurrent?: boolean;
    /** Its arguments. Left out: it takes none. `t.json()` and `t.raw()` take anything. */
    args?: A;
    /** What it answers with, for people and for the types of `run`. An answer is not checked. */
    returns?: R;
    /** Calls, for people. Their arguments are checked when the module starts. */
    examples?: readonly Example[];
    /** Does it. What it throws is answered as an error. */
    run(ctx: Context, args: Infer<A>): Answer<Infer<R>>;
}
/** A handler of queries or of mutations, which say by their payload what they want. */
export interface DataHandler<P extends Schema> {
    /** What the payload is. Left out: any JSON. */
    payload?: P;
    /** As of a command; for mutations it also means that their order does not matter. */
    concurrent?: boolean;
    run(ctx: Context, payload: Infer<P>): Answer<unknown>;
}
/** An event, as a handler gets it. */
export interface Event {
    readonly event: string;
    /** Its place among all events that were ever stored; an event of the host itself has none. */
    readonly cursor: number | undefined;
    /** The history that the cursor belongs to. */
    readonly epoch: string | undefined;
}
/** A handler of events. */
export interface EventHandler<D extends Schema> {
    /** What the data is. Left out: any JSON. */
    data?: D;
    /** Done when it returns; the host tries again after an error. */
    run(ctx: Context, data: Infer<D>, event: Event): Answer<unknown>;
}
export interface ModuleOptions<C extends Schema> {
    /** The manifest's `[config]`. Left out: it has none. */
    config?: C;
    /**
     * The module recognises a request's key (`ctx.key`) and does the work of one key once, also across a crash
     * and outside of the data store. This tells people.
     */
    keys?: boolean;
    /** How many handlers run at one time, of those that are declared concurrent: 1 to 1024, 64 unless said otherwise. */
    concurrentMax?: number;
}
/** A command as it was declared. */
export interface Command {
    readonly name: string;
    readonly description: string;
    readonly idempotent: boolean;
    readonly readOnly: boolean;
    readonly concurrent: boolean;
    readonly args: Schema;
    readonly returns: Schema | undefined;
    readonly examples: readonly Example[] | undefined;
    run(ctx: Context, args: unknown): unknown;
}
/** A module. One of them is run in a process, by `run`. */
export declare class Module<C extends Schema = Schema<Record<string, never>>> {
    #private;
    readonly name: string;
    readonly version: string;
    /** @internal */
    readonly declared: Declared;
    constructor(name: string, version: string, options?: ModuleOptions<C>);
    /** Declares a command. */
    command<A extends Schema = Schema<Record<string, never>>, R extends Schema = Schema<any>>(name: string, options: CommandOptions<A, R>): this;
    /** Answers queries. */
    query<P extends Schema = Schema<any>>(handler: DataHandler<P>): this;
    /** Makes mutations. */
    mutation<P extends Schema = Schema<any>>(handler: DataHandler<P>): this;
    /**
     * Handles the events whose name the pattern chooses: a name, or the beginning of one with `*` after it. The
     * first pattern that fits decides. The manifest must subscribe to them, with `event_subscribe`.
     */
    on<D extends Schema = Schema<any>>(pattern: string, handler: EventHandler<D>): this;
    /** Opens what must be open before the first request. A `Fault` with `permanent` means that trying again is in vain. */
    init(run: (init: Init<Infer<C>>) => unknown): this;
    /** The last call, after everything that came before was answered. */
    shutdown(run: (ctx: Context) => unknown): this;
    /** What the host said at the start. There is nothing before `init`. */
    get started(): Init<Infer<C>>;
    /** The manifest's `[config]`. There is nothing before `init`. */
    get config(): Infer<C>;
    /** @internal */
    begin(init: Init): void;
    /** Runs the module until the host says `shutdown` or is gone. It ends the process, with the exit codes of the README. */
    run(): void;
}
/** All that a module declares. */
export interface Declared {
    config: Schema;
    keys: boolean;
    concurrentMax: number;
    readonly commands: Map<string, Command>;
    query: Data | undefined;
    mutation: Data | undefined;
    readonly events: {
        pattern: string;
        data: Schema;
        run(ctx: Context, data: unknown, event: Event): unknown;
    }[];
    init: ((init: Init) => unknown) | undefined;
    shutdown: ((ctx: Context) => unknown) | undefined;
}
/** A handler of queries or mutations as it was declared. */
export interface Data {
    readonly payload: Schema;
    readonly concurrent: boolean;
    run(ctx: Context, payload: unknown): unknown;
}
export {};
