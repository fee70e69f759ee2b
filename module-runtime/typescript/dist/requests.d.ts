/** The module's own requests: their numbers, their answers, and how many may be open. */
import type { Channel } from "./channel.ts";
import { Fault } from "./fault.ts";
import type { Message } from "./schema/read.ts";
import type { Task } from "./task.ts";
/** What is asked. */
export interface Ask {
    readonly type: "command" | "query" | "mutation";
    readonly to: string | undefined;
    /** The payload as JSON. */
    readonly payload: string;
    readonly timeoutMs: number | undefined;
    readonly key: string | undefined;
    readonly onProgress: ((data: unknown) => void) | undefined;
}
export declare class Requests {
    #private;
    /** How many may be unanswered; more of them wait here. */
    max: number;
    constructor(channel: Channel);
    /** Sends a request in the handling of a task, and waits for its answer, at most until the task's deadline. */
    ask(task: Task, ask: Ask): Promise<Message>;
    /** Takes a response of the host. */
    answered(message: Message): void;
    /** From now on nothing is answered. */
    end(fault: Fault): void;
    /** Sends an event, which is not answered. */
    publish(task: Task, payload: string): void;
}
