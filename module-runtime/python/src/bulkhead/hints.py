"""Type hints as what JSON may stand there: the schema, the words for people, and the check of a value.

A check returns the value as the handler gets it, or raises a ``Refusal``. It takes values of ``text.read``, and, if
it is asked to, of ``text.read_exact``, in which each number is a text still.
"""

import collections.abc
import dataclasses
import sys
import typing
from decimal import Decimal
from typing import Any, Callable, Dict, List, Literal, Optional, Tuple, Union

from . import numbers
from .refusal import Refusal, inexact, missing, twice, unknown, wrong
from .text import Twice
from .values import NumberText, Raw

_UNIONS: Tuple[Any, ...] = (Union,)
if sys.version_info >= (3, 10):
    import types

    _UNIONS = (Union, types.UnionType)

_Check = Callable[[Any, bool], Any]


@dataclasses.dataclass(frozen=True)
class Type:
    """What a hint says."""

    #: JSON Schema 2020-12.
    schema: Dict[str, Any]
    #: What a refusal says was expected.
    words: Tuple[str, ...]
    #: The check.
    check: _Check
    #: The kinds of JSON that it may be: ``text``, ``number``, ``boolean``, ``null``, ``list``, ``object``.
    kinds: Tuple[str, ...]
    #: Whether it is ``Raw``, so that the text that was sent is wanted.
    is_raw: bool = False
    #: Whether numbers are wanted with their digits.
    wants_digits: bool = False


class HintError(TypeError):
    """A hint of which no schema can be made."""


_KINDS = ("text", "number", "boolean", "null", "list", "object")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, (int, float, NumberText)):
        return "number"
    return "list" if isinstance(value, list) else "object"


def _text(value: Any, exact: bool) -> Any:
    if type(value) is not str:
        raise wrong(("a text",), value)
    return value


def _integer(value: Any, exact: bool) -> Any:
    if type(value) is int:
        return value
    if isinstance(value, (float, NumberText)):
        whole = numbers.as_integer(value)
        if isinstance(whole, NumberText):
            raise inexact(value)
        if whole is not None:
            return whole
    raise wrong(("an integer",), value)


def _number(value: Any, exact: bool) -> Any:
    if type(value) is float:
        return value
    if type(value) is int or isinstance(value, NumberText):
        same = numbers.as_float(value)
        if same is None:
            raise inexact(value)
        return same
    raise wrong(("a number",), value)


def _digits(value: Any, exact: bool) -> Any:
    if isinstance(value, NumberText):
        return value
    if type(value) in (int, float):
        return NumberText(repr(value))
    raise wrong(("a number",), value)


def _decimal(value: Any, exact: bool) -> Any:
    try:
        return _digits(value, exact).decimal
    except ArithmeticError:
        raise inexact(value) from None


def _boolean(value: Any, exact: bool) -> Any:
    if value is not True and value is not False:
        raise wrong(("true or false",), value)
    return value


def _null(value: Any, exact: bool) -> Any:
    if value is not None:
        raise wrong(("null",), value)
    return value


def _anything(value: Any, exact: bool) -> Any:
    """A value of ``read_exact`` becomes one of ``read``: numbers are numbers where nothing is lost by it."""
    if not exact:
        return value
    if isinstance(value, NumberText):
        whole = not any(c in value.text for c in ".eE")
        return numbers.of_integer(value.text) if whole else numbers.of_fraction(value.text)
    if type(value) is list:
        return [_inside(_anything, at, element, exact) for at, element in enumerate(value)]
    if isinstance(value, Twice):
        raise twice(value.name)
    if type(value) is dict:
        return {name: _inside(_anything, name, member, exact) for name, member in value.items()}
    return value


def _as_it_is(value: Any, exact: bool) -> Any:
    return value


def _inside(check: _Check, place: Union[str, int], value: Any, exact: bool) -> Any:
    try:
        return check(value, exact)
    except Refusal as refusal:
        raise refusal.inside(place) from None


