/**
 * From the first message to the exit code: the greeting, the order in which requests are handled, the answers,
 * the end. How bytes travel is not known here.
 */

import type { Channel, Receiver } from "./channel.ts";
import { Context } from "./context.ts";
import { describe, isConcurrent } from "./describe.ts";
import { matches } from "./events.ts";
import { Fault } from "./fault.ts";
import { handle, mayRunBeside } from "./handlers.ts";
import { type Init, readInit } from "./init.ts";
import { write } from "./json/write.ts";
import { EXIT_FAILURE, EXIT_OK, EXIT_PANICKED, EXIT_PERMANENT, EXIT_USAGE, FAREWELL_MS } from "./limits.ts";
import { line } from "./log.ts";
import type { Module } from "./module.ts";
import { Queue } from "./queue.ts";
import { Requests } from "./requests.ts";
import type { Message } from "./schema/read.ts";
import type { Schema } from "./schema/schema.ts";
import { Task } from "./task.ts";
import { troubleOf } from "./trouble.ts";

type State = "greeting" | "starting" | "ready" | "over";

/**
 * Serves a module over a channel.
 *
 * Invariant: a request that is not concurrent begins only when every earlier one was answered, and the answers
 * have left the process. The host takes the first unanswered request as the only one that may have begun.
 */
export class Server implements Receiver {
  readonly #module: Module<Schema>;
  readonly #channel: Channel;
  readonly #exit: (code: number) => void;
  readonly #requests: Requests;
  readonly #queue = new Queue<Task>();
  readonly #running = new Set<Task>();
  #state: State = "greeting";
  #onPanic: Init["onPanic"] = "restart";
  /** Whether any handler may run beside another. */
  #hasConcurrent = false;
  /** Whether the request that is handled must be alone. */
  #isAlone = false;
  #isPumping = false;
  #isDraining = false;
  /** The code with which the process ends as soon as nothing is handled any more. */
  #ending: number | undefined;

  constructor(module: Module<Schema>, channel: Channel, exit: (code: number) => void) {
    this.#module = module;
    this.#channel = channel;
    this.#exit = exit;
    this.#requests = new Requests(channel);
  }

  /** Begins to serve. */
  open(): void {
    this.#channel.open(this);
  }

