"""The sentences in which arguments are refused. They are a contract: the table in the README of this package has
them, and SDKs for other languages use the same."""

from typing import Any, List, Optional, Sequence, Union

from . import text as json_text
from .error import Error
from .limits import COMPARED_CHARACTERS_MAX, LEVELS_MAX, NAMES_MAX, PATH_CHARACTERS_MAX, QUOTE_CHARACTERS_MAX

Place = Union[str, int]


class Refusal(Exception):
    """Why a value does not fit, and at which place inside of what was given."""

    TWICE = "{what} {path} stands there twice"
    UNKNOWN = "unknown {what} {path}; {hint}"
    MISSING = "missing {what} {path}; expected {expected}"
    WRONG = "{what} {path}: expected {expected}, found {found}"

    def __init__(
        self,
        form: str,
        *,
        expected: str = "",
        found: str = "",
        hint: str = "",
        place: Optional[Place] = None,
        is_inexact: bool = False,
    ) -> None:
        super().__init__(form)
        self.form = form
        self.expected = expected
        self.found = found
        self.hint = hint
        #: Whether it is of the right type, and would be changed.
        self.is_inexact = is_inexact
        #: The way to the place, the innermost step first.
        self.way: List[Place] = [] if place is None else [place]

    def inside(self, place: Place) -> "Refusal":
        """The same refusal, seen from one step further out."""
        self.way.append(place)
        return self

    @property
    def path(self) -> str:
        """Where it is, with dots between the steps."""
        return ".".join(_step(place) for place in reversed(self.way))

    def sentence(self, what: str, whole: str = "") -> str:
        """For a person. ``what`` is what a member is called there, ``whole`` what all of it was expected to be."""
        if not self.way:
            return f"expected {whole or self.expected}, found {self.found}"
        path = f"`{cut(self.path)}`"
        return self.form.format(what=what, path=path, expected=self.expected, found=self.found, hint=self.hint)

    def error(self, what: str, whole: str = "", before: str = "", permanent: bool = False) -> Error:
        """The error that is answered."""
        sentence = before + self.sentence(what, whole)
        return Error(sentence, code="bad_request", data={"at": self.path[:PATH_CHARACTERS_MAX]}, permanent=permanent)


def wrong(expected: Sequence[str], found: Any) -> Refusal:
    """A value of another type."""
    return Refusal(Refusal.WRONG, expected=alternatives(expected), found=quote(found))


def inexact(found: Any) -> Refusal:
    """A number that would change."""
    expected = "a number that a double holds exactly"
    return Refusal(Refusal.WRONG, expected=expected, found=quote(found), is_inexact=True)


def too_deep() -> Refusal:
    """Lists and objects within each other without an end."""
    return Refusal(Refusal.WRONG, expected=f"at most {LEVELS_MAX} levels of lists and objects", found="more")


def missing(name: str, expected: Sequence[str]) -> Refusal:
    """A member that is required."""
    return Refusal(Refusal.MISSING, expected=alternatives(expected), place=name)


def twice(name: str) -> Refusal:
    """A member that is there twice."""
    return Refusal(Refusal.TWICE, place=name)


def unknown(name: str, known: Sequence[str]) -> Refusal:
    """A member that there is not."""
    return Refusal(Refusal.UNKNOWN, hint=hint(name, known, "expected none"), place=name)


def unknown_command(name: str, known: Sequence[str]) -> Error:
    """A command that there is not."""
    sentence = f"unknown command `{cut(name)}`; {hint(name, known, 'this module has none')}"
    return Error(sentence, code="unknown_command")


def hint(name: str, known: Sequence[str], none: str) -> str:
    """What may have been meant."""
    if not known:
        return none
    near = nearest(name, known)
    if near is not None:
        return f"did you mean `{cut(near)}`?"
    named = ", ".join(f"`{cut(other)}`" for other in known[:NAMES_MAX])
    more = len(known) - NAMES_MAX
    return f"known are {named} and {more} more" if more > 0 else f"known are {named}"


def nearest(name: str, known: Sequence[str]) -> Optional[str]:
    """The known name that is near enough to be what was meant, and nearest."""
    far = len(name) // 3 + 1
    best: Optional[str] = None
    for other in known:
        found = _distance(name[:COMPARED_CHARACTERS_MAX], other[:COMPARED_CHARACTERS_MAX])
        if found <= far:
            best, far = other, found - 1
    return best


def _distance(a: str, b: str) -> int:
    """How many characters have to be added, removed or replaced."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a):
        diagonal, row[0] = row[0], i + 1
        for j, y in enumerate(b):
            replaced = diagonal + (x != y)
            diagonal = row[j + 1]
            row[j + 1] = min(replaced, row[j] + 1, diagonal + 1)
    return row[-1]


def alternatives(words: Sequence[str]) -> str:
    """``a text, an integer or null``."""
    named = list(dict.fromkeys(words))
    if len(named) > NAMES_MAX:
        return f"{', '.join(named[:NAMES_MAX])} or {len(named) - NAMES_MAX} others"
    return " or ".join(filter(None, [", ".join(named[:-1]), named[-1]]))


def quote(found: Any) -> str:
    """A value for people, cut."""
    try:
        return cut(json_text.write(found))
    except (TypeError, ValueError):
        return "a value that cannot be shown"


def cut(text: str) -> str:
    """A text for people: at most 60 characters."""
    return text if len(text) <= QUOTE_CHARACTERS_MAX else text[:QUOTE_CHARACTERS_MAX] + "…"


def _step(place: Place) -> str:
    if isinstance(place, int):
        return str(place)
    return place.replace("\\", "\\\\").replace(".", "\\.")
