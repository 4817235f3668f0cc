"""Development: the course that closes what was lost, and whether taking it moved anything.

**Did it move the measure?** Each person who completed the course is compared with people like him who did not: the five
who stood nearest to him before (same indicator, same months, the same family of jobs where it has five), none of whom had
completed it by the end of the months after. Compared is the change from the three months before the month of completion to
the three months after it, so what changed for everybody falls out (difference in differences), and matching on the value
before takes care of the regression to the mean that a plain before-and-after shows (nearest-neighbour
matching: G. W. Imbens and D. B. Rubin, Causal Inference, 2015, ch. 18). The interval is Student's t over the people
who took it. It is still no experiment: who takes a course may differ in what nobody measured, and the page says so.
"""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from statistics import NormalDist

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from core.periods import Month
from courses.domain.choice import AlreadyOwed, ChoiceRefused, take_course
from courses.models import Course, Enrolment
from kpi.domain import measures
from kpi.domain.parameters import scorecard_rule
from kpi.models import CourseForIndicator, DevelopmentItem, Indicator, Nomination, Review, Scorecard, ScorecardLine
from people.models import Employee, User

WINDOW = 3  # months before and after
NEAREST = 5  # people one is compared with
FEWEST = 10  # below that nothing is said

_State = DevelopmentItem.State


class PlannedAlready(Exception):
    """The course stands in the person's plan already."""


class NotOpen(Exception):
    """The item was done or declined meanwhile."""


# --- what is offered ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Lost:
    """Something that a course may close: points lost on a line of a card, or a condition of an honour not met."""

    indicator: Indicator
    courses: tuple[Course, ...]
    line: ScorecardLine | None = None
    points: Decimal | None = None  # lost, of line.weight_counted
    condition_zh: str = ""
    condition_en: str = ""


def losses_of(card: Scorecard) -> list[Lost]:
    """This function will return the lines of a card that lost points and the courses that help, the largest loss first.

    A line that was not counted lost nothing, nor did one that gave its weight to the hundredth, as cards are summed. Of a
    line that reads several indicators each stands for itself, as long as a course is named for it; what a line only
    counts, and counted none of, took nothing.
    """
    rule = scorecard_rule(card.version.parameters)
    reads = {
        line.code: {*line.indicators, *(code for code, _points in line.counts)}
        for line in rule.lines
        if line.kind != "rating"
    }
    lines = [
        line
        for line in card.lines.all()
        if line.state == ScorecardLine.State.COUNTED and lost_on(line) > 0 and line.code in reads
    ]
    counts = {line.code: {code for code, _points in line.counts} for line in rule.lines}
    helping = _helping({code for line in lines for code in reads[line.code]})
    lost = [
        Lost(indicator, courses, line=line, points=lost_on(line))
        for line in lines
        for code in sorted(reads[line.code])
        if code not in counts[line.code] or _number(line.inputs.get("values", {}).get(code)) != 0
        for indicator, courses in helping.get(code, [])
    ]
    return sorted(lost, key=lambda each: (-(each.points or 0), each.indicator.code))


def lost_on(line: ScorecardLine) -> Decimal:
    """This function will return what a line gave less than its weight, both as the card shows them: to 0.01."""
    return line.weight_counted.quantize(_HUNDREDTH, ROUND_HALF_UP) - line.points


_HUNDREDTH = Decimal("0.01")


