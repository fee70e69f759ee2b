/** One request of the host that a handler works on, or that waits for it: its time, its key, whether it is wanted. */

import { Fault } from "./fault.ts";
import { ANSWER_GRACE_MS, KEY_BYTES_MAX, TRACE_CHARACTERS_MAX } from "./limits.ts";
import type { Message } from "./schema/read.ts";

/** What is reported of the end of a task. */
type Listener = (fault: Fault) => void;

export class Task {
  readonly message: Message;
  /** The host's number; an event may have none. */
  readonly id: number | undefined;
  /** The type of the request. */
  readonly kind: string;
  readonly payload: unknown;
  readonly key: string | undefined;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  /** When its caller stops waiting, by `performance.now()`. */
  readonly deadline: number | undefined;
  /** Why it is not wanted any more. */
  unwanted: Fault | undefined;
  isAnswered = false;
  /** The code with which the process ends after its answer. */
  last: number | undefined;
  #controller: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #listeners: Set<Listener> | undefined;

  constructor(message: Message, request: Record<string, unknown>) {
    this.message = message;
    this.id = typeof request.id === "number" ? request.id : undefined;
    this.kind = String(request.type);
    this.payload = request.payload;
    this.key = short(request.key, KEY_BYTES_MAX);
    this.traceparent = short(request.traceparent, TRACE_CHARACTERS_MAX);
    this.tracestate = this.traceparent === undefined ? undefined : short(request.tracestate, TRACE_CHARACTERS_MAX);
    const left = request.deadline_ms;
    this.deadline = typeof left === "number" ? performance.now() + left : undefined;
  }

  /** The milliseconds that are left, 0 when they are over. */
  get left(): number | undefined {
    return this.deadline === undefined ? undefined : Math.max(0, this.deadline - performance.now());
  }

  /**
   * The milliseconds after which the handler is stopped without a word of the host. The host cancels at the
   * deadline, and its answer says more than the module's, as it knows how far the request got: it goes first.
   */
  get timeout(): number | undefined {
    return this.deadline === undefined ? undefined : Math.max(0, this.deadline + ANSWER_GRACE_MS - performance.now());
  }

  /** Why it need not be gone on with, if that is so. */
  get stop(): Fault | undefined {
    if (this.unwanted === undefined && this.timeout === 0) this.abort(lateWhileWorking());
    return this.unwanted;
  }

  /** The host says that it is not wanted any more, which it also does at the deadline. */
  cancel(): void {
    this.abort(this.left === 0 ? lateWhileWorking() : new Fault("the caller cancelled", { code: "cancelled" }));
  }

  /** Tells the handler that it need not go on. */
  abort(fault: Fault): void {
    if (this.unwanted !== undefined || this.isAnswered) return;
    this.unwanted = fault;
    clearTimeout(this.#timer);
    this.#controller?.abort(fault);
    for (const listener of [...(this.#listeners ?? [])]) listener(fault);
  }

  /** Calls back once when the task is not wanted any more. What is returned takes that back. */
  onAbort(listener: Listener): () => void {
    this.#listeners ??= new Set();
    this.#listeners.add(listener);
    return () => this.#listeners?.delete(listener);
  }

  /** Made when it is asked for: most handlers never do, and it costs more than a short request. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      const { timeout } = this;
      if (this.unwanted !== undefined) {
        this.#controller.abort(this.unwanted);
      } else if (timeout !== undefined && !this.isAnswered) {
        this.#timer = setTimeout(() => this.abort(lateWhileWorking()), timeout);
      }
    }
    return this.#controller.signal;
  }

  /** Nothing of it is waited for any more. */
  finish(): void {
    this.isAnswered = true;
    clearTimeout(this.#timer);
  }
}

function lateWhileWorking(): Fault {
  return new Fault("the deadline passed while the module worked on it", { code: "deadline_exceeded" });
}

function short(value: unknown, charactersMax: number): string | undefined {
  return typeof value === "string" && value.length <= charactersMax ? value : undefined;
}
