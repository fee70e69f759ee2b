/**
 * Bytes to and from the host over open descriptors. What travels is not known here, nor how the descriptors
 * are found.
 */
import fs from "node:fs";
import net from "node:net";
import { Decoder } from "./frames.js";
import { FRAME_BYTES_MAX_DEFAULT, LENGTH_PREFIX_BYTES, READ_BYTES, REWRITE_BYTES_MAX, WRITE_BYTES } from "./limits.js";
/** The ends of a stream that is not there any more, which is what a host that is gone looks like. */
const GONE = new Set(["EPIPE", "ECONNRESET"]);
/** A channel over descriptors: the same one twice for a socket, two for pipes. */
export class DescriptorChannel {
    frameBytesMax = FRAME_BYTES_MAX_DEFAULT;
    #input;
    #output;
    #decoder = new Decoder(FRAME_BYTES_MAX_DEFAULT + REWRITE_BYTES_MAX);
    #scratch = Buffer.allocUnsafeSlow(WRITE_BYTES);
    #reader;
    #writer;
    #receiver;
    #hasEnded = false;
    /** Writes that the kernel had no room for. */
    #waiting = 0;
    #drains = [];
    constructor(input, output) {
        this.#input = input;
        this.#output = output;
    }
    open(receiver) {
        this.#receiver = receiver;
        const isSocket = this.#input === this.#output;
        const take = (text) => receiver.frame(text);
        const onread = {
            buffer: Buffer.allocUnsafeSlow(READ_BYTES),
            callback: (count, buffer) => {
                this.#received(buffer, count, take);
                return !this.#hasEnded;
            },
        };
        const reader = new net.Socket({
            fd: this.#input,
            readable: true,
            writable: isSocket,
            onread,
        });
        const writer = isSocket ? reader : new net.Socket({ fd: this.#output, readable: false, writable: true });
        this.#reader = reader;
        this.#writer = writer;
        for (const socket of new Set([reader, writer])) {
            socket.on("error", (error) => this.#fail(error));
        }
        reader.on("end", () => this.#finish());
        reader.resume();
    }
    limit(frameBytesMax) {
        this.frameBytesMax = frameBytesMax;
        this.#decoder.frameBytesMax = frameBytesMax + REWRITE_BYTES_MAX;
    }
    send(text) {
        // A character of a string has at most three bytes in UTF-8.
        const isShort = text.length * 3 + LENGTH_PREFIX_BYTES <= this.#scratch.length;
        const length = isShort ? 0 : Buffer.byteLength(text);
        if (length > this.frameBytesMax)
            return false;
        const frame = isShort ? this.#scratch : Buffer.allocUnsafe(LENGTH_PREFIX_BYTES + length);
        const end = LENGTH_PREFIX_BYTES + frame.write(text, LENGTH_PREFIX_BYTES);
        frame.writeUInt32BE(end - LENGTH_PREFIX_BYTES, 0);
        this.#write(frame, end);
        return true;
    }
    get isCongested() {
        return this.#waiting > 0;
    }
    drained(then) {
        if (this.#waiting === 0 || this.#hasEnded)
            then();
        else
            this.#drains.push(then);
    }
    close() {
        this.#hasEnded = true;
        this.#reader?.destroy();
        this.#writer?.destroy();
    }
    /** Writes at once what the kernel takes, so that an answer has left before the next request begins. */
    #write(frame, end) {
        if (this.#hasEnded)
            return;
        let at = 0;
        if (this.#waiting === 0) {
            try {
                while (at < end)
                    at += fs.writeSync(this.#output, frame, at, end - at);
                return;
            }
            catch (error) {
                if (error.code !== "EAGAIN") {
                    this.#fail(error);
                    return;
                }
            }
        }
        this.#waiting += 1;
        this.#writer?.write(Buffer.from(frame.subarray(at, end)), () => {
            this.#waiting -= 1;
            if (this.#waiting === 0)
                this.#release();
        });
    }
    #received(buffer, count, take) {
        if (this.#hasEnded)
            return;
        try {
            this.#decoder.feed(buffer.subarray(0, count), take);
        }
        catch (error) {
            this.#end(messageOf(error));
        }
    }
    #finish() {
        try {
            this.#decoder.finish();
            this.#end();
        }
        catch (error) {
            this.#end(messageOf(error));
        }
    }
    #fail(error) {
        this.#end(GONE.has(error.code ?? "") ? undefined : `the channel to the host failed: ${error.message}`);
    }
    #end(reason) {
        if (this.#hasEnded)
            return;
        this.#hasEnded = true;
        this.#release();
        this.#receiver?.end(reason);
    }
    #release() {
        const drains = this.#drains;
        this.#drains = [];
        for (const then of drains)
            then();
    }
}
function messageOf(error) {
    return error instanceof Error ? error.message : String(error);
}