_PLAIN: Dict[Any, Type] = {
    str: Type({"type": "string"}, ("a text",), _text, ("text",)),
    int: Type({"type": "integer"}, ("an integer",), _integer, ("number",)),
    float: Type({"type": "number"}, ("a number",), _number, ("number",)),
    bool: Type({"type": "boolean"}, ("true or false",), _boolean, ("boolean",)),
    type(None): Type({"type": "null"}, ("null",), _null, ("null",)),
    None: Type({"type": "null"}, ("null",), _null, ("null",)),
    Any: Type({}, ("any JSON",), _anything, _KINDS),
    object: Type({}, ("any JSON",), _anything, _KINDS),
    NumberText: Type({"type": "number"}, ("a number",), _digits, ("number",), wants_digits=True),
    Decimal: Type({"type": "number"}, ("a number",), _decimal, ("number",), wants_digits=True),
    Raw: Type({}, ("any JSON",), _as_it_is, _KINDS, is_raw=True),
}


def read_hint(hint: Any, place: str, within: Tuple[Any, ...] = ()) -> Type:
    """The type of a hint. Raises ``HintError``, which begins with ``place``."""
    try:
        if hint in _PLAIN:
            return _PLAIN[hint]
    except TypeError:
        # A hint that has no hash is none of the plain ones.
        pass
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint in (list, List) or origin in (list, collections.abc.Sequence):
        return _list_of(_inner(parts[0] if parts else Any, place, within))
    if hint in (dict, Dict) or origin in (dict, collections.abc.Mapping):
        if parts and parts[0] is not str:
            raise HintError(f"{place}: expected dict[str, …], as names are texts in JSON, found {_name(hint)}")
        return _object_of(_inner(parts[1] if parts else Any, place, within))
    if origin is Literal:
        return _one_of(parts, place)
    if origin in _UNIONS:
        return _any_of([_inner(part, place, within) for part in parts])
    if isinstance(hint, type):
        if hint in within:
            raise HintError(f"{place}: {hint.__name__} has itself as a part, which no schema is made of; use Any there")
        if dataclasses.is_dataclass(hint):
            return _data_class(hint, place, (*within, hint))
        if hasattr(hint, "__required_keys__"):
            return _typed_dict(hint, place, (*within, hint))
    raise HintError(
        f"{place}: expected a hint of str, int, float, bool, None, list, dict, Literal, Optional, Union, Any, a "
        f"TypedDict, a dataclass, Decimal, NumberText or Raw, found {_name(hint)}"
    )


def _inner(hint: Any, place: str, within: Tuple[Any, ...]) -> Type:
    found = read_hint(hint, place, within)
    if found.is_raw:
        raise HintError(f"{place}: Raw is the type of a whole argument or payload only, and not of a part of one")
    return found


def _name(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint)


def _list_of(inner: Type) -> Type:
    check = inner.check

    def check_list(value: Any, exact: bool) -> Any:
        if type(value) is not list:
            raise wrong(("a list",), value)
        try:
            return [check(element, exact) for element in value]
        except Refusal:
            return [_inside(check, at, element, exact) for at, element in enumerate(value)]

    schema = {"type": "array", "items": inner.schema}
    return Type(schema, ("a list",), check_list, ("list",), wants_digits=inner.wants_digits)


def _object_of(inner: Type) -> Type:
    check = inner.check

    def check_object(value: Any, exact: bool) -> Any:
        if not isinstance(value, dict):
            raise wrong(("an object",), value)
        if isinstance(value, Twice):
            raise twice(value.name)
        return {name: _inside(check, name, member, exact) for name, member in value.items()}

    schema = {"type": "object", "additionalProperties": inner.schema}
    return Type(schema, ("an object",), check_object, ("object",), wants_digits=inner.wants_digits)


def _one_of(values: Tuple[Any, ...], place: str) -> Type:
    from .text import write

    for value in values:
        if value is not None and type(value) not in (str, int, bool):
            raise HintError(f"{place}: expected texts, integers, true, false or null in Literal, found {value!r}")
    words = tuple(write(value) for value in values)

    def check_value(value: Any, exact: bool) -> Any:
        found = value
        if isinstance(value, (float, NumberText)):
            whole = numbers.as_integer(value)
            found = value if whole is None else whole
        for allowed in values:
            if type(found) is type(allowed) and found == allowed:
                return allowed
        raise wrong(words, value)

    kinds = tuple(dict.fromkeys(_kind(value) for value in values))
    return Type({"enum": list(values)}, words, check_value, kinds)


