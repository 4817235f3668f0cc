"""What was true at any moment: the same as what the tallies said at that moment."""

import contextlib
import datetime as dt

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from courses.domain import catching_up, exceptions, history, opening, progress
from courses.domain.closing import month_figures
from courses.domain.history import Change, How, Point, Stand
from courses.domain.queries import Figures
from courses.domain.tallies import recount
from courses.models import CourseRun, Enrolment
from people.domain.moves import NotHere, NothingChanges, mark_left, move_employee
from people.domain.units import AlreadyThere, UnitCircle, move_unit
from people.models import Employee, OrgUnit
from tests.factories.courses import (
    NOVEMBER,
    local,
    make_audience,
    make_course,
    make_enrolment,
    make_programme,
    make_run,
)
from tests.factories.people import make_employee, make_leave, make_unit, make_user

pytestmark = pytest.mark.django_db

START = local(2026, 11, 3, 9)


def _day(number):
    return START + dt.timedelta(days=number)


@pytest.fixture
def by():
    return make_user()


# --- figures as of ----------------------------------------------------------------------------------------------------
def test_figures_as_of_are_those_that_were_true_then_in_the_tree_of_then(by, django_assert_num_queries):
    group = make_unit()
    east, west = make_unit(group), make_unit(group)
    branch = make_unit(east)
    run = make_run(make_course(steps=1))
    first, second = (make_enrolment(make_employee(unit=branch), run) for _number in range(2))
    make_enrolment(make_employee(unit=west), run, state="exempt", reason="leave")
    step = run.course.steps.get()
    progress.complete_step(enrolment=first, step=step, at=_day(1))
    exceptions.exempt_enrolment(enrolment=second, by=by, at=_day(2), reason="病假")
    move_unit(unit=branch, under=west, by=by, at=_day(3))
    one_done = Figures(assigned=2, started=1, completed=1, on_time=1)
    all_done = Figures(assigned=1, started=1, completed=1, on_time=1, exempt=1)
    away = Figures(exempt=1)

    def total(*figures):
        return Figures(*(sum(values) for values in zip(*map(history_tuple, figures), strict=True)))

    with django_assert_num_queries(4):  # the runs, the tree and its moves, the figures
        found = history.figures_as_of(month=NOVEMBER, at=_day(1))
    assert found == {
        branch.pk: one_done, east.pk: one_done, west.pk: away, group.pk: total(one_done, away),
    }  # fmt: skip
    assert history.figures_as_of(month=NOVEMBER, at=_day(0)) == {
        branch.pk: Figures(assigned=2), east.pk: Figures(assigned=2), west.pk: away,
        group.pk: Figures(assigned=2, exempt=1),
    }  # fmt: skip
    assert history.figures_as_of(run=run, at=_day(3)) == month_figures_now(run)
    both = total(all_done, away)
    assert history.figures_as_of(run=run, at=_day(3)) == {branch.pk: all_done, west.pk: both, group.pk: both}
    old_tree = {branch.pk: all_done, east.pk: all_done, west.pk: away, group.pk: both}
    assert history.figures_as_of(run=run, at=_day(3), layout_at=_day(2)) == old_tree
    assert history.figures_as_of(run=run, at=_day(3), layout_at=_day(2), units=[east.pk]) == {east.pk: all_done}
    assert history.figures_as_of(month=NOVEMBER.next, at=_day(3)) == {}


def history_tuple(figures):
    return tuple(getattr(figures, column) for column in history.COLUMNS)


def month_figures_now(run):
    recount(run=run)
    return month_figures(month=run.month)


def test_people_as_of_counts_a_team(by):
    branch = make_unit()
    run = make_run(make_course(steps=1))
    one, two = (make_enrolment(make_employee(unit=branch), run) for _number in range(2))
    progress.complete_step(enrolment=one, step=run.course.steps.get(), at=_day(2))
    mine = Employee.objects.filter(pk=one.employee_id)
    assert history.people_as_of(people=mine, month=NOVEMBER, at=_day(1)) == Figures(assigned=1)
    assert history.people_as_of(people=mine, month=NOVEMBER, at=_day(2)) == Figures(1, 1, 1, 1)
    assert two.state == "assigned"


REFUSALS = (UnitCircle, AlreadyThere, exceptions.NotPossibleNow, exceptions.DueRefused, progress.NotOwed)
REFUSALS += (NotHere, NothingChanges)
ACTS = ("complete", "begin", "exempt", "withdraw", "reinstate", "extend", "past", "move", "left", "catch up", "unit")


