/**
 * Bytes to and from the host over open descriptors. What travels is not known here, nor how the descriptors
 * are found.
 */
/** What comes over a channel. */
export interface Receiver {
    /** The text of one frame. */
    frame(text: string): void;
    /** Nothing more comes. A reason says what is broken; without one, the host closed the channel. */
    end(reason?: string): void;
}
/** A way to the host. */
export interface Channel {
    /** Begins to receive. */
    open(receiver: Receiver): void;
    /** From now on frames may have so many bytes, and so many more as the host may add. */
    limit(frameBytesMax: number): void;
    /** The longest frame that is sent. */
    readonly frameBytesMax: number;
    /** Sends one frame; `false` if it is longer than a frame may be, and nothing was sent. */
    send(text: string): boolean;
    /** Whether something that was sent has not left this process yet. */
    readonly isCongested: boolean;
    /** Calls back when everything has left, or never can. */
    drained(then: () => void): void;
    /** Ends the channel. */
    close(): void;
}
/** A channel over descriptors: the same one twice for a socket, two for pipes. */
export declare class DescriptorChannel implements Channel {
    #private;
    frameBytesMax: number;
    constructor(input: number, output: number);
    open(receiver: Receiver): void;
    limit(frameBytesMax: number): void;
    send(text: string): boolean;
    get isCongested(): boolean;
    drained(then: () => void): void;
    close(): void;
}
