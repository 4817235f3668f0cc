"""Review cycles: made, announced, opened, published and closed; and what the person says to a result.

A cycle goes draft -> announced -> open -> calibrating -> published -> closed. Ratings are in ``ratings``, calibration in
``calibrating``, objections in ``appeals``; who may do what in which state is one table, ``review_states``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone

from core.batches import batches
from core.events import Link
from core.periods import Month
from kpi.domain import review_seals as seals
from kpi.domain import rules
from kpi.domain.parameters import scorecard_rule
from kpi.domain.ratings import ChangedMeanwhile, hold, rated_lines
from kpi.domain.review_messages import tell_announced, tell_due, tell_published
from kpi.domain.review_states import Action, CycleAction, NotYours, actor_for, check, check_cycle, holds_unit
from kpi.models import Acknowledgement, CalibrationGroup, Rating, Review, ReviewCycle, Rule, RuleVersion
from people.models import Employee, OrgUnit, Placement

MOST_APPEAL_DAYS = 60
_AT_ONCE = 1000

_State, _CycleState, _Role = Review.State, ReviewCycle.State, Rating.Role


class NotReady(Exception):
    """The cycle cannot go on: ``problems`` are words for what is missing (see ``problems_of``)."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__(problems)


class CycleExists(Exception):
    """There is a cycle of the same rule version, unit and months already."""


class NobodyReviewed(Exception):
    """The rule is for nobody in the unit of the cycle on the day of the snapshot."""


class NothingToPublish(Exception):
    """No review is calibrated and may be published by this person."""


class GroupsOpen(Exception):
    """Some calibration groups are not settled: ``units`` are theirs."""

    def __init__(self, units: list[OrgUnit]):
        self.units = units
        super().__init__([unit.code for unit in units])


class StillOpen(Exception):
    """The cycle cannot be closed: ``contested`` objections are open, ``until`` is the last day to object,
    ``unpublished`` results wait to be published."""

    def __init__(self, contested: int, until: dt.datetime | None, unpublished: int):
        self.contested, self.until, self.unpublished = contested, until, unpublished
        super().__init__(contested, until, unpublished)


# --- making -----------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Deadlines:
    """The last moments at which something is taken, in their order."""

    self_until: dt.datetime
    peers_until: dt.datetime
    manager_until: dt.datetime

    @property
    def in_order(self) -> bool:
        return self.self_until <= self.peers_until <= self.manager_until

    def values(self) -> dict[str, dt.datetime]:
        return {
            "self_until": self.self_until,
            "peers_until": self.peers_until,
            "manager_until": self.manager_until,
        }


def save_cycle(
    *,
    cycle: ReviewCycle | None,
    name: str,
    name_en: str,
    kind: str,
    scope: OrgUnit,
    version: RuleVersion,
    first_month: Month,
    last_month: Month,
    snapshot_on: dt.date,
    deadlines: Deadlines,
    appeal_days: int,
    by,
    at: dt.datetime,
) -> ReviewCycle:
    """This function will make a cycle as a draft, or change one that is still a draft. One event.

    Only by HR of the whole unit. What has to be right before it is announced is said by ``problems_of`` meanwhile. Raises
    NotYours, WrongState, CycleExists, NotReady (what can never become right: months or deadlines out of order, a version
    that is no scorecard of employees, a unit that is not the rule's).
    """
    actor = actor_for(by, at)
    if actor is None or not holds_unit(actor, scope):
        raise NotYours(CycleAction.EDIT)
    wrong = _never_right(version, scope, first_month, last_month, snapshot_on, deadlines, appeal_days)
    if wrong:
        raise NotReady(wrong)
    values: dict[str, Any] = {
        "name": name.strip(),
        "name_en": name_en.strip(),
        "kind": kind,
        "scope": scope,
        "version": version,
        "first_month": first_month,
        "last_month": last_month,
        "snapshot_on": snapshot_on,
        "appeal_days": appeal_days,
        **deadlines.values(),
    }
    try:
        with transaction.atomic():
            if cycle is None:
                saved, action = ReviewCycle.objects.create(**values, created_by=by), "cycle made"
            else:
                check_cycle(CycleAction.EDIT, cycle, by=by, at=at)
                hold(cycle, _CycleState.DRAFT)
                ReviewCycle.objects.filter(pk=cycle.pk).update(**values)
                saved, action = ReviewCycle.objects.get(pk=cycle.pk), "cycle changed"
            seals.record([seals.link(action, saved, by=by, at=at, after=_said(saved))])
    except IntegrityError as error:
        raise CycleExists from error
    return saved


