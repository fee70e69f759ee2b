"""From the first message to the exit code: the greeting, the loop that handles one request after the other, and
the end. ``Module.run`` has the table of exit codes."""

import os
import sys

from . import log
from . import text as json_text
from .channel import NO_HOST, Channel, NoChannel, take_standard_streams
from .dispatch import Dispatcher, start
from .error import Error
from .init import Init, read_init
from .limits import EXIT_FAILURE, EXIT_OK, EXIT_PANICKED, EXIT_PERMANENT, EXIT_USAGE
from .module import Module
from .values import Raw
from .wire import Ended, Pending, Wire
from .workers import Workers


def run(module: Module) -> int:
    """Serves the module over the channel that the host gave this process, and returns the exit code."""
    try:
        channel = Channel.open()
    except NoChannel as reason:
        print(f"{module.name}: {reason}", file=sys.stderr)
        return EXIT_USAGE
    # After that, as it writes out what was printed so far.
    take_standard_streams()
    code = serve(module, channel)
    if code == EXIT_PANICKED:
        leave(code)
    return code


def serve(module: Module, channel: Channel) -> int:
    """As ``run``, over a channel that is open already."""
    wire = Wire(channel)
    if module.is_concurrent:
        wire.make_wakeable()
    try:
        pending = wire.next_request()
    except Ended as end:
        if end.fault is None:
            print(f"{module.name}: the channel ended before a first message; {NO_HOST}", file=sys.stderr)
            return EXIT_USAGE
        return _exit_code(end)
    try:
        init = _greet(module, wire, pending)
    except Error as error:
        log.error(f"{module.name} cannot start: {error}")
        wire.fail(pending, error)
        return EXIT_PERMANENT if error.permanent else EXIT_FAILURE
    dispatcher = Dispatcher(module, init.on_panic)
    try:
        if module.is_concurrent:
            return Workers(wire, dispatcher, module.threads).serve()
        return _serve_in_order(wire, dispatcher)
    except Ended as end:
        return _exit_code(end)


def _greet(module: Module, wire: Wire, pending: Pending) -> Init:
    """Reads ``init``, gets the module ready, answers."""
    request = pending.request
    if request.kind != "init":
        raise Error(f'expected "init" first, found {request.kind!r}', code="bad_request")
    try:
        init = read_init(request.body)
    except ValueError as error:
        raise Error(f"the payload of init cannot be read: {error}", code="bad_request") from None
    wire.limit(init.frame_bytes_max)

    def raw_config() -> Raw:
        raw = dict(json_text.outline(request.raw.text)).get("config", Raw.trusted("{}"))
        return Raw.trusted("{}") if raw.text == "null" else raw

    start(module, init, raw_config)
    wire.succeed(pending, json_text.write(module.ready()))
    return init


def _serve_in_order(wire: Wire, dispatcher: Dispatcher) -> int:
    """One request after the other, in the order in which they came."""
    while True:
        pending = wire.next_request()
        outcome = dispatcher.outcome(wire, pending)
        is_shutdown = pending.request.kind == "shutdown"
        outcome.answer(wire, pending, outcome.exit_code is not None and not is_shutdown)
        if is_shutdown:
            return EXIT_OK if outcome.error is None else EXIT_FAILURE
        if outcome.exit_code is not None:
            return outcome.exit_code


def leave(code: int) -> None:
    """Ends the process without what is registered for an exit, since that would run on a state that is in doubt."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass
    os._exit(code)


def _exit_code(end: Ended) -> int:
    if end.fault is None:
        return EXIT_OK
    log.error(end.fault)
    return EXIT_FAILURE
