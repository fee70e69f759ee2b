"""Values that Python has no type for: JSON as it was sent, and a number that keeps its digits. How texts
become values is not known here."""

import re
from decimal import Decimal
from typing import Any

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class Raw:
    """JSON as it was sent: digits, white space and the order of members included.

    As the type of a parameter it takes the argument as it came. Wherever a value is sent, in an answer, an
    event or a request, it goes out as it is. ``Raw(text)`` looks at the text and raises ``ValueError`` where
    it is not JSON.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        from .text import check

        check(text)
        self.text = text

    @classmethod
    def trusted(cls, text: str) -> "Raw":
        """As ``Raw(text)``, of text that is known to be JSON, such as what the host sent. It is not looked at."""
        raw = cls.__new__(cls)
        raw.text = text
        return raw

    def read(self) -> Any:
        """The value, with a ``NumberText`` wherever a float would change a number."""
        from .text import read

        return read(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raw) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Raw({self.text!r})"


class NumberText:
    """A number as the text that was sent, for numbers that a float would change: ``0.1000000000000000055``.

    As the type of a parameter it takes any number with its digits. Where it is sent it is that number again.
    ``decimal`` and ``float`` say what it is worth.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        if not _NUMBER.fullmatch(text):
            raise ValueError(f"expected a number as JSON has it, found {text!r}")
        self.text = text

    @property
    def decimal(self) -> Decimal:
        """The exact value. Raises ``decimal.InvalidOperation`` for an exponent beyond what ``decimal`` has."""
        return Decimal(self.text)

    def __float__(self) -> float:
        return float(self.text)

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NumberText) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"NumberText({self.text!r})"
