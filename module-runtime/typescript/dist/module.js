/** What a module is: its commands, queries, mutations and events, as its author declares them. Nothing runs here. */
import { protectStandard } from "./descriptors.js";
import { checkPattern } from "./events.js";
import { CONCURRENT_DEFAULT, CONCURRENT_MAX } from "./limits.js";
import { runProcess } from "./process.js";
import { t } from "./schema/t.js";
/** A module. One of them is run in a process, by `run`. */
export class Module {
    name;
    version;
    /** @internal */
    declared = {
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
    #init;
    constructor(name, version, options = {}) {
        const { concurrentMax = CONCURRENT_DEFAULT } = options;
        if (!Number.isInteger(concurrentMax) || concurrentMax < 1 || concurrentMax > CONCURRENT_MAX) {
            throw new TypeError(`expected a concurrentMax of 1 to ${CONCURRENT_MAX}, found ${concurrentMax}`);
        }
        protectStandard();
        this.name = name;
        this.version = version;
        if (options.config !== undefined)
            this.declared.config = options.config;
        this.declared.keys = options.keys ?? false;
        this.declared.concurrentMax = concurrentMax;
    }
    /** Declares a command. */
    command(name, options) {
        if (this.declared.commands.has(name))
            throw new TypeError(`the command ${JSON.stringify(name)} is declared twice`);
        this.declared.commands.set(name, {
            name,
            description: options.description ?? "",
            idempotent: options.idempotent ?? false,
            readOnly: options.readOnly ?? false,
            concurrent: options.concurrent ?? false,
            args: options.args ?? t.object({}),
            returns: options.returns,
            examples: options.examples,
            run: (ctx, args) => options.run(ctx, args),
        });
        return this;
    }
    /** Answers queries. */
    query(handler) {
        if (this.declared.query !== undefined)
            throw new TypeError("the handler of queries is declared twice");
        this.declared.query = dataOf(handler);
        return this;
    }
    /** Makes mutations. */
    mutation(handler) {
        if (this.declared.mutation !== undefined)
            throw new TypeError("the handler of mutations is declared twice");
        this.declared.mutation = dataOf(handler);
        return this;
    }
    /**
     * Handles the events whose name the pattern chooses: a name, or the beginning of one with `*` after it. The
     * first pattern that fits decides. The manifest must subscribe to them, with `event_subscribe`.
     */
    on(pattern, handler) {
        checkPattern(pattern);
        const data = handler.data ?? t.json();
        this.declared.events.push({ pattern, data, run: (ctx, read, event) => handler.run(ctx, read, event) });
        return this;
    }
    /** Opens what must be open before the first request. A `Fault` with `permanent` means that trying again is in vain. */
    init(run) {
        this.declared.init = run;
        return this;
    }
    /** The last call, after everything that came before was answered. */
    shutdown(run) {
        this.declared.shutdown = run;
        return this;
    }
    /** What the host said at the start. There is nothing before `init`. */
    get started() {
        if (this.#init === undefined)
            throw new TypeError("the module has not started yet: init has not come");
        return this.#init;
    }
    /** The manifest's `[config]`. There is nothing before `init`. */
    get config() {
        return this.started.config;
    }
    /** @internal */
    begin(init) {
        this.#init = init;
    }
    /** Runs the module until the host says `shutdown` or is gone. It ends the process, with the exit codes of the README. */
    run() {
        runProcess(this);
    }
}
function dataOf(handler) {
    return {
        payload: handler.payload ?? t.json(),
        concurrent: handler.concurrent ?? false,
        run: (ctx, payload) => handler.run(ctx, payload),
    };
}
