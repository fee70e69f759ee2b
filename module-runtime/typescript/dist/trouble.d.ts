/** What a handler threw, as the answer to its request. */
import { Fault } from "./fault.ts";
/** An answer, and whether the state of the process is in doubt after it. */
export interface Trouble {
    readonly fault: Fault;
    readonly isBug: boolean;
}
/**
 * A `Fault` is the answer; a file or a socket that fails is the module's own trouble; anything else is a bug,
 * of which the position is shown to people. `unwanted` is why the handler was asked to stop, if it was.
 */
export declare function troubleOf(thrown: unknown, unwanted: Fault | undefined): Trouble;
