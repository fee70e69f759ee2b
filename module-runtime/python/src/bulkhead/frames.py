"""Frames: a length of four bytes, most significant first, then that many bytes. What the bytes say is not
known here."""

from typing import List, Optional

from .limits import LENGTH_PREFIX_BYTES, QUOTE_BYTES_MAX

_TEXT = frozenset(range(0x20, 0x7F)) | {0x09, 0x0A, 0x0D, 0x1B}


class Decoder:
    """Cuts a stream of bytes into frames. Memory grows with what has arrived, never with what a length says."""

    def __init__(self, frame_bytes_max: int) -> None:
        #: The longest frame that is accepted.
        self.frame_bytes_max = frame_bytes_max
        #: Why the stream is none of frames. Nothing after that can be read.
        self.fault: Optional[str] = None
        self._held = bytearray()
        self._wanted = 0

    @property
    def missing(self) -> int:
        """How many bytes of the frame that has begun are still to come, as far as that is known."""
        return max(self._wanted - len(self._held), 0)

    def feed(self, data: bytes) -> List[bytes]:
        """The frames that are whole with this data, in their order. After that `fault` may be set."""
        if self._held:
            self._held += data
            if len(self._held) < self._wanted:
                return []
            data = bytes(self._held)
            self._held = bytearray()
        self._wanted = 0
        frames: List[bytes] = []
        at, end = 0, len(data)
        while end - at >= LENGTH_PREFIX_BYTES:
            begin = at + LENGTH_PREFIX_BYTES
            length = int.from_bytes(data[at:begin], "big")
            if not 2 <= length <= self.frame_bytes_max:
                self.fault = self._fault_of(length, data[at : at + QUOTE_BYTES_MAX])
                return frames
            if end - begin < length:
                self._wanted = LENGTH_PREFIX_BYTES + length
                break
            at = begin + length
            frames.append(data[begin:at])
        if at < end:
            self._held += data[at:]
        return frames

    def finish(self) -> Optional[str]:
        """What is wrong with an end of the stream here: nothing between two frames."""
        if not self._held:
            return None
        expected = self._wanted or LENGTH_PREFIX_BYTES
        return f"the stream ended inside a frame: expected {expected} bytes, found {len(self._held)}"

    def _fault_of(self, length: int, found: bytes) -> str:
        if length < 2:
            return f"expected a frame of at least 2 bytes, found a length of {length}"
        if all(byte in _TEXT for byte in found[:LENGTH_PREFIX_BYTES]):
            return f"expected a 4-byte length, found text: {quote(found)}"
        return f"expected a frame of at most {self.frame_bytes_max} bytes, found a length of {length}"


def quote(found: bytes) -> str:
    """Bytes for people: control characters are written out, so that they steer no terminal."""
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
    text = found.decode("utf-8", "replace")
    return '"' + "".join(named.get(c) or (c if c.isprintable() else f"\\u{{{ord(c):x}}}") for c in text) + '"'


def encode(body: bytes) -> bytes:
    """One frame. Its limit was checked by the one who knows what is to be said of it."""
    return len(body).to_bytes(LENGTH_PREFIX_BYTES, "big") + body
