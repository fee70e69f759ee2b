"""JSON text into values and back, without a change of what a number is worth. What the values are for is not
known here."""

import dataclasses
import json
import os
import re
from decimal import Decimal
from typing import Any, Callable, Dict, List, Set, Tuple

from . import numbers
from .limits import LEVELS_MAX
from .values import NumberText, Raw

_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STRUCTURE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_NO_BRACKETS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[^"\[\]{}]+', re.DOTALL)
_OPENING = b"[{"
_NEITHER_BRACKET_NOR_QUOTE = bytes(set(range(256)) - set(b'[]{}"\\'))
_SCALAR = re.compile(r"[^\s,\]}]+")
_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")


class Twice(Dict[str, Any]):
    """An object in which a member stands twice; the last one counts."""

    #: The name of the first such member.
    name = ""


def _distinct(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError(f"the member {_repeated(pairs)!r} stands there twice")
    return members


def _tolerant(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    twice = Twice(members)
    twice.name = _repeated(pairs)
    return twice


def _repeated(pairs: List[Tuple[str, Any]]) -> str:
    seen: Set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _no_constant(name: str) -> Any:
    raise ValueError(f"expected JSON, found {name}")


_READER = json.JSONDecoder(object_pairs_hook=_distinct, parse_float=numbers.of_fraction, parse_constant=_no_constant)
_LONG_READER = json.JSONDecoder(
    object_pairs_hook=_distinct,
    parse_float=numbers.of_fraction,
    parse_int=numbers.of_integer,
    parse_constant=_no_constant,
)
_EXACT_READER = json.JSONDecoder(
    object_pairs_hook=_tolerant, parse_float=NumberText, parse_int=NumberText, parse_constant=_no_constant
)
_ANY_READER = json.JSONDecoder(parse_float=len, parse_int=len, parse_constant=_no_constant)


def read(text: str) -> Any:
    """The value of a text. A number that would change is a ``NumberText``.

    Raises ``ValueError`` for what is no JSON, has a member twice, or lies too deep.
    """
    try:
        try:
            value, end = _READER.raw_decode(text)
            return value if end == len(text) else _READER.decode(text)
        except json.JSONDecodeError:
            # Perhaps there is white space before it.
            return _READER.decode(text)
        except ValueError:
            # A whole number with more digits than Python reads, or a member that stands there twice.
            return _LONG_READER.decode(text)
    except RecursionError:
        raise ValueError(f"lists and objects lie more than {LEVELS_MAX} levels deep") from None


def read_part(text: str, at: int) -> Tuple[Any, int]:
    """As ``read``, of the value that begins there, and where it ends. Raises ``ValueError`` for any other reason too."""
    try:
        return _READER.raw_decode(text, at)
    except RecursionError:
        raise ValueError(f"lists and objects lie more than {LEVELS_MAX} levels deep") from None


def read_exact(text: str) -> Any:
    """As ``read``, but each number is a ``NumberText``, and an object with a member twice is a ``Twice``."""
    try:
        return _EXACT_READER.decode(text)
    except RecursionError:
        raise ValueError(f"lists and objects lie more than {LEVELS_MAX} levels deep") from None


class TooDeep(ValueError):
    """Lists and objects lie so deep within each other that Python's reader gives up."""


def check(text: str) -> None:
    """Raises ``ValueError`` for a text that is no JSON, and ``TooDeep`` where that cannot be found out."""
    try:
        _ANY_READER.decode(text)
    except RecursionError:
        raise TooDeep("expected JSON that this Python can read, found lists and objects too deep") from None


def is_deep(text: str, allowed: int) -> bool:
    """Whether lists and objects lie deeper within each other than that. Mostly a count of brackets tells it."""
    if len(text) < 2 * (allowed + 1) or text.count("[") + text.count("{") <= allowed:
        return False
    depth = 0
    for bracket in _brackets(text):
        if bracket in _OPENING:
            depth += 1
            if depth > allowed:
                return True
        else:
            depth -= 1
    return False


def _brackets(text: str) -> bytes:
    """The brackets of a text in their order, without those in strings."""
    few = text.encode("utf-8", "surrogatepass").translate(None, _NEITHER_BRACKET_NOR_QUOTE)
    if b"\\" not in few:
        # Between two brackets stands an even number of quotes, unless one of them is in a string.
        few = few.replace(b'""', b"")
        if b'"' not in few:
            return few
    return _NO_BRACKETS.sub("", text).encode()


def outline(text: str) -> List[Tuple[str, Raw]]:
    """The members of an object as they were sent, none of them read, however deep. The text is known to be JSON.

    Raises ``ValueError`` for what is no object.
    """
    at = _space(text, 0)
    if text[at : at + 1] != "{":
        raise ValueError("expected an object")
    members: List[Tuple[str, Raw]] = []
    at = _space(text, at + 1)
    if text[at : at + 1] == "}" and _space(text, at + 1) == len(text):
        return members
    while text[at : at + 1] == '"':
        end = _skip(text, at)
        name = json.loads(text[at:end])
        at = _space(text, end)
        if text[at : at + 1] != ":":
            break
        at = _space(text, at + 1)
        end = _skip(text, at)
        members.append((name, Raw.trusted(text[at:end])))
        at = _space(text, end)
        if text[at : at + 1] == ",":
            at = _space(text, at + 1)
        elif text[at : at + 1] == "}" and _space(text, at + 1) == len(text):
            return members
        else:
            break
    raise ValueError(f"expected an object as JSON has it, and at character {at} it is none")


def _space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _skip(text: str, at: int) -> int:
    """Where the value ends that begins here."""
    c = text[at : at + 1]
    if c and c in "[{":
        try:
            return _ANY_READER.raw_decode(text, at)[1]
        except (RecursionError, ValueError):
            # Too deep for that, or no JSON: the brackets tell.
            pass
        depth = 0
        for token in _STRUCTURE.finditer(text, at):
            found = text[token.start()]
            if found in "[{":
                depth += 1
            elif found in "]}":
                depth -= 1
                if depth == 0:
                    return token.end()
        raise ValueError(f"what begins at character {at} has no end")
    match = (_STRING if c == '"' else _SCALAR).match(text, at)
    if match is None:
        raise ValueError(f"expected a value at character {at}, found none")
    return match.end()


class _HasRaw(Exception):
    """Somewhere in the value stands JSON that goes out as it is."""


def _default(value: Any) -> Any:
    if isinstance(value, (Raw, NumberText, Decimal)):
        raise _HasRaw
    return _members_of(value)


def _members_of(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    raise TypeError(f"expected a value that JSON has, found one of the type {type(value).__name__}")


def _make_writer() -> Callable[[Any], str]:
    """``json.JSONEncoder`` makes an encoder in C for each text that it writes, which takes as long as to write a short
    one. Where that encoder is to be had, it is made once."""
    writer = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_default)
    make, quote = getattr(json.encoder, "c_make_encoder", None), json.encoder.encode_basestring
    if make is None:
        return writer.encode
    in_c = make(None, _default, quote, None, ":", ",", False, False, False)

    def write_in_c(value: Any) -> str:
        return "".join(in_c(value, 0))

    is_same = write_in_c(_SAMPLE) == writer.encode(_SAMPLE)
    return write_in_c if is_same else writer.encode


_SAMPLE = {"a": [1, -2.5, True, None, "\u00e9\"\n"], "b": {}}
_write_plain = _make_writer()

# It stands for a raw value until the text around that is written. It is drawn at random in each process and never
# leaves it, so no text that is sent can look like one.
_STAND_IN = os.urandom(16).hex()
_STAND_INS = re.compile(f'"{_STAND_IN}:([0-9]+)"')


def write(value: Any) -> str:
    """The text of a value. ``Raw`` and ``NumberText`` go out as they are, data classes as objects.

    Raises ``TypeError`` or ``ValueError`` for what JSON does not have, with a sentence.
    """
    if type(value) is Raw:
        return value.text
    try:
        return _write_plain(value)
    except _HasRaw:
        return _write_around(value)
    except RecursionError:
        raise ValueError("lists and objects lie too deep to be written") from None


def _write_around(value: Any) -> str:
    raws: List[str] = []

    def default(found: Any) -> Any:
        if isinstance(found, (Raw, NumberText)):
            raws.append(found.text)
        elif isinstance(found, Decimal):
            raws.append(_text_of(found))
        else:
            return _members_of(found)
        return f"{_STAND_IN}:{len(raws) - 1}"

    writer = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=default)
    try:
        text = writer.encode(value)
    except RecursionError:
        raise ValueError("lists and objects lie too deep to be written") from None
    return _STAND_INS.sub(lambda found: raws[int(found.group(1))], text)


def _text_of(number: Decimal) -> str:
    if not number.is_finite():
        raise ValueError(f"expected a number that JSON has, found {number}")
    return str(number)


def to_bytes(text: str) -> bytes:
    """The text in UTF-8. A half of a surrogate pair, which UTF-8 does not have, becomes its escape."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return _SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text).encode("utf-8")
