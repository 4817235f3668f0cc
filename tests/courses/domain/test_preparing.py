"""Made ahead: what is enrolled before a month begins is unseen, kept in step with the roster, and goes live by a change of state."""

import datetime as dt
import random

import pytest
from django.http import Http404

from core.events import verify_chain
from core.models import Event
from core.periods import Month
from courses.domain import catching_up, month_plan, opening, preparing, tallies
from courses.domain.access import own_enrolment_or_404, visible_enrolments
from courses.domain.queries import (
    courses_of_month,
    month_enrolments,
    months_with_runs,
    my_month,
    people_figures,
    person_enrolments,
    person_months,
    unit_figures,
)
from courses.models import CourseRun, Enrolment, EnrolmentChange, PlanLine, Programme, RunStep, Tally
from people.domain.access import Actor
from people.models import Employee
from tests.factories.courses import local, make_audience, make_course, make_design, make_programme, make_run, make_step
from tests.factories.people import grant, make_employee, make_leave, make_position, make_unit, make_user

pytestmark = pytest.mark.django_db

DECEMBER = Month(2026, 12)
AHEAD = local(2026, 11, 24, 6)
OPENED = local(2026, 12, 1, 0, 30)


@pytest.fixture
def by():
    return make_user()


@pytest.fixture
def unit():
    return make_unit(make_unit())


def _planned(unit, rule=None, **course):
    made = make_course(**course)
    make_programme(make_audience(unit, rule), plan=[(made, DECEMBER)])
    return made


def _states(run):
    rows = Enrolment.objects.filter(run=run).values_list("employee__name", "state", "reason")
    return {name: (state, reason) for name, state, reason in rows}


def _events():
    return list(Event.objects.filter(chain="months").order_by("sequence").values_list("action", flat=True))


# --- preparing --------------------------------------------------------------------------------------------------------
def test_prepare_month_enrols_ahead_and_a_second_call_changes_nothing(unit, by):
    make_employee(unit=unit, name="here")
    make_leave(make_employee(unit=unit, name="away"), dt.date(2026, 11, 1), dt.date(2026, 12, 31))
    make_employee(unit=unit, name="begins on the first", hired_on=dt.date(2026, 12, 1))
    make_employee(unit=unit, name="begins later", hired_on=dt.date(2026, 12, 2))
    course = _planned(unit)

    report = preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD)
    run = CourseRun.objects.get(course=course)
    changes = EnrolmentChange.objects.count()
    again = preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD + dt.timedelta(hours=1))

    assert report.runs == [preparing.AheadReport(run=run, lines=1, enrolled=3, people=3, exempt=1)]
    assert again.runs == [preparing.AheadReport(run=run, people=3, exempt=1)]
    assert (report.people, report.enrolled, report.exempt, report.changed, again.changed) == (3, 3, 1, 4, 0)
    assert _states(run) == {
        "here": ("assigned", "plan"),
        "away": ("exempt", "leave"),
        "begins on the first": ("assigned", "plan"),
    }
    assert (run.state, run.opened_at, RunStep.objects.count()) == ("planned", None, 0)
    assert list(PlanLine.objects.values_list("prepared_at", "opened_at")) == [(AHEAD, None)]
    assert (_events(), EnrolmentChange.objects.count()) == (["planned", "prepared"], changes)
    assert verify_chain("months") == (2, None)


def test_what_is_prepared_is_owed_and_seen_by_nobody(unit, by):
    person = make_employee(unit=unit, with_user=True)
    _planned(unit)
    preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD)
    run, enrolment = CourseRun.objects.get(), Enrolment.objects.get()
    hr = make_user()
    grant(hr, "hr", unit)
    everybody = Employee.objects.all()

    assert (tallies.recount(run=run), Tally.objects.count()) == ([], 0)
    assert not unit_figures(unit=unit, month=DECEMBER)
    assert not people_figures(people=everybody, month=DECEMBER)
    assert list(month_enrolments(people=everybody, month=DECEMBER)) == []
    assert list(person_enrolments(employee=person)) == []
    assert [cell.assigned for cell in person_months(employee=person, last=DECEMBER, months=1, at=AHEAD)] == [0]
    mine = my_month(person, DECEMBER, AHEAD)
    assert (mine.owed, mine.counted) == ([], 0)
    assert (months_with_runs(), courses_of_month(DECEMBER)) == ([], [])
    assert list(visible_enrolments(Actor(user=hr, on=AHEAD.date()), "PM-T01")) == []
    with pytest.raises(Http404):
        own_enrolment_or_404(Actor(user=person.user, on=AHEAD.date()), enrolment.pk)

    opening.open_run(run=run, by=by, at=OPENED)
    assert unit_figures(unit=unit, month=DECEMBER).assigned == 1
    assert own_enrolment_or_404(Actor(user=person.user, on=OPENED.date()), enrolment.pk) == enrolment
    assert [duty.enrolment for duty in my_month(person, DECEMBER, OPENED).owed] == [enrolment]


