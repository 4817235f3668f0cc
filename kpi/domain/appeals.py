"""Objections: a person contests a published result, somebody who had no hand in it decides, and what is upheld is republished."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from kpi.domain import measures, scorecards
from kpi.domain import review_seals as seals
from kpi.domain.calibrating import group_of, is_held_back, total_of
from kpi.domain.parameters import Band, ScorecardRule, scorecard_rule
from kpi.domain.ratings import ChangedMeanwhile, hold
from kpi.domain.review_messages import tell_decided
from kpi.domain.review_states import Action, check
from kpi.domain.reviews import WITH, end_of_day, move_review
from kpi.domain.scoring import band_of, rated
from kpi.models import Appeal, Calibration, Measure, Rating, Review, ReviewCycle, Scorecard
from people.models import Employee, User

_State, _Decided = Review.State, Appeal.State


class TooLate(Exception):
    """The time to object is over."""


class WordsMissing(Exception):
    """An objection and a decision are made with words."""


class NoSuchLine(Exception):
    """The card has no line of that code."""


class NotIndependent(Exception):
    """This person had a hand in the result: ``hands`` says which (rater, manager, calibrator, publisher)."""

    def __init__(self, hands: list[str]):
        self.hands = hands
        super().__init__(hands)


class NothingCorrected(Exception):
    """An objection is upheld by correcting something: a measure, the stars of a rated line, or a grade held back."""


class NotOfThisReview(Exception):
    """A correction is of a measure that this card does not rest on."""


class ResultWorse(Exception):
    """What would come out is worse than what the person contested: nobody loses by objecting."""


# --- contesting -------------------------------------------------------------------------------------------------------------
def contest(*, review: Review, text: str, line: str = "", by, at: dt.datetime) -> Appeal:
    """This function will take a person's objection to the published result, until ``object_until``.

    ``line`` is the code of the line it is about, or empty. Whoever objects has read the result. Raises TooLate,
    WordsMissing, NoSuchLine, NotYours, WrongState, ChangedMeanwhile.
    """
    check(Action.CONTEST, review, by=by, at=at)
    if review.object_until is None or at > review.object_until:
        raise TooLate(review.pk)
    text = text.replace("\x00", "").strip()[:1000]
    if not text:
        raise WordsMissing
    if line and not (review.scorecard and review.scorecard.lines.filter(code=line).exists()):
        raise NoSuchLine(line)
    before = review.state
    with transaction.atomic():
        hold(review.cycle, ReviewCycle.State.PUBLISHED)
        moved = move_review(review, _State.CONTESTED, at, acknowledged_at=review.acknowledged_at or at)
        appeal = Appeal.objects.create(review=moved, line=line, text=text, at=at)
        seals.record(
            [
                seals.link(
                    "contested",
                    moved,
                    by=by,
                    at=at,
                    also=[appeal],
                    before={"state": before},
                    after={"state": moved.state, "line": line},
                )
            ]
        )
    return appeal


# --- deciding ---------------------------------------------------------------------------------------------------------------
def hands_in(review: Review, user: User) -> list[str]:
    """This function will say what a user did to a result, in any of its versions: rater, manager, calibrator, publisher.

    Who did any of it does not decide the objection (TRUST PM-V08).
    """
    chain = _chain(review)
    ids = [one.pk for one in chain]
    hands = []
    if Rating.objects.filter(review__in=ids, rater__user=user).exists():
        hands.append("rater")
    if Employee.objects.filter(pk__in=[one.manager_id for one in chain if one.manager_id], user=user).exists():
        hands.append("manager")
    group = group_of(review)
    settled = group is not None and group.settled_by_id == user.pk
    if settled or Calibration.objects.filter(review__in=ids, by=user).exists():
        hands.append("calibrator")
    if any(one.published_by_id == user.pk for one in chain):
        hands.append("publisher")
    return hands


def _chain(review: Review) -> list[Review]:
    """The review and those it superseded."""
    return list(
        Review.objects.filter(cycle=review.cycle_id, employee=review.employee_id, number__lte=review.number).order_by(
            "number"
        )
    )


def decide(
    *,
    appeal: Appeal,
    uphold: bool,
    text: str,
    corrections: Mapping[int, Decimal] | None = None,
    stars: Mapping[str, int] | None = None,
    lift: bool = False,
    by,
    at: dt.datetime,
) -> Review:
    """This function will decide an objection by somebody who had no hand in the result, and return the review that stands.

    Upheld: ``corrections`` (measure id -> right value) supersede measures, ``stars`` (code -> 1 to 5) are what rated lines
    get instead, ``lift`` gives back a top grade that was held back. The card is computed anew on the same rule version and
    republished as number + 1, with what calibration had added on top and a time to object of its own; the contested one
    is superseded and never edited. A rejected one becomes final when its time is over. The person is told. Raises
    NotIndependent, WordsMissing, NothingCorrected, NotOfThisReview, ResultWorse, NotYours, WrongState, ChangedMeanwhile,
    and what measures.correct_measure raises.
    """
    review = Review.objects.select_related(*WITH).get(pk=appeal.review_id)
    corrections, stars = corrections or {}, stars or {}
    check(Action.DECIDE, review, by=by, at=at)
    hands = hands_in(review, by)
    if hands:
        raise NotIndependent(hands)
    text = text.replace("\x00", "").strip()[:1000]
    if not text:
        raise WordsMissing
    with transaction.atomic():
        hold(review.cycle, ReviewCycle.State.PUBLISHED)
        if uphold:
            stands = _uphold(review, appeal, text, corrections, stars, lift, by, at)
        else:
            if corrections or stars or lift:
                raise NothingCorrected
            moved = move_review(review, _State.REJECTED, at)
            decided = _decided(appeal, _Decided.REJECTED, text, by, at)
            seals.record(
                [
                    seals.link(
                        "objection rejected",
                        moved,
                        by=by,
                        at=at,
                        also=[decided],
                        before={"state": _State.CONTESTED},
                        after={"state": moved.state},
                        reason=text,
                    )
                ]
            )
            stands = moved
        tell_decided(stands, upheld=uphold, at=at)
    return stands


def _decided(appeal: Appeal, state: str, text: str, by, at: dt.datetime) -> Appeal:
    values = {"state": state, "decision": text, "decided_by": by, "decided_at": at}
    if not Appeal.objects.filter(pk=appeal.pk, state=_Decided.OPEN).update(**values):
        raise ChangedMeanwhile(appeal.pk)
    return Appeal.objects.get(pk=appeal.pk)


def _uphold(
    review: Review,
    appeal: Appeal,
    text: str,
    corrections: Mapping[int, Decimal],
    stars: Mapping[str, int],
    lift: bool,
    by,
    at: dt.datetime,
) -> Review:
    rule = scorecard_rule(review.cycle.version.parameters)
    held = is_held_back(review, rule)
    if not corrections and not stars and not (lift and held):
        raise NothingCorrected
    _correct(review, rule, corrections, text, by, at)
    before = review.scorecard
    if before is None:  # the database holds that a published review has one
        raise NotOfThisReview(review.pk)
    card = _card_anew(review, before, rule, stars, by, at)
    total, band = _result(review, before, rule, card, held and not lift)
    if total < total_of(review) or band.coefficient < (review.coefficient or 0):
        raise ResultWorse(review.pk)
    old = move_review(review, _State.SUPERSEDED, at)
    decided = _decided(appeal, _Decided.UPHELD, text, by, at)
    said = {
        "measures": {str(pk): str(value) for pk, value in sorted(corrections.items())},
        "stars": dict(sorted(stars.items())),
        "lifted": lift and held,
    }
    new = Review.objects.create(
        cycle=old.cycle,
        employee=old.employee,
        number=old.number + 1,
        supersedes=old,
        state=_State.PUBLISHED,
        unit=old.unit,
        unit_path_zh=old.unit_path_zh,
        unit_path_en=old.unit_path_en,
        position=old.position,
        manager=old.manager,
        scorecard=card,
        total=total,
        grade=band.grade,
        coefficient=band.coefficient,
        published_at=at,
        published_by=by,
        object_until=end_of_day(timezone.localdate(at) + dt.timedelta(days=old.cycle.appeal_days)),
        changed_at=at,
    )
    was = {"state": _State.CONTESTED, "total": str(old.total), "grade": old.grade}
    after = {"number": new.number, "total": str(total), "grade": band.grade}
    seals.record(
        [
            seals.link("objection upheld", old, by=by, at=at, also=[decided], before=was, after=said, reason=text),
            seals.link("republished", new, by=by, at=at, after=after, reason=text),
        ]
    )
    return Review.objects.select_related(*WITH).get(pk=new.pk)


def _correct(
    review: Review, rule: ScorecardRule, corrections: Mapping[int, Decimal], text: str, by, at: dt.datetime
) -> None:
    found = {one.pk: one for one in measures_behind(review).filter(pk__in=list(corrections))}
    if found.keys() != set(corrections):
        raise NotOfThisReview(sorted(set(corrections) - found.keys()))
    for pk in sorted(corrections):
        measures.correct_measure(measure=found[pk], value=corrections[pk], reason=text[:300], by=by, at=at)


def measures_behind(review: Review) -> QuerySet[Measure]:
    """This function will return the measures in force of the person, of the indicators and months that the card reads."""
    rule = scorecard_rule(review.cycle.version.parameters)
    months = {"month__gte": review.cycle.first_month, "month__lte": review.cycle.last_month}
    return (
        measures.in_force()
        .filter(employee=review.employee_id, indicator__code__in=sorted(rule.indicators), **months)
        .select_related("indicator")
        .order_by("indicator__code", "month")
    )


def _card_anew(
    review: Review, before: Scorecard, rule: ScorecardRule, stars: Mapping[str, int], by, at: dt.datetime
) -> Scorecard:
    """The card of the same months on the measures as they are now; rated lines keep what they had but for ``stars``."""
    rated_codes = {line.code for line in rule.lines if line.kind == "rating"}
    if not stars.keys() <= rated_codes:
        raise NoSuchLine(sorted(stars.keys() - rated_codes)[0])
    if any(isinstance(one, bool) or not 1 <= one <= 5 for one in stars.values()):
        raise NothingCorrected
    scores: dict[str, Fraction] = {}
    for line in before.lines.filter(kind="rating"):
        if "rating" in line.inputs:
            scores[line.code] = Fraction(line.inputs["rating"])
    scores |= {code: rated(Fraction(one)) for code, one in stars.items()}
    cards = scorecards.compute_cards(
        version=review.cycle.version,
        employees=[review.employee],
        first_month=review.cycle.first_month,
        last_month=review.cycle.last_month,
        ratings={review.employee_id: scores},
        by=by,
        at=at,
    )
    if review.employee_id not in cards:
        raise ResultWorse(review.pk)
    return cards[review.employee_id]


def _result(
    review: Review, before: Scorecard, rule: ScorecardRule, card: Scorecard, still_held: bool
) -> tuple[Decimal, Band]:
    """What calibration had added stays on top, under the cap of a veto and of a full card."""
    added = max(Decimal(0), total_of(review) - before.total)
    most = card.total if card.veto else max(card.total, 100 + rule.bonus_cap)
    total = min(card.total + added, most)
    band = band_of(rule, total)
    if still_held and band == rule.bands[0]:
        band = rule.bands[1]
    return total, band
