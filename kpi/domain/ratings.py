"""Ratings: asked of the person, the manager and colleagues, saved, handed in, and combined into the scores of a card."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from core.batches import batches
from kpi.domain import review_seals as seals
from kpi.domain.parameters import Line, ScorecardRule, scorecard_rule
from kpi.domain.review_messages import tell_due, until
from kpi.domain.review_states import RATED, Action, NotYours, WrongState, actor_for, check
from kpi.domain.scoring import combined_rating, rated
from kpi.models import Rating, Review, ReviewCycle
from people.domain.access import Actor
from people.models import Employee

MOST_PEERS = 10
COMMENT_FOR = (1, 5)  # the ends of the scale are given with words
_AT_ONCE = 500

_Role, _State = Rating.Role, Review.State


class TooLate(Exception):
    """The last moment for this rating is over; what is missing stays missing and is never taken as agreement."""


class OwnRatingFirst(Exception):
    """The person can still rate himself; the manager's rating is handed in after that. It can be saved."""


class AlreadyHandedIn(Exception):
    """The rating was handed in, so it does not change any more."""


class ChangedMeanwhile(Exception):
    """Somebody else changed the review at the same moment."""


class NoPeers(Exception):
    """The rule gives colleagues no part."""


class RatingWrong(Exception):
    """The rating cannot be handed in so: ``faults`` is a list of (code of the line or "comment", word for what is wrong)."""

    def __init__(self, faults: list[tuple[str, str]]):
        self.faults = faults
        super().__init__(faults)


class PeersRefused(Exception):
    """Some of the people cannot be asked: ``refused`` is a list of (employee, word for why)."""

    def __init__(self, refused: list[tuple[Employee, str]]):
        self.refused = refused
        super().__init__(refused)


def rated_lines(rule: ScorecardRule) -> tuple[Line, ...]:
    """The lines of a card that people rate."""
    return tuple(line for line in rule.lines if line.kind == "rating")


# --- asking -----------------------------------------------------------------------------------------------------------------
def ask_peers(*, review: Review, raters: Sequence[Employee], by, at: dt.datetime) -> list[Rating]:
    """This function will ask colleagues to rate a person, and tell them; only who is asked can rate (PM-V10).

    The manager of the snapshot or HR asks, until the colleagues' deadline. At most ten in all, nobody twice, each at work
    and with a sign-in; neither the person nor the manager. All or none. Raises PeersRefused, NoPeers, TooLate, NotYours,
    WrongState.
    """
    check(Action.ASK_PEER, review, by=by, at=at)
    cycle = review.cycle
    if not scorecard_rule(cycle.version.parameters).raters.peers:
        raise NoPeers(review.pk)
    if at > cycle.peers_until:
        raise TooLate(cycle.peers_until)
    chosen = list({one.pk: one for one in raters}.values())
    with transaction.atomic():
        hold(cycle, ReviewCycle.State.OPEN)
        there = set(Rating.objects.filter(review=review).values_list("rater_id", "role"))
        refused = _refused(review, chosen, {rater for rater, _role in there}, at)
        number = sum(role == _Role.PEER for _rater, role in there)
        refused += [(one, "too_many") for one in chosen[max(0, MOST_PEERS - number) :]]
        if refused:
            raise PeersRefused(refused)
        made = Rating.objects.bulk_create(
            [Rating(review=review, rater=one, role=_Role.PEER, asked_at=at) for one in chosen]
        )
        if made:
            seals.record([seals.link("colleagues asked", review, by=by, at=at, also=made, after={"number": len(made)})])
        tell_due(made, at)
    return made


def _refused(
    review: Review, chosen: Sequence[Employee], there: set[int], at: dt.datetime
) -> list[tuple[Employee, str]]:
    today = timezone.localdate(at)
    refused = []
    for one in chosen:
        if one.pk == review.employee_id:
            refused.append((one, "self"))
        elif one.pk == review.manager_id:
            refused.append((one, "manager"))
        elif one.pk in there:
            refused.append((one, "already"))
        elif one.user_id is None:
            refused.append((one, "no_sign_in"))
        elif one.state != Employee.State.ACTIVE or (one.left_on is not None and one.left_on < today):
            refused.append((one, "gone"))
    return refused


