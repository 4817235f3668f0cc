"""Who is asked, what is taken until when, and T-08 through the database."""

from decimal import Decimal
from fractions import Fraction

import pytest
from django.db import DatabaseError, transaction

from core.messaging import deliver_due
from core.models import Message, Notice
from kpi.domain import calibrating, ratings
from kpi.domain.review_seals import check_reviews
from kpi.domain.review_states import NotYours, WrongState
from kpi.models import Rating, Review
from people.models import Employee
from tests.factories.people import make_employee
from tests.factories.reviews import (
    CALIBRATED,
    OPENED,
    RATED,
    bring,
    card,
    fresh,
    make_branch,
    on,
    rate,
    rating_of,
    read,
    review_of,
)

pytestmark = pytest.mark.django_db

ALL = {"self": "10", "manager": "60", "peers": "30", "min_peers": 3}


def ten_lines() -> dict:
    """A card of ten rated lines of equal weight: the mean of ten ratings is the total."""
    lines = [
        {
            "code": f"l{number}",
            "name_zh": f"评价{number}",
            "name_en": f"Line {number}",
            "kind": "rating",
            "weight": "10",
        }
        for number in range(10)
    ]
    return card(lines=lines, bonus={}, vetoes=[], raters=ALL)


def stars(total: int) -> dict[str, int]:
    """Ten ratings of 4 and 5 that add up to this."""
    return {f"l{number}": 5 if number < total - 40 else 4 for number in range(10)}


def sound() -> bool:
    return all(found for _what, found in check_reviews())


@pytest.fixture
def world():
    return make_branch(parameters=card(raters=ALL), measured=False)


@pytest.fixture
def cycle(world):
    return bring(world, "open")


def ask(world, cycle, *raters, by=None, at=OPENED):
    return ratings.ask_peers(review=review_of(cycle, world.E1), raters=raters, by=(by or world.manager).user, at=at)


# --- T-08 -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("peers", "total"), [(3, "85.80"), (2, "84.86")])
def test_t08_self_manager_and_peers_through_the_database(peers, total):
    """90 from the person, 84 from the manager, 88 from peers; two of at least three are hidden and dropped, never a zero."""
    world = make_branch(parameters=ten_lines(), measured=False)
    cycle = bring(world, "open")
    ask(world, cycle, world.E2, world.E3, world.E4)
    rate(cycle, world.E1, "self", stars(45), by=world.E1)
    rate(cycle, world.E1, "manager", stars(42), by=world.manager)
    for peer in (world.E2, world.E3, world.E4)[:peers]:
        rate(cycle, world.E1, "peer", stars(44), by=peer)

    scores = ratings.combined_scores(version=world.version, reviews=[review_of(cycle, world.E1).pk])[world.E1.pk]
    mean = sum(scores.values(), Fraction(0)) / 10
    assert mean == (Fraction(858, 10) if peers == 3 else Fraction(594, 7))

    calibrating.start_calibrating(cycle=fresh(cycle), level="branch", by=world.hr.user, at=CALIBRATED)
    found = review_of(cycle, world.E1)
    assert abs(found.total - Decimal(total)) <= Decimal("0.05")  # ten lines, each rounded to the hundredth
    assert found.total == sum(line.points for line in found.scorecard.lines.all())
    assert sound()


def test_t08_to_the_hundredth_on_one_line(world, cycle):
    """Five peers of 4.4 stars on one line: 10 × 5, 60 × 4, 30 × 4.4 stars."""
    peers = [make_employee(world.branch, world.manager, with_user=True, password=None) for _one in range(5)]
    ask(world, cycle, *peers)
    rate(cycle, world.E1, "self", 5, by=world.E1)
    rate(cycle, world.E1, "manager", 4, by=world.manager)
    for peer, given in zip(peers, (4, 4, 4, 5, 5), strict=True):
        rate(cycle, world.E1, "peer", given, by=peer)
    calibrating.start_calibrating(cycle=fresh(cycle), level="branch", by=world.hr.user, at=CALIBRATED)
    found = review_of(cycle, world.E1)
    assert found.total == Decimal("84.40")  # 10 + 48 + 26.4; nothing else was measured


# --- handing in -----------------------------------------------------------------------------------------------------------
def test_the_way_of_a_review_from_the_own_rating_to_the_managers(world, cycle):
    assert review_of(cycle, world.E1).state == "drafted"
    rate(cycle, world.E1, "self", 4, by=world.E1)
    assert review_of(cycle, world.E1).state == "self_done"
    rate(cycle, world.E1, "manager", 4, by=world.manager)
    assert review_of(cycle, world.E1).state == "manager_done"
    assert sound()


def test_manager_hands_in_after_the_person_or_after_the_persons_deadline(world, cycle):
    with pytest.raises(ratings.OwnRatingFirst):
        rate(cycle, world.E1, "manager", 4, by=world.manager)
    rate(cycle, world.E1, "manager", 4, by=world.manager, hand_in=False)  # saved meanwhile
    assert rating_of(cycle, world.E1, "manager").answers == {"manager": 4}
    rate(cycle, world.E1, "manager", 4, by=world.manager, at=on(5, 19))
    assert review_of(cycle, world.E1).state == "manager_done"
    with pytest.raises(WrongState):  # the person comes too late, in state and in time
        rate(cycle, world.E1, "self", 4, by=world.E1, at=on(5, 20))