def test_preparing_keeps_up_with_the_roster(unit, by):
    other, old, new = make_unit(unit), make_position("柜员"), make_position("经理")
    stays, leaves, moves, away, suspended = (
        make_employee(unit=unit, position=old, name=name) for name in ("stays", "leaves", "moves", "away", "suspended")
    )
    course = _planned(unit)
    preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD)
    run = CourseRun.objects.get(course=course)

    Employee.objects.filter(pk=leaves.pk).update(state="left", left_on=dt.date(2026, 11, 25))
    Employee.objects.filter(pk=moves.pk).update(unit=other, position=new)
    Employee.objects.filter(pk=suspended.pk).update(state="suspended")
    leave = make_leave(away, dt.date(2026, 12, 1), dt.date(2026, 12, 31))
    make_employee(unit=unit, name="joins")
    (second,) = preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD + dt.timedelta(days=2)).runs
    assert (second.enrolled, second.withdrawn, second.returned, second.moved) == (1, 2, 0, 1)
    assert _states(run) == {
        "stays": ("assigned", "plan"),
        "leaves": ("withdrawn", "left"),
        "moves": ("assigned", "plan"),
        "away": ("exempt", "leave"),
        "suspended": ("withdrawn", "moved"),
        "joins": ("assigned", "plan"),
    }
    moved = Enrolment.objects.get(employee=moves)
    assert (moved.unit, moved.unit_set, moved.position_set) == (other, other, new)

    leave.delete()
    Employee.objects.filter(pk__in=[leaves.pk, suspended.pk]).update(state="active", left_on=None)
    (third,) = preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD + dt.timedelta(days=3)).runs
    assert (third.enrolled, third.withdrawn, third.returned, third.exempt) == (0, 0, 2, 0)
    assert set(_states(run).values()) == {("assigned", "plan")}


def test_prepare_run_in_parts_gives_the_same(unit, by):
    for _ in range(5):
        make_employee(unit=unit)
    _planned(unit)
    report = preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD, batch=2)
    assert [(run.lines, run.enrolled, run.people) for run in report.runs] == [(1, 2, 2), (0, 2, 4), (0, 1, 5)]
    assert preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD, batch=2).changed == 0


def test_prepare_month_of_a_scope_takes_only_its_audiences(by):
    group = make_unit()
    east, west = make_unit(group), make_unit(group)
    course = make_course()
    for one in (east, west):
        make_employee(unit=one, name=one.code)
        make_programme(make_audience(one), plan=[(course, DECEMBER)])

    preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD, scope=[east])
    run = CourseRun.objects.get()
    assert set(_states(run)) == {east.code}
    preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD, scope=[west])
    assert set(_states(run)) == {east.code, west.code}

    report = opening.open_run(run=run, by=by, at=OPENED, scope=[west])  # a run opens for everybody at once
    assert (report.assigned, report.ahead) == (2, 2)
    assert not PlanLine.objects.filter(opened_at=None).exists()


def test_prepare_refuses_a_month_that_has_begun_and_reports_what_cannot_open(unit, by):
    empty = _planned(unit, steps=0, code="A-EMPTY")
    design = make_design()
    design.versions.all().delete()
    bare = _planned(unit, design=design, code="B-BARE")
    good = _planned(unit, code="C-GOOD")

    with pytest.raises(preparing.RunBegun):
        preparing.prepare_month(month=DECEMBER, by=by, at=OPENED)
    report = preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD)

    assert [(refusal.course, type(refusal.problem)) for refusal in report.refused] == [
        (empty, month_plan.NothingToLearn),
        (bare, month_plan.DesignNotPublished),
    ]
    assert [one.run.course for one in report.runs] == [good]
    assert set(PlanLine.objects.filter(prepared_at=None).values_list("course__code", flat=True)) == {
        "A-EMPTY",
        "B-BARE",
    }
    with pytest.raises(preparing.RunBegun):
        preparing.prepare_run(run=make_run(month=DECEMBER), by=by, at=AHEAD)


