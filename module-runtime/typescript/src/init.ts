/** The first message of the host: what a module gets before it starts. */

import { Fault } from "./fault.ts";
import { FRAME_BYTES_MAX_HIGHEST, PROTOCOL_VERSION } from "./limits.ts";
import { type Message, readPart } from "./schema/read.ts";
import type { Schema } from "./schema/schema.ts";

/** What the manifest grants. */
export interface Capabilities {
  readonly event_subscribe: readonly string[];
  readonly event_emit: readonly string[];
  readonly call: readonly string[];
  readonly entity_read?: readonly string[];
  readonly entity_create?: readonly string[];
  readonly entity_write?: readonly string[];
  readonly entity_delete?: readonly string[];
}

/** What a module gets; `C` is the type of its configuration. */
export interface Init<C = unknown> {
  /** The module's name in this host. */
  readonly module: string;
  /** This process's name among all that the host has started for the module. */
  readonly instance: string;
  /** The manifest's `[config]`. */
  readonly config: C;
  /** A folder of the module's own, which outlives the process. */
  readonly dataDir: string;
  readonly limits: { readonly frameBytesMax: number; readonly window: number; readonly requestsMax: number };
  readonly capabilities: Capabilities;
  /** What follows an exception that is no `Fault`, once the request was answered. */
  readonly onPanic: "restart" | "continue";
}

/**
 * Reads the first message.
 *
 * @throws Fault for another message, another version of the wire, or a configuration that does not fit.
 */
export function readInit<C>(message: Message, config: Schema<C>): Init<C> {
  const request = message.value as { type?: unknown; payload?: unknown };
  if (request.type !== "init") {
    throw new Fault(`expected "init" first, found ${JSON.stringify(request.type)}`, { code: "bad_request" });
  }
  const payload = objectOf(request.payload, "the payload of init");
  // The version first: of another one, everything else may look different.
  if (payload.protocol !== PROTOCOL_VERSION) {
    const sentence = `this module speaks version ${PROTOCOL_VERSION} of the wire, the host speaks ${JSON.stringify(payload.protocol)}`;
    throw new Fault(sentence, { code: "bad_request", permanent: true });
  }
  const limits = objectOf(payload.limits, "the limits of init");
  return {
    module: String(payload.module),
    instance: String(payload.instance),
    dataDir: String(payload.data_dir),
    limits: {
      frameBytesMax: countOf(limits.frame_bytes_max, "limits.frame_bytes_max", FRAME_BYTES_MAX_HIGHEST),
      window: countOf(limits.window, "limits.window", Number.MAX_SAFE_INTEGER),
      requestsMax: countOf(limits.requests_max, "limits.requests_max", Number.MAX_SAFE_INTEGER),
    },
    capabilities: {
      event_subscribe: [],
      event_emit: [],
      call: [],
      ...(payload.capabilities as Partial<Capabilities> | undefined),
    },
    onPanic: payload.on_panic === "continue" ? "continue" : "restart",
    config: readConfig(message, payload.config, config),
  };
}

/** The manifest stays as it is until a person changes it, so a fault in it is permanent. */
function readConfig<C>(message: Message, value: unknown, schema: Schema<C>): C {
  try {
    return readPart(schema, message, value ?? {}, {
      way: ["payload", "config"],
      called: "key",
      absent: "{}",
      whole: "an object of keys",
      before: "[config]: ",
    });
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    throw new Fault(fault.message, { code: "bad_request", data: fault.data, permanent: true });
  }
}

function objectOf(value: unknown, what: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new Fault(`expected an object as ${what}, found ${JSON.stringify(value)}`, { code: "bad_request" });
}

function countOf(value: unknown, what: string, max: number): number {
  if (Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= max) return value as number;
  throw new Fault(`expected a number of 1 to ${max} as ${what} of init, found ${JSON.stringify(value)}`, {
    code: "bad_request",
  });
}
