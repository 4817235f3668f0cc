"""Which ups and downs of a number over months are ordinary, and which call for a reason: control limits.

Two charts. Where each month is a share with its numerator and denominator: the **p chart**, limits at the share of all
months together +- 3 standard errors of a binomial share of that month's denominator. Otherwise the **XmR chart** of
individual values: mean +- 2.66 times the mean moving range (W. A. Shewhart, Economic Control of Quality of Manufactured
Product, 1931; the constant is 3 / d2 for ranges of two values, d2 = 1.128; D. J. Wheeler, Understanding Variation, 1993).

A month is remarkable when it lies outside the limits, or when it is the end of at least eight months in a row on the same
side of the middle. Fewer than six months draw no limits: chance would draw them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from kpi.domain.scoring import half_up

FEWEST = 6  # months
RUN = 8  # months in a row on one side of the middle
_XMR = Fraction(266, 100)


@dataclass(frozen=True)
class Observation:
    """A month's value and, where it is a share, what it is a share of (the value then is in per cent)."""

    value: Decimal
    numerator: Decimal | None = None
    denominator: Decimal | None = None


@dataclass(frozen=True)
class Limit:
    """The limits of one month, to four places."""

    low: Decimal
    high: Decimal


@dataclass(frozen=True)
class ControlChart:
    """``method`` is p, xmr or "" (too few months). ``limits``: of each month. ``outside``: places beyond them.

    ``run``: how many months at the end lie on one side of the middle, if they are at least eight; ``run_above``: which.
    """

    method: str
    middle: Decimal | None
    limits: tuple[Limit, ...] = ()
    outside: tuple[int, ...] = ()
    run: int = 0
    run_above: bool = False


def control_chart(
    months: Sequence[Observation], *, least: Decimal | None = None, most: Decimal | None = None
) -> ControlChart:
    """This function will return the control limits of months in their order.

    ``least`` and ``most`` are ends of the scale that no value passes: limits are cut there.
    """
    if len(months) < FEWEST:
        return ControlChart("", None)
    # A share of a target may pass 100 %: that is no count of successes, so its months are read as plain values.
    shares = all(one.denominator and one.numerator is not None and one.numerator <= one.denominator for one in months)
    method, middle, raw = _p(months) if shares else _xmr([Fraction(one.value) for one in months])
    limits = tuple(_cut(low, high, least, most) for low, high in raw)
    values = [Fraction(one.value) for one in months]
    outside = tuple(
        place
        for place, (value, (low, high)) in enumerate(zip(values, raw, strict=True))
        if not _rounded_low(low) <= value <= _rounded_high(high)
    )
    run, above = _run(values, middle)
    return ControlChart(method, half_up(middle, 4), limits, outside, run, above)


def _xmr(values: list[Fraction]):
    middle = sum(values, Fraction(0)) / len(values)
    moves = [abs(after - before) for before, after in zip(values, values[1:], strict=False)]
    reach = _XMR * sum(moves, Fraction(0)) / len(moves)
    return "xmr", middle, [(middle - reach, middle + reach)] * len(values)


def _p(months: Sequence[Observation]):
    pairs = [(Fraction(one.numerator or 0), Fraction(one.denominator or 1)) for one in months]
    share = sum((top for top, _bottom in pairs), Fraction(0)) / sum((bottom for _top, bottom in pairs), Fraction(0))
    found = []
    for _top, bottom in pairs:
        reach = 300 * _root(share * (1 - share) / bottom)
        found.append((share * 100 - reach, share * 100 + reach))
    return "p", share * 100, found


def _root(value: Fraction) -> Fraction:
    """A square root to some twenty digits."""
    return Fraction((Decimal(value.numerator) / Decimal(value.denominator)).sqrt())


def _rounded_low(low: Fraction) -> Fraction:
    """Values are kept to four places: one on the limit is not beyond it."""
    return low - Fraction(1, 10_000)


def _rounded_high(high: Fraction) -> Fraction:
    return high + Fraction(1, 10_000)


def _cut(low: Fraction, high: Fraction, least: Decimal | None, most: Decimal | None) -> Limit:
    bottom, top = half_up(low, 4), half_up(high, 4)
    return Limit(bottom if least is None else max(bottom, least), top if most is None else min(top, most))


def _run(values: list[Fraction], middle: Fraction) -> tuple[int, bool]:
    """How many months at the end lie on one side of the middle, when they are enough to mean something."""
    sides = [(value > middle) - (value < middle) for value in values]
    length = 0
    for side in reversed(sides):
        if side == 0 or side != sides[-1]:
            break
        length += 1
    return (length, sides[-1] > 0) if length >= RUN else (0, False)
