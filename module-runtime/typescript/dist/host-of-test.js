/**
 * A module under the real host, in a process of its own: `TestHost` starts the program `bulkhead test-host`. What the
 * host does is not done here again.
 */
import path from "node:path";
import process from "node:process";
import { Fault } from "./fault.js";
import { HostProcess } from "./host-process.js";
import { write } from "./json/write.js";
/** How long is waited for anything, unless a test says otherwise. */
const TIMEOUT_MS = 30_000;
/** The time between two looks at something that no event announces. */
const LOOK_MS = 2;
/** Lines of a log that are looked at. */
const LINES_MAX = 10_000;
/** Events that say that a process has ended. */
const ENDS = ["module.crashed", "module.failed", "module.finished", "module.exited", "module.lost"];
/** A module that runs under a host of its own, with its data store. `close` ends it, and so does `await using`. */
export class TestHost {
    /** The name of the module under test. */
    name = "";
    #host;
    #fakes;
    #timeoutMs;
    #asked = [];
    #seen = new Map();
    constructor(module, options) {
        this.#fakes = options.fakes ?? {};
        this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
        const args = [
            ...Object.keys(this.#fakes).map((name) => `--fake=${name}`),
            ...(options.with ?? []).map((folder) => `--with=${folder}`),
            ...Object.entries(options.settings ?? {}).map(([key, value]) => `--set=${key}=${settingOf(value)}`),
            ...(options.config === undefined ? [] : [`--config=${write(options.config)}`]),
            ...(options.start === false ? ["--no-start"] : []),
            ...(options.realWaits === true ? ["--real-waits"] : []),
            ...module,
        ];
        // A manifest says `node`, which is to be the Node that runs the test.
        const folders = [path.dirname(process.execPath), process.env.PATH ?? ""].join(path.delimiter);
        this.#host = new HostProcess(args, { ...process.env, PATH: folders, ...options.env });
        this.#host.asked = (message) => void this.#answer(message);
    }
    /**
     * Runs the module whose `module.toml` is in this folder, usually `import.meta.dirname`.
     *
     * @throws Fault with the reason and its last lines, where it does not start.
     */
    static folder(folder, options = {}) {
        return new TestHost(["--", folder].slice(folder.startsWith("-") ? 0 : 1), options).#ready();
    }
    /**
     * Runs a module that is this command and has no manifest: `["node", "main.ts"]`.
     *
     * @throws Fault with the reason and its last lines, where it does not start.
     */
    static command(command, options = {}) {
        const granted = Object.entries(options.capabilities ?? {});
        const capabilities = granted.map(([key, patterns]) => `--capability=${key}=${patterns.join(",")}`);
        const name = options.name === undefined ? [] : [`--name=${options.name}`];
        return new TestHost([...name, ...capabilities, "--", ...command], options).#ready();
    }
    async #ready() {
        const find = () => this.#host.events.find(({ event }) => event === "test_host.ready");
        try {
            this.name = (await this.#host.wait(find, undefined, () => "")).data.module;
        }
        catch (fault) {
            await this.close();
            throw fault;
        }
        return this;
    }
    /** Ends the host with all modules, and removes what they stored. */
    close() {
        return this.#host.close();
    }
    [Symbol.asyncDispose]() {
        return this.close();
    }
    /**
     * Calls a command. Awaited, it is the data of the answer; before that it has `progress`, `waitProgress` and `cancel`.
     *
     * @throws Fault with `code`, `moduleCode`, `delivery`, `exit` and `stderr`.
     */
    call(name, args, options = {}) {
        return this.#send("command", args === undefined ? { name } : { name, args }, options);
    }
    /** Sends a query to the module under test. */
    query(payload, options = {}) {
        return this.#send("query", payload, options);
    }
    /** Sends a mutation to the module under test. */
    mutate(payload, options = {}) {
        return this.#send("mutation", payload, options);
    }
    /** Calls a command of the host itself: `supervisor("status")`. */
    supervisor(name, args) {
        return this.call(name, args, { to: "supervisor" });
    }
    #send(type, payload, { to, key, timeoutMs }) {
        return this.#host.ask(type, to ?? this.name, payload, { key, deadline_ms: timeoutMs ?? this.#timeoutMs });
    }
    /** Creates an entity. */
    create(entity, data) {
        return this.mutate({ entity, operation: "create", data }, { to: "layer1" });
    }
    /** Changes an entity by a merge patch. */
    update(entity, id, data) {
        return this.mutate({ entity, operation: "update", id, data }, { to: "layer1" });
    }
    /** Deletes an entity. */
    delete(entity, id) {
        return this.mutate({ entity, operation: "delete", id }, { to: "layer1" });
    }
    /** The entity with this id. */
    async entity(entity, id) {
        return (await this.query({ entity, id }, { to: "layer1" })).entities[0];
    }
    /** All entities for which the filters hold. */
    async entities(entity, filters = {}) {
        const all = [];
        let after = {};
        for (;;) {
            const page = await this.query({ entity, filters, ...after }, { to: "layer1" });
            all.push(...page.entities);
            if (page.next === null)
                return all;
            after = { after: page.next };
        }
    }
    /** Publishes an event, and does not wait for those who subscribe to it. */
    async emit(event, data) {
        return await this.#host.ask("event", undefined, { event, data: data ?? null });
    }
    /** Publishes an event, and waits until the module under test has handled it. */
    async deliver(event, data, timeoutMs = this.#timeoutMs) {
        const until = performance.now() + timeoutMs;
        const { cursor } = await this.emit(event, data);
        for (;;) {
            const { subscriptions } = await this.supervisor("layer1");
            const own = subscriptions.find(({ module }) => module === this.name);
            if (own === undefined) {
                throw new Fault(`${this.name} subscribes to no events; its manifest says to which, in event_subscribe`);
            }
            if (own.cursor >= cursor)
                return;
            if (performance.now() > until) {
                throw new Fault(`${this.name} has not handled ${event} in time; its log says why`, { code: "deadline_exceeded" });
            }
            await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        }
    }
    /** All stored events of this pattern so far, in order; those of all that was answered are among them. */
    async events(pattern = "*") {
        const newest = (await this.supervisor("status")).host.layer1.cursor;
        const has = () => newest === 0 || this.#host.events.some(({ cursor }) => cursor >= newest) || undefined;
        await this.#host.wait(has, this.#timeoutMs, () => `expected the event ${newest}, found none`);
        return this.#ofPattern(pattern).filter(({ live }) => live !== true);
    }
    /** The host's own events so far, such as `module.ready` and `module.crashed`. */
    async hostEvents(pattern = "*") {
        // What the host has announced before it answers comes before the answer.
        await this.#host.ask("ping", undefined, null);
        return this.#ofPattern(pattern).filter(({ live }) => live === true);
    }
    /**
     * Waits for the next event of this pattern: the first one is the first since the start, and each wait for the same
     * pattern goes on after the event that the last one returned.
     */
    waitEvent(pattern, where = () => true, timeoutMs = this.#timeoutMs) {
        const look = () => {
            const { events } = this.#host;
            for (let at = this.#seen.get(pattern) ?? 0; at < events.length; at += 1) {
                const seen = events[at];
                if (isSeen(seen) && matches(pattern, seen.event) && where(seen)) {
                    this.#seen.set(pattern, at + 1);
                    return seen;
                }
            }
            return undefined;
        };
        return this.#host.wait(look, timeoutMs, () => `expected an event ${pattern}, found none`);
    }
    #ofPattern(pattern) {
        return this.#host.events.filter(isSeen).filter(({ event }) => matches(pattern, event));
    }
    /** The status of the module under test. */
    async status() {
        return await this.supervisor("status", { name: this.name });
    }
    /** The records of its crashes, the oldest first: `reason`, `exit`, `stderr`, `in_flight`. */
    async crashes() {
        return (await this.supervisor("crashes", { name: this.name })).crashes;
    }
    /**
     * The last lines of its log, the oldest first. A line may come a moment after the answer to the call that has printed
     * it: `waitLog` waits for one.
     */
    async logs(lines = 1000) {
        const call = this.supervisor("logs", { name: this.name, lines });
        await call;
        return call.progress;
    }
    /** Waits for a line that has this text in it; the first one since the start. */
    async waitLog(text, timeoutMs = this.#timeoutMs) {
        const call = this.supervisor("logs", { name: this.name, lines: LINES_MAX, follow: true });
        const find = () => call.progress.find(({ line }) => line.includes(text));
        try {
            return await this.#host.wait(find, timeoutMs, () => `expected a line with ${JSON.stringify(text)}, found none`);
        }
        finally {
            if (!this.#host.hasEnded)
                await call.cancel();
        }
    }
    /**
     * Kills the process of the module, once it is ready, and waits until it is gone; returns its number. The host starts
     * another one by the module's rules: the next call waits for it.
     */
    async kill(signal = "SIGKILL") {
        const { pid, instances } = await this.#withProcess();
        const own = instances.find((instance) => instance.pid === pid).instance;
        const begin = this.#host.events.length;
        process.kill(pid, signal);
        const ended = () => this.#host.events.slice(begin).find(({ event, data }) => ENDS.includes(event) && data.instance === own);
        await this.#host.wait(ended, this.#timeoutMs, () => `expected the end of process ${pid}, found none`);
        return pid;
    }
    /** The status, once it has a process that is ready: the host may learn its number after its readiness. */
    async #withProcess() {
        const until = performance.now() + this.#timeoutMs;
        for (;;) {
            await this.waitReady();
            const status = await this.status();
            if (status.pid !== null)
                return status;
            if (performance.now() > until)
                throw new Fault(`${this.name} has no process`, { code: "deadline_exceeded" });
            await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        }
    }
    /** Waits until the module is ready. */
    async waitReady() {
        await this.supervisor("wait", { name: this.name, for: "ready" });
    }
    /** Starts the module, after `start: false` or `stop`. */
    async start() {
        await this.supervisor("start", { name: this.name });
    }
    /** Stops it. */
    async stop() {
        await this.supervisor("stop", { name: this.name });
    }
    /** What was asked of a fake so far, in order. */
    asked(fake) {
        return this.#asked.filter((one) => one.fake === fake).map(({ asked }) => asked);
    }
    async #answer({ id, type, to, payload, key }) {
        try {
            let data = null;
            // A request that is cancelled was answered by the test host already.
            if (type !== "cancel") {
                const isCommand = type === "command";
                const name = isCommand ? payload.name : undefined;
                const asked = { type, name, args: isCommand ? (payload.args ?? {}) : payload, key };
                this.#asked.push({ fake: to, asked });
                data = await this.#answerOf(to, asked);
            }
            this.#host.send({ id, status: "success", data: data ?? null });
        }
        catch (error) {
            const fault = error instanceof Fault ? error : new Fault(`the fake ${to} threw ${error}`);
            this.#host.send({ id, status: "error", ...fault.members() });
        }
    }
    #answerOf(fake, asked) {
        const answers = this.#fakes[fake];
        if (typeof answers === "function")
            return answers(asked);
        const answer = answers?.[asked.name ?? asked.type];
        if (answer === undefined) {
            const code = asked.type === "command" ? "unknown_command" : "unknown_type";
            throw new Fault(`the fake ${fake} has no answer to ${asked.name ?? asked.type}`, { code });
        }
        return answer(asked.args);
    }
}
function settingOf(value) {
    return typeof value === "string" ? value : write(value);
}
/** Whether it is an event of a module, of the test or of the host, and not one of the test host's own. */
function isSeen(event) {
    return typeof event.cursor === "number";
}
function matches(pattern, name) {
    return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}
