/**
 * The text of a value that is sent. `Raw`, `NumberText` and `bigint` keep their digits; a number that JSON does
 * not have is refused and does not become `null`.
 */

import { LEVELS_SENT_MAX } from "../limits.ts";
import { met, NumberText, Raw } from "./raw.ts";

/**
 * The text of a value; `undefined` is `null`.
 *
 * @throws TypeError for what JSON does not have, with the place of it.
 */
export function write(value: unknown): string {
  if (value === undefined || value === null) return "null";
  if (value instanceof Raw) return value.text;
  met.special = false;
  let text: string | undefined;
  try {
    text = JSON.stringify(value) as string | undefined;
  } catch (error) {
    // A bigint, a circle, or a depth that the stack does not hold: the other way knows which, and where.
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    return writeExactly(value);
  }
  // What JSON has no number for was written as null.
  const isPlain = !met.special && text !== undefined && !text.includes("null");
  return isPlain ? (text as string) : writeExactly(value);
}

function writeExactly(value: unknown): string {
  return part(value, "", []) ?? "null";
}

/** The text of a part, or `undefined` where a member is left out, as by `JSON.stringify`. */
function part(value: unknown, name: string, around: unknown[]): string | undefined {
  if (value instanceof Raw || value instanceof NumberText) return value.text;
  const given = hasToJson(value) ? value.toJSON(name) : value;
  switch (typeof given) {
    case "bigint":
      return given.toString();
    case "number":
      if (!Number.isFinite(given)) throw new TypeError(`${where(name)}expected a number that JSON has, found ${given}`);
      return String(given === 0 ? 0 : given);
    case "string":
    case "boolean":
      return JSON.stringify(given);
    case "object":
      return given === null ? "null" : container(given, name, around);
    default:
      return undefined;
  }
}

function container(value: object, name: string, around: unknown[]): string | undefined {
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return JSON.stringify(value);
  if (around.includes(value))
    throw new TypeError(`${where(name)}expected JSON, found a value that is a part of itself`);
  if (around.length >= LEVELS_SENT_MAX) {
    throw new TypeError(`${where(name)}expected at most ${LEVELS_SENT_MAX} levels of lists and objects, found more`);
  }
  around.push(value);
  const parts: string[] = [];
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length; at += 1) parts.push(part(value[at], String(at), around) ?? "null");
  } else {
    for (const [key, member] of Object.entries(value)) {
      const text = part(member, key, around);
      if (text !== undefined) parts.push(`${JSON.stringify(key)}:${text}`);
    }
  }
  around.pop();
  return Array.isArray(value) ? `[${parts.join(",")}]` : `{${parts.join(",")}}`;
}

function hasToJson(value: unknown): value is { toJSON(name: string): unknown } {
  return typeof value === "object" && value !== null && typeof (value as { toJSON?: unknown }).toJSON === "function";
}

function where(name: string): string {
  return name === "" ? "" : `${JSON.stringify(name)}: `;
}