def _said(cycle: ReviewCycle) -> dict:
    return {
        "scope": cycle.scope.code,
        "version": cycle.version_id,
        "months": [str(cycle.first_month), str(cycle.last_month)],
        "snapshot_on": cycle.snapshot_on,
        "appeal_days": cycle.appeal_days,
        **deadlines_of(cycle).values(),
    }


def deadlines_of(cycle: ReviewCycle) -> Deadlines:
    return Deadlines(cycle.self_until, cycle.peers_until, cycle.manager_until)


def _never_right(version, scope, first_month, last_month, snapshot_on, deadlines, appeal_days) -> list[str]:
    wrong = []
    if version.rule.family != Rule.Family.SCORECARD or version.rule.subject != Rule.Subject.EMPLOYEE:
        wrong.append("not_a_card_of_employees")
    if not (version.rule.scope.contains(scope)):
        wrong.append("scope_not_of_rule")
    if last_month < first_month:
        wrong.append("months_out_of_order")
    if snapshot_on < first_month.first_day:
        wrong.append("snapshot_before_months")
    if not deadlines.in_order:
        wrong.append("deadlines_out_of_order")
    if not 1 <= appeal_days <= MOST_APPEAL_DAYS:
        wrong.append("appeal_days")
    return wrong


def delete_cycle(*, cycle: ReviewCycle, by, at: dt.datetime) -> None:
    """This function will delete a draft. What was announced is never deleted. Raises NotYours, WrongState."""
    check_cycle(CycleAction.DELETE, cycle, by=by, at=at)
    with transaction.atomic():
        hold(cycle, _CycleState.DRAFT)
        gone = seals.link("cycle deleted", cycle, by=by, at=at, before=_said(cycle))
        gone.after["seals"] = {seals.name_of(cycle): None}  # type: ignore[index]  # link always keeps seals
        seals.record([gone])
        ReviewCycle.objects.filter(pk=cycle.pk).delete()


def move_deadlines(*, cycle: ReviewCycle, deadlines: Deadlines, by, at: dt.datetime) -> ReviewCycle:
    """This function will give more time: every deadline as late as it was or later, in their order. One event.

    Nobody's time is cut short once it was announced. Raises NotReady, NotYours, WrongState.
    """
    check_cycle(CycleAction.MOVE_DEADLINES, cycle, by=by, at=at)
    before = deadlines_of(cycle)
    wrong = [] if deadlines.in_order else ["deadlines_out_of_order"]
    if any(new < before.values()[name] for name, new in deadlines.values().items()):
        wrong.append("time_cut_short")
    if wrong:
        raise NotReady(wrong)
    with transaction.atomic():
        hold(cycle, cycle.state)
        ReviewCycle.objects.filter(pk=cycle.pk).update(**deadlines.values())
        cycle = ReviewCycle.objects.select_related("scope", "version__rule").get(pk=cycle.pk)
        seals.record(
            [seals.link("deadlines moved", cycle, by=by, at=at, before=before.values(), after=deadlines.values())]
        )
    return cycle


