"""A cycle from the draft to its end: guards of each step, T-01 through the database, publishing and reading."""

import datetime as dt
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from core.events import SEALED, verify_chain
from core.models import Event, Message
from core.periods import Month
from kpi.domain import calibrating, ratings, reviews
from kpi.domain.review_seals import check_reviews
from kpi.domain.review_states import NotYours, WrongState
from kpi.models import Acknowledgement, Rating, Review, ReviewCycle
from people.models import Employee, Placement
from tests.factories.kpi import make_measures, make_published_version
from tests.factories.people import make_employee
from tests.factories.reviews import (
    ANNOUNCED,
    CALIBRATED,
    OCTOBER,
    OPENED,
    PUBLISHED,
    UNTIL,
    ZONE,
    bring,
    card,
    fresh,
    make_branch,
    make_cycle,
    on,
    rate,
    review_of,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return make_branch()


def sound() -> bool:
    return all(found for _what, found in check_reviews()) and verify_chain("reviews")[1] is None


def results(cycle) -> dict:
    rows = Review.objects.filter(cycle=cycle, superseded_by=None).exclude(scorecard=None)
    return {row.employee.employee_no[2:]: (str(row.total), row.grade, str(row.coefficient)) for row in rows}


# --- making and announcing --------------------------------------------------------------------------------------------
def test_cycle_is_made_by_hr_of_the_whole_unit(world):
    for nobody in (world.far_hr, world.manager, world.auditor, world.E1):
        with pytest.raises(NotYours):
            make_cycle(world, by=nobody.user)
    assert make_cycle(world, by=world.hr3.user).state == "draft"
    assert sound()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"last_month": Month(2026, 9)}, "months_out_of_order"),
        (
            {"deadlines": reviews.Deadlines(UNTIL.peers_until, UNTIL.self_until, UNTIL.manager_until)},
            "deadlines_out_of_order",
        ),
        ({"snapshot_on": dt.date(2026, 9, 30)}, "snapshot_before_months"),
        ({"appeal_days": 0}, "appeal_days"),
    ],
)
def test_cycle_that_can_never_be_right_is_refused(world, changes, problem):
    with pytest.raises(reviews.NotReady) as refused:
        make_cycle(world, **changes)
    assert refused.value.problems == [problem]
    assert not ReviewCycle.objects.exists()


def test_cycle_of_the_same_months_is_made_once(world):
    make_cycle(world)
    with pytest.raises(reviews.CycleExists):
        make_cycle(world)


def test_cycle_of_a_card_of_units_is_refused(world):
    units = make_published_version(world.version.parameters, scope=world.branch, code="units", subject="unit")
    with pytest.raises(reviews.NotReady) as refused:
        make_cycle(world, version=units)
    assert refused.value.problems == ["not_a_card_of_employees"]


def test_nothing_is_reviewed_on_an_unannounced_version(world):
    draft = make_published_version(world.version.parameters, scope=world.branch, code="d", state="draft")
    later = make_published_version(
        world.version.parameters, scope=world.branch, code="l", effective_from=dt.date(2026, 10, 2)
    )
    for version, problem in ((draft, "version_not_published"), (later, "version_not_in_force")):
        cycle = make_cycle(world, version=version)
        with pytest.raises(reviews.NotReady) as refused:
            reviews.announce_cycle(cycle=cycle, by=world.hr.user, at=ANNOUNCED)
        assert refused.value.problems == [problem]
    assert not Review.objects.exists()


def test_months_under_two_versions_are_refused(world):
    make_published_version(
        world.version.parameters, scope=world.branch, code="front-line", number=2, effective_from=dt.date(2026, 10, 15)
    )
    cycle = make_cycle(world)
    assert reviews.problems_of(cycle, ANNOUNCED) == ["version_not_in_force"]


def test_snapshot_in_the_future_and_deadlines_that_are_over_are_refused(world):
    cycle = make_cycle(world, snapshot_on=dt.date(2026, 11, 20))
    assert reviews.problems_of(cycle, on(6)) == ["snapshot_in_future", "deadline_over"]