def test_prepare_month_leaves_an_open_run_alone(unit, by):
    make_employee(unit=unit)
    course = _planned(unit)
    opening.open_month(month=DECEMBER, by=by, at=AHEAD)
    make_programme(make_audience(unit), plan=[(course, DECEMBER)])
    assert preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD).runs == []
    assert PlanLine.objects.filter(prepared_at=None).count() == 2


# --- opening what is prepared -----------------------------------------------------------------------------------------
def test_opening_a_prepared_run_is_a_change_of_state(unit, by):
    """No duty is written again: the history of the duties has not one row more, and their places are the same rows."""
    for _ in range(3):
        make_employee(unit=unit)
    course = _planned(unit, steps=2)
    preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD)
    run = CourseRun.objects.get(course=course)
    before = list(Enrolment.objects.order_by("pk").values())
    history = EnrolmentChange.objects.count()

    report = opening.open_run(run=run, by=by, at=OPENED)
    again = opening.open_run(run=run, by=by, at=OPENED + dt.timedelta(hours=1))

    assert report == opening.RunReport(run=run, opened=True, assigned=3, exempt=0, waiting=0, ahead=3)
    assert again == opening.RunReport(run=run, opened=False)
    assert list(Enrolment.objects.order_by("pk").values()) == before
    assert EnrolmentChange.objects.count() == history
    run.refresh_from_db()
    assert (run.state, run.opened_at, run.steps.count()) == ("open", OPENED, 2)
    assert (_events(), tallies.recount(run=run)) == (["planned", "prepared", "opened"], [])
    assert unit_figures(unit=unit, month=DECEMBER).assigned == 3


def test_opening_takes_the_version_that_is_published_then(unit, by):
    make_employee(unit=unit)
    course = _planned(unit)
    preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD)
    make_step(course)
    course.version = 2
    course.save()

    opening.open_month(month=DECEMBER, by=by, at=OPENED)

    assert (Enrolment.objects.get().course_version, CourseRun.objects.get().steps.count()) == (2, 4)


def test_who_dropped_out_before_the_opening_joins_when_selected_again(unit, by):
    person = make_employee(unit=unit, name="suspended")
    _planned(unit)
    preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD)
    run = CourseRun.objects.get()
    Employee.objects.filter(pk=person.pk).update(state="suspended")
    opening.open_run(run=run, by=by, at=OPENED)
    assert (_states(run), unit_figures(unit=unit, month=DECEMBER).assigned) == (
        {"suspended": ("withdrawn", "moved")},
        0,
    )

    Employee.objects.filter(pk=person.pk).update(state="active")
    assert catching_up.catch_up(run=run, by=by, at=local(2026, 12, 5)).returned == 1
    assert unit_figures(unit=unit, month=DECEMBER).assigned == 1


def test_the_preview_of_a_prepared_run_counts_the_differences_and_changes_nothing(unit, by):
    gone, _stays = make_employee(unit=unit), make_employee(unit=unit)
    course = _planned(unit)
    preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD)
    run, lines = CourseRun.objects.get(), list(PlanLine.objects.all())
    Employee.objects.filter(pk=gone.pk).update(state="suspended")
    make_employee(unit=unit)
    values = {"course": course, "month": DECEMBER, "run": run, "lines": lines, "on": DECEMBER.first_day}

    assert opening.preview_run(**values) == opening.Preview(enters=1, exempt=0, waits=0, enrolled=1, leaves=1)
    assert preparing.people_ahead(runs=[run], units=[unit]) == {run.pk: preparing.Ahead(assigned=2)}
    assert preparing.people_ahead(runs=[run], units=[make_unit()]) == {}
    report = opening.open_run(run=run, by=by, at=OPENED)
    assert (report.assigned, report.ahead) == (2, 1)


