/**
 * A module under test: `Harness.start` runs it in the test's own process and plays the host; what a real channel and a
 * real process do is not tried by it. `TestHost` runs it under the real host.
 */
import { Fault } from "./fault.js";
import { write } from "./json/write.js";
import { FRAME_BYTES_MAX_DEFAULT } from "./limits.js";
import { Server } from "./serve.js";
export { TestHost, } from "./host-of-test.js";
/** A module that runs. */
export class Harness {
    /** The events that the module published, in their order. */
    emitted = [];
    /** The requests that the module sent, in their order. */
    asked = [];
    /** What the module said of itself. */
    description;
    /** The code with which its process would have ended. */
    exitCode;
    #channel = new Line((text) => this.#take(text));
    #open = new Map();
    #answers;
    #next = 1;
    constructor(answers) {
        this.#answers = answers;
    }
    /**
     * Starts the module.
     *
     * @throws Fault with what it answers to `init`, where it cannot start.
     */
    static async start(module, options = {}) {
        const refuse = () => {
            throw new Fault("the test says nothing of what the host answers", { code: "permission_denied" });
        };
        const harness = new Harness(options.hostAnswers ?? refuse);
        const end = (code) => {
            harness.exitCode ??= code;
            for (const open of harness.#open.values())
                open.reject(new Fault(`the module ended with the exit code ${code}`));
        };
        new Server(module, harness.#channel, end).open();
        harness.description = await harness.send("init", {
            protocol: 1,
            module: module.name,
            instance: `${module.name}#1`,
            config: options.config ?? {},
            limits: { frame_bytes_max: FRAME_BYTES_MAX_DEFAULT, window: 64, requests_max: 64 },
            capabilities: { event_subscribe: ["*"], event_emit: ["*"], call: [] },
            data_dir: options.dataDir ?? "",
        });
        return harness;
    }
    /**
     * Calls a command.
     *
     * @throws Fault with what the module answers.
     */
    command(name, args, options) {
        return this.send("command", { name, args: args ?? null }, options);
    }
    /** Sends a query. */
    query(payload, options) {
        return this.send("query", payload, options);
    }
    /** Sends a mutation. */
    mutation(payload, options) {
        return this.send("mutation", payload, options);
    }
    /** Delivers an event. */
    event(event, data, more = {}) {
        return this.send("event", { ...more, event, data: data ?? null });
    }
    /** Stops the module, and returns its exit code. */
    async shutdown() {
        await this.send("shutdown", null);
        return this.exitCode;
    }
    /** Sends a request of any type. */
    send(type, payload, options = {}) {
        const id = this.#next;
        this.#next += 1;
        const { key, deadlineMs, onProgress, members, signal } = options;
        signal?.addEventListener("abort", () => this.#receive({ id: this.#next++, type: "cancel", payload: { id } }), {
            once: true,
        });
        return new Promise((resolve, reject) => {
            this.#open.set(id, { resolve, reject, onProgress });
            this.#receive({ id, type, payload, key, deadline_ms: deadlineMs, ...members });
        });
    }
    #receive(message) {
        const text = write(message);
        // As over a real channel: never while the module is sending.
        setImmediate(() => this.#channel.receiver?.frame(text));
    }
    #take(text) {
        const message = JSON.parse(text);
        if (typeof message.type === "string")
            void this.#answer(message);
        else
            this.#answered(message);
    }
    #answered(message) {
        const open = this.#open.get(message.id);
        if (message.status === "progress")
            return open?.onProgress?.(message.data);
        this.#open.delete(message.id);
        if (message.status === "success")
            open?.resolve(message.data ?? null);
        else
            open?.reject(Fault.of(message));
    }
    async #answer(asked) {
        if (asked.type === "event") {
            this.emitted.push(asked.payload);
            return;
        }
        this.asked.push(asked);
        if (asked.type === "cancel")
            return;
        try {
            this.#receive({ id: asked.id, status: "success", data: (await this.#answers(asked)) ?? null });
        }
        catch (fault) {
            if (!(fault instanceof Fault))
                throw fault;
            this.#receive({ id: asked.id, status: "error", ...fault.members(), code: fault.code });
        }
    }
}
/** A channel that hands over texts. */
class Line {
    isCongested = false;
    frameBytesMax = FRAME_BYTES_MAX_DEFAULT;
    receiver;
    #take;
    constructor(take) {
        this.#take = take;
    }
    open(receiver) {
        this.receiver = receiver;
    }
    limit(frameBytesMax) {
        this.frameBytesMax = frameBytesMax;
    }
    send(text) {
        if (Buffer.byteLength(text) > this.frameBytesMax)
            return false;
        this.#take(text);
        return true;
    }
    drained(then) {
        then();
    }
    close() {
        this.receiver = undefined;
    }
}
