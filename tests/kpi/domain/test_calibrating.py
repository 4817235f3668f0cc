"""Quotas cap the top and nothing else; every change has a reason; nobody falls below what was earned."""

import datetime as dt
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kpi.domain import calibrating, reviews
from kpi.domain.review_seals import check_reviews
from kpi.domain.review_states import NotYours, WrongState
from kpi.models import Calibration, CalibrationGroup, Review, ReviewCycle
from tests.factories.people import make_employee
from tests.factories.reviews import CALIBRATED, PUBLISHED, bring, card, make_branch, on, read, review_of

pytestmark = pytest.mark.django_db

# Three at the top and one below: the quota is what decides.
TOP = {
    "E1": ({"training": "100", "exam": "96", "satisfaction": "84.0"}, (0, 0), 5),  # 101.60
    "E2": ({"training": "100", "exam": "95", "satisfaction": "81.0"}, (0, 0), 5),  # 100.40
    "E3": ({"training": "100", "exam": "92", "satisfaction": "80.0"}, (0, 0), 4),  # 97.00
    "E4": ({"training": "80", "exam": "74", "satisfaction": "76.5"}, (1, 0), 3),  # 69.70
}


def group_of(cycle) -> CalibrationGroup:
    return CalibrationGroup.objects.select_related("unit", "cycle__version__rule", "cycle__scope").get(cycle=cycle)


def sound() -> bool:
    return all(found for _what, found in check_reviews())


def adjust(review, total, by, reason="项目攻坚表现突出"):
    return calibrating.adjust_total(review=review, total=Decimal(total), reason=reason, by=by.user, at=CALIBRATED)


# --- quotas -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("share", "people", "carried_in", "places", "carried_out"),
    [
        ("20", 4, "0", 0, "0.8000"),
        ("20", 4, "0.8", 1, "0.6000"),
        ("20", 10, "0", 2, "0.0000"),
        ("33.3333", 3, "0", 0, "0.9999"),
        ("15", 7, "0.95", 2, "0.0000"),
        ("100", 3, "0.9", 3, "0.9000"),
        (None, 4, "0", 4, "0"),
    ],
)
def test_quota_is_the_largest_whole_number_and_carries_the_rest(share, people, carried_in, places, carried_out):
    found = calibrating.quota_of(share=Decimal(share) if share else None, people=people, carried_in=Decimal(carried_in))
    assert found == calibrating.Quota(places, Decimal(carried_out))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(share=st.integers(1, 100), sizes=st.lists(st.integers(1, 40), min_size=1, max_size=24))
def test_over_the_cycles_a_small_team_gets_its_share(share, sizes):
    carried, places = Decimal(0), 0
    for people in sizes:
        quota = calibrating.quota_of(share=Decimal(share), people=people, carried_in=carried)
        carried, places = quota.carried_out, places + quota.places
    exact = Decimal(share) * sum(sizes) / 100
    assert places + carried == exact
    assert 0 <= carried < 1


@pytest.fixture
def world():
    return make_branch(parameters=card(top_share="50"), people=TOP)


@pytest.fixture
def cycle(world):
    return bring(world, "calibrating", people=TOP)


def test_group_holds_everybody_with_a_card(world, cycle):
    group = group_of(cycle)
    assert (group.unit, group.people, group.quota, group.carried_in, group.carried_out) == (
        world.branch,
        4,
        2,
        Decimal(0),
        Decimal(0),
    )
    assert [one.employee for one in calibrating.reviews_in(group)] == world.people
    assert sound()


def test_groups_of_a_level_and_who_sits_above_it():
    world = make_branch(parameters=card(top_share="50"), people=TOP)
    type(world.version.rule).objects.update(scope=world.city)
    cycle = bring(world, "draft", people=TOP, scope=world.branch)
    ReviewCycle.objects.filter(pk=cycle.pk).update(scope=world.city)
    from tests.factories.kpi import make_measures
    from tests.factories.reviews import ANNOUNCED, OCTOBER, OPENED, fresh

    make_measures(world.boss, OCTOBER, training="90", exam="80")
    cycle = fresh(cycle)
    reviews.announce_cycle(cycle=cycle, by=world.hr.user, at=ANNOUNCED)
    reviews.open_cycle(cycle=fresh(cycle), by=world.hr.user, at=OPENED)
    calibrating.start_calibrating(cycle=fresh(cycle), level="branch", by=world.hr.user, at=CALIBRATED)
    groups = CalibrationGroup.objects.filter(cycle=cycle).select_related("unit", "cycle__scope").order_by("unit__path")
    assert [(group.unit, group.people) for group in groups] == [(world.city, 1), (world.branch, 4)]
    assert [one.employee for one in calibrating.reviews_in(groups[0])] == [world.boss]


