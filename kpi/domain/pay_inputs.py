"""What goes into a pay run: who was where on which days, bases, attendance, reviews, and the grades of units.

A person's time in the period is cut into segments where the unit changes; each segment is paid from the pool of its unit.
Attendance is shared among the segments by their days. Everything is read as it was known at a moment (``at``).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

from django.db.models import Q, QuerySet

from core.periods import Month
from kpi.domain import rules, unit_results
from kpi.domain.distribution import Claim, number_order, share_out
from kpi.domain.parameters import PayRule
from kpi.domain.pay_computing import Input
from kpi.models import PayAttendance, PayBase, PayLine, PayRun, Review, ReviewCycle
from people.models import Employee, OrgUnit, Placement

_Reason = PayLine.Reason
PREPARES, CHECKS, NO_BASE, PAID_ELSEWHERE = "prepares", "checks", "no_base", "paid_elsewhere"
_AT_ONCE = 5000


@dataclass(frozen=True, slots=True)
class Span:
    """Days of one person in one unit, and how they came about."""

    segment: int
    unit_id: int
    starts_on: dt.date
    ends_on: dt.date
    reason: str

    @property
    def days(self) -> int:
        return (self.ends_on - self.starts_on).days + 1


@dataclass
class Gathered:
    """Everything that goes into a run, in the order of employee numbers, and who is left out of it and why."""

    inputs: list[Input] = field(default_factory=list)
    left_out: list[dict] = field(default_factory=list)
    by_days: int = 0  # people without a row of attendance, counted by their days in post
    without_review: int = 0


def period_of(cycle: ReviewCycle) -> tuple[dt.date, dt.date]:
    """This function will return the first and the last day that a cycle is about."""
    return cycle.first_month.first_day, cycle.last_month.last_day


def months_of(cycle: ReviewCycle) -> list[Month]:
    """This function will return the months of a cycle."""
    return cycle.first_month.through(cycle.last_month)


def gather(*, run: PayRun, rule: PayRule, at: dt.datetime) -> Gathered:
    """This function will collect what goes into a regular run, as it is known at a moment. Reads only."""
    found = Gathered()
    cycle, scope = run.cycle, run.scope
    first, last = period_of(cycle)
    months = months_of(cycle)
    inside = set(OrgUnit.objects.under(scope).order_by().values_list("pk", flat=True))
    spans = _spans(_placements(scope, first, last), first, last)
    allowed = _audience(run, months)
    apart = _apart(run)
    paid = _paid_in_cycle(run)
    people = _people(scope, first, last)
    names = dict(Employee.objects.filter(pk__in=people).order_by().values_list("pk", "employee_no"))
    bases = bases_of(people=people, months=months, at=at)
    attended = attendance_of(people=people, cycle=cycle, at=at)
    reviews = _reviews(cycle, at)
    units = UnitGrades(cycle, rule, at)
    for number in sorted(names, key=lambda pk: number_order(names[pk])):
        mine = [span for span in spans.get(number, ()) if span.unit_id in inside]
        if not mine or (allowed is not None and number not in allowed):
            continue
        why = apart.get(number)
        if why is None:
            taken = paid.get(number, ())
            open_spans = [span for span in mine if not _overlaps(span, taken)]
            if not open_spans:
                why = PAID_ELSEWHERE
            elif number not in bases:
                why = NO_BASE
        if why is not None:
            # A run that follows another speaks of whom that one left out, not of everybody whom it paid.
            if not (why == PAID_ELSEWHERE and run.follows_id):
                found.left_out.append({"employee": number, "no": names[number], "why": why})
            continue
        review = reviews.get(number)
        found.by_days += number not in attended
        found.without_review += review is None
        shares = _attended(spans[number], attended.get(number), (last - first).days + 1)
        numbers = _free_numbers(open_spans, paid.get(number, ()))
        for span, segment in zip(open_spans, numbers, strict=True):
            here, of = shares[span.segment]
            grade, unit_coefficient = units.of(span.unit_id)
            found.inputs.append(
                Input(
                    employee_id=number,
                    employee_no=names[number],
                    segment=segment,
                    starts_on=span.starts_on,
                    ends_on=span.ends_on,
                    reason=_Reason.NO_REVIEW if review is None and span.reason == _Reason.WHOLE else span.reason,
                    unit_id=span.unit_id,
                    base_fen=bases[number],
                    coefficient=rule.without_review if review is None else review[1],
                    unit_coefficient=unit_coefficient,
                    attended=here,
                    attended_of=of,
                    review_id=None if review is None else review[0],
                    review_number=None if review is None else review[3],
                    grade="" if review is None else review[2],
                    unit_grade=grade,
                )
            )
    return found


# --- who was where ----------------------------------------------------------------------------------------------------
def _in_period(first: dt.date, last: dt.date) -> tuple[Q, Q]:
    return Q(ends_on=None) | Q(ends_on__gte=first), Q(starts_on__lte=last)


def _people(scope: OrgUnit, first: dt.date, last: dt.date) -> QuerySet:
    """The ids of everybody who had a post in the scope in the period."""
    return (
        Placement.objects.filter(
            *_in_period(first, last), unit__in=OrgUnit.objects.under(scope).order_by().values("pk")
        )
        .order_by()
        .values("employee_id")
    )


def _placements(scope: OrgUnit, first: dt.date, last: dt.date) -> Iterator[tuple]:
    """Every post in the period of those people, those elsewhere too, with the days at which they came and left."""
    return (
        Placement.objects.filter(*_in_period(first, last), employee__in=_people(scope, first, last))
        .order_by("employee_id", "starts_on")
        .values_list("employee_id", "unit_id", "starts_on", "ends_on", "employee__hired_on", "employee__left_on")
        .iterator(chunk_size=_AT_ONCE)
    )


def _spans(placements: Iterable[tuple], first: dt.date, last: dt.date) -> dict[int, list[Span]]:
    """{employee id: segments in order}: posts in the same unit that follow each other are one."""
    raw: dict[int, list[list]] = defaultdict(list)
    for employee, unit, starts, ends, hired, left in placements:
        start = max(starts, first, hired or first)
        end = min(ends or last, last, left or last)
        if start > end:
            continue
        mine = raw[employee]
        if mine and mine[-1][0] == unit and mine[-1][2] + dt.timedelta(days=1) >= start:
            mine[-1][2] = max(mine[-1][2], end)
        else:
            mine.append([unit, start, end])
    return {employee: list(_named(mine, first, last)) for employee, mine in raw.items()}


def _named(mine: Sequence[Sequence], first: dt.date, last: dt.date) -> Iterator[Span]:
    for place, (unit, start, end) in enumerate(mine):
        before = mine[place - 1] if place else None
        after = mine[place + 1] if place + 1 < len(mine) else None
        follows = before is not None and before[2] + dt.timedelta(days=1) == start
        if start > first and not follows:
            reason = _Reason.JOINED
        elif follows:
            reason = _Reason.MOVED_IN
        elif end < last:
            reason = _Reason.LEFT if after is None or after[1] > end + dt.timedelta(days=1) else _Reason.MOVED_OUT
        else:
            reason = _Reason.WHOLE
        yield Span(place + 1, unit, start, end, reason)


def _overlaps(span: Span, taken: Iterable[tuple[int, dt.date, dt.date]]) -> bool:
    return any(span.starts_on <= end and start <= span.ends_on for _segment, start, end in taken)


def _free_numbers(spans: Sequence[Span], taken: Iterable[tuple[int, dt.date, dt.date]]) -> list[int]:
    """The segments' own numbers, or the next free ones where a run of before used them for other days."""
    used = {segment for segment, _start, _end in taken}
    numbers = []
    for span in spans:
        number = span.segment
        while number in used:
            number += 1
        used.add(number)
        numbers.append(number)
    return numbers