def withdraw_peer(*, rating: Rating, by, at: dt.datetime) -> None:
    """This function will ask a colleague no more. Raises AlreadyHandedIn, NotYours, WrongState."""
    review = rating.review
    check(Action.WITHDRAW_PEER, review, by=by, at=at)
    if rating.role != _Role.PEER:
        raise NotYours(Action.WITHDRAW_PEER)
    with transaction.atomic():
        hold(review.cycle, ReviewCycle.State.OPEN)
        number, _rows = Rating.objects.filter(pk=rating.pk, submitted_at=None).delete()
        if not number:
            raise AlreadyHandedIn(rating.pk)
        gone = [f"rating:{rating.pk}"]
        after = {"colleague": rating.rater_id}
        seals.record([seals.link("colleague asked no more", review, by=by, at=at, gone=gone, after=after)])


def hand_over(*, review: Review, manager: Employee, reason: str, by, at: dt.datetime) -> Review:
    """This function will have another manager rate: the one of the snapshot left, or stands too near.

    HR only, with a reason, while the manager's rating is not handed in. What the first one saved is gone. Raises NotYours,
    WrongState, TooLate, PeersRefused (the new one cannot rate), AlreadyHandedIn.
    """
    check(Action.HAND_OVER, review, by=by, at=at)
    if at > review.cycle.manager_until:
        raise TooLate(review.cycle.manager_until)
    if not reason.strip():
        raise RatingWrong([("reason", "reason_missing")])
    with transaction.atomic():
        hold(review.cycle, ReviewCycle.State.OPEN)
        there = dict(Rating.objects.filter(review=review).values_list("rater_id", "pk"))
        refused = _refused(review, [manager], set(there), at)
        if refused:
            raise PeersRefused(refused)
        old = Rating.objects.filter(review=review, role=_Role.MANAGER).first()
        if old is not None and not Rating.objects.filter(pk=old.pk, submitted_at=None).delete()[0]:
            raise AlreadyHandedIn(old.pk)
        before, moved = review.manager_id, _moved(review, at, manager_id=manager.pk)
        made = Rating.objects.create(review=moved, rater=manager, role=_Role.MANAGER, asked_at=at)
        seals.record(
            [
                seals.link(
                    "handed over",
                    moved,
                    by=by,
                    at=at,
                    also=[made],
                    gone=[f"rating:{old.pk}"] if old else (),
                    before={"manager": before},
                    after={"manager": manager.pk},
                    reason=reason.strip()[:500],
                )
            ]
        )
        tell_due([made], at)
    return moved


def hold(cycle: ReviewCycle, *states: str) -> None:
    """This function will keep a cycle in its state until the end of the transaction, or raise WrongState."""
    for state in states:
        if ReviewCycle.objects.filter(pk=cycle.pk, state=state).update(state=state):
            return
    raise WrongState(states)


def _moved(review: Review, at: dt.datetime, **values) -> Review:
    """Change a review that is as it was read, and give it back. Raises ChangedMeanwhile."""
    values["changed_at"] = at
    as_it_was = Review.objects.filter(pk=review.pk, state=review.state, changed_at=review.changed_at)
    if not as_it_was.update(**values):
        raise ChangedMeanwhile(review.pk)
    for name, value in values.items():
        setattr(review, name, value)
    return review


# --- rating -----------------------------------------------------------------------------------------------------------------
_ACTIONS = {
    _Role.SELF: Action.RATE_SELF,
    _Role.MANAGER: Action.RATE_MANAGER,
    _Role.PEER: Action.RATE_PEER,
}