def test_what_was_left_over_comes_back_in_the_next_cycle(world):
    last = ReviewCycle.objects.create(
        name="九月", kind="monthly", scope=world.branch, version=world.version, first_month="2026-09",
        last_month="2026-09", state="closed", snapshot_on=dt.date(2026, 9, 30), self_until=on(1), peers_until=on(1),
        manager_until=on(1),
    )  # fmt: skip
    CalibrationGroup.objects.create(
        cycle=last, unit=world.branch, people=1, quota=0, carried_in=0, carried_out=Decimal("0.5")
    )
    Review.objects.filter(employee=world.E4)  # five people would be 2.5 places; four and a half place make 2.5
    group = group_of(bring(world, "calibrating", people=TOP))
    assert (group.carried_in, group.quota, group.carried_out) == (Decimal("0.5"), 2, Decimal("0.5"))


# --- the top ----------------------------------------------------------------------------------------------------------
def test_more_top_grades_than_the_quota_are_not_settled(world, cycle):
    with pytest.raises(calibrating.OverQuota) as refused:
        calibrating.settle_group(group=group_of(cycle), by=world.hr.user, at=CALIBRATED)
    assert refused.value.too_many == 1


def test_held_back_the_total_stays_and_the_grade_is_the_next(world, cycle):
    group = group_of(cycle)
    rule = calibrating.scorecard_rule(world.version.parameters)
    chosen = calibrating.proposed(group, rule)
    assert [one.employee for one in chosen] == [world.E3]
    calibrating.hold_back(
        group=group, reviews=[read(one) for one in chosen], reason="名额已满", by=world.hr.user, at=CALIBRATED
    )
    found = review_of(cycle, world.E3)
    assert (found.total, found.grade, found.coefficient) == (Decimal("97.00"), "B", Decimal("1.1000"))
    row = found.calibrations.get()
    assert (row.grade_before, row.grade_after, row.total_before, row.total_after, row.reason) == (
        "A",
        "B",
        Decimal("97.00"),
        Decimal("97.00"),
        "名额已满",
    )
    assert calibrating.settle_group(group=group_of(cycle), by=world.hr.user, at=CALIBRATED) == 4
    assert set(Review.objects.filter(scorecard__isnull=False).values_list("state", flat=True)) == {"calibrated"}
    assert sound()


def test_nobody_is_held_back_within_the_quota_or_below_the_top(world, cycle):
    group = group_of(cycle)
    for chosen in ([world.E4], [world.E2, world.E3]):  # not the top; more than are above the quota
        with pytest.raises(calibrating.NotTheTop):
            calibrating.hold_back(
                group=group,
                reviews=[review_of(cycle, one) for one in chosen],
                reason="x",
                by=world.hr.user,
                at=CALIBRATED,
            )
    assert not Calibration.objects.exists()


def test_a_higher_total_is_not_held_back_for_a_lower_one(world, cycle):
    calibrating.hold_back(
        group=group_of(cycle), reviews=[review_of(cycle, world.E1)], reason="x", by=world.hr.user, at=CALIBRATED
    )
    with pytest.raises(calibrating.HigherHeldBack):
        calibrating.settle_group(group=group_of(cycle), by=world.hr.user, at=CALIBRATED)
    calibrating.give_back(review=review_of(cycle, world.E1), reason="改正", by=world.hr.user, at=CALIBRATED)
    assert review_of(cycle, world.E1).grade == "A"
    with pytest.raises(calibrating.NothingChanged):
        calibrating.give_back(review=review_of(cycle, world.E1), reason="x", by=world.hr.user, at=CALIBRATED)


