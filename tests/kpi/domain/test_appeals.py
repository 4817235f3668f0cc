"""Objections: T-06, who may decide, and that nobody loses by objecting."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from core.models import Event, Message
from kpi.domain import appeals, calibrating, measures, reviews
from kpi.domain.review_seals import check_reviews
from kpi.domain.review_states import NotYours, WrongState
from kpi.models import Appeal, Measure, Review
from tests.factories.kpi import make_indicators
from tests.factories.reviews import bring, card, fresh, make_branch, on, review_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return make_branch()


@pytest.fixture
def cycle(world):
    return bring(world, "published")


def sound() -> bool:
    return all(found for _what, found in check_reviews())


def contest(world, cycle, who="E4", line="complaints", text="这起投诉不是我的责任，工单附后。", at=None):
    one = getattr(world, who)
    return appeals.contest(review=review_of(cycle, one), text=text, line=line, by=one.user, at=at or on(13))


def liable(world, who="E4") -> Measure:
    return measures.in_force().get(employee=getattr(world, who), indicator__code="complaints_liable")


def decide(appeal, by, uphold=True, **values):
    values = {"text": "工单显示责任在物流环节。", "at": on(14), **values}
    return appeals.decide(appeal=appeal, uphold=uphold, by=by.user, **values)


def test_t06_an_upheld_appeal_is_republished_on_a_recomputed_card(world, cycle):
    old = review_of(cycle, world.E4)
    appeal = contest(world, cycle)
    new = decide(appeal, world.hr2, corrections={liable(world).pk: Decimal(0)})

    lines = dict(new.scorecard.lines.values_list("code", "points"))
    assert lines["complaints"] == Decimal("20.00")
    assert dict(old.scorecard.lines.values_list("code", "points"))["complaints"] == Decimal("16.00")
    assert (new.number, new.total, new.grade, new.coefficient) == (2, Decimal("73.70"), "C", Decimal("1.0000"))
    assert (new.supersedes, new.state, new.published_by, new.published_at) == (
        old,
        "published",
        world.hr2.user,
        on(14),
    )
    assert new.object_until > old.object_until
    old.refresh_from_db()
    assert (old.state, old.total, old.grade) == ("superseded", Decimal("69.70"), "D")
    appeal.refresh_from_db()
    assert (appeal.state, appeal.decided_by, appeal.decided_at) == ("upheld", world.hr2.user, on(14))
    assert review_of(cycle, world.E4) == new
    others = Review.objects.exclude(employee=world.E4).exclude(scorecard=None)
    assert set(others.values_list("number", "state")) == {(1, "published")}
    assert Event.objects.filter(chain="reviews", action__in=["objection upheld", "republished"]).count() == 2
    assert (
        "A new result is published." in Message.objects.get(key__startswith="appeal-decided", channel="page").text_other
    )
    assert sound()


def test_a_rejected_objection_keeps_the_result_and_becomes_final(world, cycle):
    stands = decide(contest(world, cycle), world.hr2, uphold=False)
    assert (stands.state, stands.total, stands.number) == ("rejected", Decimal("69.70"), 1)
    with pytest.raises(WrongState):
        contest(world, cycle)
    reviews.finish_by_the_clock(at=on(20))
    assert review_of(cycle, world.E4).state == "final"
    assert sound()


def test_pm_v07_one_objects_to_the_own_result_in_time_and_with_words(world, cycle):
    review = review_of(cycle, world.E4)
    for other in (world.E1, world.manager, world.hr, world.auditor):
        with pytest.raises(NotYours):
            appeals.contest(review=review, text="x", by=other.user, at=on(13))
    with pytest.raises(appeals.WordsMissing):
        contest(world, cycle, text=" \x00 ")
    with pytest.raises(appeals.NoSuchLine):
        contest(world, cycle, line="weather")
    with pytest.raises(appeals.TooLate):
        contest(world, cycle, at=on(20, 0))
    appeal = contest(world, cycle, at=on(19, 23))
    assert appeal.review.state == "contested"
    assert appeal.review.acknowledged_at == on(19, 23)
    with pytest.raises(WrongState):
        contest(world, cycle)


def test_pm_v08_who_had_a_hand_in_the_result_does_not_decide():
    world = make_branch()
    cycle = bring(world, "calibrating")
    calibrating.adjust_total(
        review=review_of(cycle, world.E4), total=Decimal("69.80"), reason="x", by=world.hr3.user, at=on(11)
    )
    group = cycle.calibration_groups.select_related("unit", "cycle__version__rule", "cycle__scope").get()
    calibrating.settle_group(group=group, by=world.hr2.user, at=on(11))
    reviews.publish_cycle(cycle=cycle, by=world.hr.user, at=on(12))
    appeal = contest(world, cycle)
    hands = {
        who: appeals.hands_in(review_of(cycle, world.E4), getattr(world, who).user)
        for who in ("manager", "hr3", "hr2", "hr", "boss")
    }
    assert hands == {
        "manager": ["rater", "manager"],
        "hr3": ["calibrator"],
        "hr2": ["calibrator"],
        "hr": ["publisher"],
        "boss": [],
    }
    for who in ("hr", "hr2", "hr3"):
        with pytest.raises(appeals.NotIndependent):
            decide(appeal, getattr(world, who), uphold=False)
    for who in ("boss", "manager", "E4", "far_hr", "auditor"):
        with pytest.raises(NotYours):
            decide(appeal, getattr(world, who), uphold=False)
    appeal.refresh_from_db()
    assert appeal.state == "open"


def test_the_second_objection_is_decided_by_yet_another(world, cycle):
    decide(contest(world, cycle), world.hr2, corrections={liable(world).pk: Decimal(0)})
    second = contest(world, cycle, at=on(15))
    with pytest.raises(appeals.NotIndependent):
        decide(second, world.hr2, uphold=False)
    assert decide(second, world.hr3, uphold=False).number == 2
    assert sound()


def test_upheld_means_that_something_is_corrected(world, cycle):
    appeal = contest(world, cycle)
    for values in ({}, {"lift": True}):  # nothing was held back
        with pytest.raises(appeals.NothingCorrected):
            decide(appeal, world.hr2, **values)
    with pytest.raises(appeals.NothingCorrected):
        decide(appeal, world.hr2, uphold=False, corrections={liable(world).pk: Decimal(0)})
    with pytest.raises(appeals.WordsMissing):
        decide(appeal, world.hr2, text="", corrections={liable(world).pk: Decimal(0)})


def test_a_measure_of_somebody_else_is_not_corrected(world, cycle):
    appeal = contest(world, cycle)
    with pytest.raises(appeals.NotOfThisReview):
        decide(appeal, world.hr2, corrections={liable(world, "E5").pk: Decimal(0)})
    assert liable(world, "E5").value == 1


def test_nobody_loses_by_objecting(world, cycle):
    appeal = contest(world, cycle)
    with pytest.raises(appeals.ResultWorse):
        decide(appeal, world.hr2, corrections={liable(world).pk: Decimal(3)})
    assert liable(world).value == 1  # all of it was taken back
    assert review_of(cycle, world.E4).state == "contested"


def test_the_stars_of_a_rated_line_are_corrected(world, cycle):
    new = decide(contest(world, cycle, line="manager"), world.hr2, stars={"manager": 5})
    assert (new.total, new.grade) == (Decimal("75.70"), "C")  # 9.00 -> 15.00


def test_what_calibration_added_stays_on_top():
    world = make_branch()
    cycle = bring(world, "calibrating")
    calibrating.adjust_total(
        review=review_of(cycle, world.E4), total=Decimal("70.20"), reason="x", by=world.boss.user, at=on(11)
    )
    group = cycle.calibration_groups.select_related("unit", "cycle__version__rule", "cycle__scope").get()
    calibrating.settle_group(group=group, by=world.hr.user, at=on(11))
    reviews.publish_cycle(cycle=cycle, by=world.hr.user, at=on(12))
    new = decide(contest(world, cycle), world.hr2, corrections={liable(world).pk: Decimal(0)})
    assert (new.scorecard.total, new.total) == (Decimal("73.70"), Decimal("74.20"))


def test_a_grade_held_back_is_given_back_or_stays():
    world = make_branch(parameters=card(top_share="10"))  # 0.6 of six: no place
    cycle = bring(world, "calibrating")
    group = cycle.calibration_groups.select_related("unit", "cycle__version__rule", "cycle__scope").get()
    calibrating.hold_back(group=group, reviews=[review_of(cycle, world.E1)], reason="名额", by=world.hr.user, at=on(11))
    calibrating.settle_group(group=group, by=world.hr.user, at=on(11))
    reviews.publish_cycle(cycle=cycle, by=world.hr.user, at=on(12))
    appeal = contest(world, cycle, "E1", "exam")
    exam = measures.in_force().get(employee=world.E1, indicator__code="exam")
    kept = decide(appeal, world.hr2, corrections={exam.pk: Decimal(98)})
    assert (kept.total, kept.grade) == (Decimal("103.60"), "B")
    lifted = decide(contest(world, cycle, "E1", "", at=on(15)), world.hr3, lift=True)
    assert (lifted.number, lifted.total, lifted.grade, lifted.coefficient) == (
        3,
        Decimal("103.60"),
        "A",
        Decimal("1.2000"),
    )
    assert sound()


def test_a_decided_objection_stands_still(world, cycle):
    appeal = contest(world, cycle)
    decide(appeal, world.hr2, uphold=False)
    for change in ({"decision": "other"}, {"text": "other"}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Appeal.objects.filter(pk=appeal.pk).update(**change)
    with pytest.raises(WrongState):
        decide(appeal, world.hr3, uphold=False)


def test_a_cycle_with_an_open_objection_is_not_closed(world, cycle):
    contest(world, cycle)
    with pytest.raises(reviews.StillOpen) as refused:
        reviews.close_cycle(cycle=fresh(cycle), by=world.hr.user, at=on(25))
    assert refused.value.contested == 1
    assert make_indicators()
