"""Results of units: who may compute them, from what, and which one a pay line rests on."""

import datetime as dt
from decimal import Decimal

import pytest

from core.periods import Month
from courses.models import MonthClose
from kpi.domain import pay_runs, rules, unit_results
from kpi.domain.measures import correct_measure
from kpi.models import PayLine, Scorecard
from people.domain.access import Actor
from tests.factories.kpi import T01, make_measures, make_published_version
from tests.factories.pay import AT, MONTH, make_computed_run, make_pay_world, settle
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

# training, exam, satisfaction, complaints of T-01 without its rating: 20 + 25 + 20 + 20 of 85, so 100.
BEST = {"training": "100", "exam": "92", "satisfaction": "80", "complaints_liable": "0"}
WORSE = BEST | {"training": "80"}  # 75 of 85: 88.23


def close(month, at=AT):
    return MonthClose.objects.create(
        month=month, state="closed", begun_at=at, closed_at=at, digest="x", newest_change=0
    )


@pytest.fixture
def world():
    world = make_pay_world(unit_grade="")
    world.hr = make_user(username="hr")
    grant(world.hr, "hr", world.group)
    world.card = make_published_version(T01, scope=world.group, subject="unit", code="UNITS")
    return world


def compute(world, *, version=None, scope=None, first=MONTH, last=MONTH, by="hr", at=AT):
    scope = scope or world.group
    return unit_results.compute_units(
        version=version or world.card,
        scope=scope,
        units=unit_results.units_of(scope),
        first_month=first,
        last_month=last,
        by=getattr(world, by) if by else None,
        at=at,
    )


def put_right(measure, world):
    """All of the training was done after all."""
    correct_measure(measure=measure, value=Decimal(100), reason="late work", by=world.hr, at=AT)


def results(at=None):
    return {
        (one.org_unit.code, str(one.total), one.grade)
        for one in unit_results.standing(MONTH, MONTH, at=at).select_related("org_unit")
    }


def test_every_unit_with_something_measured_has_a_result(world):
    close(MONTH)
    make_measures(world.branch, MONTH, **BEST)
    make_measures(world.group, MONTH, **WORSE)
    assert compute(world) == 2
    assert results() == {("B1", "100.00", "A"), ("G", "88.23", "B")}


def test_what_was_computed_last_holds_and_the_older_one_stays(world):
    close(MONTH)
    measures = make_measures(world.branch, MONTH, **WORSE)
    compute(world)
    put_right(measures["training"], world)
    later = AT + dt.timedelta(hours=1)
    compute(world, at=later)
    assert results() == {("B1", "100.00", "A")}
    assert results(at=AT) == {("B1", "88.23", "B")}


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        ({"by": "maker"}, unit_results.NotYourUnit),
        ({"scope": "elsewhere"}, unit_results.NotYourUnit),
        ({"version": "of people"}, unit_results.NotOfTheRule),
        ({"version": "of another unit"}, unit_results.NotOfTheRule),
        ({"first": Month(2026, 11)}, unit_results.MonthsOutOfOrder),
        ({"first": Month(2025, 12)}, rules.InForceMissing),
        ({"last": Month(2026, 11)}, unit_results.NotClosed),
    ],
)
def test_what_is_refused(world, asked, refusal):
    close(MONTH)
    make_measures(world.branch, MONTH, **BEST)
    other = make_unit(code="X")
    named = {
        "elsewhere": other,
        "of people": world.cycle.version,
        "of another unit": make_published_version(T01, scope=other, subject="unit", code="OTHER"),
    }
    asked = {name: named.get(value, value) if isinstance(value, str) else value for name, value in asked.items()}
    with pytest.raises(refusal):
        compute(world, **asked)
    assert results() == set()


def test_open_months_are_named(world):
    close(MONTH)
    with pytest.raises(unit_results.NotClosed) as refused:
        compute(world, first=Month(2026, 8), last=MONTH)
    assert refused.value.months == [Month(2026, 8), Month(2026, 9)]


def test_a_version_that_was_followed_does_not_compute_later_months(world):
    close(MONTH)
    make_published_version(
        T01, scope=world.group, subject="unit", code="UNITS", number=2, effective_from=dt.date(2026, 10, 15)
    )
    with pytest.raises(rules.InForceMissing):
        compute(world)


