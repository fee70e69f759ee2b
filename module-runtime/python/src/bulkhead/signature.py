"""The parameters of a handler as the arguments that it takes. ``hints`` says what a hint means."""

import inspect
from typing import Any, Callable, Dict, List, Optional, Tuple

from . import text as json_text
from .hints import HintError, Member, Type, optional_type, read_hint, resolve, schema_of
from .limits import LEVELS_MAX
from .message import Request
from .refusal import Refusal, alternatives, missing, too_deep, twice, unknown, wrong
from .values import Raw

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Parameters:
    """What a handler takes beside its first parameters, which it always gets."""

    def __init__(self, function: Callable[..., Any], given: List[str], place: str) -> None:
        """``given`` says what the first parameters are. Raises ``HintError``, a sentence that begins with ``place``."""
        _check_plain(function, place)
        hints = resolve(function, place)
        parameters = list(inspect.signature(function).parameters.values())
        first = parameters[: len(given)]
        if len(first) < len(given) or any(parameter.kind not in _POSITIONAL for parameter in first):
            raise HintError(f"{place}: expected the parameters {', '.join(given)} first")
        # An argument of such a name would be given twice.
        self._taken = {parameter.name for parameter in first if parameter.kind in _NAMED}
        self._members: Dict[str, Member] = {}
        self._rest: Optional[Type] = None
        # The one parameter that takes everything as a whole, and its type.
        self._whole: Optional[Tuple[str, Type]] = None
        for parameter in parameters[len(given) :]:
            hint = hints.get(parameter.name, Any)
            there = f"{place}: parameter `{parameter.name}`"
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                self._rest = read_hint(hint, there)
            elif parameter.kind in _NAMED:
                is_required = parameter.default is inspect.Parameter.empty
                self._members[parameter.name] = Member(parameter.name, read_hint(hint, there), is_required)
            elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY and len(parameters) == len(given) + 1:
                self._whole = (parameter.name, read_hint(hint, there))
            else:
                rule = "or one parameter alone before `/`, which takes all of them"
                raise HintError(f"{there}: expected one that can be given by its name, {rule}")
        types = [member.type for member in self._members.values()]
        types += [found for found in (self._rest, self._whole and self._whole[1]) if found]
        self._wants_text = any(found.is_raw or found.wants_digits for found in types)
        self._required = [member for member in self._members.values() if member.is_required]
        self._checks = {name: member.type.check for name, member in self._members.items()}
        #: Whether there is none.
        self.is_empty = not types

    @property
    def schema(self) -> Dict[str, Any]:
        """The arguments as JSON Schema 2020-12."""
        if self._whole is not None:
            return self._whole[1].schema
        return schema_of(self._members, self._rest.schema if self._rest else False)

    @property
    def words(self) -> str:
        """What the arguments as a whole are expected to be, where that is not an object of them."""
        return "" if self._whole is None else alternatives(self._whole[1].words)

    def callable(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, so that it can be called with what was bound by name."""
        if self._whole is None:
            return function
        name = self._whole[0]

        def call(*given: Any, **bound: Any) -> Any:
            return function(*given, bound[name])

        return call

    def bind(self, args: Any, is_read: bool, raw: Callable[[], Raw]) -> Dict[str, Any]:
        """The arguments by name, as the handler takes them.

        ``args`` are the values if ``is_read``, and ``raw`` gives the text that was sent. Raises ``Refusal``.
        """
        if self._whole is not None:
            name, wanted = self._whole
            return {name: raw() if wanted.is_raw else _checked_here(wanted, raw())}
        if is_read and not self._wants_text and type(args) is dict:
            bound = self._bind_read(args)
            if bound is not None:
                return bound
        # From the text, so that a refusal quotes what was sent.
        return self._bind_text(raw().text)

    def _bind_read(self, args: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        bound: Dict[str, Any] = {}
        checks, rest = self._checks, self._rest
        try:
            for name, value in args.items():
                check = checks.get(name)
                if check is None:
                    if rest is None or name in self._taken:
                        return None
                    check = rest.check
                bound[name] = check(value, False)
        except Refusal:
            return None
        for member in self._required:
            if member.name not in bound:
                return None
        return bound

    def _bind_text(self, text: str) -> Dict[str, Any]:
        try:
            given = json_text.outline(text)
        except ValueError:
            if json_text.is_deep(text, LEVELS_MAX):
                raise too_deep() from None
            raise wrong(("an object",), json_text.read_exact(text)) from None
        parts: Dict[str, Raw] = {}
        for name, raw in given:
            if name in parts:
                raise twice(name)
            parts[name] = raw
        for name in parts:
            if name not in self._members and (self._rest is None or name in self._taken):
                raise unknown(name, list(self._members))
        for member in self._required:
            if member.name not in parts:
                raise missing(member.name, member.type.words)
        bound: Dict[str, Any] = {}
        for name, member in self._members.items():
            if name in parts:
                bound[name] = _checked(name, member.type, parts[name])
        for name, raw in parts.items():
            if self._rest is not None and name not in bound:
                bound[name] = _checked(name, self._rest, raw)
        return bound


class Payload:
    """The one parameter that takes the whole payload of a query or a mutation."""

    def __init__(self, function: Callable[..., Any], place: str) -> None:
        """Raises ``HintError``, a sentence that begins with ``place``."""
        _check_plain(function, place)
        hints = resolve(function, place)
        parameters = list(inspect.signature(function).parameters.values())
        if len(parameters) != 2 or any(parameter.kind not in _POSITIONAL for parameter in parameters):
            raise HintError(f"{place}: expected the parameters ctx and payload")
        name = parameters[1].name
        self._type = read_hint(hints.get(name, Any), f"{place}: parameter `{name}`")

    def bind(self, request: Request) -> Any:
        """The payload as the handler takes it. Raises ``Refusal``."""
        if self._type.is_raw:
            return request.raw
        if request.is_read and not self._type.wants_digits:
            try:
                return self._type.check(request.body, False)
            except Refusal:
                # From the text, so that a refusal quotes what was sent.
                pass
        return _checked_here(self._type, request.raw)


def _check_plain(function: Callable[..., Any], place: str) -> None:
    tests = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(test(function) for test in tests):
        raise HintError(f"{place}: expected a plain function that returns its answer, found a coroutine or a generator")


def returned_type(function: Callable[..., Any], place: str) -> Optional[Type]:
    """The type of what a handler returns, or ``None`` where its hints say nothing."""
    hints = resolve(function, place)
    return optional_type(hints["return"], f"{place}: what it returns") if "return" in hints else None


def _checked(name: str, wanted: Type, raw: Raw) -> Any:
    if wanted.is_raw:
        return raw
    try:
        # Each argument by itself has so many levels.
        return _checked_here(wanted, raw)
    except Refusal as refusal:
        raise refusal.inside(name) from None


def _checked_here(wanted: Type, raw: Raw) -> Any:
    if json_text.is_deep(raw.text, LEVELS_MAX):
        raise too_deep()
    if not wanted.wants_digits:
        try:
            return wanted.check(json_text.read(raw.text), False)
        except (Refusal, ValueError):
            # From exact values, so that a refusal quotes what was sent, and says what stands there twice.
            pass
    return wanted.check(json_text.read_exact(raw.text), True)