def _number(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def unmet_by(employee: Employee) -> list[Lost]:
    """This function will return the conditions of honours that the person's newest nomination did not meet."""
    nomination = Nomination.objects.filter(employee=employee).order_by("-at", "-pk").first()
    checks = [check for check in (nomination.checks if nomination else []) if not check["met"]]
    helping = _helping({check["indicator"] for check in checks})
    return [
        Lost(indicator, courses, condition_zh=check["name_zh"], condition_en=check["name_en"])
        for check in checks
        for indicator, courses in helping.get(check["indicator"], [])
    ]


def _helping(codes: Iterable[str]) -> dict[str, list[tuple[Indicator, tuple[Course, ...]]]]:
    found: dict[str, tuple[Indicator, list[Course]]] = {}
    for row in (
        CourseForIndicator.objects.filter(indicator__code__in=list(codes))
        .select_related("indicator", "course")
        .order_by("indicator__code", "course__code")
    ):
        found.setdefault(row.indicator.code, (row.indicator, []))[1].append(row.course)
    return {code: [(indicator, tuple(courses))] for code, (indicator, courses) in found.items()}


# --- the plan -----------------------------------------------------------------------------------------------------------
def plan_course(
    *,
    employee: Employee,
    course: Course,
    indicator: Indicator | None,
    line: ScorecardLine | None = None,
    by: User | None,
    at: dt.datetime,
) -> DevelopmentItem:
    """This function will put a course into a person's plan and give it by choice at once where that is possible.

    A course that is owed already is planned with that duty; one that cannot be taken yet is planned without. Raises
    PlannedAlready.
    """
    try:
        with transaction.atomic():
            item = DevelopmentItem.objects.create(
                employee=employee,
                course=course,
                indicator=indicator,
                line=line,
                from_month=Month.of(timezone.localdate(at)),
                state=_State.PLANNED,
                by=by,
                at=at,
            )
            item.enrolment = _duty(employee, course, by, at)
            item.save(update_fields=["enrolment"])
    except IntegrityError as double:
        raise PlannedAlready from double
    return item


def _duty(employee: Employee, course: Course, by: User | None, at: dt.datetime) -> Enrolment | None:
    try:
        return take_course(employee=employee, course=course, by=by, at=at)
    except AlreadyOwed:
        mine = Enrolment.objects.filter(employee=employee, run__course=course).order_by("-run__month")
        return mine.filter(state__in=[Enrolment.State.ASSIGNED, Enrolment.State.IN_PROGRESS]).first()
    except ChoiceRefused:
        return None


def drop_item(*, item: DevelopmentItem, at: dt.datetime) -> None:
    """This function will take a planned course out of the plan ("not now"). The course itself goes on. Raises NotOpen."""
    moved = DevelopmentItem.objects.filter(pk=item.pk, state__in=[_State.OFFERED, _State.PLANNED]).update(
        state=_State.DECLINED, done_at=at
    )
    if not moved:
        raise NotOpen


def plan_of(employee: Employee) -> QuerySet[DevelopmentItem]:
    """This function will return a person's plan, the newest first; ``is_done`` says whether the course was completed since."""
    return (
        DevelopmentItem.objects.filter(employee=employee)
        .select_related("course", "indicator", "line", "enrolment")
        .annotate(is_done=Exists(_completed_since()))
    )


def _completed_since() -> QuerySet[Enrolment]:
    return Enrolment.objects.filter(
        employee=OuterRef("employee"),
        run__course=OuterRef("course"),
        state=Enrolment.State.COMPLETED,
        completed_at__gte=OuterRef("at"),
    )


def mark_done(*, at: dt.datetime) -> int:
    """This function will mark planned items as done whose course was completed since, and return how many."""
    planned = DevelopmentItem.objects.filter(state=_State.PLANNED)
    return planned.filter(Exists(_completed_since())).update(state=_State.DONE, done_at=at)


# --- which course helps with what ---------------------------------------------------------------------------------------
@transaction.atomic
def name_courses(*, indicator: Indicator, courses: Iterable[Course]) -> None:
    """This function will say which courses are offered for an indicator, in place of those said before."""
    wanted = list(courses)
    CourseForIndicator.objects.filter(indicator=indicator).exclude(course__in=wanted).delete()
    CourseForIndicator.objects.bulk_create(
        [CourseForIndicator(indicator=indicator, course=course) for course in wanted], ignore_conflicts=True
    )


# --- did it move the measure? -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Effect:
    """What taking a course went with: the mean difference of changes, in the indicator's unit, with its 95 % interval.

    ``taken`` people were compared with ``others`` different people. None for the figures: fewer than FEWEST of either.
    """

    taken: int
    others: int
    difference: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def is_clear(self) -> bool:
        """Does the interval leave out zero, so that chance alone is an unlikely reason?"""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True)
class Way:
    """One person's way: the family of jobs and the values before and after."""

    family: str
    before: Fraction
    after: Fraction

    @property
    def change(self) -> Fraction:
        return self.after - self.before