def rate(*, rating: Rating, answers: Mapping[str, int], comment: str, hand_in: bool, by, at: dt.datetime) -> Rating:
    """This function will save a rating, and with ``hand_in`` give it for good: from then on it never changes.

    ``answers`` are 1 to 5 by code of a rated line. To hand in, every line needs one and a comment of words is needed where
    a line got 1 or 5. The manager hands in after the person did, or after the person's deadline; the same for all: not
    after one's own deadline. Handing in moves the review on. Raises RatingWrong, TooLate, OwnRatingFirst, AlreadyHandedIn,
    NotYours, WrongState, ChangedMeanwhile.
    """
    review = rating.review
    me = getattr(by, "employee", None)
    if me is None or me.pk != rating.rater_id:
        raise NotYours(_ACTIONS[_Role(rating.role)])
    check(_ACTIONS[_Role(rating.role)], review, by=by, at=at)
    if rating.submitted_at is not None:
        raise AlreadyHandedIn(rating.pk)
    if at > until(rating):
        raise TooLate(until(rating))
    lines = rated_lines(scorecard_rule(review.cycle.version.parameters))
    kept, comment = _checked(lines, answers, comment, hand_in=hand_in)
    early = rating.role == _Role.MANAGER and review.state == _State.DRAFTED and at <= review.cycle.self_until
    if hand_in and early:
        raise OwnRatingFirst(review.cycle.self_until)
    values = {"answers": kept, "comment": comment, "submitted_at": at if hand_in else None}
    with transaction.atomic():
        hold(review.cycle, ReviewCycle.State.OPEN)
        if not Rating.objects.filter(pk=rating.pk, submitted_at=None).update(**values):
            raise AlreadyHandedIn(rating.pk)
        for name, value in values.items():
            setattr(rating, name, value)
        if hand_in:
            before = review.state
            _moved(review, at, state=_next_state(review, rating))
            seals.record(
                [
                    seals.link(
                        f"rated by {rating.role}",
                        review,
                        by=by,
                        at=at,
                        also=[rating],
                        before={"state": before},
                        after={"state": review.state},
                    )
                ]
            )
    return rating


def _checked(
    lines: Sequence[Line], answers: Mapping[str, int], comment: str, *, hand_in: bool
) -> tuple[dict[str, int], str]:
    faults = []
    kept = {line.code: answers[line.code] for line in lines if line.code in answers}
    for code, stars in kept.items():
        if isinstance(stars, bool) or not isinstance(stars, int) or not 1 <= stars <= 5:
            faults.append((code, "out_of_range"))
    comment = comment.replace("\x00", "").strip()
    if len(comment) > 1000:
        faults.append(("comment", "too_long"))
    if hand_in:
        faults += [(line.code, "missing") for line in lines if line.code not in kept]
        if not comment and any(stars in COMMENT_FOR for stars in kept.values()):
            faults.append(("comment", "comment_missing"))
    if faults:
        raise RatingWrong(faults)
    return kept, comment


def _next_state(review: Review, rating: Rating) -> str:
    """How far a review is once this rating is in; a part that nobody was asked for is not waited for."""
    if rating.role == _Role.MANAGER:
        return _State.MANAGER_DONE
    if rating.role == _Role.SELF:
        asked = Rating.objects.filter(review=review, role=_Role.MANAGER).exists()
        return _State.SELF_DONE if asked else _State.MANAGER_DONE
    return review.state


# --- reminding --------------------------------------------------------------------------------------------------------------
def due_ratings(at: dt.datetime) -> QuerySet[Rating]:
    """This function will return the ratings that are asked for and can be given at a moment, with what they name."""
    in_time = (
        Q(role=_Role.SELF, review__cycle__self_until__gte=at)
        | Q(role=_Role.PEER, review__cycle__peers_until__gte=at)
        | Q(role=_Role.MANAGER, review__cycle__manager_until__gte=at)
    )
    return (
        Rating.objects.filter(in_time, submitted_at=None, review__cycle__state=ReviewCycle.State.OPEN)
        .select_related("review__cycle", "review__employee", "rater__user__employee")
        .order_by("rater", "pk")
    )


def remind(*, cycle: ReviewCycle, ratings: QuerySet[Rating], by, at: dt.datetime) -> int:
    """This function will remind raters of what is asked of them, once a day and person; returns how many people.

    ``ratings`` are narrowed to those of the cycle that can be given now, and of reviews of which the actor is the manager
    or HR (not the own one). One event. Raises NotYours (nothing in this cycle is the actor's), WrongState.
    """
    theirs = _reminded_by(actor_for(by, at))
    with transaction.atomic():
        hold(cycle, ReviewCycle.State.OPEN)
        if by is not None and not Review.objects.filter(theirs, cycle=cycle).exists():
            raise NotYours(Action.REMIND)
        mine = Review.objects.filter(theirs, cycle=cycle, state__in=RATED).order_by().values("pk")
        wanted = due_ratings(at).filter(pk__in=ratings.order_by().values("pk"), review__in=mine)
        number = tell_due(wanted, at)
        if number:
            seals.record([seals.link("reminded", _fresh(cycle), by=by, at=at, after={"people": number})])
    return number