# --- who is in it -----------------------------------------------------------------------------------------------------
def _audience(run: PayRun, months: Sequence[Month]) -> frozenset[int] | None:
    """Whom the rule is for on the first or the last day of a month of the period; None: everybody of the scope."""
    rule = run.version.rule
    if rule.audience_id is None:
        return None
    found: set[int] = set()
    for month in months:
        for day in (month.first_day, month.last_day):
            found.update(rules.people_of(rule, day).order_by().values_list("pk", flat=True))
    return frozenset(found)


def _apart(run: PayRun) -> dict[int, str]:
    """{employee id: why}: who prepares or checks this run is not paid by it."""
    users = {run.prepared_by_id: PREPARES}
    if run.checker_id:
        users[run.checker_id] = CHECKS
    rows = Employee.objects.filter(user__in=users).order_by().values_list("pk", "user_id")
    return {employee: users[user] for employee, user in rows}


def _paid_in_cycle(run: PayRun) -> dict[int, list[tuple[int, dt.date, dt.date]]]:
    """{employee id: (segment, first day, last day)}: what other runs of the cycle pay already."""
    rows = PayLine.objects.filter(cycle=run.cycle, adjusts=None).exclude(run=run).order_by()
    found: dict[int, list] = defaultdict(list)
    for employee, segment, start, end in rows.values_list("employee_id", "segment", "starts_on", "ends_on").iterator(
        chunk_size=_AT_ONCE
    ):
        found[employee].append((segment, start, end))
    return found


