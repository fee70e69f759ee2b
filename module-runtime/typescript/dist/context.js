/** What a handler may do while it works: ask the host, report progress, see whether it is still wanted. */
import { checkEventName } from "./events.js";
import { Fault } from "./fault.js";
import { write } from "./json/write.js";
import { EntityContext } from "./layer1.js";
import { log } from "./log.js";
import { readPart } from "./schema/read.js";
import { t } from "./schema/t.js";
const ANYTHING = t.json();
/** The request that a handler works on, and its way back to the host. */
export class Context extends EntityContext {
    /** Lines of the module's log, each with its level. */
    log = log;
    #task;
    #requests;
    #channel;
    /** @internal */
    constructor(task, requests, channel) {
        super();
        this.#task = task;
        this.#requests = requests;
        this.#channel = channel;
    }
    /**
     * Sends the command `name` to the module `to` and waits for its answer. The manifest must grant `call`.
     *
     * @throws Fault What the other module answered, `deadline_exceeded`, or `cancelled` as soon as the request
     * that is handled is cancelled.
     */
    async call(to, name, args, options = {}) {
        const payload = `{"name":${JSON.stringify(name)},"args":${written(args, "arguments")}}`;
        return await this.#ask("command", to, payload, options, `the answer of ${to} to ${name}`);
    }
    /**
     * Reads from the data store as the payload says, or from the module `to`, for which the manifest must grant
     * `call`. `find` and its like write the payload and read the answer.
     *
     * @throws Fault As `call`.
     */
    async query(payload, options = {}) {
        return await this.#ask("query", options.to, written(payload, "payload"), options, `the answer of ${options.to ?? "layer1"}`);
    }
    /**
     * Changes the data store as the payload says, or lets the module `to` do so. Others see it together with the
     * success of the request that is handled, and never if that fails.
     *
     * @throws Fault As `call`.
     */
    async mutate(payload, options = {}) {
        return await this.#ask("mutation", options.to, written(payload, "payload"), options, `the answer of ${options.to ?? "layer1"}`);
    }
    /**
     * Waits until everything that this module has read from the data store is on the disk. It is for what leaves the
     * data store: a file, a mail, a request to another machine. What is changed in the handling of this request is no
     * part of it, since that is committed with the request's success.
     *
     * @throws Fault As `call`.
     */
    async flush(options = {}) {
        await this.#ask("command", "layer1", '{"name":"flush"}', options, "the answer of layer1 to flush");
    }
    /**
     * Publishes an event, without waiting for who takes it. The manifest must grant `event_emit`; a refusal is a
     * line in the module's log.
     *
     * @throws Fault Where the name is none, the event is longer than a frame, or the request is not wanted any more.
     */
    async emit(event, data) {
        this.#open();
        checkEventName(event);
        this.#requests.publish(this.#task, `{"event":${JSON.stringify(event)},"data":${written(data, "data")}}`);
        if (this.#channel.isCongested)
            await this.#drained();
    }
    /**
     * Tells the caller how far the work is. An event without a number has no caller, and no progress.
     *
     * @throws Fault Where the data is longer than a frame, or the request was answered.
     */
    async progress(data) {
        this.#open();
        const { id } = this.#task;
        if (id === undefined)
            return;
        if (!this.#channel.send(`{"id":${id},"status":"progress","data":${written(data, "progress")}}`)) {
            throw new Fault("the progress is too long to send", { code: "frame_too_large" });
        }
        if (this.#channel.isCongested)
            await this.#drained();
    }
    /** Aborted as soon as the work is not wanted any more: it was cancelled, its deadline passed, or the host is gone. */
    get signal() {
        return this.#task.signal;
    }
    /**
     * For loops that compute. It lets the channel be read first, so that a cancel is seen: `await ctx.check()`.
     *
     * @throws Fault `cancelled` or `deadline_exceeded`.
     */
    async check() {
        await new Promise(setImmediate);
        if (this.#task.stop !== undefined)
            throw this.#task.stop;
    }
    /**
     * Waits for so many milliseconds, or until the work is not wanted any more.
     *
     * @throws Fault As `check`, as soon as it is known.
     */
    async wait(ms) {
        const { stop, timeout } = this.#task;
        if (stop !== undefined)
            throw stop;
        // Rounded up, so that the time is over when the timer says so.
        const time = Math.min(ms, timeout === undefined ? ms : Math.ceil(timeout) + 1);
        await new Promise((resolve) => {
            const done = () => {
                clearTimeout(timer);
                forget();
                resolve();
            };
            const timer = setTimeout(done, time);
            const forget = this.#task.onAbort(done);
        });
        if (this.#task.stop !== undefined)
            throw this.#task.stop;
    }
    /** The milliseconds that are left, 0 when they are over; `undefined` without a deadline. */
    get deadline() {
        return this.#task.left;
    }
    /** The idempotency key: the same key is the same work. */
    get key() {
        return this.#task.key;
    }
    /** The host's number of the request, for logs; an event may have none. */
    get id() {
        return this.#task.id;
    }
    /** Which trace the request belongs to, as W3C Trace Context has it. Own requests carry it along. */
    get traceparent() {
        return this.#task.traceparent;
    }
    /** What systems of tracing keep of it. */
    get tracestate() {
        return this.#task.tracestate;
    }
    /**
     * The process ends on purpose after the answer to this request, with this code: 0 is a clean end, 125 asks
     * for no other process. The host gives to the next process what it had sent this one. Requests that are
     * handled at the same time are answered first.
     */
    end(code = 0) {
        if (!Number.isInteger(code) || code < 0 || code > 255)
            throw new TypeError(`expected an exit code of 0 to 255, found ${code}`);
        this.#open();
        this.#task.last = code;
    }
    async #ask(type, to, payload, options, what) {
        this.#open();
        const { timeoutMs, key, onProgress } = options;
        const answer = await this.#requests.ask(this.#task, { type, to, payload, timeoutMs, key, onProgress });
        return readAnswer(options.returns ?? ANYTHING, answer, what);
    }
    #open() {
        if (this.#task.isAnswered) {
            throw new Fault("the request was answered already, and nothing can be done for it any more", {
                code: "bad_request",
            });
        }
    }
    #drained() {
        return new Promise((resolve) => this.#channel.drained(resolve));
    }
}
/** Reads the data of an answer. What is wrong with it is no fault of the caller whose request is handled. */
function readAnswer(schema, answer, what) {
    const { data } = answer.value;
    try {
        return readPart(schema, answer, data ?? null, { way: ["data"], called: "member", absent: "null" });
    }
    catch (fault) {
        if (!(fault instanceof Fault))
            throw fault;
        throw new Fault(`${what}: ${fault.message}`, { data: fault.data });
    }
}
function written(value, what) {
    try {
        return write(value);
    }
    catch (error) {
        if (!(error instanceof TypeError))
            throw error;
        throw new TypeError(`the ${what} cannot be sent: ${error.message}`);
    }
}
