/**
 * The process `bulkhead test-host` and the wire to it: requests and answers, events, and what is asked of fakes. What a
 * test asserts is not known here.
 */
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { Fault } from "./fault.js";
import { Decoder } from "./frames.js";
import { write } from "./json/write.js";
import { FRAME_BYTES_MAX_DEFAULT, LENGTH_PREFIX_BYTES, REWRITE_BYTES_MAX } from "./limits.js";
/** How long the host may take to end with its modules. */
const END_MS = 30_000;
/** Bytes of its standard error that are kept. */
const STDERR_BYTES_MAX = 64 * 1024;
/** The command `bulkhead`: what `BULKHEAD_BIN` names, else that of `PATH`. */
export function findProgram() {
    const named = process.env.BULKHEAD_BIN;
    if (named !== undefined && named !== "") {
        if (!isProgram(named))
            throw new Fault(`expected a program in $BULKHEAD_BIN, found ${named}, which cannot be run`);
        return path.resolve(named);
    }
    const folders = (process.env.PATH ?? "").split(path.delimiter).filter((folder) => folder !== "");
    const found = folders.map((folder) => path.join(folder, "bulkhead")).find(isProgram);
    if (found === undefined) {
        throw new Fault("expected the command `bulkhead` in $BULKHEAD_BIN or in $PATH, found none; `cargo xtask install` in the " +
            "repository of Bulkhead installs it");
    }
    return found;
}
function isProgram(file) {
    try {
        fs.accessSync(file, fs.constants.X_OK);
        return fs.statSync(file).isFile();
    }
    catch {
        return false;
    }
}
/** A request on its way. Awaited, it is its answer. */
export class Call {
    [Symbol.toStringTag] = "Call";
    id;
    /** What it has sent of its progress so far, in order. */
    progress = [];
    #process;
    #answer;
    /** @internal */
    answered = () => { };
    /** @internal */
    failed = () => { };
    /** @internal */
    isAnswered = false;
    /** @internal */
    constructor(process, id) {
        this.#process = process;
        this.id = id;
        this.#answer = new Promise((resolve, reject) => {
            this.failed = reject;
            this.answered = (message) => {
                this.isAnswered = true;
                if (message.status === "success")
                    resolve(message.data ?? null);
                else
                    reject(Fault.of(message));
            };
        });
        // A test that does not wait for an answer need not handle its failure.
        this.#answer.catch(() => { });
    }
    then(fulfilled, rejected) {
        return this.#answer.then(fulfilled, rejected);
    }
    catch(rejected) {
        return this.#answer.catch(rejected);
    }
    finally(settled) {
        return this.#answer.finally(settled);
    }
    /** Waits until it has sent so much progress, or is answered; the progress so far. */
    async waitProgress(count = 1, timeoutMs = 30_000) {
        const what = () => `expected progress ${count} times, found ${this.progress.length}`;
        await this.#process.wait(() => this.progress.length >= count || this.isAnswered || undefined, timeoutMs, what);
        return [...this.progress];
    }
    /** Asks the module to stop working on it. It still gets its answer. */
    async cancel() {
        await this.#process.ask("cancel", undefined, { id: this.id });
    }
}
/** A test host that runs. */
export class HostProcess {
    /** All events so far: the payloads of the messages. */
    events = [];
    /** What is done with a request to a fake. */
    asked = () => { };
    finalFailure;
    hasEnded = false;
    #child;
    #input;
    #exited;
    #calls = new Map();
    #waiting = new Set();
    #lastId = 0;
    #stderr = "";
    constructor(args, env) {
        this.#child = spawn(findProgram(), ["test-host", "--quiet", ...args], { env, stdio: ["pipe", "pipe", "pipe"] });
        this.#input = this.#child.stdin;
        // An end that breaks it is seen at its output.
        this.#input.on("error", () => { });
        const stderr = this.#child.stderr;
        stderr.setEncoding("utf8").on("data", (text) => {
            this.#stderr = (this.#stderr + text).slice(-STDERR_BYTES_MAX);
        });
        const decoder = new Decoder(FRAME_BYTES_MAX_DEFAULT + REWRITE_BYTES_MAX);
        const output = this.#child.stdout;
        output.on("data", (data) => decoder.feed(data, (text) => this.#take(JSON.parse(text))));
        this.#exited = new Promise((resolve) => {
            this.#child.on("error", (error) => {
                this.#stderr += error.message;
                resolve();
            });
            this.#child.on("close", () => resolve());
        });
        void this.#exited.then(() => this.#ended());
    }
    /** What it has printed on standard error. */
    get stderr() {
        return this.#stderr.trim();
    }
    /** Sends a request. */
    ask(type, to, payload, members = {}) {
        this.#lastId += 1;
        const call = new Call(this, this.#lastId);
        if (this.hasEnded) {
            call.failed(this.fault());
            return call;
        }
        this.#calls.set(call.id, call);
        this.send({ id: call.id, type, to, payload: payload ?? null, ...members });
        return call;
    }
    /** Sends a message. */
    send(message) {
        const body = Buffer.from(write(message));
        const frame = Buffer.allocUnsafe(LENGTH_PREFIX_BYTES + body.length);
        frame.writeUInt32BE(body.length, 0);
        body.copy(frame, LENGTH_PREFIX_BYTES);
        if (!this.hasEnded)
            this.#input.write(frame);
    }
    /** Waits until `look` finds something. */
    wait(look, timeoutMs, otherwise) {
        return new Promise((resolve, reject) => {
            let timer;
            const done = (end) => {
                clearTimeout(timer);
                this.#waiting.delete(again);
                end();
            };
            const again = () => {
                const found = look();
                if (found !== undefined)
                    done(() => resolve(found));
                else if (this.hasEnded)
                    done(() => reject(this.fault()));
            };
            this.#waiting.add(again);
            if (timeoutMs !== undefined) {
                const late = () => done(() => reject(new Fault(`${otherwise()} within ${timeoutMs} ms`, { code: "deadline_exceeded" })));
                timer = setTimeout(late, timeoutMs);
            }
            again();
        });
    }
    /** Why nothing can be asked of it any more. */
    fault() {
        if (this.finalFailure === undefined) {
            const code = this.#child.exitCode ?? this.#child.signalCode;
            return new Fault(`bulkhead test-host has ended (${code}): ${this.stderr || "it printed nothing"}`);
        }
        const lines = this.finalFailure.stderr ?? [];
        const shown = lines.length === 0 ? "" : `\nits last lines:${lines.map((line) => `\n  ${line}`).join("")}`;
        return Fault.of({ ...this.finalFailure, error: `${this.finalFailure.error}${shown}` });
    }
    /** Ends it with its modules. */
    async close() {
        this.#input.end();
        const timer = setTimeout(() => this.#child.kill("SIGKILL"), END_MS);
        await this.#exited;
        clearTimeout(timer);
    }
    #take(message) {
        if (typeof message.type === "string" && typeof message.id === "number")
            return this.asked(message);
        if (typeof message.type === "string")
            this.events.push(message.payload);
        else if (message.id === null)
            this.finalFailure = message;
        else
            this.#answered(message);
        this.#wake();
    }
    #answered(message) {
        const call = this.#calls.get(message.id);
        if (message.status === "progress") {
            call?.progress.push(message.data ?? null);
            return;
        }
        this.#calls.delete(message.id);
        call?.answered(message);
    }
    #ended() {
        this.hasEnded = true;
        for (const call of this.#calls.values())
            call.failed(this.fault());
        this.#calls.clear();
        this.#wake();
    }
    #wake() {
        for (const again of [...this.#waiting])
            again();
    }
}