# --- totals -----------------------------------------------------------------------------------------------------------
def test_a_total_is_raised_with_a_reason_and_taken_back_to_what_was_earned(world, cycle):
    moved = adjust(review_of(cycle, world.E4), "71.00", world.hr)
    assert (moved.total, moved.grade, moved.coefficient) == (Decimal("71.00"), "C", Decimal("1.0000"))
    moved = adjust(moved, "69.70", world.hr)
    assert (moved.total, moved.grade) == (Decimal("69.70"), "D")
    assert Calibration.objects.count() == 2
    assert sound()


def test_nobody_falls_below_what_was_earned(world, cycle):
    with pytest.raises(calibrating.BelowEarned) as refused:
        adjust(review_of(cycle, world.E4), "69.69", world.hr)
    assert refused.value.least == Decimal("69.70")


def test_a_total_is_not_raised_over_a_full_card_or_a_veto():
    people = {**TOP, "E5": ({"training": "100", "exam": "91", "satisfaction": "83.0", "regulator": "1"}, (1, 1), 4)}
    world = make_branch(people=people)
    cycle = bring(world, "calibrating", people=people)
    with pytest.raises(calibrating.AboveMost) as refused:
        adjust(review_of(cycle, world.E5), "70.00", world.hr)
    assert refused.value.most == Decimal("69.99")
    with pytest.raises(calibrating.AboveMost) as refused:
        adjust(review_of(cycle, world.E4), "105.01", world.hr)
    assert refused.value.most == Decimal("105")


def test_a_change_needs_a_reason_and_a_change(world, cycle):
    with pytest.raises(calibrating.ReasonMissing):
        adjust(review_of(cycle, world.E4), "71", world.hr, reason="  ")
    with pytest.raises(calibrating.NothingChanged):
        adjust(review_of(cycle, world.E4), "69.70", world.hr)


def test_pm_v04_managers_above_and_hr_calibrate_the_rater_does_not(world, cycle):
    for nobody in (world.manager, world.E4, world.E1, world.far_hr, world.auditor, world.admin):
        with pytest.raises(NotYours):
            adjust(review_of(cycle, world.E4), "71", nobody)
    assert adjust(review_of(cycle, world.E4), "71", world.boss).total == 71


def test_settled_is_settled_until_opened_again(world, cycle):
    group = group_of(cycle)
    calibrating.hold_back(
        group=group, reviews=[review_of(cycle, world.E3)], reason="x", by=world.hr.user, at=CALIBRATED
    )
    calibrating.settle_group(group=group, by=world.hr.user, at=CALIBRATED)
    with pytest.raises((WrongState, calibrating.Settled)):
        adjust(review_of(cycle, world.E4), "71", world.hr)
    assert calibrating.reopen_group(group=group_of(cycle), by=world.hr2.user, at=CALIBRATED) == 4
    assert review_of(cycle, world.E4).state == "manager_done"
    assert adjust(review_of(cycle, world.E4), "71", world.hr).total == 71
    assert sound()


def test_pm_v04_groups_are_settled_by_hr_of_the_whole_group(world, cycle):
    for nobody in (world.manager, world.boss, world.E1, world.far_hr, world.auditor):
        with pytest.raises(NotYours):
            calibrating.settle_group(group=group_of(cycle), by=nobody.user, at=CALIBRATED)


def test_calibrations_stand_still(world, cycle):
    adjust(review_of(cycle, world.E4), "71", world.hr)
    with pytest.raises(DatabaseError), transaction.atomic():
        Calibration.objects.update(reason="other")


def test_after_publishing_nothing_is_calibrated(world, cycle):
    group = group_of(cycle)
    calibrating.hold_back(
        group=group, reviews=[review_of(cycle, world.E3)], reason="x", by=world.hr.user, at=CALIBRATED
    )
    calibrating.settle_group(group=group, by=world.hr.user, at=CALIBRATED)
    reviews.publish_cycle(cycle=read(review_of(cycle, world.E1)).cycle, by=world.hr.user, at=PUBLISHED)
    with pytest.raises(WrongState):
        adjust(review_of(cycle, world.E4), "71", world.hr)
    with pytest.raises(WrongState):
        calibrating.reopen_group(group=group_of(cycle), by=world.hr.user, at=PUBLISHED)
    assert make_employee(world.branch) and sound()