# --- announcing -------------------------------------------------------------------------------------------------------------
def problems_of(cycle: ReviewCycle, at: dt.datetime) -> list[str]:
    """This function will say what keeps a draft from being announced, as words for the page; empty: nothing.

    The version must be published and be the one in force on the first and on the last day of the months: nothing is
    reviewed on an unannounced version, and not under two.
    """
    wrong = _never_right(
        cycle.version,
        cycle.scope,
        cycle.first_month,
        cycle.last_month,
        cycle.snapshot_on,
        deadlines_of(cycle),
        cycle.appeal_days,
    )
    version = cycle.version
    if version.state != RuleVersion.State.PUBLISHED:
        wrong.append("version_not_published")
    else:
        for day in (cycle.first_month.first_day, cycle.last_month.last_day):
            found = rules.version_in_force(version.rule, day)
            if found is None or found.pk != version.pk:
                wrong.append("version_not_in_force")
                break
    if cycle.snapshot_on > timezone.localdate(at):
        wrong.append("snapshot_in_future")
    if cycle.self_until <= at:
        wrong.append("deadline_over")
    return wrong


def announce_cycle(*, cycle: ReviewCycle, by, at: dt.datetime) -> int:
    """This function will announce a cycle: a review for each person, who is told. Returns how many.

    Everybody whom the rule is for and who had a post in the cycle's unit on the day of the snapshot; unit, position and
    manager of that day are copied. Sets, a thousand at a time. Raises NotReady, NobodyReviewed, NotYours, WrongState.
    """
    check_cycle(CycleAction.ANNOUNCE, cycle, by=by, at=at)
    problems = problems_of(cycle, at)
    if problems:
        raise NotReady(problems)
    with transaction.atomic():
        cycle = _move(cycle, _CycleState.DRAFT, _CycleState.ANNOUNCED)
        names = _unit_paths()
        number = 0
        for some in batches(_posts(cycle).iterator(chunk_size=_AT_ONCE), _AT_ONCE):
            made = Review.objects.bulk_create([_review(cycle, post, names, at) for post in some])
            number += seals.record(_each("announced", made, by, at))
        if not number:
            raise NobodyReviewed(cycle.scope.code)
        seals.record([seals.link("cycle announced", cycle, by=by, at=at, after=_on(cycle, people=number))])
        tell_announced(cycle, _people(cycle), at)
    return number


def _posts(cycle: ReviewCycle) -> QuerySet[Placement]:
    rule, day = cycle.version.rule, cycle.snapshot_on
    people = rules.people_of(rule, day) if rule.audience_id else Employee.objects.active_on(day)
    return (
        Placement.objects.on(day)
        .filter(unit__path__startswith=cycle.scope.path, employee__in=people.order_by().values("pk"))
        .order_by("employee")
    )


def _unit_paths() -> dict[int, tuple[OrgUnit, str, str]]:
    """Every unit with the names of those above it and its own, in both languages."""
    by_path: dict[str, tuple[str, str]] = {}
    found = {}
    for unit in OrgUnit.objects.order_by("path"):
        above = by_path.get(unit.path[: -OrgUnit.steplen])
        zh, en = unit.name, unit.name_en or unit.name
        if above is not None:
            zh, en = f"{above[0]} / {zh}", f"{above[1]} / {en}"
        by_path[unit.path] = (zh, en)
        found[unit.pk] = (unit, zh, en)
    return found


def _review(cycle: ReviewCycle, post: Placement, names: dict, at: dt.datetime) -> Review:
    _unit, zh, en = names[post.unit_id]
    return Review(
        cycle=cycle,
        employee_id=post.employee_id,
        unit_id=post.unit_id,
        unit_path_zh=zh[-300:],
        unit_path_en=en[-300:],
        position_id=post.position_id,
        manager_id=post.manager_id,
        changed_at=at,
    )


def _people(cycle: ReviewCycle) -> Iterator[Employee]:
    found = Employee.objects.filter(reviews__cycle=cycle, user__isnull=False).select_related("user")
    return found.order_by("pk").iterator(chunk_size=_AT_ONCE)