@pytest.mark.parametrize(("role", "who", "late"), [("self", "E1", 6), ("peer", "E2", 9), ("manager", "manager", 11)])
def test_after_the_deadline_a_rating_is_not_taken(world, cycle, role, who, late):
    ask(world, cycle, world.E2)
    with pytest.raises(ratings.TooLate):
        rate(cycle, world.E1, role, 4, by=getattr(world, who), at=on(late))


def test_what_was_handed_in_never_changes(world, cycle):
    rate(cycle, world.E1, "self", 4, by=world.E1)
    rating = rating_of(cycle, world.E1, "self")
    with pytest.raises(WrongState):
        ratings.rate(rating=rating, answers={"manager": 5}, comment="x", hand_in=True, by=world.E1.user, at=RATED)
    with pytest.raises(DatabaseError), transaction.atomic():
        Rating.objects.filter(pk=rating.pk).update(answers={"manager": 5})


def test_the_same_rating_is_handed_in_once(world, cycle):
    ask(world, cycle, world.E2)
    first, second = (rating_of(cycle, world.E1, "peer", world.E2) for _one in range(2))
    give = {"answers": {"manager": 4}, "comment": "", "hand_in": True, "by": world.E2.user, "at": RATED}
    ratings.rate(rating=first, **give)
    with pytest.raises(ratings.AlreadyHandedIn):
        ratings.rate(rating=second, **give)


@pytest.mark.parametrize(
    ("answers", "comment", "faults"),
    [
        ({}, "", [("manager", "missing")]),
        ({"manager": 5}, "  ", [("comment", "comment_missing")]),
        ({"manager": 1}, "", [("comment", "comment_missing")]),
        ({"manager": 6}, "x", [("manager", "out_of_range")]),
        ({"manager": True}, "x", [("manager", "out_of_range")]),
        ({"manager": 3}, "x" * 1001, [("comment", "too_long")]),
    ],
)
def test_what_cannot_be_handed_in(world, cycle, answers, comment, faults):
    rating = rating_of(cycle, world.E1, "self")
    with pytest.raises(ratings.RatingWrong) as refused:
        ratings.rate(rating=rating, answers=answers, comment=comment, hand_in=True, by=world.E1.user, at=RATED)
    assert refused.value.faults == faults
    assert rating_of(cycle, world.E1, "self").submitted_at is None


def test_a_line_that_is_not_rated_is_not_kept(world, cycle):
    rating = rating_of(cycle, world.E1, "self")
    ratings.rate(
        rating=rating, answers={"manager": 3, "training": 5}, comment="", hand_in=True, by=world.E1.user, at=RATED
    )
    assert rating_of(cycle, world.E1, "self").answers == {"manager": 3}


def test_nobody_rates_for_another(world, cycle):
    for other in (world.E2, world.manager, world.hr):
        with pytest.raises(NotYours):
            ratings.rate(
                rating=rating_of(cycle, world.E1, "self"),
                answers={"manager": 5},
                comment="x",
                hand_in=True,
                by=other.user,
                at=RATED,
            )


# --- colleagues -------------------------------------------------------------------------------------------------------
def test_pm_v10_only_who_was_asked_rates_a_colleague(world, cycle):
    (asked,) = ask(world, cycle, world.E2)
    assert (asked.rater, asked.role) == (world.E2, "peer")
    assert Notice.objects.filter(user=world.E2.user).exists() or Message.objects.filter(user=world.E2.user).exists()
    with pytest.raises(NotYours):
        ratings.rate(rating=asked, answers={"manager": 3}, comment="", hand_in=True, by=world.E3.user, at=RATED)
    assert sound()


def test_who_cannot_be_asked(world, cycle):
    gone = make_employee(world.branch, state="left", left_on=on(1).date(), with_user=True, password=None)
    silent = make_employee(world.branch)
    ask(world, cycle, world.E2)
    with pytest.raises(ratings.PeersRefused) as refused:
        ask(world, cycle, world.E1, world.manager, world.E2, gone, silent, world.E3)
    assert refused.value.refused == [
        (world.E1, "self"),
        (world.manager, "manager"),
        (world.E2, "already"),
        (gone, "gone"),
        (silent, "no_sign_in"),
    ]
    assert Rating.objects.filter(role="peer").count() == 1  # all or none


def test_at_most_ten_colleagues_are_asked(world, cycle):
    many = [make_employee(world.branch, with_user=True, password=None) for _one in range(11)]
    with pytest.raises(ratings.PeersRefused) as refused:
        ask(world, cycle, *many)
    assert refused.value.refused == [(many[10], "too_many")]


def test_colleagues_are_asked_by_the_manager_or_hr_and_only_in_time(world, cycle):
    for nobody in (world.E1, world.E2, world.boss, world.far_hr, world.auditor):
        with pytest.raises(NotYours):
            ask(world, cycle, world.E3, by=nobody)
    ask(world, cycle, world.E3, by=world.hr3)
    with pytest.raises(ratings.TooLate):
        ask(world, cycle, world.E4, at=on(9))


