/**
 * Frames: a length of four bytes, most significant first, then that many bytes of JSON text. What the text
 * says is not known here.
 */

import { isUtf8 } from "node:buffer";
import { FRAME_BYTES_MIN, LENGTH_PREFIX_BYTES, QUOTE_BYTES_MAX } from "./limits.ts";
import { quoteText } from "./quote.ts";

/** The bytes that came are no frames. Nothing after that can be read. */
export class FrameFault extends Error {}

/** Cuts a stream of bytes into frames. A length is checked before a byte is allocated for it. */
export class Decoder {
  /** The longest frame that is accepted. */
  frameBytesMax: number;
  /** The beginning of a frame that is not whole yet: its prefix, or all of it with `#have` bytes there. */
  #held: Buffer | null = null;
  #have = 0;

  constructor(frameBytesMax: number) {
    this.frameBytesMax = frameBytesMax;
  }

  /**
   * Gives each frame that is whole with these bytes to `take`, in their order. The bytes are not kept, so
   * their buffer may be used again.
   *
   * @throws FrameFault where the bytes are no frames.
   */
  feed(data: Buffer, take: (text: string) => void): void {
    let at = this.#held === null ? 0 : this.#complete(data, take);
    while (data.length - at >= LENGTH_PREFIX_BYTES) {
      const begin = at + LENGTH_PREFIX_BYTES;
      const length = this.#length(data, at);
      if (data.length - begin < length) {
        this.#hold(LENGTH_PREFIX_BYTES + length, data, at);
        return;
      }
      at = begin + length;
      take(textOf(data, begin, at));
    }
    if (at < data.length) this.#hold(LENGTH_PREFIX_BYTES, data, at);
  }

  /**
   * Looks whether the stream may end here.
   *
   * @throws FrameFault where it may not: an end inside a frame is no end.
   */
  finish(): void {
    if (this.#held === null) return;
    throw new FrameFault(`the stream ended inside a frame: expected ${this.#held.length} bytes, found ${this.#have}`);
  }

  #hold(wanted: number, data: Buffer, at: number): void {
    this.#held = Buffer.allocUnsafe(wanted);
    this.#have = data.copy(this.#held, 0, at);
  }

  /** Adds to what is held, up to the end of its frame; returns how many bytes that took. */
  #complete(data: Buffer, take: (text: string) => void): number {
    let at = 0;
    for (;;) {
      const held = this.#held as Buffer;
      const copied = data.copy(held, this.#have, at);
      this.#have += copied;
      at += copied;
      if (this.#have < held.length) return at;
      if (held.length === LENGTH_PREFIX_BYTES) {
        this.#hold(LENGTH_PREFIX_BYTES + this.#length(held, 0, data.subarray(at)), held, 0);
        continue;
      }
      this.#held = null;
      take(textOf(held, LENGTH_PREFIX_BYTES, held.length));
      return at;
    }
  }

  /** The length at this place, which is one of a frame. */
  #length(data: Buffer, at: number, rest?: Buffer): number {
    const length = data.readUInt32BE(at);
    if (length < FRAME_BYTES_MIN) {
      throw new FrameFault(`expected a frame of at least 2 bytes, found a length of ${length}`);
    }
    if (length <= this.frameBytesMax) return length;
    const prefix = data.subarray(at, at + LENGTH_PREFIX_BYTES);
    if (
      prefix.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 9 || byte === 10 || byte === 13 || byte === 27)
    ) {
      const found = rest === undefined ? data.subarray(at) : Buffer.concat([prefix, rest.subarray(0, QUOTE_BYTES_MAX)]);
      throw new FrameFault(
        `expected a 4-byte length, found text: ${quoteText(found.toString("utf8", 0, QUOTE_BYTES_MAX))}`,
      );
    }
    throw new FrameFault(`expected a frame of at most ${this.frameBytesMax} bytes, found a length of ${length}`);
  }
}

/** The text of a frame. The character that stands for what is no UTF-8 may also have been sent. */
function textOf(data: Buffer, begin: number, end: number): string {
  const text = data.toString("utf8", begin, end);
  if (text.includes("\ufffd") && !isUtf8(data.subarray(begin, end))) {
    throw new FrameFault("expected a frame in UTF-8, found other bytes in it");
  }
  return text;
}