def _each(action: str, reviews: Iterable[Review], by, at: dt.datetime, before: str = "") -> Iterator[Link]:
    """One event for each review of a set."""
    for one in reviews:
        yield seals.link(
            action,
            one,
            by=by,
            at=at,
            before={"state": before} if before else None,
            after={"state": one.state, "number": one.number},
        )


def _on(cycle: ReviewCycle, **more) -> dict:
    return {"state": cycle.state, **more}


def _move(cycle: ReviewCycle, before: str, after: str, **values) -> ReviewCycle:
    """Move a cycle on by compare-and-swap and read it anew. Raises ChangedMeanwhile."""
    if not ReviewCycle.objects.filter(pk=cycle.pk, state=before).update(state=after, **values):
        raise ChangedMeanwhile(cycle.pk)
    return ReviewCycle.objects.select_related("scope", "version__rule__scope").get(pk=cycle.pk)


# --- opening ----------------------------------------------------------------------------------------------------------------
def open_cycle(*, cycle: ReviewCycle, by, at: dt.datetime) -> int:
    """This function will open a cycle for ratings: the person and the manager are asked and told. Returns how many asked.

    Whose part has no weight in the rule is not asked and not waited for. Raises NotReady, NotYours, WrongState.
    """
    check_cycle(CycleAction.OPEN, cycle, by=by, at=at)
    if cycle.self_until <= at:
        raise NotReady(["deadline_over"])
    with transaction.atomic():
        cycle = _move(cycle, _CycleState.ANNOUNCED, _CycleState.OPEN)
        rule = scorecard_rule(cycle.version.parameters)
        anything = bool(rated_lines(rule))
        own, manager = anything and rule.raters.self_weight > 0, anything and rule.raters.manager > 0
        asked = 0
        rows = Review.objects.filter(cycle=cycle).order_by("pk")
        for some in batches(rows.iterator(chunk_size=_AT_ONCE), _AT_ONCE):
            ratings: dict[int, list[Rating]] = {one.pk: [] for one in some}
            for one in some:
                if own:
                    ratings[one.pk].append(Rating(review=one, rater_id=one.employee_id, role=_Role.SELF, asked_at=at))
                if manager and one.manager_id:
                    ratings[one.pk].append(Rating(review=one, rater_id=one.manager_id, role=_Role.MANAGER, asked_at=at))
                if not own:
                    one.state = _State.SELF_DONE if ratings[one.pk] else _State.MANAGER_DONE
                one.changed_at = at
            asked += len(Rating.objects.bulk_create([row for rows in ratings.values() for row in rows]))
            Review.objects.bulk_update(some, ["state", "changed_at"], batch_size=500)
            seals.record(
                seals.link("opened", one, by=by, at=at, also=ratings[one.pk], after={"state": one.state})
                for one in some
            )
        seals.record([seals.link("cycle opened", cycle, by=by, at=at, after=_on(cycle, asked=asked))])
        told = (
            Rating.objects.filter(review__cycle=cycle)
            .select_related("review__cycle", "review__employee", "rater__user__employee")
            .order_by("rater", "pk")
        )
        tell_due(told.iterator(chunk_size=_AT_ONCE), at)
    return asked


# --- publishing -------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Published:
    """What was published, and what was not: ``own`` of the publisher, ``unannounced`` and ``without_card``."""

    number: int
    own: int
    unannounced: int
    without_card: int


def unannounced(cycle: ReviewCycle, reviews: QuerySet[Review], on: dt.date) -> QuerySet[Review]:
    """This function will keep the reviews whose person had no chance to read the rule version by that day.

    A person had the chance who acknowledged it, or for whom the days of notice have passed: since the version was
    published, and since the person was hired. Silence for so long is not agreement, but it was announced.
    """
    version = cycle.version
    latest = on - dt.timedelta(days=version.notice_days)
    read = Acknowledgement.objects.filter(version=version).order_by().values("employee")
    if version.published_at is None or timezone.localdate(version.published_at) > latest:
        return reviews.exclude(employee__in=read)
    return reviews.filter(employee__hired_on__gt=latest).exclude(employee__in=read)