  frame(text: string): void {
    if (this.#state === "over") return;
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (error) {
      this.end(`expected JSON in a frame of the host: ${(error as Error).message}`);
      return;
    }
    if (typeof value !== "object" || value === null) {
      this.end(`expected an object in a frame of the host, found ${text.slice(0, 60)}`);
      return;
    }
    const message = { text, value };
    const { type, status } = value as { type?: unknown; status?: unknown };
    if (typeof type === "string") this.#request(message, type);
    else if (typeof status === "string") this.#response(message);
    else this.end("expected a message of the host with a type or a status, found neither");
  }

  end(reason?: string): void {
    if (this.#state === "over") return;
    const wasGreeted = this.#state !== "greeting";
    this.#state = "over";
    if (reason !== undefined) {
      line("error", reason);
      this.#ending = EXIT_FAILURE;
    } else if (wasGreeted) {
      this.#ending = EXIT_OK;
    } else {
      line("error", `${this.#module.name}: the channel ended before a first message; \`bulkhead run\` starts a host`);
      this.#ending = EXIT_USAGE;
    }
    const gone = new Fault("the host is gone");
    this.#requests.end(gone);
    for (const task of this.#running) task.abort(gone);
    if (this.#running.size === 0) this.#exit(this.#ending);
    else setTimeout(() => this.#exit(this.#ending as number), FAREWELL_MS);
  }

  #request(message: Message, type: string): void {
    const request = message.value as Record<string, unknown>;
    if (type === "ping" && this.#state !== "greeting") {
      this.#channel.send(`{"id":${request.id},"status":"success"}`);
    } else if (type === "cancel" && this.#state !== "greeting") {
      this.#cancel(request);
    } else if (this.#state === "greeting") {
      void this.#greet(message, request.id);
    } else {
      this.#queue.push(new Task(message, request));
      this.#pump();
    }
  }

  #response(message: Message): void {
    const { id, status, error } = message.value as Record<string, unknown>;
    if (id === null && status === "error") line("error", `the host could not read a message of this module: ${error}`);
    else this.#requests.answered(message);
  }

  /** Marks the request. One that waits still gets its answer in its order, which the host takes as proof. */
  #cancel(request: Record<string, unknown>): void {
    const { id } = (request.payload ?? {}) as { id?: unknown };
    const hasId = (task: Task) => task.id === id;
    [...this.#running].find(hasId)?.cancel();
    this.#queue.find(hasId)?.abort(new Fault("cancelled before the module began with it", { code: "cancelled" }));
    this.#channel.send(`{"id":${request.id},"status":"success"}`);
  }

  /** Reads `init`, gets the module ready, answers. */
  async #greet(message: Message, id: unknown): Promise<void> {
    this.#state = "starting";
    const module = this.#module;
    let description: string;
    try {
      const init = readInit(message, module.declared.config);
      this.#channel.limit(init.limits.frameBytesMax);
      this.#requests.max = init.limits.requestsMax;
      this.#onPanic = init.onPanic;
      module.begin(init);
      description = describe(module);
      this.#hasConcurrent = isConcurrent(module);
      tellUnsubscribed(module, init);
      await module.declared.init?.(init);
    } catch (thrown) {
      const { fault } = troubleOf(thrown, undefined);
      line("error", `${module.name} cannot start: ${fault.message}`);
      this.#channel.send(`{"id":${id},"status":${textOf(fault)}}`);
      this.#finish(fault.permanent ? EXIT_PERMANENT : EXIT_FAILURE);
      return;
    }
    if (this.#isOver()) return;
    this.#state = "ready";
    if (!this.#channel.send(`{"id":${id},"status":"success","data":${description}}`)) {
      line("error", `${module.name} cannot start: what it says of itself is longer than a frame`);
      this.#finish(EXIT_PERMANENT);
      return;
    }
    this.#pump();
  }

  /** Begins with what may begin. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    for (let task = this.#queue.first; task !== undefined && this.#mayBegin(task); task = this.#queue.first) {
      this.#queue.shift();
      this.#begin(task);
    }
    this.#isPumping = false;
  }

  #mayBegin(task: Task): boolean {
    if (this.#state !== "ready" || this.#ending !== undefined) return false;
    if (this.#channel.isCongested) {
      this.#continueWhenDrained();
      return false;
    }
    const { size } = this.#running;
    if (size === 0) return true;
    return !this.#isAlone && size < this.#module.declared.concurrentMax && this.#mayRunBeside(task);
  }

  #mayRunBeside(task: Task): boolean {
    return this.#hasConcurrent && mayRunBeside(this.#module.declared, task);
  }

  #continueWhenDrained(): void {
    if (this.#isDraining) return;
    this.#isDraining = true;
    this.#channel.drained(() => {
      this.#isDraining = false;
      this.#pump();
    });
  }

  #begin(task: Task): void {
    this.#isAlone = this.#running.size === 0 && !this.#mayRunBeside(task);
    this.#running.add(task);
    if (task.unwanted !== undefined) return this.#failed(task, task.unwanted);
    if (task.left === 0) return this.#failed(task, lateBeforeTheBeginning());
    let result: unknown;
    try {
      result = handle(this.#module.declared, task, new Context(task, this.#requests, this.#channel));
    } catch (thrown) {
      return this.#failed(task, thrown);
    }
    if (isThenable(result)) {
      result.then(
        (value) => this.#succeeded(task, value),
        (thrown: unknown) => this.#failed(task, thrown),
      );
    } else {
      this.#succeeded(task, result);
    }
  }

  #succeeded(task: Task, value: unknown): void {
    let data: string;
    try {
      data = write(value);
    } catch (error) {
      return this.#failed(
        task,
        error instanceof TypeError ? new TypeError(`the answer cannot be sent: ${error.message}`) : error,
      );
    }
    this.#answer(task, `"success","data":${data}`, task.kind === "shutdown" ? EXIT_OK : undefined);
  }

  #failed(task: Task, thrown: unknown): void {
    const { fault, isBug } = troubleOf(thrown, task.unwanted);
    if (task.kind === "event") line("error", `an event was not handled: ${fault.message}`);
    let code: number | undefined;
    if (fault.permanent) code = EXIT_PERMANENT;
    else if (isBug && this.#onPanic === "restart") code = EXIT_PANICKED;
    else if (task.kind === "shutdown") code = EXIT_FAILURE;
    this.#answer(task, textOf(fault), code);
  }

  /** Answers a request; with a code, the process ends as soon as nothing else is handled. */
  #answer(task: Task, outcome: string, code: number | undefined): void {
    task.finish();
    this.#running.delete(task);
    if (this.#isOver()) {
      if (this.#running.size === 0) this.#exit(this.#ending as number);
      return;
    }
    this.#ending ??= code ?? task.last;
    const isLast = this.#ending !== undefined && this.#running.size === 0;
    if (task.id !== undefined) {
      // Only with the last of them it is true that nothing else has begun.
      const end = isLast && task.kind !== "shutdown" ? ',"last":true}' : "}";
      if (!this.#channel.send(`{"id":${task.id},"status":${outcome}${end}`)) this.#tooLong(task.id, end);
    }
    if (isLast) this.#finish(this.#ending as number);
    else this.#pump();
  }

  #tooLong(id: number, end: string): void {
    const sentence = `the module's answer is too long: expected at most ${this.#channel.frameBytesMax} bytes`;
    this.#channel.send(`{"id":${id},"status":${textOf(new Fault(sentence, { code: "frame_too_large" }))}${end}`);
  }

  /** Ends the process when everything that was said has left it. */
  #finish(code: number): void {
    this.#state = "over";
    this.#ending = code;
    this.#channel.drained(() => {
      this.#channel.close();
      this.#exit(code);
    });
  }

  #isOver(): boolean {
    return this.#state === "over";
  }
}

/** The members of an error after its status, without the end. */
function textOf(fault: Fault): string {
  let members: string;
  try {
    members = write(fault.members());
  } catch (error) {
    members = write(new Fault(`${fault.message} (its data cannot be sent: ${(error as Error).message})`).members());
  }
  return `"error",${members.slice(1, -1)}`;
}

function lateBeforeTheBeginning(): Fault {
  return new Fault("the deadline passed before the module began with it", { code: "deadline_exceeded" });
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/** A handler that will never be called is a line of the log. */
function tellUnsubscribed(module: Module<Schema>, { capabilities }: Init): void {
  for (const { pattern } of module.declared.events) {
    const stem = pattern.endsWith("*") ? pattern.slice(0, -1) : pattern;
    const isGranted = capabilities.event_subscribe.some(
      (granted) => matches(granted, stem) || matches(pattern, granted.replace(/\*$/, "")),
    );
    if (!isGranted)
      line(
        "warn",
        `no event of ${JSON.stringify(pattern)} will come: its manifest would need it in event_subscribe under [capabilities]`,
      );
  }
}
