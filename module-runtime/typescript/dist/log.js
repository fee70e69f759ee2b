/** Log lines: one JSON object a line on standard error, which the host keeps with its level. */
/** Writes one line. One that cannot be written is lost, and no reason to fail. */
export function line(level, message) {
    try {
        process.stderr.write(`${JSON.stringify({ level, message: String(message) })}\n`);
    }
    catch {
        // There is no standard error any more.
    }
}
/** Lines of the module's log, each with its level. What is printed otherwise is log too, without one. */
export const log = {
    debug: (message) => line("debug", message),
    info: (message) => line("info", message),
    warn: (message) => line("warn", message),
    error: (message) => line("error", message),
};
