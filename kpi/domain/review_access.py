"""The door to reviews and cycles: by the unit in which the person was reviewed, not by where the person is now.

TRUST 2.3: of review records letter U goes by the record's own unit (so R8 yes and R9 no), letter N is asked of the rows
that name the actor, and nobody acts on himself.
"""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404

from kpi.domain.review_states import Part, parts_of
from kpi.domain.reviews import WITH
from kpi.models import Appeal, CalibrationGroup, Rating, Review, ReviewCycle
from people.domain.access import RULES, Actor, require
from people.models import OrgUnit
from people.models.employees import ReportsBelow


def visible_reviews(actor: Actor, row: str) -> QuerySet[Review]:
    """This function will return the reviews to which the actor may do what the row names, one's own once published."""
    letters, me = actor.letters(row), actor.employee
    if "A" in letters:
        found = Q()
    else:
        found = Q(pk__in=[])
        if me is not None and letters & {"T", "D"}:
            found |= Q(manager=me)
            if "T" in letters and actor.is_manager:
                found |= Q(employee__in=ReportsBelow(me.pk))
        for role in actor.roles:
            if "U" in RULES[row][role]:
                found |= _of_units(actor.units(role))
    if me is not None:
        found &= ~Q(employee=me)
        if "S" in letters:
            found |= Q(employee=me, published_at__isnull=False)
    return Review.objects.filter(found)


def _of_units(units: list[OrgUnit]) -> Q:
    found = Q(pk__in=[])
    for unit in units:
        found |= Q(unit__path__startswith=unit.path)
        if unit.is_root():
            found |= Q(unit=None)
    return found


def own_reviews(actor: Actor) -> QuerySet[Review]:
    """This function will return the actor's own reviews, also those without a result yet, the newest first."""
    if actor.employee is None:
        return Review.objects.none()
    rows = Review.objects.filter(employee=actor.employee).exclude(cycle__state=ReviewCycle.State.DRAFT)
    return rows.select_related(*WITH).order_by("-cycle__last_month", "-cycle", "-number")


def own_ratings(actor: Actor) -> QuerySet[Rating]:
    """This function will return the ratings that name the actor as the rater (PM-V10, letter N)."""
    if actor.employee is None:
        return Rating.objects.none()
    rows = Rating.objects.filter(rater=actor.employee).select_related(
        "review__cycle__version__rule", "review__employee", "review__unit", "review__position"
    )
    return rows.order_by("review__cycle", "review__employee__employee_no", "pk")


def rating_or_404(actor: Actor, rating_id: int) -> Rating:
    """This function will return one rating that is the actor's to give, or raise Http404 as for a missing id."""
    found = own_ratings(actor).filter(pk=rating_id).first()
    if found is None:
        raise Http404
    return found


def review_or_404(actor: Actor, row: str, review_id: int) -> Review:
    """This function will return one review through the door, or raise Http404 as for a missing id (403: no role ever)."""
    require(actor, row)
    found = visible_reviews(actor, row).select_related(*WITH).filter(pk=review_id).first()
    if found is None:
        raise Http404
    return found


def steered_review_or_404(actor: Actor, review_id: int) -> tuple[Review, frozenset[Part]]:
    """This function will return a review that the actor rates as the manager or runs as HR, with what the actor is to it.

    By the rows that name the manager: who rates somebody who has another manager by now still rates (PM-V02).
    """
    found = Review.objects.select_related(*WITH).filter(pk=review_id).first()
    if found is not None:
        parts = parts_of(found, actor)
        if parts & {Part.MANAGER, Part.HR}:
            return found, parts
    if not (actor.may("PM-V02") or actor.may("PM-V05")):
        raise PermissionDenied("PM-V02")
    raise Http404


def own_review_or_404(actor: Actor, review_id: int) -> Review:
    """This function will return one of the actor's own published reviews (PM-V06, PM-V07)."""
    found = own_reviews(actor).filter(pk=review_id, published_at__isnull=False).first()
    if found is None:
        raise Http404
    return found


def visible_cycles(actor: Actor, row: str) -> QuerySet[ReviewCycle]:
    """This function will return the cycles that concern units of the actor: of them, above them or below them."""
    rows = ReviewCycle.objects.select_related("scope", "version__rule__scope")
    if "A" in actor.letters(row):
        return rows
    found = Q(pk__in=[])
    for role in actor.roles:
        if RULES[row][role] & {"U", "G"}:
            for unit in actor.units(role):
                above = [unit.path[:end] for end in range(OrgUnit.steplen, len(unit.path) + 1, OrgUnit.steplen)]
                found |= Q(scope__path__startswith=unit.path) | Q(scope__path__in=above)
    return rows.filter(found)


def cycle_or_404(actor: Actor, row: str, cycle_id: int) -> ReviewCycle:
    """This function will return one cycle through the door, or raise Http404 (403: no role ever)."""
    require(actor, row)
    found = visible_cycles(actor, row).filter(pk=cycle_id).first()
    if found is None:
        raise Http404
    return found


def visible_groups(actor: Actor, row: str) -> QuerySet[CalibrationGroup]:
    """This function will return the calibration groups that lie wholly in units of the actor."""
    rows = CalibrationGroup.objects.select_related("cycle__version__rule", "cycle__scope", "unit")
    if "A" in actor.letters(row):
        return rows
    found = Q(pk__in=[])
    for role in actor.roles:
        if "U" in RULES[row][role]:
            for unit in actor.units(role):
                found |= Q(unit__path__startswith=unit.path)
    return rows.filter(found)


def group_or_404(actor: Actor, row: str, group_id: int) -> CalibrationGroup:
    require(actor, row)
    found = visible_groups(actor, row).filter(pk=group_id).first()
    if found is None:
        raise Http404
    return found


def visible_appeals(actor: Actor, row: str) -> QuerySet[Appeal]:
    """This function will return the objections to results that the actor may see under a row."""
    rows = Appeal.objects.filter(review__in=visible_reviews(actor, row).order_by().values("pk"))
    return rows.select_related(
        "review__cycle__version__rule",
        "review__cycle__scope",
        "review__employee__user",
        "review__unit",
        "review__position",
        "review__scorecard",
        "decided_by__employee",
    )


def appeal_or_404(actor: Actor, row: str, appeal_id: int) -> Appeal:
    require(actor, row)
    found = visible_appeals(actor, row).filter(pk=appeal_id).first()
    if found is None:
        raise Http404
    return found
