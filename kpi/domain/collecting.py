"""What the platform measures itself, from a month that is closed: training completion and assessment results.

- **Training of a person**: of the duties of the month that count (owed, neither exempt nor withdrawn) the share that is
  done, now: work that was accepted late counts, and the closed month keeps showing what was done in time.
- **Training of a unit**: the figures of the closed month with the adjustments since, in the units as they hung then.
- **Exam of a person**: the mean of the quizzes of the month's duties, each as the quiz itself grades it (best, average,
  first or last attempt). A quiz that nobody handed in was not measured; it is no zero.
- **Exam of a unit**: the same mean over all quizzes of its duties, in the units as they hung at the close.

Collecting again writes only what changed, by superseding measures that say why; what a person corrected stays.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.db import transaction
from django.db.models import Max

from assessments.domain.marking import counting_percent
from assessments.models import Attempt
from core.batches import batches
from core.periods import Month
from courses.domain.closing import closed_month, closed_units
from courses.models import ClosedFigure, Enrolment, MonthClose
from kpi.domain.measures import (
    DUTIES_CHANGED,
    FIGURES_ADJUSTED,
    PLACES,
    RESULTS_CHANGED,
    NewMeasure,
    Written,
    share,
    write_measures,
)
from kpi.domain.scoring import half_up
from kpi.models import Indicator, Measure
from people.models import OrgUnit, User

SPAN = 2000  # so many numbers of people (ids) are collected at a time

_KINDS = (Indicator.Source.TRAINING, Indicator.Source.EXAM)


class MonthNotClosed(Exception):
    """The month is not closed, so its duties and figures still move: there is nothing to measure yet."""


class NoIndicator(Exception):
    """No indicator in use takes its values from training or from assessments."""


@dataclass(frozen=True)
class Collected:
    """What collecting a month did, for people and for units."""

    month: Month
    people: Written = field(default_factory=Written)
    units: Written = field(default_factory=Written)

    @property
    def new(self) -> int:
        return self.people.new + self.units.new

    @property
    def corrected(self) -> int:
        return self.people.corrected + self.units.corrected

    @property
    def unchanged(self) -> int:
        return self.people.unchanged + self.units.unchanged


# --- a month ----------------------------------------------------------------------------------------------------------
def collect_month(*, month: Month, by: User | None, at: dt.datetime) -> Collected:
    """This function will measure training and assessments of a closed month, of people and of units.

    In spans of people, each a transaction with one event on the chain ``measures`` if it wrote anything; the units are
    one more. Done twice it changes nothing. Raises MonthNotClosed or NoIndicator.
    """
    close = closed(month)
    indicators = collected_indicators()
    people = Written()
    for first in range(0, last_person(month) + 1, SPAN):
        people += collect_people(close=close, first=first, last=first + SPAN - 1, indicators=indicators, by=by, at=at)
    return Collected(month, people, collect_units(close=close, indicators=indicators, by=by, at=at))


def closed(month: Month) -> MonthClose:
    """This function will return the closing of a month that is closed, or raise MonthNotClosed."""
    close = closed_month(month)
    if close is None:
        raise MonthNotClosed(str(month))
    return close


def closed_months() -> list[MonthClose]:
    """This function will return the months that are closed, the newest first."""
    return list(MonthClose.objects.filter(state=MonthClose.State.CLOSED).order_by("-month"))


def months_to_collect(*, at: dt.datetime, months: int = 13) -> list[Month]:
    """This function will return the closed months that a night collects, the oldest first.

    The newest ones, of which late work may still come in, and every one of which nothing was collected yet.
    """
    found = [close.month for close in closed_months()]
    sources = [kind.value for kind in _KINDS]
    done = set(
        Measure.objects.filter(source__in=sources, month__in=[str(one) for one in found])
        .order_by()
        .values_list("month", flat=True)
        .distinct()
    )
    return sorted({*found[:months], *(month for month in found if month not in done)})


def collected_at(*, months: Iterable[Month]) -> dict[Month, dt.datetime]:
    """This function will return {month: when the platform measured anything of it the last time}. One query."""
    sources = [kind.value for kind in _KINDS]
    rows = Measure.objects.filter(source__in=sources, month__in=[str(month) for month in months]).order_by()
    return dict(rows.values("month").annotate(newest=Max("captured_at")).values_list("month", "newest"))


def collected_indicators() -> list[Indicator]:
    """This function will return the indicators in use that the platform measures itself, or raise NoIndicator."""
    found = list(Indicator.objects.filter(active=True, source__in=_KINDS))
    if not found:
        raise NoIndicator
    return found


def last_person(month: Month) -> int:
    """This function will return the greatest id of a person with a duty in a month, or 0."""
    return Enrolment.objects.filter(run__month=month).aggregate(last=Max("employee"))["last"] or 0


# --- people -----------------------------------------------------------------------------------------------------------
def collect_people(
    *, close: MonthClose, first: int, last: int, indicators: Iterable[Indicator], by: User | None, at: dt.datetime
) -> Written:
    """This function will measure the people whose ids lie in a span (both ends included), in one transaction."""
    rows: list[NewMeasure] = []
    with transaction.atomic():
        for indicator in indicators:
            training = indicator.source == Indicator.Source.TRAINING
            values = (_training if training else _exams)(indicator, close.month, first, last)
            standing = _standing(indicator, close.month, first, last)
            reason = DUTIES_CHANGED if training else RESULTS_CHANGED
            rows += _without_those_by_hand(indicator, close.month, values, standing, "employee", reason)
        return write_measures(rows=rows, by=by, at=at, about=close, action="people of a month measured")


def _standing(indicator: Indicator, month: Month, first: int, last: int) -> dict[int, bool]:
    """{employee id: was it a person who wrote what is in force?} of those who have a measure."""
    rows = Measure.objects.filter(
        indicator=indicator, month=month, employee__gte=first, employee__lte=last, superseded_by=None
    )
    return {pk: bool(evidence.get("by_hand")) for pk, evidence in rows.order_by().values_list("employee", "evidence")}


def _without_those_by_hand(
    indicator: Indicator,
    month: Month,
    values: dict[int, dict[str, Any]],
    standing: dict[int, bool],
    subject: str,
    reason: str,
) -> Iterator[NewMeasure]:
    """The rows to write: every value, and nothing for who had one before; what a person corrected is left alone."""
    for pk in sorted(values.keys() | standing.keys()):
        if not standing.get(pk):
            figures = {subject: pk, **values.get(pk, {"value": None})}
            yield NewMeasure(indicator=indicator, month=month, reason=reason, **figures)


def _owed(month: Month, first: int, last: int):
    return Enrolment.objects.filter(run__month=month, employee__gte=first, employee__lte=last).counted().order_by()


def _training(indicator: Indicator, month: Month, first: int, last: int) -> dict[int, dict[str, Any]]:
    rows = _owed(month, first, last).order_by("employee", "pk").values_list("employee", "pk", "state")
    found = {}
    for person, duties in groupby(rows.iterator(chunk_size=5000), key=itemgetter(0)):
        ids, done = [], 0
        for _person, pk, state in duties:
            ids.append(pk)
            done += state == Enrolment.State.COMPLETED
        found[person] = {
            "value": share(done, len(ids)),
            "numerator": Decimal(done),
            "denominator": Decimal(len(ids)),
            "evidence": {"enrolments": ids},
        }
    return found


@dataclass(frozen=True)
class Result:
    """What counts of one quiz of one duty: the percentage, the attempts that make it, and where the duty counts."""

    person: int
    unit: int
    enrolment: int
    quiz: int
    percent: Decimal
    attempts: tuple[int, ...]


def results(month: Month, first: int, last: int) -> Iterator[Result]:
    """This function will return what counts of every quiz of the duties of a month, for a span of people, person by person.

    Handed in and marked attempts only, and neither voided ones nor duties that do not count.
    """
    rows = (
        Attempt.objects.filter(
            enrolment__in=_owed(month, first, last).values("pk"),
            state=Attempt.State.SUBMITTED,
            percent__isnull=False,
        )
        .order_by("enrolment__employee", "enrolment", "step", "number")
        .values_list("enrolment__employee", "enrolment__unit", "enrolment", "step", "pk", "quiz", "percent", "rules")
    )
    for (person, unit, enrolment, _step), some in groupby(rows.iterator(chunk_size=2000), key=lambda row: row[:4]):
        attempts = [row[4:] for row in some]
        grading = attempts[-1][3]["grading"]
        percents = [one[2] for one in attempts if one[2] is not None]
        percent = counting_percent(percents=percents, grading=grading)
        assert percent is not None  # there is at least one
        counted = attempts if grading == "average" else [next(one for one in attempts if one[2] == percent)]
        if grading == "last":
            counted = attempts[-1:]
        yield Result(person, unit, enrolment, attempts[-1][1], percent, tuple(one[0] for one in counted))


def _exams(indicator: Indicator, month: Month, first: int, last: int) -> dict[int, dict[str, Any]]:
    found = {}
    for person, some in groupby(results(month, first, last), key=lambda result: result.person):
        counted = list(some)
        total = sum((Fraction(one.percent) for one in counted), Fraction(0))
        found[person] = {
            "value": half_up(total / len(counted), PLACES),
            "n": len(counted),
            "evidence": {
                "attempts": [pk for one in counted for pk in one.attempts],
                "quizzes": sorted({one.quiz for one in counted}),
                "enrolments": [one.enrolment for one in counted],
            },
        }
    return found


# --- units ------------------------------------------------------------------------------------------------------------
def collect_units(*, close: MonthClose, indicators: Iterable[Indicator], by: User | None, at: dt.datetime) -> Written:
    """This function will measure the units of a closed month as they hung then, in one transaction."""
    rows: list[NewMeasure] = []
    with transaction.atomic():
        for indicator in indicators:
            training = indicator.source == Indicator.Source.TRAINING
            values = (_unit_training if training else _unit_exams)(close)
            standing = {
                pk: bool(evidence.get("by_hand"))
                for pk, evidence in Measure.objects.filter(
                    indicator=indicator, month=close.month, org_unit__isnull=False, superseded_by=None
                )
                .order_by()
                .values_list("org_unit", "evidence")
            }
            reason = FIGURES_ADJUSTED if training else RESULTS_CHANGED
            rows += _without_those_by_hand(indicator, close.month, values, standing, "unit", reason)
        return write_measures(rows=rows, by=by, at=at, about=close, action="units of a month measured")


def _unit_training(close: MonthClose) -> dict[int, dict[str, Any]]:
    found = {}
    for pk, unit in closed_units(close=close).items():
        now, then = unit.adjusted, unit.closed
        if now.assigned > 0:
            found[pk] = {
                "value": share(now.completed, now.assigned),
                "numerator": Decimal(now.completed),
                "denominator": Decimal(now.assigned),
                "evidence": {"close": close.pk, "at_close": [then.completed, then.assigned]},
            }
    return found


def _unit_exams(close: MonthClose) -> dict[int, dict[str, Any]]:
    sums: dict[int, list] = defaultdict(lambda: [Fraction(0), 0, set()])
    for first in range(0, last_person(close.month) + 1, SPAN):
        for one in results(close.month, first, first + SPAN - 1):
            entry = sums[one.unit]
            entry[0] += Fraction(one.percent)
            entry[1] += 1
            entry[2].add(one.quiz)
    above = _upwards(close, sums)
    folded: dict[int, list] = defaultdict(lambda: [Fraction(0), 0, set()])
    for unit, (total, number, quizzes) in sums.items():
        for upper in above(unit):
            entry = folded[upper]
            entry[0] += total
            entry[1] += number
            entry[2] |= quizzes
    return {
        unit: {
            "value": half_up(total / number, PLACES),
            "n": number,
            "evidence": {"close": close.pk, "quizzes": sorted(quizzes)},
        }
        for unit, (total, number, quizzes) in folded.items()
    }


def _upwards(close: MonthClose, units: Iterable[int]) -> Callable[[int], Iterator[int]]:
    """The way up from each unit in the tree of the close; one that had no figures then starts at the nearest that had."""
    parents = dict(ClosedFigure.objects.filter(close=close).order_by().values_list("unit", "parent").distinct())
    homes: dict[int, int | None] = {unit: unit for unit in units if unit in parents}
    strange = [unit for unit in units if unit not in parents]
    for some in batches(strange, SPAN):
        paths = dict(OrgUnit.objects.filter(pk__in=some).order_by().values_list("pk", "path"))
        by_path = dict(OrgUnit.objects.filter(pk__in=list(parents)).order_by().values_list("path", "pk"))
        for unit, path in paths.items():
            ways = (path[:end] for end in range(len(path), 0, -OrgUnit.steplen))
            homes[unit] = next((by_path[way] for way in ways if way in by_path), None)

    def way(unit: int) -> Iterator[int]:
        place = homes[unit]
        while place is not None:
            yield place
            place = parents[place]

    return way


# --- what a measure rests on ------------------------------------------------------------------------------------------
def duties_behind(measure: Measure) -> list[Enrolment]:
    """This function will return the duties that a measure of a person names as its evidence, as they stand now."""
    ids = measure.evidence.get("enrolments") or []
    found = Enrolment.objects.filter(pk__in=ids, employee=measure.employee_id).select_related("run__course")
    return list(found.order_by("run__course__code", "pk"))


def attempts_behind(measure: Measure) -> list[Attempt]:
    """This function will return the attempts that a measure of a person names as its evidence."""
    ids = measure.evidence.get("attempts") or []
    found = Attempt.objects.filter(pk__in=ids, enrolment__employee=measure.employee_id)
    return list(found.select_related("quiz", "step", "enrolment__run__course").order_by("submitted_at", "pk"))