def test_announcing_copies_unit_position_and_manager_of_the_day_of_the_snapshot(world):
    mover = world.E1
    Placement.objects.filter(employee=mover).update(ends_on=dt.date(2026, 11, 1))
    Placement.objects.create(employee=mover, unit=world.city, manager=world.boss, starts_on=dt.date(2026, 11, 2))
    Employee.objects.filter(pk=mover.pk).update(unit=world.city, manager=world.boss)
    newcomer = make_employee(world.branch, world.manager, hired_on=dt.date(2026, 11, 1))
    leaver = make_employee(world.branch, world.manager, state="left", left_on=dt.date(2026, 10, 15))

    cycle = make_cycle(world)
    number = reviews.announce_cycle(cycle=cycle, by=world.hr.user, at=ANNOUNCED)

    assert number == 7  # the six and the branch's manager
    found = review_of(cycle, mover)
    assert (found.unit, found.unit_path_zh, found.unit_path_en, found.manager, found.state, found.number) == (
        world.branch,
        "集团 / 省公司 / 市公司 / 网点",
        "Group / Province / City / Branch",
        world.manager,
        "drafted",
        1,
    )
    assert not Review.objects.filter(employee__in=[newcomer, leaver]).exists()
    assert fresh(cycle).state == "announced"
    assert Event.objects.filter(chain="reviews", action="announced").count() == 7
    assert Message.objects.filter(channel="page", kind="review").count() == 7
    assert sound()


def test_announcing_takes_a_fixed_number_of_queries(world, django_assert_max_num_queries):
    for _one in range(40):
        make_employee(world.branch, world.manager)
    cycle = make_cycle(world)
    with django_assert_max_num_queries(40):
        assert reviews.announce_cycle(cycle=cycle, by=world.hr.user, at=ANNOUNCED) == 47


def test_cycle_for_nobody_is_refused(world):
    Placement.objects.filter(unit=world.branch).delete()
    cycle = make_cycle(world)
    with pytest.raises(reviews.NobodyReviewed):
        reviews.announce_cycle(cycle=cycle, by=world.hr.user, at=ANNOUNCED)
    assert fresh(cycle).state == "draft"


def test_announced_cycle_is_neither_changed_nor_deleted(world):
    cycle = bring(world, "announced")
    with pytest.raises(WrongState):
        reviews.delete_cycle(cycle=cycle, by=world.hr.user, at=ANNOUNCED)
    with pytest.raises(WrongState):
        make_cycle(world, cycle=cycle)


def test_draft_is_deleted_and_the_seals_know_it(world):
    cycle = make_cycle(world)
    reviews.delete_cycle(cycle=cycle, by=world.hr.user, at=ANNOUNCED)
    assert not ReviewCycle.objects.exists()
    assert sound()


def test_deadlines_are_given_more_time_and_never_less(world):
    cycle = bring(world, "open")
    later = reviews.Deadlines(on(6), on(9), on(11))
    assert (
        reviews.deadlines_of(reviews.move_deadlines(cycle=cycle, deadlines=later, by=world.hr.user, at=OPENED)) == later
    )
    with pytest.raises(reviews.NotReady) as refused:
        reviews.move_deadlines(cycle=fresh(cycle), deadlines=UNTIL, by=world.hr.user, at=OPENED)
    assert refused.value.problems == ["time_cut_short"]
    assert sound()


# --- opening ----------------------------------------------------------------------------------------------------------
def test_opening_asks_the_person_and_the_manager_when_both_have_a_part():
    world = make_branch(parameters=card(raters={"self": "10", "manager": "60", "peers": "30", "min_peers": 3}))
    cycle = bring(world, "open")
    assert Rating.objects.filter(review__employee=world.E1).order_by("role").count() == 2
    assert review_of(cycle, world.E1).state == "drafted"
    assert sound()


