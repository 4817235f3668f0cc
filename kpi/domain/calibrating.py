"""Calibration: cards are computed, reviews are looked at side by side, and only the top is capped.

A group is one unit with what lies below it. Its quota is the largest whole number of places in share x people plus what the
cycle before left over for the same unit; what is not a whole place goes on. A total may be raised, with a reason the
person reads, and never lies below what the card gave. Above the quota the top grade is held back from the lowest totals: they
get the grade and coefficient of the next band, and the total stays. There is no quota at the bottom (docs/decisions/0016).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction

from django.db import transaction
from django.db.models import Max, Min, QuerySet
from django.utils import timezone

from core.batches import batches
from kpi.domain import review_seals as seals
from kpi.domain import scorecards
from kpi.domain.parameters import Band, ScorecardRule, scorecard_rule
from kpi.domain.ratings import ChangedMeanwhile, combined_scores, hold
from kpi.domain.review_states import RATED, Action, CycleAction, NotYours, WrongState, check, check_cycle
from kpi.domain.review_states import actor_for as _actor_for
from kpi.domain.reviews import WITH, NotReady
from kpi.domain.scoring import band_of
from kpi.models import Calibration, CalibrationGroup, Rating, Review, ReviewCycle
from people.models import Employee, OrgUnit

_AT_ONCE = 1000
_PLACES = Decimal("0.0001")
_State, _CycleState = Review.State, ReviewCycle.State

# From the widest to the narrowest kind of unit.
LEVELS = tuple(OrgUnit.Kind)


class ReasonMissing(Exception):
    """A change of a result needs a reason that the employee can read."""


class BelowEarned(Exception):
    """Calibration pushes nobody below what the card gave: ``least`` is that."""

    def __init__(self, least: Decimal):
        self.least = least
        super().__init__(least)


class AboveMost(Exception):
    """Calibration does not go over the cap of a veto, nor over what a full card gives: ``most`` is that."""

    def __init__(self, most: Decimal):
        self.most = most
        super().__init__(most)


class NothingChanged(Exception):
    """The result is that already."""


class NotTheTop(Exception):
    """Only the top grade is held back, and only while there are more of it than the quota."""


class OverQuota(Exception):
    """More people have the top grade than the group may have: ``too_many`` of them."""

    def __init__(self, too_many: int):
        self.too_many = too_many
        super().__init__(too_many)


class HigherHeldBack(Exception):
    """Somebody with a higher total was held back while somebody with a lower one keeps the top grade."""


class Settled(Exception):
    """The group is settled; open it again first."""


# --- beginning ----------------------------------------------------------------------------------------------------------------
def start_calibrating(*, cycle: ReviewCycle, level: str, by, at: dt.datetime) -> int:
    """This function will end the ratings, compute every card, and make the groups. Returns how many have a card.

    ``level`` is the kind of unit (OrgUnit.Kind) whose people are compared. Not before the months are over, nor before the
    manager's deadline unless everything asked for is in. Parts that are missing drop out; who was not rated and of whom
    nothing was measured has no card and no result. Raises NotReady, NotYours, WrongState, ChangedMeanwhile.
    """
    check_cycle(CycleAction.START_CALIBRATING, cycle, by=by, at=at)
    problems = []
    if timezone.localdate(at) <= cycle.last_month.last_day:
        problems.append("months_not_over")
    missing = Rating.objects.filter(review__cycle=cycle, submitted_at=None)
    if at <= cycle.manager_until and missing.exists():
        problems.append("ratings_missing")
    if problems:
        raise NotReady(problems)
    with transaction.atomic():
        if not ReviewCycle.objects.filter(pk=cycle.pk, state=_CycleState.OPEN).update(state=_CycleState.CALIBRATING):
            raise ChangedMeanwhile(cycle.pk)
        cycle = ReviewCycle.objects.select_related("scope", "version__rule").get(pk=cycle.pk)
        number = 0
        rows = Review.objects.filter(cycle=cycle).order_by("employee")
        for some in batches(list(rows.values_list("pk", flat=True)), _AT_ONCE):
            number += _cards(cycle, some, by, at)
        groups = _make_groups(cycle, level)
        seals.record(
            [
                seals.link(
                    "calibration begun",
                    cycle,
                    by=by,
                    at=at,
                    also=groups,
                    after={"state": cycle.state, "level": level, "cards": number},
                )
            ]
        )
    return number


def _cards(cycle: ReviewCycle, ids: Sequence[int], by, at: dt.datetime) -> int:
    """The cards of some reviews, which then rest on them."""
    reviews = list(Review.objects.filter(pk__in=ids).order_by("pk"))
    cards = scorecards.compute_cards(
        version=cycle.version,
        employees=Employee.objects.filter(pk__in=[one.employee_id for one in reviews]).order_by("pk"),
        first_month=cycle.first_month,
        last_month=cycle.last_month,
        ratings=combined_scores(version=cycle.version, reviews=ids),
        by=by,
        at=at,
    )
    found = []
    for one in reviews:
        card = cards.get(one.employee_id)
        if card is None:
            continue
        one.scorecard, one.total, one.grade, one.coefficient = card, card.total, card.grade, card.coefficient
        one.changed_at = at
        found.append(one)
    Review.objects.bulk_update(found, ["scorecard", "total", "grade", "coefficient", "changed_at"], batch_size=200)
    seals.record(
        seals.link(
            "card computed",
            one,
            by=by,
            at=at,
            after={"scorecard": one.scorecard_id, "total": str(one.total), "grade": one.grade},
        )
        for one in found
    )
    return len(found)


# --- groups -----------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Quota:
    """How many of a group may have the top grade: None without a quota in the rule."""

    places: int
    carried_out: Decimal


def quota_of(*, share: Decimal | None, people: int, carried_in: Decimal) -> Quota:
    """This function will return the whole places in share x people plus what was carried in, and what is left of one.

    Exact; what is carried on is kept to four places of a place (less than that lapses). Without a share everybody may.
    """
    if share is None:
        return Quota(people, Decimal(0))
    exact = Fraction(share) * people / 100 + Fraction(carried_in)
    whole = exact.numerator // exact.denominator
    rest = exact - whole
    kept = (Decimal(rest.numerator) / Decimal(rest.denominator)).quantize(_PLACES, rounding=ROUND_DOWN)
    return Quota(min(whole, people), kept)


def _make_groups(cycle: ReviewCycle, level: str) -> list[CalibrationGroup]:
    """Everybody with a card, by the unit of that kind above them; who sits higher belongs to the next unit above."""
    kinds = LEVELS[: LEVELS.index(OrgUnit.Kind(level)) + 1]
    units = list(OrgUnit.objects.filter(kind__in=kinds, path__startswith=cycle.scope.path))
    by_path = {unit.path: unit for unit in units} | {cycle.scope.path: cycle.scope}
    people: dict[str, int] = defaultdict(int)
    rows = Review.objects.filter(cycle=cycle, scorecard__isnull=False).order_by()
    for path in rows.values_list("unit__path", flat=True).iterator():
        people[_nearest(path, by_path) or cycle.scope.path] += 1
    share = scorecard_rule(cycle.version.parameters).top_share
    before = _carried(cycle, [by_path[path].pk for path in people])
    groups = []
    for path in sorted(people):
        carried = before.get(by_path[path].pk, Decimal(0))
        quota = quota_of(share=share, people=people[path], carried_in=carried)
        groups.append(
            CalibrationGroup(
                cycle=cycle,
                unit=by_path[path],
                people=people[path],
                carried_in=carried,
                quota=quota.places,
                carried_out=quota.carried_out,
            )
        )
    return CalibrationGroup.objects.bulk_create(groups, batch_size=500)


def _nearest(path: str | None, known: Iterable[str]) -> str | None:
    """The unit of the group in which somebody of a unit is: itself or the nearest above that is known."""
    known = known if isinstance(known, dict | set) else set(known)
    for end in range(len(path or ""), 0, -OrgUnit.steplen):
        if path[:end] in known:  # type: ignore[index]  # of no path nothing is cut
            return path[:end]  # type: ignore[index]
    return None


def _carried(cycle: ReviewCycle, units: list[int]) -> dict[int, Decimal]:
    """What the newest earlier cycle of the same rule and rhythm left over for these units."""
    found: dict[int, Decimal] = {}
    earlier = CalibrationGroup.objects.filter(
        unit__in=units,
        cycle__version__rule=cycle.version.rule_id,
        cycle__kind=cycle.kind,
        cycle__last_month__lt=cycle.first_month,
        cycle__state__in=[_CycleState.PUBLISHED, _CycleState.CLOSED],
    )
    for unit, carried in earlier.order_by("cycle__last_month", "cycle").values_list("unit", "carried_out"):
        found[unit] = carried
    return found


def reviews_in(group: CalibrationGroup) -> QuerySet[Review]:
    """This function will return the reviews with a card that are compared in a group, the highest total first."""
    rows = Review.objects.filter(cycle=group.cycle_id, scorecard__isnull=False).exclude(state=_State.SUPERSEDED)
    inside = rows.filter(unit__path__startswith=group.unit.path)
    if group.unit_id == group.cycle.scope_id:
        inside = rows  # with those whose unit is gone
    others = CalibrationGroup.objects.filter(cycle=group.cycle_id, unit__path__startswith=group.unit.path)
    for path in others.exclude(pk=group.pk).values_list("unit__path", flat=True):
        inside = inside.exclude(unit__path__startswith=path)
    return inside.order_by("-total", "employee__employee_no")


def group_of(review: Review) -> CalibrationGroup | None:
    """This function will return the group in which a review is compared; None without a card or before calibration."""
    if review.scorecard_id is None:
        return None
    groups = {
        one.unit.path: one for one in CalibrationGroup.objects.filter(cycle=review.cycle_id).select_related("unit")
    }
    path = _nearest(review.unit.path if review.unit else None, groups)
    if path is None:
        path = review.cycle.scope.path
    return groups.get(path)


# --- changing -----------------------------------------------------------------------------------------------------------------
def adjust_total(*, review: Review, total: Decimal, reason: str, by, at: dt.datetime) -> Review:
    """This function will set another total for a person, with a reason the person can read.

    Never below what the card gave, never over the cap of a veto or over 100 with the whole bonus. Grade and coefficient
    follow the total, also for who was held back. Raises ReasonMissing, BelowEarned, AboveMost, NothingChanged, Settled,
    NotYours, WrongState, ChangedMeanwhile.
    """
    check(Action.CALIBRATE, review, by=by, at=at)
    group, rule = _group(review), scorecard_rule(review.cycle.version.parameters)
    reason = _reason(reason)
    card = review.scorecard
    if card is None:
        raise WrongState(Action.CALIBRATE)
    most = card.total if card.veto else max(card.total, 100 + rule.bonus_cap)
    if total < card.total:
        raise BelowEarned(card.total)
    if total > most:
        raise AboveMost(most)
    band = band_of(rule, total)
    if total == review.total and band.grade == review.grade:
        raise NothingChanged(review.pk)
    return _change(review, group, total, band, reason, "total calibrated", by, at)


def hold_back(*, group: CalibrationGroup, reviews: Sequence[Review], reason: str, by, at: dt.datetime) -> int:
    """This function will hold the top grade back from some people of a group, with one reason; the totals stay.

    Only as many as stand above the quota. They get the grade and coefficient of the second band. Raises ReasonMissing,
    NotTheTop, Settled, NotYours, WrongState, ChangedMeanwhile.
    """
    reason = _reason(reason)
    rule = scorecard_rule(group.cycle.version.parameters)
    if len(rule.bands) < 2:
        raise NotTheTop
    with transaction.atomic():
        _open_group(group)
        for review in reviews:
            check(Action.HOLD_BACK, review, by=by, at=at)
            if review.grade != rule.bands[0].grade:
                raise NotTheTop
        if len(reviews) > above_quota(group, rule):
            raise NotTheTop
        for review in reviews:
            _change(review, group, total_of(review), rule.bands[1], reason, "top grade held back", by, at)
    return len(reviews)


def give_back(*, review: Review, reason: str, by, at: dt.datetime) -> Review:
    """This function will give the top grade back to somebody from whom it was held back. Raises NothingChanged and the like."""
    check(Action.HOLD_BACK, review, by=by, at=at)
    group, rule = _group(review), scorecard_rule(review.cycle.version.parameters)
    if not is_held_back(review, rule):
        raise NothingChanged(review.pk)
    return _change(review, group, total_of(review), rule.bands[0], _reason(reason), "top grade given back", by, at)


def is_held_back(review: Review, rule: ScorecardRule) -> bool:
    """This function will say whether the total lies in a better band than the grade that was given."""
    return review.total is not None and band_of(rule, review.total).grade != review.grade


def above_quota(group: CalibrationGroup, rule: ScorecardRule) -> int:
    """This function will say how many of a group have the top grade beyond its quota."""
    if rule.top_share is None:
        return 0
    return max(0, reviews_in(group).filter(grade=rule.bands[0].grade).count() - group.quota)


def proposed(group: CalibrationGroup, rule: ScorecardRule) -> list[Review]:
    """This function will return from whom the top grade would be held back: the lowest totals above the quota."""
    number = above_quota(group, rule)
    tops = reviews_in(group).filter(grade=rule.bands[0].grade)
    return list(tops.order_by("total", "-employee__employee_no").select_related("employee")[:number])


def total_of(review: Review) -> Decimal:
    """The total of a review that has a card."""
    if review.total is None:
        raise WrongState(Action.READ_RESULT)
    return review.total


def _reason(reason: str) -> str:
    reason = reason.replace("\x00", "").strip()[:500]
    if not reason:
        raise ReasonMissing
    return reason


def _group(review: Review) -> CalibrationGroup:
    group = group_of(review)
    if group is None:
        raise WrongState(Action.CALIBRATE)
    if group.settled_at is not None:
        raise Settled(group.pk)
    return group


def _open_group(group: CalibrationGroup) -> None:
    """Keep a group open until the end of the transaction."""
    if not CalibrationGroup.objects.filter(pk=group.pk, settled_at=None).update(settled_at=None):
        raise Settled(group.pk)


def _change(
    review: Review,
    group: CalibrationGroup,
    total: Decimal,
    band: Band,
    reason: str,
    action: str,
    by,
    at: dt.datetime,
) -> Review:
    before = {"total": str(review.total), "grade": review.grade}
    values = {"total": total, "grade": band.grade, "coefficient": band.coefficient, "changed_at": at}
    with transaction.atomic():
        hold(review.cycle, _CycleState.CALIBRATING)
        _open_group(group)
        as_it_was = Review.objects.filter(pk=review.pk, state=review.state, changed_at=review.changed_at)
        if not as_it_was.update(**values):
            raise ChangedMeanwhile(review.pk)
        row = Calibration.objects.create(
            review=review,
            group=group,
            total_before=total_of(review),
            total_after=total,
            grade_before=review.grade,
            grade_after=band.grade,
            reason=reason,
            by=by,
            at=at,
        )
        moved = Review.objects.select_related(*WITH).get(pk=review.pk)
        after = {"total": str(moved.total), "grade": moved.grade}
        seals.record([seals.link(action, moved, by=by, at=at, also=[row], before=before, after=after, reason=reason)])
    return moved


# --- settling -----------------------------------------------------------------------------------------------------------------
def settle_group(*, group: CalibrationGroup, by, at: dt.datetime) -> int:
    """This function will settle a group: its reviews are calibrated and can be published. Returns how many.

    Not while more than the quota have the top grade, nor when a higher total was held back and a lower one not. Whoever
    settles leaves the own review to another person of HR. Raises OverQuota, HigherHeldBack, Settled (nothing is left),
    NotYours, WrongState, ChangedMeanwhile.
    """
    rule = scorecard_rule(group.cycle.version.parameters)
    with transaction.atomic():
        _check_group(group, Action.SETTLE, by, at)
        hold(group.cycle, _CycleState.CALIBRATING)
        everybody = reviews_in(group)
        too_many = above_quota(group, rule)
        if too_many:
            raise OverQuota(too_many)
        _fair(everybody, rule)
        open_ones = everybody.filter(state__in=RATED).exclude(employee__user=by)
        ids = list(open_ones.order_by("pk").values_list("pk", flat=True))
        if not ids and group.settled_at is not None:
            raise Settled(group.pk)
        if group.settled_at is None and not CalibrationGroup.objects.filter(pk=group.pk, settled_at=None).update(
            settled_at=at, settled_by=by
        ):
            raise ChangedMeanwhile(group.pk)
        settled = CalibrationGroup.objects.get(pk=group.pk)
        seals.record([seals.link("group settled", settled, by=by, at=at, after={"people": len(ids)})])
        _all_to(ids, _State.CALIBRATED, "calibrated", by, at)
    return len(ids)


def _fair(everybody: QuerySet[Review], rule: ScorecardRule) -> None:
    """Among those whose total reaches the top band: nobody keeps the top grade below somebody who does not."""
    if len(rule.bands) < 2:
        return
    reached = everybody.filter(total__gte=rule.bands[0].at_least).order_by()
    top = rule.bands[0].grade
    least_kept = reached.filter(grade=top).aggregate(total=Min("total"))["total"]
    most_held = reached.exclude(grade=top).aggregate(total=Max("total"))["total"]
    if least_kept is not None and most_held is not None and most_held > least_kept:
        raise HigherHeldBack


def reopen_group(*, group: CalibrationGroup, by, at: dt.datetime) -> int:
    """This function will open a settled group again, as long as nothing of the cycle is published. Returns how many.

    Each review is again where its ratings had brought it. Raises NotYours, WrongState, ChangedMeanwhile.
    """
    with transaction.atomic():
        _check_group(group, Action.REOPEN, by, at)
        hold(group.cycle, _CycleState.CALIBRATING)
        rows = list(reviews_in(group).filter(state=_State.CALIBRATED).exclude(employee__user=by).order_by("pk"))
        if not CalibrationGroup.objects.filter(pk=group.pk, settled_at__isnull=False).update(
            settled_at=None, settled_by=None
        ):
            raise ChangedMeanwhile(group.pk)
        opened = CalibrationGroup.objects.get(pk=group.pk)
        seals.record([seals.link("group opened again", opened, by=by, at=at)])
        where: dict[str, list[int]] = defaultdict(list)
        parts = _parts([one.pk for one in rows])
        for one in rows:
            where[_state_before(parts.get(one.pk, {}))].append(one.pk)
        for state, ids in where.items():
            _all_to(ids, state, "opened again", by, at)
    return len(rows)


def _parts(ids: Sequence[int]) -> dict[int, dict[str, bool]]:
    """Of which parts each review asked, and whether they were given."""
    found: dict[int, dict[str, bool]] = defaultdict(dict)
    for some in batches(ids, 500):
        rows = Rating.objects.filter(review__in=some).exclude(role=Rating.Role.PEER)
        for review, role, given_at in rows.values_list("review_id", "role", "submitted_at"):
            found[review][role] = given_at is not None
    return found


def _state_before(parts: dict[str, bool]) -> str:
    """How far a review had come by its ratings; what was not asked is not waited for (see reviews.open_cycle)."""
    own, manager = parts.get(Rating.Role.SELF), parts.get(Rating.Role.MANAGER)
    if manager or (manager is None and own is not False):
        return _State.MANAGER_DONE
    return _State.DRAFTED if own is False else _State.SELF_DONE


def _check_group(group: CalibrationGroup, action: Action, by, at: dt.datetime) -> None:
    """Only HR of the whole group, and only while the cycle is calibrated."""
    actor = _actor_for(by, at)
    if actor is None or not any(unit.contains(group.unit) for unit in actor.units("HRU")):
        raise NotYours(action)
    if group.cycle.state != _CycleState.CALIBRATING:
        raise WrongState(action)


def _all_to(ids: Sequence[int], state: str, action: str, by, at: dt.datetime) -> None:
    for some in batches(ids, 500):
        before = dict(Review.objects.filter(pk__in=some).values_list("pk", "state"))
        moved = Review.objects.filter(pk__in=some, cycle__state=_CycleState.CALIBRATING)
        if moved.update(state=state, changed_at=at) != len(some):
            raise ChangedMeanwhile(some[0])
        rows = Review.objects.filter(pk__in=some).order_by("pk")
        seals.record(
            seals.link(action, one, by=by, at=at, before={"state": before[one.pk]}, after={"state": state})
            for one in rows
        )
