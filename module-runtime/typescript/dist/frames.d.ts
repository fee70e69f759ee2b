/**
 * Frames: a length of four bytes, most significant first, then that many bytes of JSON text. What the text
 * says is not known here.
 */
/** The bytes that came are no frames. Nothing after that can be read. */
export declare class FrameFault extends Error {
}
/** Cuts a stream of bytes into frames. A length is checked before a byte is allocated for it. */
export declare class Decoder {
    #private;
    /** The longest frame that is accepted. */
    frameBytesMax: number;
    constructor(frameBytesMax: number);
    /**
     * Gives each frame that is whole with these bytes to `take`, in their order. The bytes are not kept, so
     * their buffer may be used again.
     *
     * @throws FrameFault where the bytes are no frames.
     */
    feed(data: Buffer, take: (text: string) => void): void;
    /**
     * Looks whether the stream may end here.
     *
     * @throws FrameFault where it may not: an end inside a frame is no end.
     */
    finish(): void;
}