def to_publish(cycle: ReviewCycle, *, by, on: dt.date) -> QuerySet[Review]:
    """This function will return the reviews that somebody could publish on a day: calibrated, announced, not one's own."""
    calibrated = Review.objects.filter(cycle=cycle, state=_State.CALIBRATED, scorecard__isnull=False)
    blocked = unannounced(cycle, calibrated, on).order_by().values("pk")
    return calibrated.exclude(Q(employee__user=by) | Q(pk__in=list(blocked.values_list("pk", flat=True))))


def publish_cycle(*, cycle: ReviewCycle, by, at: dt.datetime) -> Published:
    """This function will publish the calibrated results of a cycle; the people are told and may object.

    Until the end of the day that is ``appeal_days`` after this one. Left out are the publisher's own (another person of HR
    publishes that), those whose person never had the chance to read the rule, and who has no card. Calling it again
    publishes what has become possible since. Raises GroupsOpen, NothingToPublish, NotYours, WrongState, ChangedMeanwhile.
    """
    check_cycle(CycleAction.PUBLISH, cycle, by=by, at=at)
    today = timezone.localdate(at)
    with transaction.atomic():
        first = cycle.state == _CycleState.CALIBRATING
        if first:
            still = CalibrationGroup.objects.filter(cycle=cycle, settled_at=None).select_related("unit")
            if still:
                raise GroupsOpen([group.unit for group in still])
        hold(cycle, cycle.state)
        until = end_of_day(today + dt.timedelta(days=cycle.appeal_days))
        chosen = list(to_publish(cycle, by=by, on=today).order_by("pk").values_list("pk", flat=True))
        if not chosen:
            raise NothingToPublish(cycle.pk)
        if first:
            cycle = _move(cycle, _CycleState.CALIBRATING, _CycleState.PUBLISHED, published_at=at)
            seals.record([seals.link("cycle published", cycle, by=by, at=at, after=_on(cycle))])
        values = {
            "state": _State.PUBLISHED,
            "published_at": at,
            "published_by": by,
            "object_until": until,
            "changed_at": at,
        }
        for some in batches(chosen, 500):
            if Review.objects.filter(pk__in=some, state=_State.CALIBRATED).update(**values) != len(some):
                raise ChangedMeanwhile(cycle.pk)
            rows = list(Review.objects.filter(pk__in=some).select_related("employee__user__employee").order_by("pk"))
            seals.record(_each("published", rows, by, at, before=_State.CALIBRATED))
            tell_published(cycle, rows, at)
        left = Review.objects.filter(cycle=cycle, state=_State.CALIBRATED)
        return Published(
            number=len(chosen),
            own=left.filter(employee__user=by).count(),
            unannounced=unannounced(cycle, left, today).count(),
            without_card=without_card(cycle).count(),
        )


def without_card(cycle: ReviewCycle) -> QuerySet[Review]:
    """This function will return the reviews of people of whom nothing was measured and nobody said anything."""
    return Review.objects.filter(cycle=cycle, scorecard=None)


def end_of_day(day: dt.date) -> dt.datetime:
    """The last moment of a day, where the site is."""
    return timezone.make_aware(dt.datetime.combine(day, dt.time.max))


# --- the person -------------------------------------------------------------------------------------------------------------
def acknowledge_review(*, review: Review, by, at: dt.datetime) -> Review:
    """This function will write down that a person has read the result: a receipt, not agreement.

    Raises NotYours, WrongState, ChangedMeanwhile.
    """
    check(Action.ACKNOWLEDGE, review, by=by, at=at)
    with transaction.atomic():
        hold(review.cycle, _CycleState.PUBLISHED)
        moved = move_review(review, _State.ACKNOWLEDGED, at, acknowledged_at=at)
        seals.record(_each("acknowledged", [moved], by, at, before=_State.PUBLISHED))
    return moved


