/** The sentences in which values are refused. They are a contract: SDKs for other languages have the same. */
import type { Node } from "../json/tree.ts";
type Form = "twice" | "unknown" | "missing" | "wrong";
/** What a member is called in a sentence. */
export type Called = "argument" | "key" | "member";
/** Why a value does not fit, and at which place inside of what was given. */
export declare class Refusal {
    readonly form: Form;
    readonly expected: string;
    readonly found: string;
    /** Whether it is of the right type, and would be changed. */
    readonly inexact: boolean;
    /** The way to the place, the innermost step first. */
    readonly way: (string | number)[];
    constructor(form: Form, expected: string, found: string, inexact?: boolean);
    /** The same refusal, seen from one step further out. */
    inside(place: string | number): this;
    /** Where it is, with dots between the steps. */
    get path(): string;
    /** For a person. `whole` is what all of it was expected to be. */
    sentence(called: Called, whole?: string): string;
}
/** A value of another type. */
export declare function wrong(words: readonly string[], node: Node): Refusal;
/** A number that would change. */
export declare function inexact(node: Node): Refusal;
/** Lists and objects within each other without an end. */
export declare function tooDeep(): Refusal;
/** A member that is required. */
export declare function missing(name: string, words: readonly string[]): Refusal;
/** A member that there is not. */
export declare function unknown(name: string, known: readonly string[]): Refusal;
/** A member that is there twice. */
export declare function twice(name: string): Refusal;
/** `a text, an integer or null`. */
export declare function alternatives(words: readonly string[]): string;
export {};
