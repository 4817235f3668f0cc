"""Which units differ from the whole by more than chance explains: exact binomial limits, ranks, many comparisons.

A rate of a small unit jumps about by chance alone, so a bare ranking mostly sorts luck. Three rules keep it honest:

- **Control limits** are exact binomial tails against the rate of the whole (no normal approximation, which is worst
  just where our rates are, near 100 %): a funnel plot after D. J. Spiegelhalter, "Funnel plots for comparing
  institutional performance", Statistics in Medicine 24 (2005), 1185-1202, section 2.3 and appendix A.1.1.
- **Many comparisons** are paid for: a unit is called different only if it survives the procedure of Y. Benjamini and
  Y. Hochberg, "Controlling the false discovery rate", J. R. Statist. Soc. B 57 (1995), 289-300, at 5 %.
- **Small units** (fewer than ``SMALLEST`` people) are listed and not ranked; equal rates share a rank.

Everything here takes counts and fractions and knows nothing of units. Probabilities are floats made from the ratios of
neighbouring terms and divided by their sum; their relative error is below 1e-9 for groups of a million.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

SMALLEST = 30  # people: with fewer, one person moves the rate by more than three points
INNER = Fraction(1, 20)  # outside the 95 % limits: one unit in twenty by chance alone
OUTER = Fraction(1, 500)  # outside the 99.8 % limits: one unit in five hundred
FALSE_DISCOVERIES = Fraction(1, 20)  # of the units called different, how many may be so by chance

_NEGLIGIBLE = 1e-40  # of the largest term; what is cut off cannot be seen in any sum below
_TIE = 1 + 1e-12  # a tail that is exactly alpha / 2 is not above it, whatever the last digit of a float says


@dataclass(frozen=True)
class Distribution:
    """How many of ``n`` finish when each does with the same chance: the counts that can happen, and how often.

    ``chances[i]`` is the probability of exactly ``first + i``; counts outside have none worth the name.
    """

    n: int
    rate: Fraction
    first: int
    chances: tuple[float, ...]

    @property
    def last(self) -> int:
        return self.first + len(self.chances) - 1

    def at_most(self, count: int) -> float:
        """The probability of so many or fewer."""
        if count >= self.last:
            return 1.0
        return math.fsum(self.chances[: max(0, count - self.first + 1)])

    def at_least(self, count: int) -> float:
        """The probability of so many or more."""
        if count <= self.first:
            return 1.0
        return math.fsum(self.chances[max(0, count - self.first) :])


def binomial(n: int, rate: Fraction) -> Distribution:
    """This function will return the binomial distribution of ``n`` people at a rate from 0 to 1.

    From the likeliest count outwards each term is the one before times a ratio of small numbers, so nothing under- or
    overflows; dividing by the sum makes them probabilities. Raises ValueError for a rate outside 0 to 1.
    """
    if n < 0 or not 0 <= rate <= 1:
        raise ValueError(f"no binomial distribution of {n} at {rate}")
    if rate in (0, 1):
        return Distribution(n, rate, n if rate == 1 else 0, (1.0,))
    odds = rate.numerator / (rate.denominator - rate.numerator)
    mode = min(n, math.floor((n + 1) * rate))
    up, term, count = [1.0], 1.0, mode
    while count < n:
        term *= (n - count) / (count + 1) * odds
        if term < _NEGLIGIBLE:
            break
        count += 1
        up.append(term)
    down: list[float] = []
    term, count = 1.0, mode
    while count > 0:
        term *= count / (n - count + 1) / odds
        if term < _NEGLIGIBLE:
            break
        count -= 1
        down.append(term)
    terms = [*reversed(down), *up]
    total = math.fsum(terms)
    return Distribution(n, rate, count, tuple(one / total for one in terms))


@dataclass(frozen=True)
class Limits:
    """The counts that chance alone explains, both ends included; ``low_line`` and ``high_line`` are for drawing.

    The lines are the limits as shares, interpolated between whole counts so that they do not zigzag (Spiegelhalter
    2005, appendix A.1.1). A point lies on or beyond a line exactly when its count lies beyond the limit; a line below 0
    or above 1 says that no count lies beyond.
    """

    low: int
    high: int
    low_line: float
    high_line: float


def limits(n: int, rate: Fraction, alpha: Fraction) -> Limits:
    """This function will return the control limits of a unit of ``n`` people when the whole has this rate.

    Beyond each limit lies at most half of ``alpha``: ``low`` is the smallest count such that so many or fewer have a
    probability above alpha / 2, ``high`` the largest such that so many or more have.
    """
    chances = binomial(n, rate)
    half = float(alpha) / 2
    low, before, below = _quantile(chances.chances, half)
    high, beyond, above = _quantile(chances.chances[::-1], half)
    low_count, high_count = chances.first + low, chances.last - high
    # How far between two counts the tail would reach alpha / 2 exactly.
    low_line = low_count - (below - half) / (below - before)
    high_line = high_count + (above - half) / (above - beyond)
    return Limits(low=low_count, high=high_count, low_line=low_line / max(1, n), high_line=high_line / max(1, n))


def _quantile(chances: Sequence[float], half: float) -> tuple[int, float, float]:
    """The first place at which the running sum exceeds ``half``, with the sum before it and with it."""
    total = 0.0
    for place, chance in enumerate(chances):
        before, total = total, total + chance
        if total > half * _TIE:
            return place, before, total
    raise ArithmeticError("the terms of a distribution add up to one")


def unlikeliness(n: int, done: Fraction, rate: Fraction) -> float:
    """This function will return the two-sided p-value of ``done`` of ``n`` when the whole has this rate.

    Twice the smaller tail, at most 1. ``done`` may lie between two counts (a share of several duties put on the scale
    of people); it is then moved to the count nearer to what is expected, so that doubt speaks for the unit.
    """
    chances = binomial(n, rate)
    smaller = min(chances.at_most(math.ceil(done)), chances.at_least(math.floor(done)))
    return min(1.0, 2 * smaller)


def discoveries(p_values: Sequence[float], share: Fraction = FALSE_DISCOVERIES) -> set[int]:
    """This function will return the places of the p-values that survive Benjamini and Hochberg's procedure.

    Sorted, the largest k with p(k) <= share * k / m is sought; the k smallest are discoveries. At most ``share`` of
    what is named so is expected to be chance, however many units there are.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    last = 0
    for number, place in enumerate(order, start=1):
        if p_values[place] <= float(share * number / len(p_values)):
            last = number
    return set(order[:last])


def ranks(rates: Sequence[Fraction]) -> list[int]:
    """This function will rank rates, the highest first; equal rates share a rank and the next ones are skipped."""
    better: dict[Fraction, int] = {}
    for place, rate in enumerate(sorted(rates, reverse=True), start=1):
        better.setdefault(rate, place)
    return [better[rate] for rate in rates]


def sizes_to_draw(largest: int, smallest: int = 1, number: int = 48) -> list[int]:
    """This function will return the sizes at which the lines of a funnel are computed: dense where they bend."""
    if largest <= smallest:
        return [smallest]
    step = (largest / smallest) ** (1 / (number - 1))
    return sorted({round(smallest * step**place) for place in range(number)})
