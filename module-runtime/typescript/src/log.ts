/** Log lines: one JSON object a line on standard error, which the host keeps with its level. */

/** How much a line matters. */
export type Level = "debug" | "info" | "warn" | "error";

/** Writes one line. One that cannot be written is lost, and no reason to fail. */
export function line(level: Level, message: string): void {
  try {
    process.stderr.write(`${JSON.stringify({ level, message: String(message) })}\n`);
  } catch {
    // There is no standard error any more.
  }
}

/** Lines of the module's log, each with its level. What is printed otherwise is log too, without one. */
export const log = {
  debug: (message: string): void => line("debug", message),
  info: (message: string): void => line("info", message),
  warn: (message: string): void => line("warn", message),
  error: (message: string): void => line("error", message),
};
