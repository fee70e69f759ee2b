"""From a request to its handler, and from what that does to an outcome. Where answers go is not known here."""

import os
import sys
import traceback
from types import TracebackType
from typing import Any, Callable, Dict, Optional

from . import log
from . import text as json_text
from .context import Context
from .error import Error
from .limits import EXIT_FAILURE, EXIT_PANICKED, EXIT_PERMANENT, LEVELS_MAX
from .message import Request, text_of
from .module import Command, Event, Handler, Module
from .refusal import Refusal, quote, too_deep, unknown_command
from .values import Raw
from .wire import Pending, Wire


class Outcome:
    """What a request came to."""

    __slots__ = ("data", "error", "exit_code")

    def __init__(self, data: str = "null", error: Optional[Error] = None, exit_code: Optional[int] = None) -> None:
        #: The text of the answer's data, where it succeeded.
        self.data = data
        #: Why it failed.
        self.error = error
        #: With which code the process ends after it, if it does.
        self.exit_code = exit_code

    def answer(self, wire: Wire, pending: Pending, last: bool) -> None:
        """Answers the request with it."""
        if self.error is None:
            wire.succeed(pending, self.data, last=last)
        else:
            wire.fail(pending, self.error, last=last)


class Dispatcher:
    """Calls handlers of one module."""

    def __init__(self, module: Module, on_panic: str) -> None:
        self._module = module
        self._ends_after_panic = on_panic != "continue"

    def is_concurrent(self, pending: Pending) -> bool:
        """Whether a request may be handled beside others."""
        kind = pending.request.kind
        if kind == "command":
            try:
                command = self._module.commands.get(pending.request.command()[0])
            except ValueError:
                return False
            return command is not None and command.is_concurrent
        handler = {"query": self._module.query_handler, "mutation": self._module.mutation_handler}.get(kind)
        return handler is not None and handler.is_concurrent

    def outcome(self, wire: Wire, pending: Pending) -> Outcome:
        """Handles one request."""
        unwanted = pending.unwanted()
        if unwanted is not None:
            return Outcome(error=unwanted)
        ctx = Context(wire, pending)
        try:
            result = self._handle(ctx, pending)
        except Error as error:
            if pending.request.kind == "event":
                log.error(f"an event was not handled: {error}")
            return Outcome(error=error, exit_code=EXIT_PERMANENT if error.permanent else ctx.exit_code)
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else (0 if leave.code is None else EXIT_FAILURE)
            return Outcome(error=Error(f"the handler called sys.exit({leave.code!r})"), exit_code=code & 0xFF)
        except BaseException as exception:
            sentence = describe(exception)
            return Outcome(error=Error(sentence), exit_code=EXIT_PANICKED if self._ends_after_panic else ctx.exit_code)
        try:
            return Outcome(data=json_text.write(result), exit_code=ctx.exit_code)
        except (TypeError, ValueError) as reason:
            sentence = f"what the handler returned cannot be sent: {reason}"
            log.error(sentence)
            return Outcome(error=Error(sentence), exit_code=ctx.exit_code)

    def _handle(self, ctx: Context, pending: Pending) -> Any:
        request = pending.request
        kind = request.kind
        if kind == "command":
            return self._command(ctx, request)
        if kind == "query" and self._module.query_handler is not None:
            return _with_payload(self._module.query_handler, ctx, request)
        if kind == "mutation" and self._module.mutation_handler is not None:
            return _with_payload(self._module.mutation_handler, ctx, request)
        if kind == "event":
            return self._event(ctx, request)
        if kind == "shutdown":
            if self._module.shutdown_handler is not None:
                self._module.shutdown_handler(ctx)
            return None
        if kind == "init":
            raise Error("the module is initialised already", code="bad_request")
        raise Error(f"this module does not know requests of type {quote(kind)}", code="unknown_type")

    def _command(self, ctx: Context, request: Request) -> Any:
        try:
            name, args, is_read, raw = request.command()
        except ValueError as error:
            raise _another_form("command", error) from None
        command: Optional[Command] = self._module.commands.get(name)
        if command is None:
            raise unknown_command(name, list(self._module.commands))
        try:
            bound = command.parameters.bind(args, is_read, raw)
        except Refusal as refusal:
            raise refusal.error("argument", command.parameters.words or "an object of arguments") from None
        return command.function(ctx, **bound)

    def _event(self, ctx: Context, request: Request) -> Any:
        try:
            members = request.parts()
            name = text_of(members, "event")
        except ValueError as error:
            raise _another_form("event", error) from None
        found = next((s for s in self._module.subscriptions if s.matches(name)), None)
        if found is None:
            return None
        raw = members.get("data", Raw.trusted("null"))
        if json_text.is_deep(raw.text, LEVELS_MAX):
            raise too_deep().error("member")
        try:
            data = json_text.read(raw.text)
        except ValueError as error:
            raise Error(f"the data of the event cannot be read: {error}", code="bad_request") from None
        cursor, epoch = (json_text.read(members[m].text) if m in members else None for m in ("cursor", "epoch"))
        bound: Dict[str, Any] = {}
        if not found.parameters.is_empty:
            try:
                bound = found.parameters.bind(data, True, lambda: raw)
            except Refusal as refusal:
                raise refusal.error("member") from None
        found.function(ctx, Event(name, data, cursor, epoch), **bound)
        return None


def start(module: Module, init: Any, raw_config: Callable[[], Raw]) -> None:
    """Calls the handler of ``init``. Raises ``Error``; that of a ``[config]`` that does not fit is permanent."""
    if module.init_handler is None or module.init_parameters is None:
        return
    bound: Dict[str, Any] = {}
    if not module.init_parameters.is_empty:
        try:
            bound = module.init_parameters.bind(init.config, True, raw_config)
        except Refusal as refusal:
            whole = module.init_parameters.words or "an object of keys"
            raise refusal.error("key", whole, before="[config]: ", permanent=True) from None
    try:
        module.init_handler(init, **bound)
    except Error:
        raise
    except Exception as exception:
        raise Error(describe(exception)) from None


def describe(exception: BaseException) -> str:
    """Writes the traceback to the log, without the part of this package, and returns the sentence of the answer."""
    trace = exception.__traceback__
    while trace is not None and _file(trace).startswith(_OWN_FOLDER) and trace.tb_next is not None:
        trace = trace.tb_next
    lines = traceback.format_exception(type(exception), exception, trace)
    try:
        sys.stdout.flush()
        sys.stderr.write("".join(lines))
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):
        # A standard error that is gone is no reason to fail.
        pass
    return f"the handler raised {type(exception).__name__}{_place(trace)}: {exception}"


_OWN_FOLDER = os.path.dirname(os.path.abspath(__file__)) + os.sep


def _file(trace: TracebackType) -> str:
    return os.path.abspath(trace.tb_frame.f_code.co_filename)


def _place(trace: Optional[TracebackType]) -> str:
    """Where in the module's own files it was raised: the innermost frame that lies in the folder of the outermost."""
    if trace is None:
        return ""
    folder = os.path.dirname(_file(trace))
    at = trace
    while trace is not None:
        if _file(trace).startswith(folder + os.sep):
            at = trace
        trace = trace.tb_next
    return f" at {os.path.basename(_file(at))}:{at.tb_lineno}"


def _with_payload(handler: Handler, ctx: Context, request: Request) -> Any:
    try:
        payload = handler.payload.bind(request)
    except Refusal as refusal:
        raise refusal.error("member") from None
    return handler.function(ctx, payload)


def _another_form(kind: str, error: ValueError) -> Error:
    return Error(f"the payload of this {kind} has another form: {error}", code="bad_request")