def test_opening_waits_for_nobody_whose_part_has_no_weight(world):
    cycle = bring(world, "open")
    asked = list(Rating.objects.filter(review__employee=world.E1).values_list("role", "rater"))
    assert asked == [("manager", world.manager.pk)]
    assert review_of(cycle, world.E1).state == "self_done"
    mails = Message.objects.filter(kind="rating_due", channel="page").values_list("user", "text_other")
    assert {user for user, _text in mails} == {world.manager.user_id, world.boss.user_id}
    assert "6 ratings wait for you" in dict(mails)[world.manager.user_id]
    assert sound()


def test_opening_after_the_first_deadline_is_refused(world):
    cycle = bring(world, "announced")
    with pytest.raises(reviews.NotReady):
        reviews.open_cycle(cycle=cycle, by=world.hr.user, at=on(6))


# --- calibrating and publishing ---------------------------------------------------------------------------------------
def test_t01_the_six_through_the_database(world):
    cycle = bring(world, "published")
    assert {key: value for key, value in results(cycle).items() if key.startswith("E")} == {
        "E1": ("103.60", "A", "1.2000"),
        "E2": ("92.85", "B", "1.1000"),
        "E3": ("89.95", "B", "1.1000"),
        "E4": ("69.70", "D", "0.8000"),
        "E5": ("69.99", "D", "0.8000"),
        "E6": ("53.10", "E", "0.5000"),
    }
    found = review_of(cycle, world.E4)
    assert (found.state, found.published_by, found.published_at) == ("published", world.hr.user, PUBLISHED)
    assert found.object_until == dt.datetime(2026, 11, 19, 23, 59, 59, 999999, tzinfo=ZONE)
    assert fresh(cycle).published_at == PUBLISHED
    assert sound()


def test_calibration_waits_for_the_last_deadline_unless_everything_is_in(world):
    cycle = bring(world, "open")
    with pytest.raises(reviews.NotReady) as refused:
        calibrating.start_calibrating(cycle=cycle, level="branch", by=world.hr.user, at=on(9))
    assert refused.value.problems == ["ratings_missing"]
    for one in world.people:
        rate(cycle, one, "manager", 3, by=world.manager)
    rate(cycle, world.manager, "manager", 3, by=world.boss)
    assert calibrating.start_calibrating(cycle=cycle, level="branch", by=world.hr.user, at=on(9)) == 7


def test_silence_is_never_agreement_the_missing_part_drops_out(world):
    cycle = bring(world, "open")
    rate(cycle, world.E1, "manager", 5, by=world.manager)
    calibrating.start_calibrating(cycle=cycle, level="branch", by=world.hr.user, at=CALIBRATED)
    line = review_of(cycle, world.E2).scorecard.lines.get(code="manager")
    assert (line.state, line.points, line.score) == ("missing", Decimal("0.00"), None)
    # the weight of 15 went to the others: (20 + 21.25 + 20.60 + 19) / 85 × 100
    assert review_of(cycle, world.E2).total == Decimal("95.12")
    assert review_of(cycle, world.E2).state == "self_done"  # and it still says how far it had come


def test_who_has_no_card_gets_no_result(world):
    cycle = bring(world, "published")
    manager = review_of(cycle, world.manager)  # nobody measured or rated the manager
    assert (manager.scorecard, manager.total, manager.state) == (None, None, "self_done")
    assert list(reviews.without_card(cycle)) == [manager]


def test_publishing_waits_for_every_group(world):
    cycle = bring(world, "calibrating")
    with pytest.raises(reviews.GroupsOpen) as refused:
        reviews.publish_cycle(cycle=cycle, by=world.hr.user, at=PUBLISHED)
    assert refused.value.units == [world.branch]


def test_who_never_had_the_chance_to_read_the_rule_is_not_published(world):
    cycle = bring(world, "settled")
    early = on(9)  # published on the third, with seven days of notice
    Acknowledgement.objects.create(
        version=world.version, employee=world.E2, at=on(4), content_hash=world.version.content_hash
    )
    done = reviews.publish_cycle(cycle=cycle, by=world.hr.user, at=early)
    assert (done.number, done.unannounced) == (1, 5)
    assert review_of(cycle, world.E2).state == "published"
    assert review_of(cycle, world.E1).state == "calibrated"
    done = reviews.publish_cycle(cycle=fresh(cycle), by=world.hr.user, at=PUBLISHED)
    assert (done.number, done.unannounced) == (5, 0)
    assert sound()


