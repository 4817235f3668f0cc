"""What would have come out with other money, another cap, other coefficients: beside the real run, writing nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction

from core.money import half_up
from kpi.domain.parameters import PayRule, pay_rule
from kpi.domain.pay_computing import Input, Result, compute
from kpi.domain.pay_corrections import as_input
from kpi.domain.pay_inputs import UnitGrades, months_of
from kpi.domain.pay_runs import amount_of, frozen_prices
from kpi.models import PayLine, PayRun
from people.models import OrgUnit

POINT = Fraction(1, 100)  # of a coefficient


@dataclass(frozen=True)
class Question:
    """What is to be otherwise; None and what is not named stay. Coefficients are by grade."""

    amount_fen: int | None = None
    cap_fen: int | None = None
    cap_share: Decimal | None = None
    floor_share: Decimal | None = None
    reserve_share: Decimal | None = None
    coefficients: Mapping[str, Decimal] = field(default_factory=dict)
    unit_coefficients: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass
class Group:
    """People of one grade or one unit: how many, what they get and what they would."""

    label: str
    people: int = 0
    before: int = 0
    after: int = 0

    @property
    def change(self) -> int:
        return self.after - self.before


@dataclass(frozen=True)
class Answer:
    """Who gains, who loses, the totals, and what one hundredth of a coefficient is worth on the average base (fen)."""

    total_before: int
    total_after: int
    gain: int
    lose: int
    same: int
    gained_fen: int
    lost_fen: int
    most_gained_fen: int
    most_lost_fen: int
    capped_before: int
    capped_after: int
    point_before: int
    point_after: int
    reserve_before: int
    reserve_after: int
    by_grade: list[Group]
    by_unit: list[Group]


def ask(*, run: PayRun, question: Question) -> Answer:
    """This function will compute a run anew with something changed and compare. Writes nothing, names nobody.

    Raises distribution.CannotBeShared where the money cannot be shared out that way.
    """
    rule = _rule(pay_rule(run.version.parameters), question)
    lines = list(
        PayLine.objects.filter(run=run)
        .select_related("employee", "pool__unit", "review")
        .order_by("number")
        .iterator(chunk_size=2000)
    )
    grades = _grades(run, rule, question)
    inputs = [_input(line, question, grades) for line in lines]
    amount = amount_of(run)
    result = compute(
        rule=rule,
        months=len(months_of(run.cycle)),
        amount_fen=amount if question.amount_fen is None or amount is None else question.amount_fen,
        inputs=inputs,
        prices=frozen_prices(run),
    )
    return _compare(run, lines, inputs, result)


def _rule(rule: PayRule, question: Question) -> PayRule:
    changes = {
        name: value
        for name in ("cap_fen", "cap_share", "floor_share", "reserve_share")
        if (value := getattr(question, name)) is not None
    }
    bands = tuple(
        replace(band, coefficient=question.unit_coefficients.get(band.grade, band.coefficient))
        for band in rule.unit_bands
    )
    return replace(rule, unit_bands=bands, **changes)


def _grades(run: PayRun, rule: PayRule, question: Question) -> UnitGrades | None:
    if not question.unit_coefficients or run.computed_at is None:
        return None
    return UnitGrades(run.cycle, rule, run.computed_at)


def _input(line: PayLine, question: Question, grades: UnitGrades | None) -> Input:
    one = as_input(line)
    grade = line.review.grade if line.review else ""
    coefficient = question.coefficients.get(grade, one.coefficient)
    unit = one.unit_coefficient if grades is None else grades.of(one.unit_id)[1]
    return replace(one, coefficient=coefficient, unit_coefficient=unit, grade=grade)


def _compare(run: PayRun, lines: list[PayLine], inputs: list[Input], result: Result) -> Answer:
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    grades: dict[str, Group] = {}
    units: dict[int, Group] = {}
    names = {unit.pk: unit.label for unit in OrgUnit.objects.filter(pk__in={one.unit_id for one in inputs})}
    counted: set[tuple[str, int]] = set()
    for line, one, part in zip(lines, inputs, result.parts, strict=True):
        before[one.employee_id] = before.get(one.employee_id, 0) + line.paid_fen
        after[one.employee_id] = after.get(one.employee_id, 0) + part.paid
        for key, group in (
            (f"g{one.grade}", grades.setdefault(one.grade, Group(one.grade))),
            (f"u{one.unit_id}", units.setdefault(one.unit_id, Group(names[one.unit_id]))),
        ):
            group.before += line.paid_fen
            group.after += part.paid
            group.people += (key, one.employee_id) not in counted
            counted.add((key, one.employee_id))
    changes = [after[key] - before[key] for key in before]
    return Answer(
        total_before=run.total_fen,
        total_after=result.total_fen,
        gain=sum(change > 0 for change in changes),
        lose=sum(change < 0 for change in changes),
        same=sum(change == 0 for change in changes),
        gained_fen=sum(change for change in changes if change > 0),
        lost_fen=-sum(change for change in changes if change < 0),
        most_gained_fen=max([0, *changes]),
        most_lost_fen=-min([0, *changes]),
        capped_before=sum(line.bound == PayLine.Bound.CAP for line in lines),
        capped_after=sum(part.bound == "cap" for part in result.parts),
        point_before=_point([(as_input(line), line.pool.ratio) for line in lines]),
        point_after=_point([(one, result.units[one.unit_id].ratio) for one in inputs]),
        reserve_before=run.reserve_fen,
        reserve_after=result.reserve_fen,
        by_grade=[grades[grade] for grade in sorted(grades)],
        by_unit=sorted(units.values(), key=lambda group: (group.change, group.label)),
    )


def _point(rows: list[tuple[Input, Fraction | str]]) -> int:
    """What 0.01 of the individual coefficient is worth for the mean of all lines, in fen."""
    if not rows:
        return 0
    worth = sum((one.weight * Fraction(ratio) for one, ratio in rows), Fraction(0))
    return half_up(worth * POINT / len(rows))
