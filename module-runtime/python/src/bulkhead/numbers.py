"""What the text of a number is as a value of Python, and whether it is the same number then."""

from decimal import Decimal, InvalidOperation
from typing import Optional, Union

from .limits import INTEGER_DIGITS_MAX
from .values import NumberText

# No double has a greatest or a least exponent near these, and texts with them are judged without arithmetic.
_EXPONENT_DIGITS_MAX = 6


def of_fraction(text: str) -> Union[float, NumberText]:
    """A number with a fraction or an exponent: a float where that has all its digits, else its text."""
    value = float(text)
    if repr(value) == text or _is_same(value, text):
        return value
    return NumberText(text)


def of_integer(text: str) -> Union[int, NumberText]:
    """A number without either, which Python has exactly, up to the length that it reads."""
    return int(text) if len(text) <= INTEGER_DIGITS_MAX else NumberText(text)


def as_float(number: Union[int, float, NumberText]) -> Optional[float]:
    """The float that is worth the same, if there is one."""
    if isinstance(number, NumberText):
        value = of_fraction(number.text)
        return value if isinstance(value, float) else None
    if isinstance(number, int):
        try:
            value = float(number)
        except OverflowError:
            return None
        return value if int(value) == number else None
    return number


def as_integer(number: Union[int, float, NumberText]) -> Union[int, NumberText, None]:
    """The whole number that is worth the same; its text where Python does not read it, ``None`` for a fraction."""
    if isinstance(number, int):
        return number
    if isinstance(number, float):
        return int(number) if number.is_integer() else None
    text = number.text
    if not any(c in text for c in ".eE"):
        return of_integer(text)
    value = of_fraction(text)
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    return number if _is_whole(text) else None


def _is_same(value: float, text: str) -> bool:
    """Whether the shortest decimal of the float is the one that was sent, however each is written."""
    if value in (float("inf"), float("-inf")):
        return False
    exact = _decimal(text)
    return exact is not None and exact == Decimal(repr(value))


def _is_whole(text: str) -> bool:
    exact = _decimal(text)
    if exact is None:
        return "-" not in text.lower().partition("e")[2]
    exponent = exact.as_tuple().exponent
    if not isinstance(exponent, int) or exponent >= 0:
        return True
    return all(digit == 0 for digit in exact.as_tuple().digits[exponent:])


def _decimal(text: str) -> Optional[Decimal]:
    if len(text.lower().partition("e")[2]) > _EXPONENT_DIGITS_MAX:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
