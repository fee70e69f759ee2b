/** What a module is: its commands, queries, mutations and events, as its author declares them. Nothing runs here. */

import type { Context } from "./context.ts";
import { protectStandard } from "./descriptors.ts";
import { checkPattern } from "./events.ts";
import type { Init } from "./init.ts";
import { CONCURRENT_DEFAULT, CONCURRENT_MAX } from "./limits.ts";
import { runProcess } from "./process.ts";
import type { Infer, Schema } from "./schema/schema.ts";
import { t } from "./schema/t.ts";

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
export class Module<C extends Schema = Schema<Record<string, never>>> {
  readonly name: string;
  readonly version: string;
  /** @internal */
  readonly declared: Declared = {
    config: t.object({}),
    keys: false,
    concurrentMax: CONCURRENT_DEFAULT,
    commands: new Map(),
    query: undefined,
    mutation: undefined,
    events: [],
    init: undefined,
    shutdown: undefined,
  };
  #init: Init<Infer<C>> | undefined;

  constructor(name: string, version: string, options: ModuleOptions<C> = {}) {
    const { concurrentMax = CONCURRENT_DEFAULT } = options;
    if (!Number.isInteger(concurrentMax) || concurrentMax < 1 || concurrentMax > CONCURRENT_MAX) {
      throw new TypeError(`expected a concurrentMax of 1 to ${CONCURRENT_MAX}, found ${concurrentMax}`);
    }
    protectStandard();
    this.name = name;
    this.version = version;
    if (options.config !== undefined) this.declared.config = options.config;
    this.declared.keys = options.keys ?? false;
    this.declared.concurrentMax = concurrentMax;
  }

  /** Declares a command. */
  command<A extends Schema = Schema<Record<string, never>>, R extends Schema = Schema<any>>(
    name: string,
    options: CommandOptions<A, R>,
  ): this {
    if (this.declared.commands.has(name)) throw new TypeError(`the command ${JSON.stringify(name)} is declared twice`);
    this.declared.commands.set(name, {
      name,
      description: options.description ?? "",
      idempotent: options.idempotent ?? false,
      readOnly: options.readOnly ?? false,
      concurrent: options.concurrent ?? false,
      args: options.args ?? t.object({}),
      returns: options.returns,
      examples: options.examples,
      run: (ctx, args) => options.run(ctx, args as Infer<A>),
    });
    return this;
  }

  /** Answers queries. */
  query<P extends Schema = Schema<any>>(handler: DataHandler<P>): this {
    if (this.declared.query !== undefined) throw new TypeError("the handler of queries is declared twice");
    this.declared.query = dataOf(handler);
    return this;
  }

  /** Makes mutations. */
  mutation<P extends Schema = Schema<any>>(handler: DataHandler<P>): this {
    if (this.declared.mutation !== undefined) throw new TypeError("the handler of mutations is declared twice");
    this.declared.mutation = dataOf(handler);
    return this;
  }

  /**
   * Handles the events whose name the pattern chooses: a name, or the beginning of one with `*` after it. The
   * first pattern that fits decides. The manifest must subscribe to them, with `event_subscribe`.
   */
  on<D extends Schema = Schema<any>>(pattern: string, handler: EventHandler<D>): this {
    checkPattern(pattern);
    const data = handler.data ?? t.json();
    this.declared.events.push({ pattern, data, run: (ctx, read, event) => handler.run(ctx, read as Infer<D>, event) });
    return this;
  }

  /** Opens what must be open before the first request. A `Fault` with `permanent` means that trying again is in vain. */
  init(run: (init: Init<Infer<C>>) => unknown): this {
    this.declared.init = run as (init: Init) => unknown;
    return this;
  }

  /** The last call, after everything that came before was answered. */
  shutdown(run: (ctx: Context) => unknown): this {
    this.declared.shutdown = run;
    return this;
  }

  /** What the host said at the start. There is nothing before `init`. */
  get started(): Init<Infer<C>> {
    if (this.#init === undefined) throw new TypeError("the module has not started yet: init has not come");
    return this.#init;
  }

  /** The manifest's `[config]`. There is nothing before `init`. */
  get config(): Infer<C> {
    return this.started.config;
  }

  /** @internal */
  begin(init: Init): void {
    this.#init = init as Init<Infer<C>>;
  }

  /** Runs the module until the host says `shutdown` or is gone. It ends the process, with the exit codes of the README. */
  run(): void {
    runProcess(this);
  }
}

/** All that a module declares. */
export interface Declared {
  config: Schema;
  keys: boolean;
  concurrentMax: number;
  readonly commands: Map<string, Command>;
  query: Data | undefined;
  mutation: Data | undefined;
  readonly events: { pattern: string; data: Schema; run(ctx: Context, data: unknown, event: Event): unknown }[];
  init: ((init: Init) => unknown) | undefined;
  shutdown: ((ctx: Context) => unknown) | undefined;
}

/** A handler of queries or mutations as it was declared. */
export interface Data {
  readonly payload: Schema;
  readonly concurrent: boolean;
  run(ctx: Context, payload: unknown): unknown;
}

function dataOf<P extends Schema>(handler: DataHandler<P>): Data {
  return {
    payload: handler.payload ?? t.json(),
    concurrent: handler.concurrent ?? false,
    run: (ctx, payload) => handler.run(ctx, payload as Infer<P>),
  };
}
