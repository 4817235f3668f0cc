"""Money is whole fen. Reading what people and files write as yuan, and writing fen as yuan (TRUST MC-23)."""

from __future__ import annotations

import re
from fractions import Fraction

LARGEST_FEN = 10**15  # ten thousand billion yuan: far beyond any pool, far inside a 64-bit column

# ASCII digits only: Python's own numbers also take "NaN", "1_000", "１２" and "1e3".
_YUAN = re.compile(r"(-?)([0-9]{1,14}|[0-9]{1,3}(?:,[0-9]{3}){1,4})(?:\.([0-9]{1,2}))?", re.ASCII)


class NotMoney(ValueError):
    """The text is not an amount in yuan with at most two places."""


def parse_yuan(text: object) -> int:
    """This function will read an amount in yuan ("28,117.00", "-3.5", "6000") as whole fen. Raises NotMoney.

    Takes text and the numbers a spreadsheet gives. A binary fraction is read as it is written at its shortest
    (7528.54), never calculated with; what has more than two places is refused, not rounded.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise NotMoney(text)
    written = text.strip() if isinstance(text, str) else repr(text)
    if isinstance(text, float):
        written = written.removesuffix(".0")
    match = _YUAN.fullmatch(written)
    if not match:
        raise NotMoney(text)
    sign, yuan, part = match.groups()
    fen = int(yuan.replace(",", "")) * 100 + int((part or "0").ljust(2, "0"))
    if fen > LARGEST_FEN:
        raise NotMoney(text)
    return -fen if sign else fen


def format_yuan(fen: int, *, signed: bool = False, grouped: bool = True) -> str:
    """This function will write fen as yuan with two places: "28,117.00". With ``signed`` a gain carries its plus.

    Without ``grouped`` it is what a file holds: "28117.00".
    """
    if isinstance(fen, bool) or not isinstance(fen, int):
        raise TypeError(fen)
    yuan, part = divmod(abs(fen), 100)
    sign = "-" if fen < 0 else "+" if signed and fen > 0 else ""
    return f"{sign}{yuan:,}.{part:02d}" if grouped else f"{sign}{yuan}.{part:02d}"


def half_up(exact: Fraction | int) -> int:
    """This function will round an exact number to a whole one, halves away from zero."""
    exact = Fraction(exact)
    whole = (2 * abs(exact.numerator) + exact.denominator) // (2 * exact.denominator)
    return whole if exact >= 0 else -whole


def exact_text(value: Fraction) -> str:
    """This function will write an exact number as "n/d", the form in which it is stored."""
    return f"{value.numerator}/{value.denominator}"


def read_exact(text: str) -> Fraction:
    """This function will read what ``exact_text`` wrote. Raises ValueError."""
    match = re.fullmatch(r"(-?[0-9]+)/([1-9][0-9]*)", text, re.ASCII)
    if not match:
        raise ValueError(text)
    return Fraction(int(match[1]), int(match[2]))
