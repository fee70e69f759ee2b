/**
 * Reads what came as a type says: from the values where nothing is lost by it, else from the text, which also
 * says why something is refused.
 */

import { Fault } from "../fault.ts";
import { look, membersOf } from "../json/scan.ts";
import { memberOf, type Node, parseTree } from "../json/tree.ts";
import { LEVELS_MAX } from "../limits.ts";
import { type Called, Refusal, tooDeep } from "./refusal.ts";
import { NO, type Schema } from "./schema.ts";
import { exactInside, Known } from "./structures.ts";

/** A message as it came: its text, and the value that `JSON.parse` made of it. */
export interface Message {
  readonly text: string;
  readonly value: unknown;
}

/** Which part of a message is read, and what it is called towards people. */
export interface Part {
  /** The names of the members that lead to it. */
  readonly way: readonly string[];
  readonly called: Called;
  /** What stands there for a part that is absent or, where that means the same, null. */
  readonly absent: string;
  /** What all of it is expected to be, where that is not said by the type. */
  readonly whole?: string;
  /** What a sentence begins with. */
  readonly before?: string;
}

/**
 * What a handler gets of a part of a message.
 *
 * @throws Fault `bad_request` with a sentence and the place, for one that does not fit.
 */
export function readPart<T>(schema: Schema<T>, message: Message, value: unknown, part: Part): T {
  if (!schema.needsText && isWhole(message)) {
    const read = schema.quick(value);
    if (read !== NO) return read as T;
  }
  let node: Node | undefined = parseTree(message.text);
  for (const name of part.way) node = memberOf(node, name);
  if (node === undefined || node.kind === "null")
    node = node !== undefined && part.absent === "null" ? node : parseTree(part.absent);
  try {
    return readRoot(schema, node);
  } catch (fault) {
    if (!(fault instanceof Refusal)) throw fault;
    const isObject = schema instanceof Known;
    const sentence = (part.before ?? "") + fault.sentence(part.called, isObject ? part.whole : undefined);
    throw new Fault(sentence, { code: "bad_request", data: { at: fault.path.slice(0, PATH_UNITS_MAX) } });
  }
}

/** Of the place in the data of a refusal. */
const PATH_UNITS_MAX = 1024;

/** Whether the value of a message has all that its text has. */
export function isWhole(message: Message): boolean {
  const { members, levels, kept } = look(message.text);
  return kept && levels <= LEVELS_MAX && members === membersOf(message.value);
}

/** Reads all that was given. How deep it is counts for each member alone. */
function readRoot<T>(schema: Schema<T>, node: Node): T {
  if (schema instanceof Known) return schema.exactWith(node, readShallow) as T;
  if (!schema.isRaw && node.levels > LEVELS_MAX) throw tooDeep();
  return schema.exact(node);
}

function readShallow<T>(schema: Schema<T>, node: Node, place: string | number): T {
  if (!schema.isRaw && node.levels > LEVELS_MAX) throw tooDeep().inside(place);
  return exactInside(schema, node, place);
}
