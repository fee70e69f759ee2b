"""Messages: what the content of a frame says. What is done about it is not known here."""

import re
from typing import Any, Callable, Dict, Optional, Tuple, Union

from . import text as json_text
from .limits import DEADLINE_MS_MAX, KEY_BYTES_MAX, LEVELS_MAX, REQUEST_ID_MAX
from .refusal import quote
from .values import Raw

# Arguments lie this much deeper in a frame than in themselves.
_FRAME_LEVELS = 2


class MessageError(Exception):
    """A frame that holds no message."""

    def __init__(self, id: Optional[int], reason: str) -> None:
        super().__init__(reason)
        #: The number of the request, where it could be read.
        self.id = id


class Message:
    """What came: its members, and the payload of a request or the data of a response as its body."""

    __slots__ = ("_body", "_raw", "_text", "id", "is_read", "members")

    #: Which member the body is.
    body_member = "payload"

    def __init__(self, members: Dict[str, Any], text: str, raw: Optional[Raw]) -> None:
        self.members = members
        self.id: Optional[int] = members.get("id")
        #: Whether the body was read into values, and no member stands twice or too deep in it.
        self.is_read = raw is None
        self._body = members.get(self.body_member)
        self._raw = raw
        self._text = text

    @property
    def body(self) -> Any:
        """The body as values. Raises ``ValueError`` where a member stands twice or lies too deep."""
        if not self.is_read and self._raw is not None:
            if json_text.is_deep(self._raw.text, LEVELS_MAX):
                raise ValueError(f"lists and objects lie more than {LEVELS_MAX} levels deep")
            self._body = json_text.read(self._raw.text)
            self.is_read = True
        return self._body

    @property
    def raw(self) -> Raw:
        """The body as it was sent."""
        if self._raw is None:
            found = [value for name, value in json_text.outline(self._text) if name == self.body_member]
            self._raw = found[-1] if found else _NULL
        return self._raw


class Request(Message):
    """A request of the host."""

    __slots__ = ("_command", "deadline_ms", "kind")

    def __init__(self, members: Dict[str, Any], text: str, raw: Optional[Raw]) -> None:
        super().__init__(members, text, raw)
        self.kind: str = members["type"]
        self.deadline_ms: Optional[int] = members.get("deadline_ms")
        self._command: Optional[Tuple[str, Any, int, int]] = None

    def command(self) -> Tuple[str, Any, bool, Callable[[], Raw]]:
        """Of a command, its name, its arguments as values, whether these were read, and as they were sent.

        Raises ``ValueError`` for a payload of another form.
        """
        if self._command is not None:
            name, args, at, end = self._command
            return name, args, True, lambda: Raw.trusted(self._text[at:end])
        members = self.parts()
        name = text_of(members, "name")
        raw = members.get("args", _NO_ARGUMENTS)
        if raw.text == "null":
            raw = _NO_ARGUMENTS
        args = self._body.get("args") if isinstance(self._body, dict) else None
        return name, {} if args is None else args, self.is_read, lambda: raw

    def parts(self) -> Dict[str, Raw]:
        """The members of the payload as they were sent. Raises ``ValueError`` for one that is no object."""
        given = json_text.outline(self.raw.text)
        members = dict(given)
        if len(members) != len(given):
            raise ValueError("a member stands there twice")
        return members

    @property
    def key(self) -> Optional[str]:
        """The idempotency key."""
        return self.members.get("key")

    @property
    def traceparent(self) -> Optional[str]:
        """Which trace it belongs to, and its parent there."""
        return self.members.get("traceparent")

    @property
    def tracestate(self) -> Optional[str]:
        """What systems of tracing keep of it."""
        return self.members.get("tracestate")


class Response(Message):
    """A response of the host to a request of the module."""

    __slots__ = ("status",)

    body_member = "data"

    def __init__(self, members: Dict[str, Any], text: str, raw: Optional[Raw]) -> None:
        super().__init__(members, text, raw)
        self.status: str = members["status"]


_NULL = Raw.trusted("null")
_NO_ARGUMENTS = Raw.trusted("{}")

# A command as the host and its clients write it, without a key. In any other form it is read member by member.
_COMMAND = re.compile(r'\{"id":([0-9]{1,15}),"type":"command","payload":\{"name":"([^"\\\x00-\x1f]+)","args":')
_COMMAND_END = re.compile(r'\}(?:,"deadline_ms":([0-9]{1,7}))?\}')
_NO_MEMBERS: Dict[str, Any] = {"type": "command"}


