/** The error with which a request is answered, and the one that an answer of another brings. */

import { ERROR_TEXT_BYTES_MAX } from "./limits.ts";

/** The codes of PROTOCOL.md with which a module may answer, and whether the same request may succeed later. */
const CODES = new Map([
  ["bad_request", false],
  ["unknown_type", false],
  ["unknown_command", false],
  ["module_error", false],
  ["deadline_exceeded", true],
  ["cancelled", false],
  ["overloaded", true],
  ["frame_too_large", false],
  ["permission_denied", false],
  ["not_found", false],
  ["conflict", false],
]);

/** The codes that only the host answers with. */
const HOST_CODES = new Map([
  ["unknown_module", false],
  ["module_crashed", true],
  ["module_unavailable", true],
  ["protocol_error", false],
  ["quarantined", false],
  ["internal", true],
]);

/** How far a failed request got. */
export type Delivery = "not_started" | "started" | "unknown";

export interface FaultOptions {
  /**
   * One of the wire's codes (`not_found`, `conflict`, `permission_denied`, …), or one of the module's own, such
   * as `out_of_stock`, which callers see as `module_code` beside `module_error`. Left out: `module_error`.
   */
  code?: string;
  /** Details for programs: JSON. */
  data?: unknown;
  /** Whether the same request may succeed later. Left out: as the code says. */
  retryable?: boolean;
  /** The process ends after the answer, and is not started again until a person changes something. */
  permanent?: boolean;
  /** What caused it. It is not sent. */
  cause?: unknown;
}

/**
 * Why a request failed, for the one who sent it.
 *
 * A handler that throws it answers its request with it, and the module goes on. Anything else that is thrown
 * means that the handler has a bug: that is answered as well, and then the process ends.
 *
 * One that `ctx.call` and its like throw is what the host answered: it also has `delivery`, `exit` and
 * `stderr`. If it is not caught, it is passed on with its sentence.
 */
export class Fault extends Error {
  /** The code on the wire. */
  readonly code: string;
  /** The module's own code, beside `module_error`. */
  readonly moduleCode: string | undefined;
  /** Details for programs. */
  readonly data: unknown;
  /** Whether trying again would be in vain until a person changes something. */
  readonly permanent: boolean;
  /** How far the request got, where the host said so. */
  readonly delivery: Delivery | undefined;
  /** How the other module's process ended, for a crash. */
  readonly exit: { code?: number; signal?: string } | undefined;
  /** The last lines of the other module's standard error, for a crash. */
  readonly stderr: readonly string[];
  readonly #retryable: boolean | undefined;

  /** @param sentence For a person; lower case, no final period. */
  constructor(sentence: string, options: FaultOptions = {}, from: Answered = {}) {
    super(sentence, options.cause === undefined ? undefined : { cause: options.cause });
    const code = options.code ?? "module_error";
    const isKnown = CODES.has(code) || HOST_CODES.has(code);
    this.code = isKnown ? code : "module_error";
    this.moduleCode = from.moduleCode ?? (isKnown ? undefined : code);
    this.data = options.data;
    this.permanent = options.permanent ?? false;
    this.#retryable = options.retryable;
    this.delivery = from.delivery;
    this.exit = from.exit;
    this.stderr = from.stderr ?? [];
  }

  override get name(): string {
    return "Fault";
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return this.#retryable ?? CODES.get(this.code) ?? HOST_CODES.get(this.code) ?? false;
  }

  /** Whether it has this code, of the wire or a module's own. */
  is(code: string): boolean {
    return this.code === code || this.moduleCode === code;
  }

  /**
   * The members of an answer. A module speaks for itself: what another answered keeps its sentence, but not a
   * code, a crash or a delivery that is not this module's.
   */
  members(): Record<string, unknown> {
    const members: Record<string, unknown> = { error: cutBytes(this.message), code: this.code };
    if (HOST_CODES.has(this.code)) {
      members.code = "module_error";
      members.module_code = this.moduleCode ?? this.code;
    } else if (this.moduleCode !== undefined) {
      members.module_code = this.moduleCode;
    }
    if (this.#retryable !== undefined) members.retryable = this.#retryable;
    if (this.data !== undefined) members.data = this.data;
    return members;
  }

  /** The error that a response of the host brings. */
  static of(response: Record<string, unknown>): Fault {
    const sentence = textOf(response.error) ?? "the answer is an error without a sentence";
    const { code, retryable, exit, stderr } = response;
    const options: FaultOptions = { code: textOf(code) ?? "module_error", data: response.data ?? undefined };
    // Where it is passed on, a code that only the host has is not, and with that what the code says.
    const fallback = HOST_CODES.get(options.code as string);
    if (typeof retryable === "boolean") options.retryable = retryable;
    else if (fallback !== undefined) options.retryable = fallback;
    return new Fault(sentence, options, {
      moduleCode: textOf(response.module_code),
      delivery: textOf(response.delivery) as Delivery | undefined,
      exit: typeof exit === "object" && exit !== null ? exit : undefined,
      stderr: Array.isArray(stderr) ? stderr.filter((line) => typeof line === "string") : undefined,
    });
  }
}

/** What only an answer of the host has. */
interface Answered {
  moduleCode?: string | undefined;
  delivery?: Delivery | undefined;
  exit?: { code?: number; signal?: string } | undefined;
  stderr?: string[] | undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function cutBytes(sentence: string): string {
  if (sentence.length * 3 <= ERROR_TEXT_BYTES_MAX) return sentence;
  const bytes = Buffer.from(sentence);
  if (bytes.length <= ERROR_TEXT_BYTES_MAX) return sentence;
  let end = ERROR_TEXT_BYTES_MAX;
  // Not in the middle of a character.
  while (((bytes[end] as number) & 0xc0) === 0x80) end -= 1;
  return bytes.toString("utf8", 0, end);
}