def test_a_rule_without_a_part_for_colleagues_asks_none():
    world = make_branch()
    cycle = bring(world, "open")
    with pytest.raises(ratings.NoPeers):
        ask(world, cycle, world.E2)


def test_a_colleague_is_asked_no_more_until_the_rating_is_in(world, cycle):
    ask(world, cycle, world.E2, world.E3)
    ratings.withdraw_peer(rating=rating_of(cycle, world.E1, "peer", world.E2), by=world.manager.user, at=RATED)
    rate(cycle, world.E1, "peer", 4, by=world.E3)
    with pytest.raises(ratings.AlreadyHandedIn):
        ratings.withdraw_peer(rating=rating_of(cycle, world.E1, "peer", world.E3), by=world.manager.user, at=RATED)
    with pytest.raises(NotYours):
        ratings.withdraw_peer(rating=rating_of(cycle, world.E1, "self"), by=world.manager.user, at=RATED)
    assert sound()


# --- another manager ----------------------------------------------------------------------------------------------------
def test_hr_hands_a_review_over_to_another_manager(world, cycle):
    rate(cycle, world.E1, "manager", 2, by=world.manager, hand_in=False)
    moved = ratings.hand_over(
        review=review_of(cycle, world.E1), manager=world.boss, reason="主管已调离", by=world.hr.user, at=RATED
    )
    assert moved.manager == world.boss
    found = rating_of(cycle, world.E1, "manager")
    assert (found.rater, found.answers, found.submitted_at) == (world.boss, {}, None)
    rate(cycle, world.E1, "self", 4, by=world.E1)
    rate(cycle, world.E1, "manager", 4, by=world.boss)
    with pytest.raises(WrongState):
        ratings.hand_over(
            review=review_of(cycle, world.E1), manager=world.manager, reason="x", by=world.hr.user, at=RATED
        )
    assert sound()


def test_only_hr_hands_over_and_with_a_reason(world, cycle):
    with pytest.raises(NotYours):
        ratings.hand_over(
            review=review_of(cycle, world.E1), manager=world.boss, reason="x", by=world.manager.user, at=RATED
        )
    with pytest.raises(ratings.RatingWrong):
        ratings.hand_over(review=review_of(cycle, world.E1), manager=world.boss, reason=" ", by=world.hr.user, at=RATED)


# --- reminding --------------------------------------------------------------------------------------------------------------
def page_messages(day: int) -> dict[int, str]:
    rows = Message.objects.filter(kind="rating_due", channel="page", key=f"rating-due-2026-11-{day:02d}")
    return {row.user_id: row.text_other for row in rows}


def test_reminding_by_the_clock_three_days_before_and_on_the_day(world, cycle):
    rate(cycle, world.E1, "self", 4, by=world.E1)
    assert ratings.remind_by_the_clock(at=on(4, 8)) == 0
    assert ratings.remind_by_the_clock(at=on(5, 8)) == 6  # their own last day; E1 is done, the branch manager is not
    told = page_messages(5)
    assert world.E1.user_id not in told
    assert "please rate yourself until" in told[world.E2.user_id]
    ratings.remind_by_the_clock(at=on(5, 9))
    assert Message.objects.filter(kind="rating_due", key="rating-due-2026-11-05", channel="page").count() == len(told)
    assert ratings.remind_by_the_clock(at=on(7, 8)) == 2  # three days before the managers' last day
    assert sound()


def test_a_reminder_whose_rating_came_in_is_dropped(world, cycle):
    ratings.remind_by_the_clock(at=on(5, 8))
    rate(cycle, world.E2, "self", 4, by=world.E2, at=on(5, 9))
    waiting = Message.objects.filter(user=world.E2.user, key="rating-due-2026-11-05")
    waiting.update(state="waiting", not_before=on(5, 9))
    Notice.objects.filter(user=world.E2.user).delete()
    deliver_due(at=on(5, 10), clock=lambda: on(5, 10))
    assert set(waiting.values_list("state", flat=True)) == {"dropped"}


def test_peers_below_the_least_number_are_hidden_also_in_the_lines(world, cycle):
    ask(world, cycle, world.E2, world.E3)
    for peer in (world.E2, world.E3):
        rate(cycle, world.E1, "peer", 5, by=peer)
    rule = ratings.scorecard_rule(world.version.parameters)
    (line,) = ratings.line_ratings(rule, Rating.objects.filter(review=review_of(cycle, world.E1)))
    assert (line.own, line.manager, line.peers, line.combined) == (None, None, None, None)


def test_reviews_are_as_they_were_when_two_write_at_once(world, cycle):
    review = read(review_of(cycle, world.E1))
    Review.objects.filter(pk=review.pk).update(changed_at=RATED)
    with pytest.raises(ratings.ChangedMeanwhile):
        ratings._moved(review, RATED, state="self_done")
    assert Employee.objects.filter(pk=world.E1.pk).exists()
