"""One of everything that a module can do, each with a command of its own: the specimen of the conformance suite in
Python. It keeps nothing, opens nothing and starts no threads, as the one in Rust, whose commands it has."""

import os
import secrets
import time as clock
from typing import Any, Callable, Dict, Optional

from bulkhead import Context, Error, Event, Module, Raw

# A test that went wrong cannot exhaust the machine.
RANDOM_BYTES_MAX = 65_536
SPIN_MS_MAX = 60_000
GROW_BYTES_MAX = 2 << 30
# No test waits for an hour.
WAIT_MS_MAX = 3_600_000

app = Module("specimen-python", "0.1.0")


class State:
    """What the module remembers from its start to its end."""

    count = 0
    events = 0
    last: Optional[Dict[str, Any]] = None


def at_most(what: str, most: int, found: int) -> int:
    if not 0 <= found <= most:
        raise Error(f"expected at most {most} {what}, found {found}", code="bad_request")
    return found


@app.command(idempotent=True)
def echo(ctx: Context, args: Raw, /) -> Raw:
    """answers with its arguments as they came"""
    return args


@app.command(idempotent=True)
def count(ctx: Context) -> dict:
    """how often it was asked since the module was created"""
    State.count += 1
    return {"count": State.count}


@app.command(idempotent=True)
def events(ctx: Context) -> dict:
    """how many events came, and the last of them"""
    return {"count": State.events, "last": State.last}


@app.command(idempotent=True)
def key(ctx: Context) -> dict:
    """the request's idempotency key"""
    return {"key": ctx.key}


@app.command(idempotent=True)
def deadline(ctx: Context) -> dict:
    """how many milliseconds are left"""
    left = ctx.deadline
    return {"deadline_ms": None if left is None else int(left * 1000)}


@app.command(idempotent=True)
def time(ctx: Context) -> dict:
    """milliseconds since 1970"""
    return {"unix_ms": clock.time_ns() // 1_000_000}


@app.command
def fail(ctx: Context, code: str, message: str, retryable: bool = False, data: Any = None) -> None:
    """answers with the error {"code","message","retryable","data"}"""
    raise Error(message, code=code, data=data, retryable=True if retryable else None)


def outcome(asked: Callable[[], Raw]) -> dict:
    """The host's answer as data, so that the suite sees errors as the module saw them."""
    try:
        return {"data": asked()}
    except Error as error:
        return {"code": error.code, "error": str(error)}


@app.command
def ask(ctx: Context, to: str, name: str, args: Raw = Raw("null")) -> dict:
    """sends the command {"name","args"} to the module {"to"}"""
    return outcome(lambda: ctx.call(to, name, args, raw=True))


@app.command
def ask_query(ctx: Context, to: Optional[str] = None, payload: Raw = Raw("null")) -> dict:
    """sends the query {"payload"} to {"to"}, or to the data store"""
    return outcome(lambda: ctx.query(payload, to=to, raw=True))


@app.command
def ask_mutation(ctx: Context, to: Optional[str] = None, payload: Raw = Raw("null")) -> dict:
    """sends the mutation {"payload"} to {"to"}, or to the data store"""
    return outcome(lambda: ctx.mutate(payload, to=to, raw=True))


@app.command
def emit(ctx: Context, event: str, data: Raw = Raw("null")) -> dict:
    """publishes the event {"event","data"}"""
    ctx.emit(event, data)
    return {}


@app.command
def progress(ctx: Context, steps: int) -> dict:
    """reports {"steps"} steps"""
    for step in range(1, steps + 1):
        ctx.check()
        ctx.progress({"step": step})
    return {"steps": steps}


@app.command
def wait(ctx: Context, ms: int) -> dict:
    """waits for {"ms"}"""
    ctx.wait(min(ms, WAIT_MS_MAX) / 1000)
    return {"waited": ms}


@app.command
def log(ctx: Context, level: str, message: str) -> dict:
    """writes {"message"} to the log at {"level"}"""
    if level not in ("debug", "info", "warn", "error"):
        raise Error(f"unknown level {level!r}, expected debug, info, warn or error", code="bad_request")
    ctx.log(level, message)
    return {}


@app.command
def crash(ctx: Context) -> None:
    """ends the process in the hard way"""
    os.abort()


@app.command
def panic(ctx: Context) -> None:
    """raises an exception that is no answer"""
    raise RuntimeError("the specimen panicked on request")


@app.command
def random(ctx: Context, bytes: int) -> dict:
    """{"bytes"} bytes that cannot be foretold, in hexadecimal"""
    return {"hex": secrets.token_hex(at_most("bytes", RANDOM_BYTES_MAX, bytes))}


@app.command
def spin(ctx: Context, ms: int) -> dict:
    """uses the processor for {"ms"}, and looks at nothing else"""
    end = clock.monotonic() + at_most("ms", SPIN_MS_MAX, ms) / 1000
    while clock.monotonic() < end:
        pass
    return {"spun": ms}


@app.command
def grow(ctx: Context, bytes: int) -> dict:
    """uses {"bytes"} of memory until it has answered"""
    # Ones and not zeros: the system gives pages of zeros without having any.
    memory = b"\x01" * at_most("bytes", GROW_BYTES_MAX, bytes)
    return {"bytes": len(memory)}


@app.query
def query(ctx: Context, payload: Raw) -> Raw:
    return payload


@app.mutation
def mutation(ctx: Context, payload: Raw) -> Raw:
    return payload


@app.event("*")
def event(ctx: Context, event: Event, data: Raw, /) -> None:
    State.events += 1
    State.last = {"event": event.name, "data": data}


if __name__ == "__main__":
    app.run()
