/** Log lines: one JSON object a line on standard error, which the host keeps with its level. */
/** How much a line matters. */
export type Level = "debug" | "info" | "warn" | "error";
/** Writes one line. One that cannot be written is lost, and no reason to fail. */
export declare function line(level: Level, message: string): void;
/** Lines of the module's log, each with its level. What is printed otherwise is log too, without one. */
export declare const log: {
    debug: (message: string) => void;
    info: (message: string) => void;
    warn: (message: string) => void;
    error: (message: string) => void;
};
