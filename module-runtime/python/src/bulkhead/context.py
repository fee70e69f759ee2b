"""What a handler may do while it works: ask the host, report progress, see whether it is still wanted."""

from typing import Any, Optional, Union

from . import log
from . import text as json_text
from .channel import now
from .entities import Entities
from .error import Error
from .limits import EVENT_NAME_BYTES_MAX, EXIT_OK, KEY_BYTES_MAX
from .message import Response
from .values import Raw
from .wire import Pending, Wire


class Context(Entities):
    """The request that a handler works on, and its way back to the host."""

    def __init__(self, wire: Wire, pending: Pending) -> None:
        self._wire = wire
        self._pending = pending
        #: The exit code of a process that ends after this request; set by ``last``.
        self.exit_code: Optional[int] = None

    # What the request says.

    @property
    def id(self) -> Optional[int]:
        """The host's number for the request, for logs; an event may have none."""
        return self._pending.request.id

    @property
    def key(self) -> Optional[str]:
        """The idempotency key: the same key is the same work."""
        return self._pending.request.key

    @property
    def traceparent(self) -> Optional[str]:
        """The ``traceparent`` of the request, which the module's own requests carry along."""
        return self._pending.request.traceparent

    @property
    def tracestate(self) -> Optional[str]:
        """The ``tracestate`` of the request, which the module's own requests carry along."""
        return self._pending.request.tracestate

    # Whether it is still wanted.

    @property
    def deadline(self) -> Optional[float]:
        """The seconds that are left, 0 when they are over; ``None`` without a deadline."""
        deadline = self._pending.deadline
        return None if deadline is None else max(deadline - now(), 0.0)

    def is_cancelled(self) -> bool:
        """Whether the caller cancelled, or the host is gone. It costs one system call."""
        return self._wire.is_unwanted(self._pending)

    def check(self) -> None:
        """Raises ``Error`` as soon as the work is not wanted any more: for every loop that takes long."""
        if self.is_cancelled():
            raise Error("the caller cancelled", code="cancelled")
        if self.deadline == 0.0:
            raise Error("the deadline passed while the module worked on it", code="deadline_exceeded")

    def wait(self, seconds: float) -> None:
        """Waits, or raises what ``check`` raises as soon as the work is not wanted any more."""
        until = now() + seconds
        if self._pending.deadline is not None:
            until = min(until, self._pending.deadline)
        self._wire.wait(self._pending, until)
        self.check()

    # What the caller and others get.

    def progress(self, data: Any) -> None:
        """Tells the caller how far the work is."""
        self._wire.progress(self._pending, _text_of(data, "the progress"))

    def emit(self, event: str, data: Any = None) -> None:
        """Publishes an event. It is stored with the success of the request that is being handled.

        The manifest grants ``event_emit``; an event that it does not grant is a line in the module's log.
        """
        length = len(json_text.to_bytes(event))
        if not 1 <= length <= EVENT_NAME_BYTES_MAX or "*" in event or any(c.isspace() or ord(c) < 32 for c in event):
            rule = f"1 to {EVENT_NAME_BYTES_MAX} bytes without white space, control characters and `*`"
            raise Error(f"the name of an event has {rule}, found {event[:EVENT_NAME_BYTES_MAX]!r}", code="bad_request")
        name = json_text.write(event)
        self._wire.emit(self._pending, f'{{"event":{name},"data":{_text_of(data, "the data of the event")}}}')

    def log(self, level: str, message: object) -> None:
        """Writes a line of the log: ``debug``, ``info``, ``warn`` or ``error``."""
        log.line(level, message)

    def last(self, exit_code: int = EXIT_OK) -> None:
        """The process ends after the answer to this request, on purpose, and what was sent after it goes to the next
        process. After 0 that comes at once with ``policy = "always"`` under ``[restart]`` of the manifest, and else
        only if something waits for it; 125 is for good; any other code is a failure."""
        self.exit_code = exit_code

    # Requests of the module.

    def call(
        self,
        to: str,
        name: str,
        args: Any = None,
        *,
        timeout: Optional[float] = None,
        key: Optional[str] = None,
        raw: bool = False,
    ) -> Any:
        """Sends the command ``name`` to the module ``to``, or to ``supervisor``, and waits for its answer.

        It waits until the deadline of the request that is being handled, and at most ``timeout`` seconds. A number
        in the answer that a float would change is a ``NumberText``; with ``raw``, all of it is a ``Raw``.
        The manifest grants ``call``. Raises ``Error``.
        """
        payload = f'{{"name":{json_text.write(name)},"args":{_text_of(args, "the arguments")}}}'
        return _data(self._wire.ask(self._pending, "command", to, payload, timeout, _checked(key)), raw)

    def query(
        self,
        payload: Any,
        *,
        to: Optional[str] = None,
        timeout: Optional[float] = None,
        raw: bool = False,
    ) -> Any:
        """Reads from the host's data store, Layer 1, or sends a query to the module ``to``. As ``call``."""
        return _data(
            self._wire.ask(self._pending, "query", to, _text_of(payload, "the query"), timeout, None),
            raw,
        )

    def mutate(
        self,
        payload: Any,
        *,
        to: Optional[str] = None,
        timeout: Optional[float] = None,
        key: Optional[str] = None,
        raw: bool = False,
    ) -> Any:
        """Changes the host's data store, Layer 1, or sends a mutation to the module ``to``. As ``call``."""
        text = _text_of(payload, "the mutation")
        return _data(self._wire.ask(self._pending, "mutation", to, text, timeout, _checked(key)), raw)

    def flush(self, *, timeout: Optional[float] = None) -> None:
        """Waits until everything that this module has read from the data store is on the disk. As ``call``.

        It is for what leaves the data store: a file, a mail, a request to another machine. What is changed in the
        handling of this request is no part of it, since that is committed with the request's success.
        """
        self._wire.ask(self._pending, "command", "layer1", '{"name":"flush"}', timeout, None)


def _checked(key: Optional[str]) -> Optional[str]:
    if key is not None and not 1 <= len(json_text.to_bytes(key)) <= KEY_BYTES_MAX:
        raise Error(f"a key has 1 to {KEY_BYTES_MAX} bytes, found {len(json_text.to_bytes(key))}", code="bad_request")
    return key


def _text_of(value: Any, what: str) -> str:
    try:
        return json_text.write(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} cannot be sent: {error}") from None


def _data(response: Response, raw: bool) -> Union[Raw, Any]:
    if response.status == "error":
        members = dict(response.members)
        try:
            members["data"] = response.body
        except ValueError:
            members["data"] = response.raw
        raise Error.of_response(members)
    if raw:
        return response.raw
    try:
        return response.body
    except ValueError as error:
        raise Error(f"the answer cannot be read: {error}; `raw=True` takes it as it is") from None