def move_review(review: Review, state: str, at: dt.datetime, **values: Any) -> Review:
    """This function will move one review to a state by compare-and-swap. Raises ChangedMeanwhile. The caller seals it."""
    values |= {"state": state, "changed_at": at}
    if not Review.objects.filter(pk=review.pk, state=review.state, changed_at=review.changed_at).update(**values):
        raise ChangedMeanwhile(review.pk)
    for name, value in values.items():
        setattr(review, name, value)
    return review


WITH = ("cycle__version__rule", "cycle__scope", "employee__user__employee", "unit", "position", "manager", "scorecard")


# --- the end ----------------------------------------------------------------------------------------------------------------
def finish_due(*, cycle: ReviewCycle, by, at: dt.datetime) -> int:
    """This function will make results final whose time to object is over and that are not contested. Returns how many.

    Not agreement either: the time is over. ``by`` is None when it happens by the clock. Raises NotYours, WrongState.
    """
    if by is not None:
        check_cycle(CycleAction.CLOSE, cycle, by=by, at=at)
    with transaction.atomic():
        hold(cycle, _CycleState.PUBLISHED)
        due = Review.objects.filter(
            cycle=cycle,
            state__in=[_State.PUBLISHED, _State.ACKNOWLEDGED, _State.REJECTED],
            object_until__lt=at,
        )
        number = 0
        for some in batches(list(due.order_by("pk").values_list("pk", flat=True)), 500):
            before = dict(Review.objects.filter(pk__in=some).values_list("pk", "state"))
            if due.filter(pk__in=some).update(state=_State.FINAL, changed_at=at) != len(some):
                raise ChangedMeanwhile(cycle.pk)
            number += seals.record(
                seals.link("final", one, by=by, at=at, before={"state": before[one.pk]}, after={"state": one.state})
                for one in Review.objects.filter(pk__in=some).order_by("pk")
            )
    return number


def finish_by_the_clock(*, at: dt.datetime) -> int:
    """This function will make final what is due in every published cycle. Safe to run at any time."""
    cycles = ReviewCycle.objects.filter(state=_CycleState.PUBLISHED)
    return sum(finish_due(cycle=cycle, by=None, at=at) for cycle in cycles)


def close_cycle(*, cycle: ReviewCycle, by, at: dt.datetime) -> ReviewCycle:
    """This function will close a cycle in which everything is decided; what is due becomes final first.

    Who has no card, or never had the chance to read the rule, stays without a result and is listed so. Raises StillOpen,
    NotYours, WrongState, ChangedMeanwhile.
    """
    check_cycle(CycleAction.CLOSE, cycle, by=by, at=at)
    with transaction.atomic():
        finish_due(cycle=cycle, by=by, at=at)
        still = still_open(cycle, at)
        if still is not None:
            raise still
        cycle = _move(cycle, _CycleState.PUBLISHED, _CycleState.CLOSED)
        seals.record([seals.link("cycle closed", cycle, by=by, at=at, after=_on(cycle))])
    return cycle


def still_open(cycle: ReviewCycle, at: dt.datetime) -> StillOpen | None:
    """This function will say what keeps a published cycle from being closed; None: nothing."""
    rows = Review.objects.filter(cycle=cycle)
    until = rows.filter(
        state__in=[_State.PUBLISHED, _State.ACKNOWLEDGED, _State.REJECTED], object_until__gte=at
    ).aggregate(last=Max("object_until"))["last"]
    ready = rows.filter(state=_State.CALIBRATED, scorecard__isnull=False)
    unpublished = ready.count() - unannounced(cycle, ready, timezone.localdate(at)).count()
    contested = rows.filter(state=_State.CONTESTED).count()
    return StillOpen(contested, until, unpublished) if contested or until or unpublished else None
