"""A rate beside the month before at the same point, and beside the units beside."""

import datetime as dt

import pytest

from courses.domain import comparison
from courses.domain.comparison import live_figures, units_beside
from courses.domain.queries import Figures
from courses.models import Tally
from people.models import OrgUnit
from tests.factories.courses import NOVEMBER, local, make_course, make_enrolment, make_run
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db

AT = local(2026, 11, 20, 23, 59, 59)  # ten days before November is due
OCTOBER = NOVEMBER.previous


@pytest.fixture
def tree():
    group = make_unit()
    east, west = make_unit(group), make_unit(group)
    return [group, east, west, make_unit(east)]


def _done(run, unit, *days_before_due):
    for days in days_before_due:
        at = run.due_at - dt.timedelta(days=days)
        make_enrolment(make_employee(unit), run, state="completed", completed_at=at)


def _of(found):
    return [(one.before.completed, one.before.on_time, one.ended.completed, one.before.assigned) for one in found]


def test_the_month_before_is_read_at_the_same_point(tree):
    group, east, west, branch = tree
    october, november = make_run(month=OCTOBER), make_run()
    _done(october, branch, 12, 10, 9.99, -3)  # by then two: exactly ten days before counts
    _done(october, west, 1)
    make_enrolment(make_employee(west), october, state="completed", voluntary=True, completed_at=october.opens_at)
    make_enrolment(make_employee(branch), november)
    found = live_figures(unit=group, units=[group, east, west, branch], month=NOVEMBER, at=AT)
    assert _of(found) == [(2, 2, 5, 5), (2, 2, 4, 4), (0, 0, 1, 1), (2, 2, 4, 4)]
    assert {one.same_point for one in found} == {True}
    assert found[0].before == Figures(assigned=5, started=2, completed=2, on_time=2, voluntary=1, voluntary_done=1)


def test_after_the_due_day_late_work_is_compared_with_late_work(tree):
    group, _east, _west, branch = tree
    october, november = make_run(month=OCTOBER), make_run()
    _done(october, branch, 5, -2, -9)
    make_enrolment(make_employee(branch), november)
    (found,) = live_figures(unit=group, units=[group], month=NOVEMBER, at=november.due_at + dt.timedelta(days=4))
    assert _of([found]) == [(2, 1, 3, 3)]


def test_a_month_long_over_is_compared_with_the_end(tree, django_assert_num_queries):
    group, _east, _west, branch = tree
    october, november = make_run(month=OCTOBER), make_run()
    _done(october, branch, 5, -29)
    make_enrolment(make_employee(branch), november)
    with django_assert_num_queries(2):
        (found,) = live_figures(unit=group, units=[group], month=NOVEMBER, at=local(2027, 1, 5))
    assert (_of([found]), found.same_point) == ([(2, 1, 2, 2)], False)


def test_each_run_is_cut_by_its_own_due_time_and_a_course_by_itself(tree):
    group, _east, _west, branch = tree
    course = make_course()
    first = make_run(course, month=OCTOBER)
    early = make_run(month=OCTOBER, due_at=local(2026, 10, 15, 23, 59, 59))
    _done(first, branch, 11, 9)
    _done(early, branch, 11, 9)
    november = make_run(course)
    make_enrolment(make_employee(branch), november)
    (both,) = live_figures(unit=group, units=[group], month=NOVEMBER, at=AT)
    (one,) = live_figures(unit=group, units=[group], month=NOVEMBER, at=AT, course=course)
    assert _of([both, one]) == [(2, 2, 4, 4), (1, 1, 2, 2)]


def test_without_a_month_before_there_is_nothing_to_compare(tree, django_assert_num_queries):
    group, _east, _west, branch = tree
    make_enrolment(make_employee(branch), make_run())
    with django_assert_num_queries(1):
        (found,) = live_figures(unit=group, units=[group], month=NOVEMBER, at=AT)
    assert (found.before, found.ended, found.same_point, found.change) == (Figures(), Figures(), False, None)


def test_three_queries_for_any_number_of_units(tree, django_assert_num_queries):
    group, east, west, branch = tree
    _done(make_run(month=OCTOBER), branch, 5)
    make_enrolment(make_employee(branch), make_run())
    for units in ([group], [group, east, west, branch]):
        with django_assert_num_queries(3):
            live_figures(unit=group, units=units, month=NOVEMBER, at=AT)


def test_what_a_large_unit_had_done_is_read_once_an_hour(tree, monkeypatch, django_assert_num_queries):
    monkeypatch.setattr(comparison, "LARGE", 0)
    group, _east, _west, branch = tree
    _done(make_run(month=OCTOBER), branch, 12, 5)
    make_enrolment(make_employee(branch), make_run())
    at = AT - dt.timedelta(minutes=40)
    first = live_figures(unit=group, units=[group], month=NOVEMBER, at=at)
    with django_assert_num_queries(2):
        assert live_figures(unit=group, units=[group], month=NOVEMBER, at=at + dt.timedelta(minutes=30)) == first
    assert _of(first) == [(1, 1, 2, 2)]


def test_a_closed_run_never_had_more_done_by_then_than_in_the_end(tree):
    """Its tallies stay with the tree of its time; the duties follow units that move."""
    group, _east, _west, branch = tree
    october = make_run(month=OCTOBER)
    _done(october, branch, 20, 19)
    Tally.objects.filter(run=october).update(assigned=1, started=1, completed=1, on_time=1)
    make_enrolment(make_employee(branch), make_run())
    assert _of(live_figures(unit=group, units=[group], month=NOVEMBER, at=AT)) == [(1, 1, 1, 1)]


# --- the units beside -----------------------------------------------------------------------------------------------------
def _tally(unit, run, assigned, completed):
    Tally.objects.create(run=run, unit=unit, assigned=assigned, started=completed, completed=completed)


def _beside(unit):
    return units_beside(unit=unit, month=NOVEMBER, visible=OrgUnit.objects.all())


def test_units_of_thirty_duties_and_more_are_ranked_by_their_exact_share():
    group, run = make_unit(), make_run()
    units = [make_unit(group) for _ in range(6)]
    for unit, counts in zip(units, [(30, 20), (300, 200), (3000, 2001), (29, 29), (31, 0), (0, 0)], strict=True):
        _tally(unit, run, *counts)
    found = _beside(units[0])
    assert [one.unit for one in found.units] == units[:5]  # in tree order, without the one that owes nothing
    assert (found.ranked, found.further, found.equal_or_behind) == (3, 1, 2)  # 200 of 300 is the same share
    small = _beside(units[3])
    assert (small.ranked, small.further, small.equal_or_behind) == (4, None, None)


def test_nothing_stands_beside_a_root_or_an_only_child():
    group, run = make_unit(), make_run()
    only = make_unit(group)
    _tally(group, run, 50, 1)
    _tally(only, run, 50, 1)
    assert (_beside(group), _beside(only)) == (None, None)


def test_pm_x01_units_beside_that_may_not_be_seen_are_left_out():
    group, run = make_unit(), make_run()
    units = [make_unit(group) for _ in range(3)]
    for unit in units:
        _tally(unit, run, 50, 10)
    visible = OrgUnit.objects.exclude(pk=units[2].pk)
    found = units_beside(unit=units[0], month=NOVEMBER, visible=visible)
    assert [one.unit for one in found.units] == units[:2]
    assert units_beside(unit=units[0], month=NOVEMBER, visible=OrgUnit.objects.filter(pk=units[0].pk)) is None
