"""Reading reviews for pages: progress by unit, who waits for whom, numbers of a calibration."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from kpi.domain.parameters import ScorecardRule
from kpi.domain.review_states import RATED
from kpi.domain.reviews import WITH
from kpi.models import CalibrationGroup, Rating, Review, ReviewCycle
from people.models import OrgUnit

_State, _Role = Review.State, Rating.Role

# What a board counts and a list filters by: a word for each, from the first thing that is waited for.
WAITING = ("own", "manager", "peers")
SHOWN = (*WAITING, "rated", "calibrated", "unread", "read", "contested", "final", "no_card")


def filtered(reviews: QuerySet[Review], word: str) -> QuerySet[Review]:
    """This function will keep the reviews that a column of the board counts."""
    missing = Rating.objects.filter(review=OuterRef("pk"), submitted_at=None)
    open_ones = reviews.filter(cycle__state=ReviewCycle.State.OPEN)
    if word == "own":
        return open_ones.filter(Exists(missing.filter(role=_Role.SELF)), state=_State.DRAFTED)
    if word == "manager":
        return open_ones.filter(Exists(missing.filter(role=_Role.MANAGER)), state=_State.SELF_DONE)
    if word == "peers":
        return open_ones.filter(Exists(missing.filter(role=_Role.PEER)))
    states: dict[str, Q] = {
        "rated": Q(state=_State.MANAGER_DONE),
        "calibrated": Q(state=_State.CALIBRATED),
        "unread": Q(state=_State.PUBLISHED),
        "read": Q(state=_State.ACKNOWLEDGED),
        "contested": Q(state=_State.CONTESTED),
        "final": Q(state__in=[_State.FINAL, _State.REJECTED]),
        "no_card": Q(scorecard=None, state__in=RATED) & ~Q(cycle__state=ReviewCycle.State.OPEN),
    }
    return reviews.filter(states[word]) if word in states else reviews


@dataclass
class UnitRow:
    """One unit of the board with everything below it."""

    unit: OrgUnit
    people: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    is_itself: bool = False  # those who sit in the unit itself, beside the rows of those below


def board(*, reviews: QuerySet[Review], unit: OrgUnit, words: Iterable[str]) -> list[UnitRow]:
    """This function will count the reviews of a unit by the units right below it: two queries and one for each word."""
    units = list(OrgUnit.objects.filter(path__startswith=unit.path, depth__lte=unit.depth + 1).order_by("path"))
    rows = {one.path: UnitRow(one, is_itself=one.pk == unit.pk) for one in units}
    inside = reviews.filter(unit__path__startswith=unit.path).exclude(state=_State.SUPERSEDED).order_by()
    length = len(unit.path) + OrgUnit.steplen
    for path, number in inside.values_list("unit__path").annotate(number=Count("pk")):
        rows[path[:length]].people += number
    for word in words:
        for path, number in filtered(inside, word).values_list("unit__path").annotate(number=Count("pk")):
            counts = rows[path[:length]].counts
            counts[word] = counts.get(word, 0) + number
    return [row for row in rows.values() if row.people]


def totals(reviews: QuerySet[Review], words: Iterable[str]) -> dict[str, int]:
    """This function will count some reviews under each word."""
    rows = reviews.exclude(state=_State.SUPERSEDED).order_by()
    return {word: filtered(rows, word).count() for word in words}


def listed(reviews: QuerySet[Review]) -> QuerySet[Review]:
    """This function will bring along what a list shows of each review."""
    return reviews.select_related(*WITH).order_by("unit__path", "employee__employee_no", "number")


def missing_ratings(reviews: Iterable[Review]) -> dict[int, list[Rating]]:
    """This function will say who is waited for: {review id: ratings that were asked for and are not in}. One query."""
    found: dict[int, list[Rating]] = defaultdict(list)
    rows = Rating.objects.filter(review__in=[one.pk for one in reviews], submitted_at=None).select_related("rater")
    for row in rows.order_by("role", "pk"):
        found[row.review_id].append(row)
    return dict(found)


def open_ratings(reviews: QuerySet[Review]) -> QuerySet[Rating]:
    """This function will return what was asked for in some reviews and is not in."""
    return Rating.objects.filter(review__in=reviews.order_by().values("pk"), submitted_at=None)


def ratings_given(review: Review) -> QuerySet[Rating]:
    """This function will return what was said of a person in the cycle; ratings hang on the first of a person's reviews."""
    rows = Rating.objects.filter(
        review__cycle=review.cycle_id, review__employee=review.employee_id, submitted_at__isnull=False
    )
    return rows.select_related("rater").order_by("role", "pk")


def own_words(review_ids: Iterable[int]) -> dict[int, Rating]:
    """This function will return what the people said of themselves: {review id: rating that is in}."""
    rows = Rating.objects.filter(review__in=list(review_ids), role=_Role.SELF, submitted_at__isnull=False)
    return {one.review_id: one for one in rows}


def colleagues_asked(review: Review) -> QuerySet[Rating]:
    """This function will return the colleagues who are asked to rate a person, in the order they were asked."""
    rows = Rating.objects.filter(review=review, role=_Role.PEER)
    return rows.select_related(
        "rater__unit", "rater__position", "review__cycle__version__rule", "review__unit"
    ).order_by("pk")


def numbers_of(review: Review) -> list[tuple[int, int]]:
    """This function will return the versions of a person's result in a cycle: their keys and numbers."""
    rows = Review.objects.filter(cycle=review.cycle_id, employee=review.employee_id)
    return list(rows.order_by("number").values_list("pk", "number"))


def tops(groups: Iterable[CalibrationGroup], rule: ScorecardRule) -> dict[int, int]:
    """This function will count the top grades of each calibration group of a cycle. One query."""
    found = list(groups)
    if not found:
        return {}
    paths = {one.unit.path: one.pk for one in found}
    rows = (
        Review.objects.filter(cycle=found[0].cycle_id, grade=rule.bands[0].grade)
        .exclude(state=_State.SUPERSEDED)
        .order_by()
        .values_list("unit__path")
        .annotate(number=Count("pk"))
    )
    counted: dict[int, int] = dict.fromkeys(paths.values(), 0)
    for path, number in rows:
        for end in range(len(path or ""), 0, -OrgUnit.steplen):
            if path[:end] in paths:
                counted[paths[path[:end]]] += number
                break
    return counted