def _act(act, pick, by, at, step):
    duties, units = list(Enrolment.objects.order_by("pk")), list(OrgUnit.objects.order_by("pk"))
    enrolment, unit = duties[pick % len(duties)], units[pick % len(units)]
    person = Employee.objects.get(pk=enrolment.employee_id)
    values = {"enrolment": enrolment, "by": by, "at": at}
    if act == "complete":
        progress.complete_step(enrolment=enrolment, step=step, at=at)
    elif act == "begin":
        progress.visit_step(enrolment=enrolment, step=step, at=at)
    elif act == "exempt":
        exceptions.exempt_enrolment(**values, reason="x")
    elif act == "withdraw":
        exceptions.withdraw_enrolment(**values, reason="x")
    elif act == "reinstate":
        exceptions.reinstate_enrolment(**values, reason="x")
    elif act == "extend":
        exceptions.extend_due(**values, until=dt.date(2026, 12, 5), reason="x")
    elif act == "past":
        exceptions.record_past_completion(**values, on=at.date(), reason="x")
    elif act == "move":
        move_employee(employee=person, unit=unit, position=None, manager=None, on=at.date(), by=by, at=at)
    elif act == "left":
        mark_left(employee=person, on=at.date(), by=by, at=at, reason="x")
    elif act == "unit":
        other = units[pick // len(units) % len(units)]
        move_unit(unit=unit, under=other, by=by, at=at)
        for run in CourseRun.objects.all():
            recount(run=run)
    else:
        for run in CourseRun.objects.all():
            catching_up.catch_up(run=run, by=by, at=at)


@given(acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 40)), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_figures_as_of_every_moment_are_what_the_tallies_said_then(acts):
    with transaction.atomic():
        by = make_user()
        units = [make_unit()]
        for number in range(4):
            units.append(make_unit(units[number // 2]))
        people = [make_employee(unit=units[number % 5]) for number in range(6)]
        make_leave(people[0], NOVEMBER.first_day, NOVEMBER.last_day)
        courses = [make_course(steps=1) for _number in range(1)]
        make_programme(make_audience(units[0]), plan=[(course, NOVEMBER) for course in courses])
        opening.open_month(month=NOVEMBER, by=by, at=local(2026, 11, 1, 8))
        seen = [(START, month_figures(month=NOVEMBER))]
        for number, (act, pick) in enumerate(acts, start=1):
            with contextlib.suppress(*REFUSALS), transaction.atomic():
                _act(act, pick, by, _day(number), courses[0].steps.get())
            seen.append((_day(number), month_figures(month=NOVEMBER)))
        found = [(at, history.figures_as_of(month=NOVEMBER, at=at)) for at, _figures in seen]
        point = Point(START)
        now = history.fold(history.count_at(month=NOVEMBER, point=Point(_day(99))), lambda unit: [unit])
        then = history.fold(history.count_at(month=NOVEMBER, point=point), lambda unit: [unit])
        changed = history.count_changes(month=NOVEMBER, point=point)
        difference = {
            unit: {column: now[unit][column] - then[unit][column] for column in history.COLUMNS}
            for unit in now.keys() | then.keys()
        }
        transaction.set_rollback(True)
    assert found == seen
    assert changed == {unit: counts for unit, counts in difference.items() if any(counts.values())}


# --- changes since ----------------------------------------------------------------------------------------------------
def test_changes_since_say_who_when_why_and_what(by):
    group = make_unit()
    one, two = make_unit(group), make_unit(group)
    run = make_run(make_course(steps=1))
    numbers = iter(range(1, 20))

    def duty(**fields):
        return make_enrolment(make_employee(unit=one, employee_no=f"{next(numbers):03d}"), run, **fields)

    late, exempt, moved, past, same, extended, back = (duty() for _number in range(7))
    at = local(2026, 12, 1, 8)
    extended = exceptions.extend_due(
        enrolment=extended, until=dt.date(2026, 12, 3), by=by, at=at - dt.timedelta(days=3), reason="项目"
    )
    after = at + dt.timedelta(days=1)
    step = run.course.steps.get()
    progress.complete_step(enrolment=late, step=step, at=after)
    exceptions.exempt_enrolment(enrolment=exempt, by=by, at=after, reason="借调")
    Enrolment.objects.filter(pk=moved.pk).update(unit=two, changed_at=after)
    exceptions.record_past_completion(enrolment=past, on=dt.date(2026, 11, 20), by=by, at=after, reason="线下培训")
    same = exceptions.exempt_enrolment(enrolment=same, by=by, at=after, reason="误会")
    exceptions.reinstate_enrolment(enrolment=same, by=by, at=after, reason="撤回")
    progress.complete_step(enrolment=extended, step=step, at=after)
    exceptions.extend_due(
        enrolment=back, until=dt.date(2026, 12, 20), by=by, at=after, reason="项目"
    )  # counts the same
    new = duty(assigned_at=after, reason="joined")

    found = list(history.changes_since(month=NOVEMBER, at=at))

    owed = Stand("assigned", None, False, one)
    done_late, done_in_time = Stand("completed", False, False, one), Stand("completed", True, False, one)
    expected = [
        (late, owed, done_late, How.OWN, None, ""),
        (exempt, owed, Stand("exempt", None, False, one), How.DECIDED, by, "借调"),
        (moved, owed, Stand("assigned", None, False, two), How.ROSTER, None, "学习任务随人转到了另一单位"),
        (past, owed, done_in_time, How.DECIDED, by, "线下培训"),
        (extended, owed, done_in_time, How.OWN, None, ""),
        (new, None, owed, How.ROSTER, None, "月中入职"),
    ]
    words = [(one.enrolment, one.before, one.now, one.how, one.by, one.why) for one in found]
    for line in words[-1:]:
        assert line[:5] == expected[-1][:5]
    assert words[:-1] == expected[:-1]
    assert all(isinstance(one, Change) and one.at == after for one in found)
    mine = Employee.objects.filter(pk__in=[late.employee_id, back.employee_id])
    assert [one.enrolment for one in history.changes_since(month=NOVEMBER, at=at, people=mine)] == [late]


def test_a_course_by_choice_that_went_with_its_person_is_a_change_of_the_roster(by):
    group = make_unit()
    one, two = make_unit(group), make_unit(group)
    taken = make_enrolment(make_employee(unit=one), make_run(make_course(steps=1)), voluntary=True, reason="choice")
    Enrolment.objects.filter(pk=taken.pk).update(unit=two, changed_at=_day(12))
    (change,) = history.changes_since(month=NOVEMBER, at=_day(5))
    assert (change.how, change.by, change.why) == (How.ROSTER, None, "学习任务随人转到了另一单位")


def test_a_decision_in_the_words_of_an_earlier_one_is_a_decision_still(by):
    enrolment = make_enrolment(make_employee(unit=make_unit()), make_run(make_course(steps=1)))
    enrolment = exceptions.exempt_enrolment(enrolment=enrolment, by=by, at=_day(4), reason="项目")
    exceptions.reinstate_enrolment(enrolment=enrolment, by=by, at=_day(12), reason="项目")
    (change,) = history.changes_since(month=NOVEMBER, at=_day(5))
    assert (change.how, change.by, change.why) == (How.DECIDED, by, "项目")


def test_a_leaver_whose_duty_was_extended_before_is_a_change_of_the_roster(by):
    branch = make_unit()
    run = make_run(make_course(steps=1))
    enrolment = make_enrolment(make_employee(unit=branch), run)
    exceptions.extend_due(enrolment=enrolment, until=dt.date(2026, 12, 20), by=by, at=_day(1), reason="项目")
    mark_left(employee=enrolment.employee, on=_day(10).date(), by=by, at=_day(10), reason="x")
    catching_up.catch_up(run=run, by=None, at=_day(12))
    (change,) = history.changes_since(month=NOVEMBER, at=_day(5))
    owed, gone = Stand("assigned", None, False, branch), Stand("withdrawn", None, False, branch)
    assert (change.before, change.now, change.how, change.by, change.at) == (owed, gone, How.ROSTER, None, _day(12))
    assert "项目" not in change.why


def test_changes_since_take_the_same_queries_for_few_and_many(by, django_assert_num_queries):
    branch = make_unit()
    run = make_run(make_course(steps=1))
    point = Point(_day(0))
    for _round in range(2):
        for _number in range(4):
            enrolment = make_enrolment(make_employee(unit=branch), run)
            exceptions.exempt_enrolment(enrolment=enrolment, by=by, at=_day(2), reason="x")
        with django_assert_num_queries(3):
            history.describe(history.changed_since(month=NOVEMBER, point=point))
