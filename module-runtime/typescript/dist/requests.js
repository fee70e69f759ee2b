/** The module's own requests: their numbers, their answers, and how many may be open. */
import { Fault } from "./fault.js";
import { ANSWER_GRACE_MS, DEADLINE_MS_MAX, KEY_BYTES_MAX } from "./limits.js";
export class Requests {
    /** How many may be unanswered; more of them wait here. */
    max = Number.POSITIVE_INFINITY;
    #channel;
    #open = new Map();
    #waiting = new Set();
    #next = 1;
    #gone;
    constructor(channel) {
        this.#channel = channel;
    }
    /** Sends a request in the handling of a task, and waits for its answer, at most until the task's deadline. */
    async ask(task, ask) {
        const { stop } = task;
        if (stop !== undefined)
            throw stop;
        if (ask.key !== undefined && (ask.key === "" || Buffer.byteLength(ask.key) > KEY_BYTES_MAX)) {
            throw new Fault(`a key has 1 to ${KEY_BYTES_MAX} bytes, found ${Buffer.byteLength(ask.key)}`, {
                code: "bad_request",
            });
        }
        const given = ask.timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + ask.timeoutMs;
        const deadline = Math.min(given, task.deadline ?? Number.POSITIVE_INFINITY);
        while (this.#open.size >= this.max && this.#gone === undefined)
            await this.#place(task, deadline);
        if (this.#gone !== undefined)
            throw this.#gone;
        return await this.#send(task, ask, deadline);
    }
    /** Takes a response of the host. */
    answered(message) {
        const response = message.value;
        const open = this.#open.get(response.id);
        if (open === undefined)
            return;
        switch (response.status) {
            case "progress":
                open.onProgress?.(response.data);
                return;
            case "success":
                open.resolve(message);
                return;
            default:
                open.reject(Fault.of(response));
        }
    }
    /** From now on nothing is answered. */
    end(fault) {
        this.#gone = fault;
        for (const open of [...this.#open.values()])
            open.reject(fault);
        for (const wake of [...this.#waiting])
            wake();
    }
    /** Sends an event, which is not answered. */
    publish(task, payload) {
        const text = `{"type":"event","payload":${payload}${around(task)}}`;
        if (!this.#channel.send(text))
            throw new Fault("the event is too long to send", { code: "frame_too_large" });
    }
    #send(task, ask, deadline) {
        const left = deadline - performance.now();
        if (left <= 0)
            return Promise.reject(late("the deadline passed before the request was sent"));
        const id = this.#next;
        this.#next += 1;
        return new Promise((resolve, reject) => {
            const timer = Number.isFinite(left)
                ? setTimeout(() => giveUp(late("the deadline passed without an answer")), Math.min(left + ANSWER_GRACE_MS, 0x7fffffff))
                : undefined;
            const settle = () => {
                clearTimeout(timer);
                forget();
                this.#open.delete(id);
                for (const wake of this.#waiting) {
                    wake();
                    break;
                }
            };
            const giveUp = (fault) => {
                settle();
                // A host that is not informed still has its own deadline for it.
                this.#channel.send(`{"id":${this.#next},"type":"cancel","payload":{"id":${id}}}`);
                this.#next += 1;
                reject(fault);
            };
            const forget = task.onAbort(giveUp);
            const open = {
                onProgress: ask.onProgress,
                resolve: (answer) => (settle(), resolve(answer)),
                reject: (fault) => (settle(), reject(fault)),
            };
            this.#open.set(id, open);
            if (!this.#channel.send(textOf(id, task, ask, left))) {
                open.reject(new Fault(`the ${ask.type} is too long to send`, { code: "frame_too_large" }));
            }
        });
    }
    /** Waits until fewer requests are open. */
    #place(task, deadline) {
        return new Promise((resolve, reject) => {
            const left = deadline - performance.now();
            const timer = Number.isFinite(left)
                ? setTimeout(() => giveUp(late("the deadline passed before the request was sent")), Math.min(Math.max(left, 0), 0x7fffffff))
                : undefined;
            const settle = () => {
                clearTimeout(timer);
                forget();
                this.#waiting.delete(wake);
            };
            const wake = () => (settle(), resolve());
            const giveUp = (fault) => (settle(), reject(fault));
            const forget = task.onAbort(giveUp);
            this.#waiting.add(wake);
        });
    }
}
function textOf(id, task, ask, left) {
    const to = ask.to === undefined ? "" : `,"to":${JSON.stringify(ask.to)}`;
    const ms = Number.isFinite(left) ? `,"deadline_ms":${Math.min(Math.max(Math.floor(left), 1), DEADLINE_MS_MAX)}` : "";
    const key = ask.key === undefined ? "" : `,"key":${JSON.stringify(ask.key)}`;
    return `{"id":${id},"type":"${ask.type}"${to},"payload":${ask.payload}${ms}${key}${around(task)}}`;
}
/** Which request it belongs to, and which trace. */
function around(task) {
    const of = task.id === undefined ? "" : `,"of":${task.id}`;
    const parent = task.traceparent === undefined ? "" : `,"traceparent":${JSON.stringify(task.traceparent)}`;
    const state = task.tracestate === undefined ? "" : `,"tracestate":${JSON.stringify(task.tracestate)}`;
    return of + parent + state;
}
function late(sentence) {
    return new Fault(sentence, { code: "deadline_exceeded" });
}