def compare(*, taken: Mapping[int, Way], others: Mapping[int, Way]) -> tuple[list[Fraction], set[int]]:
    """This function will return, for each person who took it, own change minus the mean change of the nearest others.

    Nearest by the value before, in the same family of jobs where it has NEAREST people; ties go to the lower id. Also
    the ids of everybody who served as a comparison.
    """
    by_family: dict[str, list[int]] = defaultdict(list)
    for pk, way in others.items():
        by_family[way.family].append(pk)
    differences: list[Fraction] = []
    used: set[int] = set()
    for _pk, way in sorted(taken.items()):
        near = by_family[way.family] if len(by_family[way.family]) >= NEAREST else list(others)
        if len(near) < NEAREST:
            continue
        nearest = sorted((abs(others[pk].before - way.before), pk) for pk in near)[:NEAREST]
        used.update(pk for _distance, pk in nearest)
        differences.append(way.change - sum((others[pk].change for _distance, pk in nearest), Fraction(0)) / NEAREST)
    return differences, used


def interval(differences: list[Fraction]) -> tuple[float, float, float]:
    """This function will return the mean and the ends of its 95 % interval after Student.

    The quantile of t is expanded from the normal one (Abramowitz and Stegun 26.7.5), good to 0.001 from nine degrees of
    freedom on.
    """
    n = len(differences)
    mean = sum(differences, Fraction(0)) / n
    variance = sum(((each - mean) ** 2 for each in differences), Fraction(0)) / (n - 1)
    half = _t(n - 1) * math.sqrt(variance / n)
    return float(mean), float(mean) - half, float(mean) + half


def _t(freedom: int) -> float:
    z = NormalDist().inv_cdf(0.975)
    return (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def effect_of(*, course: Course, indicator: Indicator, people: QuerySet[Employee], on: dt.date) -> Effect:
    """This function will say whether taking a course went with a change of an indicator, among some people.

    Looks at completions of the twelve months before ``on`` for which there are months before and after.
    """
    first = Month.of(on).plus(-12)
    earliest = _first_completions(course)
    families = dict(people.order_by().values_list("pk", "position__job_family"))
    cohorts: dict[Month, list[int]] = defaultdict(list)
    for pk, at in earliest.items():
        month = Month.of(timezone.localdate(at))
        if pk in families and first <= month < Month.of(on):
            cohorts[month].append(pk)
    differences: list[Fraction] = []
    compared: set[int] = set()
    for month, takers in sorted(cohorts.items()):
        ways = _ways(indicator, month, families)
        end = month.plus(WINDOW).last_day
        others = {pk: way for pk, way in ways.items() if pk not in earliest or timezone.localdate(earliest[pk]) > end}
        found, used = compare(taken={pk: ways[pk] for pk in takers if pk in ways}, others=others)
        differences += found
        compared |= used
    if len(differences) < FEWEST or len(compared) < FEWEST:
        return Effect(taken=len(differences), others=len(compared))
    return Effect(len(differences), len(compared), *interval(differences))


def _first_completions(course: Course) -> dict[int, dt.datetime]:
    rows = Enrolment.objects.filter(run__course=course, completed_at__isnull=False).order_by("-completed_at")
    # The earliest comes last and stays.
    return {employee: at for employee, at in rows.values_list("employee", "completed_at") if at is not None}


def _ways(indicator: Indicator, month: Month, families: Mapping[int, str | None]) -> dict[int, Way]:
    """Everybody's values in the months before and after a month, of those who have both."""
    spans = ((month.plus(-WINDOW), month.previous), (month.next, month.plus(WINDOW)))
    before, after = (
        measures.aggregated(employees=families, indicators=[indicator.code], first_month=one, last_month=other)
        for one, other in spans
    )
    ways = {}
    for pk in before.keys() & after.keys():
        old, new = before[pk][indicator.code], after[pk][indicator.code]
        # A sum over three months is no change against a sum over two.
        if indicator.unit == Indicator.Unit.COUNT and len(old.measures) != len(new.measures):
            continue
        ways[pk] = Way(families[pk] or "", Fraction(old.value), Fraction(new.value))
    return ways


# --- the newest result of a person --------------------------------------------------------------------------------------
def newest_card(employee: Employee) -> Scorecard | None:
    """This function will return the card of a person's newest published review that is still in force."""
    review = (
        Review.objects.filter(employee=employee, published_at__isnull=False, scorecard__isnull=False)
        .exclude(state=Review.State.SUPERSEDED)
        .select_related("scorecard__version")
        .order_by("-published_at", "-pk")
        .first()
    )
    return review.scorecard if review else None