def _any_of(parts: List[Type]) -> Type:
    words = tuple(word for part in parts for word in part.words)

    def check_any(value: Any, exact: bool) -> Any:
        kind = _kind(value)
        of_its_kind = []
        for part in parts:
            if kind in part.kinds:
                try:
                    return part.check(value, exact)
                except Refusal as refusal:
                    of_its_kind.append(refusal)
        # Of one alternative that it may have been meant as, the fault inside of it says more than all of them.
        if len(of_its_kind) == 1 and (of_its_kind[0].way or of_its_kind[0].is_inexact):
            raise of_its_kind[0]
        raise wrong(words, value)

    schema = {"anyOf": [part.schema for part in parts]}
    kinds = tuple(dict.fromkeys(kind for part in parts for kind in part.kinds))
    return Type(schema, words, check_any, kinds, wants_digits=any(part.wants_digits for part in parts))


@dataclasses.dataclass(frozen=True)
class Member:
    """A member that an object with known names may have."""

    name: str
    type: Type
    is_required: bool


def check_members(
    members: Dict[str, Member], required: List[Member], value: Dict[str, Any], exact: bool
) -> Dict[str, Any]:
    """The members that are there, each checked. The first fault is raised, in the order that the README says."""
    if isinstance(value, Twice):
        raise twice(value.name)
    for name in value:
        if name not in members:
            raise unknown(name, list(members))
    for member in required:
        if member.name not in value:
            raise missing(member.name, member.type.words)
    found = {}
    for name, member in members.items():
        if name in value:
            try:
                found[name] = member.type.check(value[name], exact)
            except Refusal as refusal:
                raise refusal.inside(name) from None
    return found


def schema_of(members: Dict[str, Member], others: Union[bool, Dict[str, Any]] = False) -> Dict[str, Any]:
    """The schema of an object with these members."""
    return {
        "type": "object",
        "properties": {member.name: member.type.schema for member in members.values()},
        "required": [member.name for member in members.values() if member.is_required],
        "additionalProperties": others,
    }


def _with_names(members: Dict[str, Member], make: Callable[[Dict[str, Any]], Any]) -> Type:
    required = [member for member in members.values() if member.is_required]

    def check_members_of(value: Any, exact: bool) -> Any:
        if not isinstance(value, dict):
            raise wrong(("an object",), value)
        return make(check_members(members, required, value, exact))

    wants_digits = any(member.type.wants_digits for member in members.values())
    return Type(schema_of(members), ("an object",), check_members_of, ("object",), wants_digits=wants_digits)


def _data_class(hint: Any, place: str, within: Tuple[Any, ...]) -> Type:
    hints = resolve(hint, place)
    members = {}
    for field in dataclasses.fields(hint):
        if not field.init:
            continue
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        inner = _inner(hints[field.name], f"{place}: {hint.__name__}.{field.name}", within)
        members[field.name] = Member(field.name, inner, not has_default)
    return _with_names(members, lambda found: hint(**found))


def _typed_dict(hint: Any, place: str, within: Tuple[Any, ...]) -> Type:
    members = {}
    for name, part in resolve(hint, place).items():
        is_required = name in hint.__required_keys__
        # Python does not look into a hint that is a text when it makes the class, so it may be wrong there.
        marker = _name(typing.get_origin(part)) if typing.get_origin(part) is not None else ""
        if marker in ("Required", "NotRequired"):
            is_required = marker == "Required"
            part = typing.get_args(part)[0]
        members[name] = Member(name, _inner(part, f"{place}: {hint.__name__}.{name}", within), is_required)
    return _with_names(members, dict)


def resolve(annotated: Any, place: str) -> Dict[str, Any]:
    """The hints of a function or a class, those that are texts included. Raises ``HintError``."""
    try:
        return typing.get_type_hints(annotated, include_extras=True)
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        reason = f"a hint cannot be read by Python {version}: {error}"
        raise HintError(f"{place}: {reason}; types stand at the top of a file, and `X | Y` needs Python 3.10") from None


def optional_type(hint: Any, place: str) -> Optional[Type]:
    """The type of a result, or ``None`` where there is no hint or one that says nothing."""
    return None if hint in (Any, object) else read_hint(hint, place)