def _reminded_by(actor: Actor | None) -> Q:
    """The reviews of which somebody may remind (Action.REMIND): as the manager or as HR of the record's unit."""
    if actor is None:
        return Q()
    found, me = Q(pk__in=[]), actor.employee
    for unit in actor.units("HRU"):
        found |= Q(unit__path__startswith=unit.path) | (Q(unit=None) if unit.is_root() else Q(pk__in=[]))
    if me is not None:
        found = (found | Q(manager=me)) & ~Q(employee=me)
    return found


def _fresh(cycle: ReviewCycle) -> ReviewCycle:
    return ReviewCycle.objects.get(pk=cycle.pk)


LADDER = (3, 0)  # days before the deadline on which raters are reminded by themselves


def remind_by_the_clock(*, at: dt.datetime) -> int:
    """This function will remind those whose deadline is in three days, or today. Safe to run again on the same day."""
    today, number = timezone.localdate(at), 0
    for cycle in ReviewCycle.objects.filter(state=ReviewCycle.State.OPEN):
        near = Q(pk__in=[])
        for role, moment in (
            (_Role.SELF, cycle.self_until),
            (_Role.PEER, cycle.peers_until),
            (_Role.MANAGER, cycle.manager_until),
        ):
            if (timezone.localdate(moment) - today).days in LADDER:
                near |= Q(role=role)
        number += remind(cycle=cycle, ratings=Rating.objects.filter(near), by=None, at=at)
    return number


# --- combining --------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class LineRatings:
    """What was said of one line: scores from 0 to 100; ``peers`` only from the least number of raters on."""

    line: Line
    own: Fraction | None
    manager: Fraction | None
    peers: Fraction | None
    combined: Fraction | None


def combined_scores(*, version, reviews: Iterable[int]) -> dict[int, dict[str, Fraction]]:
    """This function will combine what was handed in: {employee id: {code of a line: score from 0 to 100}}.

    ``reviews`` are ids. Who was not rated at all is absent; a part that is missing drops out (scoring.combined_rating).
    """
    rule = scorecard_rule(version.parameters)
    found: dict[int, dict[str, Fraction]] = {}
    for some in batches(reviews, _AT_ONCE):
        by_person: dict[int, list[Rating]] = defaultdict(list)
        rows = Rating.objects.filter(review__in=some, submitted_at__isnull=False).select_related("review")
        for row in rows.order_by("pk"):
            by_person[row.review.employee_id].append(row)
        for employee, ratings in by_person.items():
            scores = {one.line.code: one.combined for one in line_ratings(rule, ratings) if one.combined is not None}
            if scores:
                found[employee] = scores
    return found


def line_ratings(rule: ScorecardRule, ratings: Iterable[Rating]) -> list[LineRatings]:
    """This function will say for each rated line what was handed in, by part, with the colleagues as one."""
    given = [row for row in ratings if row.submitted_at is not None]
    lines = []
    for line in rated_lines(rule):
        parts: dict[str, list[Fraction]] = defaultdict(list)
        for row in given:
            if line.code in row.answers:
                parts[row.role].append(rated(Fraction(row.answers[line.code])))
        own = next(iter(parts[_Role.SELF]), None)
        manager = next(iter(parts[_Role.MANAGER]), None)
        peers = parts[_Role.PEER]
        enough = len(peers) >= rule.raters.min_peers and rule.raters.peers > 0
        lines.append(
            LineRatings(
                line=line,
                own=own,
                manager=manager,
                peers=sum(peers, Fraction(0)) / len(peers) if enough else None,
                combined=combined_rating(
                    raters=rule.raters, own=own, manager=manager, peers=peers if rule.raters.peers else ()
                ),
            )
        )
    return lines