def test_who_was_hired_a_moment_ago_is_published_after_the_notice(world):
    cycle = bring(world, "settled")
    Employee.objects.filter(pk=world.E3.pk).update(hired_on=dt.date(2026, 11, 8))
    assert reviews.publish_cycle(cycle=cycle, by=world.hr.user, at=PUBLISHED).unannounced == 1
    assert review_of(cycle, world.E3).state == "calibrated"


def test_nobody_publishes_the_own_result(world):
    Placement.objects.filter(employee=world.hr).update(unit=world.branch)  # HR sits in the branch
    make_measures(world.hr, OCTOBER, training="90", exam="80", satisfaction="80", complaints_liable="0")
    cycle = bring(world, "calibrating")
    group = cycle.calibration_groups.select_related("unit", "cycle__version__rule", "cycle__scope").get()
    calibrating.settle_group(group=group, by=world.hr.user, at=CALIBRATED)
    assert review_of(cycle, world.hr).state == "manager_done"  # nobody was asked, and not calibrated by himself
    group.refresh_from_db()
    calibrating.settle_group(group=group, by=world.hr2.user, at=CALIBRATED)
    assert review_of(cycle, world.hr).state == "calibrated"
    done = reviews.publish_cycle(cycle=cycle, by=world.hr.user, at=PUBLISHED)
    assert (done.number, done.own) == (6, 1)
    assert reviews.publish_cycle(cycle=fresh(cycle), by=world.hr2.user, at=PUBLISHED).number == 1
    assert sound()


def test_the_database_refuses_to_change_a_published_result(world):
    cycle = bring(world, "published")
    for change in ({"total": Decimal("99")}, {"grade": "A"}, {"object_until": PUBLISHED}):
        with pytest.raises(DatabaseError), transaction.atomic():
            Review.objects.filter(cycle=cycle, employee=world.E4).update(**change)


def test_messages_say_nothing_of_the_result(world):
    bring(world, "published")
    text = " ".join(
        f"{one.subject} {one.text} {one.text_other}"
        for one in Message.objects.filter(key__startswith="review-published")
    )
    assert "2026" in text
    assert not any(secret in text for secret in ("69.70", "103.60", "92.85"))


# --- reading and the end ----------------------------------------------------------------------------------------------
def test_acknowledging_is_a_receipt(world):
    cycle = bring(world, "published")
    moved = reviews.acknowledge_review(review=review_of(cycle, world.E1), by=world.E1.user, at=on(13))
    assert (moved.state, moved.acknowledged_at) == ("acknowledged", on(13))
    with pytest.raises(WrongState):
        reviews.acknowledge_review(review=moved, by=world.E1.user, at=on(13))
    assert sound()


def test_results_become_final_when_the_time_to_object_is_over(world):
    bring(world, "published")
    assert reviews.finish_by_the_clock(at=on(19, 23)) == 0
    assert reviews.finish_by_the_clock(at=on(20, 0)) == 6
    assert set(Review.objects.exclude(scorecard=None).values_list("state", flat=True)) == {"final"}
    assert reviews.finish_by_the_clock(at=on(20, 0)) == 0
    assert sound()


def test_closing_waits_for_the_last_day_to_object(world):
    cycle = bring(world, "published")
    with pytest.raises(reviews.StillOpen) as refused:
        reviews.close_cycle(cycle=cycle, by=world.hr.user, at=on(15))
    assert refused.value.until == dt.datetime(2026, 11, 19, 23, 59, 59, 999999, tzinfo=ZONE)
    closed = reviews.close_cycle(cycle=cycle, by=world.hr.user, at=on(20))
    assert closed.state == "closed"
    assert sound()


# --- what the chain finds ---------------------------------------------------------------------------------------------
def test_au_the_check_of_reviews_is_declared():
    assert check_reviews in SEALED
    assert ratings.LADDER == (3, 0)
