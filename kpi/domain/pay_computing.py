"""From what went into a pay run to what comes out of it: pure, so that computing again gives the same bytes.

``raw = base x individual coefficient x unit coefficient x attendance``, exact (DOMAIN section 2). The same function
computes a run, checks a closed one, and answers what-if questions.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from math import prod

from core.money import exact_text
from kpi.domain.distribution import (
    Claim,
    Group,
    Part,
    number_order,
    pay_at,
    pay_at_most,
    share_in_two_steps,
    share_out,
)
from kpi.domain.parameters import PayRule

LONGEST_EXACT = 80  # characters of an exact number as it is stored


class AttendanceTooUneven(Exception):
    """The days of the period differ so much between people that no exact common ratio can be written down."""


@dataclass(frozen=True, slots=True)
class Input:
    """What goes in for one person and one span of days: money in fen for the whole period, attendance in days."""

    employee_id: int
    employee_no: str
    segment: int
    starts_on: dt.date
    ends_on: dt.date
    reason: str
    unit_id: int
    base_fen: int
    coefficient: Decimal
    unit_coefficient: Decimal
    attended: Decimal
    attended_of: Decimal
    review_id: int | None = None
    review_number: int | None = None
    grade: str = ""  # of the review
    unit_grade: str = ""

    @property
    def presence(self) -> Fraction:
        return _part(self.attended, self.attended_of)

    @property
    def weight(self) -> Fraction:
        """What counts when money is shared among units first: everything but the individual coefficient."""
        return self.base_fen * _part(self.attended, self.attended_of, self.unit_coefficient)

    @property
    def raw(self) -> Fraction:
        return self.base_fen * _part(self.attended, self.attended_of, self.unit_coefficient, self.coefficient)


@lru_cache(maxsize=10_000)
def _part(attended: Decimal, attended_of: Decimal, *coefficients: Decimal) -> Fraction:
    """Attendance times the coefficients, exact: many people have the same."""
    return prod(map(Fraction, coefficients), start=Fraction(attended) / Fraction(attended_of))


@dataclass(frozen=True, slots=True)
class UnitResult:
    """One unit's pool: what it got, at which ratio."""

    unit_id: int
    unit_coefficient: Decimal
    raw: Fraction
    paid_fen: int
    ratio: Fraction


@dataclass(frozen=True)
class Result:
    """What comes out: a part for each input, in their order; the pools of units; the whole."""

    raw: list[Fraction]
    parts: list[Part]
    units: dict[int, UnitResult]
    total_raw: Fraction
    total_fen: int
    ratio: Fraction
    reserve_fen: int


def limits(rule: PayRule, months: int, one: Input) -> tuple[int, int | None]:
    """This function will return the floor and the cap of one input in fen: those of full months, by attendance."""
    floor, caps = 0, []
    if rule.cap_fen is not None:
        caps.append(int(rule.cap_fen * months * one.presence))
    if rule.cap_share is not None:
        caps.append(int(one.base_fen * _part(one.attended, one.attended_of, rule.cap_share) / 100))
    if rule.floor_fen:
        floor = int(rule.floor_fen * months * one.presence)
    if rule.floor_share:
        floor = max(floor, int(one.base_fen * _part(one.attended, one.attended_of, rule.floor_share) / 100))
    cap = min(caps, default=None)
    return (floor if cap is None else min(floor, cap)), cap


def reserve_of(rule: PayRule, fen: int) -> int:
    """This function will return the share of an amount that is kept back, floored to the fen."""
    return int(fen * Fraction(rule.reserve_share) / 100)


