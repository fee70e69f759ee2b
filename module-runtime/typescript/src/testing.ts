/**
 * A module under test: `Harness.start` runs it in the test's own process and plays the host; what a real channel and a
 * real process do is not tried by it. `TestHost` runs it under the real host.
 */

import type { Channel, Receiver } from "./channel.ts";
import { Fault } from "./fault.ts";
import type { Event, Module } from "./module.ts";
import type { Schema } from "./schema/schema.ts";
import { write } from "./json/write.ts";
import { FRAME_BYTES_MAX_DEFAULT } from "./limits.ts";
import { Server } from "./serve.ts";

export {
  type AskedOfFake,
  type Call,
  type CallOptions,
  type FakeAnswer,
  type SeenEvent,
  type TestCommandOptions,
  TestHost,
  type TestHostOptions,
} from "./host-of-test.ts";

/** A message of the module: a request of its own. */
export interface Asked {
  readonly type: string;
  readonly to?: string;
  readonly payload: any;
  readonly of?: number;
  readonly [member: string]: unknown;
}

/** What the host answers to a request of the module: the data, or a `Fault` that is thrown. */
export type HostAnswers = (asked: Asked) => unknown;

export interface HarnessOptions {
  /** The manifest's `[config]`. */
  config?: unknown;
  /** A folder that the module may use. */
  dataDir?: string;
  /** What the host answers. Left out: it grants nothing. */
  hostAnswers?: HostAnswers;
}

/** How a request is sent to the module. */
export interface SendOptions {
  key?: string;
  deadlineMs?: number;
  /** Called with each progress. */
  onProgress?: (data: any) => void;
  /** Other members of the request, such as `traceparent`. */
  members?: Record<string, unknown>;
  /** Aborted, it is a cancel of the request. */
  signal?: AbortSignal;
}

/** A module that runs. */
export class Harness {
  /** The events that the module published, in their order. */
  readonly emitted: { event: string; data: any }[] = [];
  /** The requests that the module sent, in their order. */
  readonly asked: Asked[] = [];
  /** What the module said of itself. */
  description: any;
  /** The code with which its process would have ended. */
  exitCode: number | undefined;
  readonly #channel = new Line((text) => this.#take(text));
  readonly #open = new Map<
    number,
    { resolve(data: unknown): void; reject(fault: Fault): void; onProgress?: ((data: any) => void) | undefined }
  >();
  readonly #answers: HostAnswers;
  #next = 1;

  private constructor(answers: HostAnswers) {
    this.#answers = answers;
  }

  /**
   * Starts the module.
   *
   * @throws Fault with what it answers to `init`, where it cannot start.
   */
  static async start<C extends Schema>(module: Module<C>, options: HarnessOptions = {}): Promise<Harness> {
    const refuse: HostAnswers = () => {
      throw new Fault("the test says nothing of what the host answers", { code: "permission_denied" });
    };
    const harness = new Harness(options.hostAnswers ?? refuse);
    const end = (code: number) => {
      harness.exitCode ??= code;
      for (const open of harness.#open.values()) open.reject(new Fault(`the module ended with the exit code ${code}`));
    };
    new Server(module as unknown as Module<Schema>, harness.#channel, end).open();
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
  command(name: string, args?: unknown, options?: SendOptions): Promise<any> {
    return this.send("command", { name, args: args ?? null }, options);
  }

  /** Sends a query. */
  query(payload: unknown, options?: SendOptions): Promise<any> {
    return this.send("query", payload, options);
  }

  /** Sends a mutation. */
  mutation(payload: unknown, options?: SendOptions): Promise<any> {
    return this.send("mutation", payload, options);
  }

  /** Delivers an event. */
  event(event: string, data?: unknown, more: Partial<Event> = {}): Promise<any> {
    return this.send("event", { ...more, event, data: data ?? null });
  }

  /** Stops the module, and returns its exit code. */
  async shutdown(): Promise<number | undefined> {
    await this.send("shutdown", null);
    return this.exitCode;
  }

  /** Sends a request of any type. */
  send(type: string, payload: unknown, options: SendOptions = {}): Promise<any> {
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

  #receive(message: unknown): void {
    const text = write(message);
    // As over a real channel: never while the module is sending.
    setImmediate(() => this.#channel.receiver?.frame(text));
  }

  #take(text: string): void {
    const message = JSON.parse(text) as Record<string, any>;
    if (typeof message.type === "string") void this.#answer(message as unknown as Asked & { id?: number });
    else this.#answered(message);
  }

  #answered(message: Record<string, any>): void {
    const open = this.#open.get(message.id as number);
    if (message.status === "progress") return open?.onProgress?.(message.data);
    this.#open.delete(message.id as number);
    if (message.status === "success") open?.resolve(message.data ?? null);
    else open?.reject(Fault.of(message));
  }

  async #answer(asked: Asked & { id?: number }): Promise<void> {
    if (asked.type === "event") {
      this.emitted.push(asked.payload);
      return;
    }
    this.asked.push(asked);
    if (asked.type === "cancel") return;
    try {
      this.#receive({ id: asked.id, status: "success", data: (await this.#answers(asked)) ?? null });
    } catch (fault) {
      if (!(fault instanceof Fault)) throw fault;
      this.#receive({ id: asked.id, status: "error", ...fault.members(), code: fault.code });
    }
  }
}

/** A channel that hands over texts. */
class Line implements Channel {
  readonly isCongested = false;
  frameBytesMax = FRAME_BYTES_MAX_DEFAULT;
  receiver: Receiver | undefined;
  readonly #take: (text: string) => void;

  constructor(take: (text: string) => void) {
    this.#take = take;
  }

  open(receiver: Receiver): void {
    this.receiver = receiver;
  }

  limit(frameBytesMax: number): void {
    this.frameBytesMax = frameBytesMax;
  }

  send(text: string): boolean {
    if (Buffer.byteLength(text) > this.frameBytesMax) return false;
    this.#take(text);
    return true;
  }

  drained(then: () => void): void {
    then();
  }

  close(): void {
    this.receiver = undefined;
  }
}