# --- pay ------------------------------------------------------------------------------------------------------------------
def test_t_02_the_unit_coefficient_comes_from_the_computed_card(world):
    close(MONTH)
    make_measures(world.branch, MONTH, **BEST)
    compute(world)
    run = make_computed_run(world)
    card = Scorecard.objects.get(org_unit=world.branch)
    lines = PayLine.objects.filter(run=run).select_related("run__cycle", "run__version", "pool__unit", "adjusts")
    assert {str(line.unit_coefficient) for line in lines} == {"1.0500"}
    assert {unit_results.card_behind(line) for line in lines} == {card}


def test_a_unit_without_a_card_goes_by_the_nearest_one_above(world):
    close(MONTH)
    make_measures(world.group, MONTH, **BEST)
    compute(world)
    line = PayLine.objects.filter(run=make_computed_run(world)).first()
    assert (str(line.unit_coefficient), unit_results.card_behind(line).org_unit) == ("1.0500", world.group)


def test_a_line_keeps_the_card_it_was_computed_with(world):
    close(MONTH)
    measures = make_measures(world.branch, MONTH, **WORSE)
    compute(world, at=AT - dt.timedelta(hours=1))
    run = make_computed_run(world)
    assert unit_results.concern_of(run) == ""
    put_right(measures["training"], world)
    compute(world, at=AT + dt.timedelta(hours=1))
    line = PayLine.objects.filter(run=run).first()
    assert (str(line.unit_coefficient), str(unit_results.card_behind(line).total)) == ("1.0000", "88.23")
    assert unit_results.concern_of(run) == "newer"
    pay_runs.compute_run(run=run, by=world.maker, at=AT + dt.timedelta(hours=2))
    run.refresh_from_db()
    assert unit_results.concern_of(run) == ""
    assert str(PayLine.objects.filter(run=run).first().unit_coefficient) == "1.0500"


@pytest.mark.parametrize("upto", ["submitted", "approved", "closed"])
def test_results_that_a_handed_in_run_rests_on_stand(world, upto):
    close(MONTH)
    make_measures(world.branch, MONTH, **BEST)
    compute(world)
    run = settle(make_computed_run(world), world, upto=upto)
    for scope in (world.group, world.branch):
        with pytest.raises(unit_results.RestsOn) as refused:
            compute(world, scope=scope)
        assert refused.value.run == run


def test_a_run_of_a_rule_without_unit_coefficients_holds_nothing_up():
    world = make_pay_world(rule={"pool": {"mode": "closed", "share": "people"}, "reserve_share": "12.5"})
    world.hr = make_user(username="hr")
    grant(world.hr, "hr", world.group)
    world.card = make_published_version(T01, scope=world.group, subject="unit", code="UNITS")
    close(MONTH)
    make_measures(world.branch, MONTH, **BEST)
    run = settle(make_computed_run(world), world)
    assert (unit_results.concern_of(run), compute(world)) == ("", 1)
    assert unit_results.card_behind(PayLine.objects.filter(run=run).select_related("pool__unit").first()) is None


def test_who_prepares_is_told_that_no_unit_has_a_result(world):
    assert unit_results.concern_of(make_computed_run(world)) == "none"


# --- who reads the card of a unit -----------------------------------------------------------------------------------------
def test_pm_f07_pm_y01_the_card_of_a_unit_is_read_by_who_sees_its_figures_and_by_who_is_paid_by_it(world):
    close(MONTH)
    make_measures(world.branch, MONTH, **BEST)
    compute(world)
    other = make_unit(world.group, code="B2")
    stranger = make_employee(other, with_user=True).user
    card = Scorecard.objects.get(org_unit=world.branch)
    paid = world.people[0].user

    def readers():
        people = {"hr": world.hr, "paid": paid, "stranger": stranger, "maker": world.maker, "checker": world.checker}
        return {name for name, user in people.items() if unit_results.may_read(Actor(user, AT.date()), card)}

    assert readers() == {"hr"}
    run = make_computed_run(world)
    assert readers() == {"hr", "maker", "checker"}  # of a run that is not approved nobody reads his line
    settle(run, world, upto="approved")
    assert readers() == {"hr", "maker", "checker", "paid"}
    # the card of the group is not what this branch was paid by
    make_measures(world.group, MONTH, **BEST)
    above = Scorecard.objects.create(
        version=world.card, org_unit=world.group, first_month=MONTH, last_month=MONTH, bonus=0, earned=1, total=1,
        grade="A", coefficient=1, computed_at=AT,
    )  # fmt: skip
    assert unit_results.may_read(Actor(paid, AT.date()), above) is False