def compute(
    *,
    rule: PayRule,
    months: int,
    amount_fen: int | None,
    inputs: Sequence[Input],
    prices: Mapping[int | None, Fraction] | None = None,
) -> Result:
    """This function will share the money out among the inputs by a rule. Pure.

    ``amount_fen`` is the money given, the reserve included; None for an open pool. ``prices`` ({unit id: ratio}, None: for
    other units) pays at frozen ratios instead, as a run does that follows another. Raises CannotBeShared and
    AttendanceTooUneven.
    """
    claims = []
    for one in inputs:
        floor, cap = limits(rule, months, one)
        claims.append(Claim((number_order(one.employee_no), one.segment), one.raw, floor, cap))
    raw = [claim.raw for claim in claims]
    groups: dict[int, list[int]] = {}
    for place, one in enumerate(inputs):
        groups.setdefault(one.unit_id, []).append(place)
    parts: list[Part] = [Part(0)] * len(claims)
    ratios: dict[int, Fraction] = {}

    def put(places: Sequence[int], found: Sequence[Part]) -> None:
        for place, part in zip(places, found, strict=True):
            parts[place] = part

    if prices is not None or rule.mode == "open" or amount_fen is None:
        for price, places in _by_price(groups, prices).items():
            put(places, pay_at(price, [claims[i] for i in places]).parts)
            ratios |= {inputs[i].unit_id: price for i in places}
        total = sum(part.paid for part in parts)
        reserve = reserve_of(rule, total)
    else:
        reserve = reserve_of(rule, amount_fen)
        to_share = amount_fen - reserve
        if rule.mode == "ceiling":
            to_share = min(to_share, pay_at_most(to_share, claims).paid) if claims else 0
        if rule.share == "units" and not _in_full(rule, to_share, claims):
            keys = sorted(groups)
            units = [
                Group(
                    unit, sum((inputs[i].weight for i in groups[unit]), Fraction(0)), [claims[i] for i in groups[unit]]
                )
                for unit in keys
            ]
            _units, shared = share_in_two_steps(to_share, units)
            for unit, one_shared in zip(keys, shared, strict=True):
                put(groups[unit], one_shared.parts)
                ratios[unit] = one_shared.ratio
        else:
            whole = pay_at_most(to_share, claims) if rule.mode == "ceiling" else share_out(to_share, claims)
            put(range(len(claims)), whole.parts)
            ratios = dict.fromkeys(groups, whole.ratio)
        total = sum(part.paid for part in parts)
    result = _result(inputs, raw, parts, groups, ratios, total, reserve)
    _require_writable(result)
    return result


def _in_full(rule: PayRule, to_share: int, claims: Sequence[Claim]) -> bool:
    """Is a ceiling high enough for everybody in full, so that units need not share?"""
    return rule.mode == "ceiling" and pay_at(Fraction(1), claims).paid <= to_share


def _by_price(
    groups: Mapping[int, Sequence[int]], prices: Mapping[int | None, Fraction] | None
) -> dict[Fraction, list[int]]:
    """The places of the inputs by the price they are paid at: 1 without frozen ratios."""
    found: dict[Fraction, list[int]] = {}
    for unit, places in groups.items():
        price = Fraction(1) if prices is None else prices.get(unit, prices.get(None, Fraction(1)))
        found.setdefault(price, []).extend(places)
    return found


def _result(
    inputs: Sequence[Input],
    raw: list[Fraction],
    parts: list[Part],
    groups: Mapping[int, Sequence[int]],
    ratios: Mapping[int, Fraction],
    total: int,
    reserve: int,
) -> Result:
    units = {
        unit: UnitResult(
            unit_id=unit,
            unit_coefficient=inputs[places[0]].unit_coefficient,
            raw=sum((raw[i] for i in places), Fraction(0)),
            paid_fen=sum(parts[i].paid for i in places),
            ratio=ratios[unit],
        )
        for unit, places in groups.items()
    }
    total_raw = sum((one.raw for one in units.values()), Fraction(0))
    same = set(ratios.values())
    ratio = same.pop() if len(same) == 1 else Fraction(total) / total_raw if total_raw else Fraction(0)
    return Result(raw, parts, units, total_raw, total, ratio, reserve)


def _require_writable(result: Result) -> None:
    texts = [result.total_raw, result.ratio, *result.raw]
    texts += [value for unit in result.units.values() for value in (unit.raw, unit.ratio)]
    if any(len(exact_text(value)) > LONGEST_EXACT for value in texts):
        raise AttendanceTooUneven
