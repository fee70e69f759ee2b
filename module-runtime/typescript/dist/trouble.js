/** What a handler threw, as the answer to its request. */
import { Fault } from "./fault.js";
import { line } from "./log.js";
/**
 * A `Fault` is the answer; a file or a socket that fails is the module's own trouble; anything else is a bug,
 * of which the position is shown to people. `unwanted` is why the handler was asked to stop, if it was.
 */
export function troubleOf(thrown, unwanted) {
    if (thrown instanceof Fault)
        return { fault: thrown, isBug: false };
    if (unwanted !== undefined && isAbort(thrown))
        return { fault: unwanted, isBug: false };
    const system = systemError(thrown);
    if (system !== undefined)
        return { fault: new Fault(system), isBug: false };
    if (thrown instanceof Error && typeof thrown.stack === "string")
        process.stderr.write(`${ownLines(thrown.stack)}\n`);
    else
        line("error", `a handler threw what is no error: ${String(thrown)}`);
    return { fault: new Fault(sentenceOf(thrown)), isBug: true };
}
function isAbort(thrown) {
    return thrown instanceof Error && (thrown.name === "AbortError" || thrown.name === "TimeoutError");
}
/** The sentence of an error of the operating system, also of one in the causes of another. */
function systemError(thrown) {
    let error = thrown;
    for (let depth = 0; depth < 8 && error instanceof Error; depth += 1) {
        const { syscall, code } = error;
        if (typeof syscall === "string" && typeof code === "string")
            return error.message;
        error = error.cause;
    }
    return undefined;
}
function sentenceOf(thrown) {
    if (!(thrown instanceof Error))
        return `the handler threw ${String(thrown)}`;
    const place = placeOf(thrown.stack ?? "");
    return `${thrown.name}: ${thrown.message}${place === undefined ? "" : ` (${place})`}`;
}
/** Where the files of this SDK are. */
const HERE = new URL(".", import.meta.url).href;
/** The first place in a stack that is in a file of the module's, without its folders. */
function placeOf(stack) {
    const frame = ownLines(stack)
        .split("\n")
        .find((found) => /^\s+at /.test(found) && !found.includes("node:"));
    return /([^/\\(\s]+:\d+:\d+)\)?$/.exec(frame ?? "")?.[1];
}
/** A stack without the files of this SDK, of which each has the same. */
function ownLines(stack) {
    return stack
        .split("\n")
        .filter((found) => !found.includes(HERE))
        .join("\n");
}
