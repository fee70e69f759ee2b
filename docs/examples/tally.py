"""The module `tally`: counts the bytes of a text with the C library."""

import ctypes

from bulkhead import Context, Module

libc = ctypes.CDLL(None)
libc.strlen.restype = ctypes.c_size_t
app = Module("tally", "0.1.0")


@app.command(idempotent=True)
def count(ctx: Context, text: str) -> dict:
    """Counts the bytes of a text in UTF-8."""
    # C gets NULL for an empty text, and reads from there.
    return {"bytes": libc.strlen(text.encode() or None)}


if __name__ == "__main__":
    app.run()
