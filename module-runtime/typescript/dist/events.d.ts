/** Names of events, and the patterns that choose among them. */
/** @throws Fault `bad_request` for a text that is no name of an event. */
export declare function checkEventName(name: string): void;
/** @throws Fault `bad_request` for a text that is no pattern: a name, or the beginning of one with `*` after it. */
export declare function checkPattern(pattern: string): void;
/** Whether the pattern chooses the name. */
export declare function matches(pattern: string, name: string): boolean;
