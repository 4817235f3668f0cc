"""What a scorecard makes of values: pure arithmetic on decimals, no database (DOMAIN section 2; worked example T-01)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from core import money
from kpi.domain.parameters import Band, Line, Raters, ScorecardRule, Veto

HUNDRED = Decimal(100)


def half_up(value: Fraction | Decimal, places: int = 2) -> Decimal:
    """This function will round to so many places, halves away from zero, exactly.

    Not Python's round: that rounds halves to even, and a float is not what was written.
    """
    return Decimal(money.half_up(Fraction(value) * 10**places)).scaleb(-places)


def curve(points: tuple[tuple[Decimal, Decimal], ...], below: Decimal, value: Decimal) -> Fraction:
    """This function will read a piecewise linear curve: ``below`` under its first point, constant beyond its last."""
    if value < points[0][0]:
        return Fraction(below)
    for (x1, y1), (x2, y2) in zip(points, points[1:], strict=False):
        if value <= x2:
            return Fraction(y1) + (Fraction(y2) - Fraction(y1)) * (Fraction(value) - Fraction(x1)) / Fraction(x2 - x1)
    return Fraction(points[-1][1])


def step(points: tuple[tuple[Decimal, Decimal], ...], below: Decimal, value: Decimal) -> Fraction:
    """This function will return the score of the first row (highest value first) that is reached, else ``below``."""
    return Fraction(next((score for at_least, score in points if value >= at_least), below))


def deduct(counts: tuple[tuple[str, Decimal], ...], floor: Decimal, values: Mapping[str, Decimal]) -> Fraction:
    """This function will return max(floor, 100 - sum of count x points); what was not counted at all costs nothing."""
    lost = sum((values.get(code, Decimal(0)) * points for code, points in counts), Decimal(0))
    return Fraction(max(floor, HUNDRED - lost))


def rated(stars: Decimal | Fraction) -> Fraction:
    """This function will turn a rating of 1 to 5 into a score: 5 is 100."""
    return Fraction(stars) * 20


def combined_rating(
    *, raters: Raters, own: Fraction | None, manager: Fraction | None, peers: Collection[Fraction]
) -> Fraction | None:
    """This function will combine the scores (0 to 100) that a person, the manager and peers gave for one line.

    Peers count as their mean, and only from ``min_peers`` on: below that their part is dropped and hidden. The weights of
    the parts that are there are renormalised; a part that is missing is never a zero (DOMAIN T-08). None: nobody rated.
    """
    parts: list[tuple[Decimal, Fraction]] = []
    if own is not None:
        parts.append((raters.self_weight, own))
    if manager is not None:
        parts.append((raters.manager, manager))
    if len(peers) >= raters.min_peers:
        parts.append((raters.peers, sum(peers, Fraction(0)) / len(peers)))
    weights = sum((weight for weight, _score in parts), Decimal(0))
    if not weights:
        return None
    return sum((Fraction(weight) * score for weight, score in parts), Fraction(0)) / Fraction(weights)


@dataclass(frozen=True)
class LineResult:
    """One line of a computed card: its state (counted, missing, advisory), score, the weight that counted, the points."""

    line: Line
    state: str
    value: Decimal | None
    score: Fraction | None
    weight_counted: Fraction
    points: Decimal


@dataclass(frozen=True)
class CardResult:
    """A computed card. ``earned`` is the sum of the rounded lines and the bonus, ``total`` what a veto leaves of it."""

    lines: tuple[LineResult, ...]
    bonus: Decimal
    earned: Decimal
    total: Decimal
    veto: Veto | None
    band: Band


class NothingMeasured(Exception):
    """No line of the card has a value: there is nothing to score."""


def score_card(
    rule: ScorecardRule,
    *,
    values: Mapping[str, Decimal],
    ratings: Mapping[str, Fraction] | None = None,
    advisory: Collection[str] = (),
) -> CardResult:
    """This function will compute a card from the values of its indicators (by code) and the scores of its rated lines.

    ``values`` hold what was measured; an indicator that is absent was not. ``ratings`` are scores (0 to 100) by code of a
    line. ``advisory`` are codes of lines whose test may not carry pay yet: they are scored and shown, and their weight
    goes to the others like that of a line without a value. A deduct line counts as measured when one of its indicators is.
    Each line is rounded half-up to 0.01 and the total is the sum of the rounded lines, plus the bonus up to its cap, and
    capped by the lowest veto that applies. Raises NothingMeasured.
    """
    scored: list[tuple[Line, str, Decimal | None, Fraction | None]] = []
    for line in rule.lines:
        value, score = _score_of(line, values, ratings or {})
        state = "missing" if score is None else "advisory" if line.code in advisory else "counted"
        scored.append((line, state, value, score))
    counted = sum((Fraction(line.weight) for line, state, _v, _s in scored if state == "counted"), Fraction(0))
    if not counted:
        raise NothingMeasured
    lines = []
    for line, state, value, score in scored:
        weight = Fraction(line.weight) * 100 / counted if state == "counted" else Fraction(0)
        points = half_up(score * weight / 100) if score is not None else Decimal("0.00")
        lines.append(LineResult(line, state, value, score, weight, points))
    given = sum((values.get(code, Decimal(0)) for code in rule.bonus_indicators), Decimal(0))
    bonus = half_up(max(Decimal(0), min(given, rule.bonus_cap)))
    earned = sum((result.points for result in lines), bonus)
    vetoes = [veto for veto in rule.vetoes if values.get(veto.indicator, veto.at_least - 1) >= veto.at_least]
    veto = min(vetoes, key=lambda each: each.cap, default=None)
    if veto and veto.cap >= earned:
        veto = None  # it takes nothing away
    total = veto.cap if veto else earned
    return CardResult(tuple(lines), bonus, earned, total, veto, band_of(rule, total))


def band_of(rule: ScorecardRule, total: Decimal) -> Band:
    """This function will return the band a total falls into: the best one whose beginning it reaches."""
    return next(band for band in rule.bands if total >= band.at_least or band is rule.bands[-1])


def _score_of(
    line: Line, values: Mapping[str, Decimal], ratings: Mapping[str, Fraction]
) -> tuple[Decimal | None, Fraction | None]:
    """The value that is shown for a line and the score it gives; (None, None) when nothing was measured."""
    if line.kind == "rating":
        score = ratings.get(line.code)
        return (None if score is None else half_up(score / 20, 4)), score
    if line.kind == "deduct":
        if not any(code in values for code, _points in line.counts):
            return None, None
        score = deduct(line.counts, line.floor, values)
        return half_up(score, 4), score
    value = values.get(line.indicators[0])
    if value is None:
        return None, None
    return value, (curve if line.kind == "curve" else step)(line.points, line.below, value)