# --- what it is worth -------------------------------------------------------------------------------------------------
def bases_of(*, people: QuerySet, months: Sequence[Month], at: dt.datetime) -> dict[int, int]:
    """This function will return {employee id: base in fen for these months}, as it was known at a moment.

    Of each month the newest row that had begun counts, before the first row the first. ``people`` are ids.
    """
    rows = (
        PayBase.objects.filter(employee__in=people, from_month__lte=months[-1], at__lte=at)
        .order_by("employee_id", "from_month", "pk")
        .values_list("employee_id", "from_month", "base_fen")
    )
    known: dict[int, dict[Month, int]] = defaultdict(dict)
    for employee, month, fen in rows.iterator(chunk_size=_AT_ONCE):
        known[employee][month] = fen
    return {employee: sum(_base_in(of, month) for month in months) for employee, of in known.items()}


def _base_in(known: dict[Month, int], month: Month) -> int:
    begun = [start for start in known if start <= month]
    return known[max(begun)] if begun else known[min(known)]


def attendance_of(*, people: QuerySet, cycle: ReviewCycle, at: dt.datetime) -> dict[int, tuple[Decimal, Decimal]]:
    """This function will return {employee id: (days attended, of so many)} by the newest rows known at a moment."""
    rows = (
        PayAttendance.objects.filter(
            employee__in=people, first_month=cycle.first_month, last_month=cycle.last_month, at__lte=at
        )
        .order_by("employee_id", "pk")
        .values_list("employee_id", "attended", "attended_of")
    )
    return {employee: (attended, of) for employee, attended, of in rows.iterator(chunk_size=_AT_ONCE)}


def _attended(
    spans: Sequence[Span], row: tuple[Decimal, Decimal] | None, days: int
) -> dict[int, tuple[Decimal, Decimal]]:
    """{segment: (attended, of)}: the whole shared among all the person's segments by their days, to a hundredth of a day."""
    if row is None:
        return {span.segment: (Decimal(span.days), Decimal(days)) for span in spans}
    attended, of = row
    if len(spans) == 1:
        return {spans[0].segment: row}
    shared = share_out(int(attended * 100), [Claim(span.segment, Fraction(span.days)) for span in spans])
    return {span.segment: (Decimal(part.paid) / 100, of) for span, part in zip(spans, shared.parts, strict=True)}


def _reviews(cycle: ReviewCycle, at: dt.datetime) -> dict[int, tuple[int, Decimal, str, int]]:
    """{employee id: (review id, coefficient, grade, number)} of the results that were in force at a moment."""
    published = Review.objects.filter(cycle=cycle, published_at__lte=at)
    # As a list made once: to a join on what almost no row has, SQLite answers by reading all rows for each row.
    replaced = published.filter(supersedes__isnull=False).order_by().values("supersedes")
    rows = (
        published.filter(coefficient__isnull=False)
        .exclude(pk__in=replaced)
        .order_by()
        .values_list("employee_id", "pk", "coefficient", "grade", "number")
    )
    found = rows.iterator(chunk_size=_AT_ONCE)
    return {employee: (pk, value, grade, no) for employee, pk, value, grade, no in found if value is not None}


class UnitGrades:
    """What the grade of each unit counts for: of its own card over the period, else of the nearest unit above that has one."""

    def __init__(self, cycle: ReviewCycle, rule: PayRule, at: dt.datetime):
        self.rule = rule
        self.cards = unit_results.by_path(cycle.first_month, cycle.last_month, at=at) if rule.unit_bands else {}
        self.paths = dict(OrgUnit.objects.order_by().values_list("pk", "path"))

    def of(self, unit_id: int) -> tuple[str, Decimal]:
        """The grade (empty without a card) and its coefficient."""
        found = unit_results.nearest(self.cards, self.paths[unit_id])
        return ("", Decimal(1)) if found is None else (found[1], self.rule.unit_coefficient(found[1]))


def people_under(scope: OrgUnit) -> int:
    """This function will return about how many people a run of a unit is about: those who work there by now."""
    return Employee.objects.in_unit(scope).count()


def unit_paths() -> dict[int, tuple[str, str]]:
    """This function will return {unit id: (path in Chinese, path in English)}, from the root down."""
    by_path: dict[str, tuple[str, str]] = {}
    found: dict[int, tuple[str, str]] = {}
    for pk, path, name, name_en in OrgUnit.objects.order_by("path").values_list("pk", "path", "name", "name_en"):
        above = by_path.get(path[: -OrgUnit.steplen])
        both = (name, name_en or name)
        names = tuple(f"{up} / {own}" for up, own in zip(above, both, strict=True)) if above else both
        by_path[path] = found[pk] = (names[0][-300:], names[1][-300:])
    return found