def _plain_command(text: str) -> Optional[Request]:
    begin = _COMMAND.match(text)
    if begin is None:
        return None
    at = begin.end()
    try:
        args, end = json_text.read_part(text, at)
    except ValueError:
        return None
    ending = _COMMAND_END.fullmatch(text, end)
    if ending is None or args is None or json_text.is_deep(text, LEVELS_MAX + _FRAME_LEVELS):
        return None
    request = Request(_NO_MEMBERS, text, None)
    id, name = begin.groups()
    request.id = int(id)
    request._command = (name, args, at, end)
    deadline_ms = ending.group(1)
    if deadline_ms is not None:
        request.deadline_ms = int(deadline_ms)
    return request


def text_of(members: Dict[str, Raw], name: str) -> str:
    """A member that has to be a text. Raises ``ValueError``."""
    found = json_text.read(members[name].text) if name in members else None
    if type(found) is not str:
        raise ValueError(f"expected a text as {name!r}, found {quote(found) if name in members else 'none'}")
    return found


def read(frame: bytes) -> Union[Request, Response]:
    """Reads the content of one frame. Raises ``MessageError``."""
    try:
        text = frame.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"expected UTF-8, found the byte 0x{frame[error.start]:02x} at offset {error.start}"
        raise MessageError(None, reason) from None
    command = _plain_command(text)
    if command is not None:
        return command
    members, parts = _members(text)
    id = members.get("id")
    if id is not None and (type(id) is not int or not 0 <= id <= REQUEST_ID_MAX):
        raise MessageError(None, f"expected an id from 0 to {REQUEST_ID_MAX}, found {quote(id)}")
    if "type" in members:
        _check_request(id, members)
        return Request(members, text, None if parts is None else parts.get("payload", _NULL))
    if members.get("status") not in ("success", "error", "progress"):
        raise MessageError(id, 'expected "type" (a request) or "status" (a response), found neither')
    return Response(members, text, None if parts is None else parts.get("data", _NULL))


def _members(text: str) -> Tuple[Dict[str, Any], Optional[Dict[str, Raw]]]:
    """The members as values; and as they were sent, where payload and data were not read."""
    try:
        members = json_text.read(text)
    except ValueError:
        # A member stands twice, it lies too deep, or it is no JSON at all: the outline tells.
        pass
    else:
        if not isinstance(members, dict):
            raise MessageError(None, f"expected an object, found {quote(members)}")
        if not json_text.is_deep(text, LEVELS_MAX + _FRAME_LEVELS):
            return members, None
    try:
        parts = dict(json_text.outline(text))
        own = {name: json_text.read(raw.text) for name, raw in parts.items() if name not in _BODIES}
        for name in parts.keys() & _BODIES:
            _check_body(parts[name])
    except ValueError as error:
        raise MessageError(None, str(error)) from None
    return own, parts


_BODIES = frozenset({"payload", "data"})


def _check_body(raw: Raw) -> None:
    try:
        json_text.check(raw.text)
    except json_text.TooDeep:
        # It goes through the host however deep it is, and through a handler that takes it as it is.
        pass


def _check_request(id: Optional[int], members: Dict[str, Any]) -> None:
    deadline = members.get("deadline_ms")
    if deadline is not None and (type(deadline) is not int or not 0 <= deadline <= DEADLINE_MS_MAX):
        raise MessageError(id, f"expected a deadline from 0 to {DEADLINE_MS_MAX} ms, found {quote(deadline)}")
    if type(members["type"]) is not str:
        raise MessageError(id, f"expected a text as 'type', found {quote(members['type'])}")
    if len(members) > len(_PLAIN_MEMBERS) or not members.keys() <= _PLAIN_MEMBERS:
        for name in ("key", "traceparent", "tracestate"):
            found = members.get(name)
            if found is not None and type(found) is not str:
                raise MessageError(id, f"expected a text as {name!r}, found {quote(found)}")
        key = members.get("key")
        if key is not None and not 1 <= len(key.encode("utf-8", "replace")) <= KEY_BYTES_MAX:
            raise MessageError(id, f"expected a key of 1 to {KEY_BYTES_MAX} bytes, found {quote(key)}")


_PLAIN_MEMBERS = frozenset({"id", "type", "payload", "deadline_ms"})