def test_runs_to_open_are_those_with_a_waiting_line_whose_day_has_come(unit, by):
    make_employee(unit=unit)
    course = _planned(unit)
    preparing.prepare_month(month=DECEMBER, by=by, at=AHEAD)
    month_plan.plan_run(course=make_course(), month=DECEMBER, by=by, at=AHEAD)  # planned only
    run = CourseRun.objects.get(course=course)
    assert opening.runs_to_open(at=run.opens_at - dt.timedelta(seconds=1)) == []
    assert opening.runs_to_open(at=run.opens_at) == [run]
    assert opening.runs_to_open(at=run.due_at + dt.timedelta(seconds=1)) == []
    opening.open_run(run=run, by=None, at=OPENED)
    assert opening.runs_to_open(at=OPENED) == []


@pytest.mark.parametrize("seed", range(12))
def test_prepared_ahead_or_not_the_month_that_opens_is_the_same(seed, by):
    """Two courses with the same plan; one is prepared, again and again, while the roster changes. Opened at the same
    moment, each person has the same duty in both (but for those withdrawn who never had it in the other)."""
    rng = random.Random(seed)
    group = make_unit()
    units = [group, make_unit(group), make_unit(group)]
    units += [make_unit(units[1]), make_unit(units[2])]
    posts = [make_position("甲"), make_position("乙"), None]
    ahead, plain = make_course(code="AHEAD"), make_course(code="PLAIN")
    rules = [{}, {"positions": ["甲"]}, {"units": [units[2].code]}]
    for scope, rule in zip([group, units[1], group], rules, strict=True):
        make_programme(make_audience(scope, rule), plan=[(ahead, DECEMBER), (plain, DECEMBER)])
    PlanLine.objects.filter(course=plain).update(published_at=None)
    people = [make_employee(unit=rng.choice(units), position=rng.choice(posts)) for _ in range(25)]

    def happen():
        person = rng.choice(people)
        row = Employee.objects.filter(pk=person.pk)
        kind = rng.choice(["join", "move", "leave", "back", "left", "suspended", "return", "post", "line"])
        if kind == "join":
            on = rng.choice([None, dt.date(2026, 12, 1), dt.date(2026, 12, 4), dt.date(2026, 12, 28)])
            people.append(make_employee(unit=rng.choice(units), position=rng.choice(posts), hired_on=on))
        elif kind == "move":
            row.update(unit=rng.choice(units), position=rng.choice(posts))
        elif kind == "leave":
            start = dt.date(2026, 11, rng.randint(1, 30))
            make_leave(person, start, dt.date(2026, 12, rng.choice([20, 31])))
        elif kind == "back":
            person.leaves.all().delete()
        elif kind == "left":
            row.update(state="left", left_on=rng.choice([dt.date(2026, 11, 26), dt.date(2026, 12, 1)]))
        elif kind == "suspended":
            row.update(state="suspended")
        elif kind == "post":
            row.update(position=rng.choice(posts))
        elif kind == "line":
            programme = rng.choice(list(Programme.objects.all()))
            Programme.objects.filter(pk=programme.pk).update(active=not programme.active)
        else:
            row.update(state="active", left_on=None)

    for day in range(24, 31):
        for _ in range(rng.randint(0, 3)):
            happen()
        if rng.random() < 0.7:
            preparing.prepare_month(month=DECEMBER, by=by, at=local(2026, 11, day, 6))
    PlanLine.objects.filter(course=plain).update(published_at=AHEAD)
    at = rng.choice([OPENED, local(2026, 12, 5, 9)])
    opening.open_month(month=DECEMBER, by=by, at=at)

    def duties(course):
        columns = ("employee", "state", "reason", "unit", "unit_set", "position_set", "due_at", "course_version")
        rows = Enrolment.objects.filter(run__course=course).exclude(state="withdrawn")
        return set(rows.values_list(*columns))

    assert duties(ahead) == duties(plain)
    withdrawn = Enrolment.objects.filter(run__course=ahead, state="withdrawn")
    assert not Enrolment.objects.filter(run__course=plain, employee__in=withdrawn.values("employee")).exists()
    for run in CourseRun.objects.filter(state="open"):
        assert tallies.recount(run=run) == []
