/**
 * Reads what came as a type says: from the values where nothing is lost by it, else from the text, which also
 * says why something is refused.
 */
import { type Called } from "./refusal.ts";
import { type Schema } from "./schema.ts";
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
export declare function readPart<T>(schema: Schema<T>, message: Message, value: unknown, part: Part): T;
/** Whether the value of a message has all that its text has. */
export declare function isWhole(message: Message): boolean;
