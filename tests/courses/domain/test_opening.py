import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.events import verify_chain
from core.models import Event
from courses.domain import month_plan, opening, tallies
from courses.domain.catching_up import catch_up
from courses.domain.month_plan import plan_run
from courses.domain.opening import open_month, open_run
from courses.domain.queries import unit_figures
from courses.models import CourseRun, Enrolment, MonthClose, RunStep, Tally
from people.models import Employee
from tests.factories.courses import (
    NOVEMBER,
    duty_states,
    local,
    make_audience,
    make_course,
    make_design,
    make_programme,
    make_step,
)
from tests.factories.people import make_employee, make_leave, make_position, make_unit, make_user

pytestmark = pytest.mark.django_db

OPENED = local(2026, 11, 1, 6)


@pytest.fixture
def by():
    return make_user()


@pytest.fixture
def branch():
    return make_unit(make_unit(make_unit()))


def _planned(branch, rule=None, **course):
    made = make_course(**course)
    make_programme(make_audience(branch, rule), plan=[(made, NOVEMBER)])
    return made


def test_t00_the_denominator_of_a_month_is_113_and_the_rate_is_floored(branch, by):
    course = _planned(branch)
    people = [make_employee(unit=branch) for _ in range(117)]
    for _ in range(3):
        make_employee(unit=branch, hired_on=dt.date(2026, 12, 2))
    for away in people[:4]:
        make_leave(away, dt.date(2026, 10, 20), dt.date(2026, 12, 10))
    assert Employee.objects.count() == 120

    report = open_month(month=NOVEMBER, by=by, at=OPENED)
    run = CourseRun.objects.get(course=course)
    for enrolment in Enrolment.objects.filter(run=run, state="assigned")[:111]:
        Enrolment.objects.filter(pk=enrolment.pk).update(
            state="completed", started_at=OPENED, completed_at=OPENED, on_time=True, unit_done=branch
        )
    tallies.recount(run=run)
    catch_up(run=run, by=by, at=local(2026, 12, 5))

    figures = unit_figures(unit=branch, month=NOVEMBER)
    assert (report.assigned, report.exempt, report.waiting) == (113, 4, 0)
    assert (figures.assigned, figures.completed, figures.exempt) == (113, 111, 4)
    assert figures.rate == "98.2"


def test_open_run_freezes_the_steps_and_stamps_every_duty(branch, by):
    position = make_position("客户经理")
    person = make_employee(unit=branch, position=position)
    course = _planned(branch, steps=2)
    make_step(course, required=False)
    make_step(course, live=False)
    run = plan_run(course=course, month=NOVEMBER, by=by, at=OPENED)

    report = open_run(run=run, by=by, at=OPENED)

    assert report == opening.RunReport(run=run, opened=True, assigned=1, exempt=0, waiting=0)
    assert list(RunStep.objects.filter(run=run).values_list("position", "required")) == [
        (1, True),
        (2, True),
        (3, False),
    ]
    enrolment = Enrolment.objects.get(run=run)
    assert (
        enrolment.employee,
        enrolment.state,
        enrolment.reason,
        enrolment.unit,
        enrolment.unit_set,
        enrolment.position_set,
        enrolment.due_at,
        enrolment.assigned_at,
        enrolment.course_version,
        enrolment.steps_done,
        enrolment.decided_by,
    ) == (person, "assigned", "plan", branch, branch, position, run.due_at, OPENED, 1, 0, None)
    assert list(Tally.objects.filter(run=run).values_list("assigned", flat=True)) == [1, 1, 1]


def test_open_month_twice_changes_nothing_the_second_time(branch, by):
    make_employee(unit=branch)
    _planned(branch)
    open_month(month=NOVEMBER, by=by, at=OPENED)
    before = (Enrolment.objects.count(), Event.objects.filter(chain="months").count())

    again = open_month(month=NOVEMBER, by=by, at=local(2026, 11, 2))

    assert (again.assigned, [run.opened for run in again.runs]) == (0, [False])
    assert (Enrolment.objects.count(), Event.objects.filter(chain="months").count()) == before
    assert verify_chain("months") == (before[1], None)


def test_open_month_enrols_a_person_of_two_programmes_once(branch, by):
    make_employee(unit=branch)
    course = _planned(branch)
    make_programme(make_audience(branch), plan=[(course, NOVEMBER)])

    report = open_month(month=NOVEMBER, by=by, at=OPENED)

    assert (report.assigned, Enrolment.objects.count()) == (1, 1)


def test_open_month_of_a_scope_opens_only_its_audiences_and_the_rest_later(by):
    group = make_unit()
    east, west = make_unit(group), make_unit(group)
    course = make_course()
    for unit in (east, west):
        make_employee(unit=unit, name=unit.code)
        make_programme(make_audience(unit), plan=[(course, NOVEMBER)])

    first = open_month(month=NOVEMBER, by=by, at=OPENED, scope=[east])
    second = open_month(month=NOVEMBER, by=by, at=OPENED, scope=[west])

    assert (first.assigned, second.assigned) == (1, 1)
    assert [run.opened for run in first.runs + second.runs] == [True, False]
    assert duty_states(CourseRun.objects.get()) == {east.code: "assigned", west.code: "assigned"}


def test_open_month_reports_a_course_that_cannot_be_opened_and_opens_the_others(branch, by):
    make_employee(unit=branch)
    empty = _planned(branch, steps=0, code="A-EMPTY")
    good = _planned(branch, code="B-GOOD")

    report = open_month(month=NOVEMBER, by=by, at=OPENED)

    assert [(refusal.course, type(refusal.problem)) for refusal in report.refused] == [
        (empty, month_plan.NothingToLearn)
    ]
    assert [run.run.course for run in report.runs] == [good]
    assert not CourseRun.objects.filter(course=empty).exists()


def test_open_run_refuses_a_certificate_design_that_was_never_published(branch, by):
    design = make_design()
    design.versions.all().delete()
    course = _planned(branch, design=design)
    run = plan_run(course=course, month=NOVEMBER, by=by, at=OPENED)

    with pytest.raises(month_plan.DesignNotPublished):
        open_run(run=run, by=by, at=OPENED)
    run.refresh_from_db()
    assert run.state == "planned"


def test_open_run_leaves_who_joins_with_too_few_days_for_the_next_month(branch, by):
    make_employee(unit=branch, name="early", hired_on=dt.date(2026, 11, 24))
    make_employee(unit=branch, name="late", hired_on=dt.date(2026, 11, 25))
    _planned(branch)

    report = open_month(month=NOVEMBER, by=by, at=local(2026, 11, 26))

    assert (report.assigned, report.waiting) == (1, 1)
    assert duty_states(CourseRun.objects.get()) == {"early": "assigned"}
    assert Enrolment.objects.get().reason == "joined"


def test_leave_in_two_pieces_exempts_and_a_gap_does_not(branch, by):
    whole, gap, joiner = (make_employee(unit=branch, name=name) for name in ("whole", "gap", "joiner"))
    Employee.objects.filter(pk=joiner.pk).update(hired_on=dt.date(2026, 11, 5))
    make_leave(whole, dt.date(2026, 10, 1), dt.date(2026, 11, 10))
    make_leave(whole, dt.date(2026, 11, 11), dt.date(2026, 11, 30))
    make_leave(gap, dt.date(2026, 11, 1), dt.date(2026, 11, 10))
    make_leave(gap, dt.date(2026, 11, 12), dt.date(2026, 11, 30))
    make_leave(joiner, dt.date(2026, 11, 5), dt.date(2026, 12, 30))
    _planned(branch)

    open_month(month=NOVEMBER, by=by, at=local(2026, 11, 6))

    assert duty_states(CourseRun.objects.get()) == {"whole": "exempt", "gap": "assigned", "joiner": "exempt"}


def test_close_run_waits_for_the_last_acceptance(branch, by):
    make_employee(unit=branch)
    _planned(branch)
    run = open_month(month=NOVEMBER, by=by, at=OPENED).runs[0].run
    with pytest.raises(opening.StillAccepting):
        opening.close_run(run=run, by=by, at=run.accept_until)
    assert opening.close_run(run=run, by=by, at=local(2027, 1, 1)) is True
    assert opening.close_run(run=run, by=by, at=local(2027, 1, 1)) is False
    assert list(Event.objects.filter(chain="months").values_list("action", flat=True)) == [
        "planned",
        "opened",
        "closed",
    ]


def test_open_run_takes_the_same_queries_for_one_and_for_many_people(branch, by):
    make_employee(unit=branch)
    queries = []
    for people in (1, 300):
        run = plan_run(course=_planned(branch), month=NOVEMBER, by=by, at=OPENED)
        with CaptureQueriesContext(connection) as caught:
            open_run(run=run, by=by, at=OPENED)
        assert Enrolment.objects.filter(run=run).count() == people
        queries.append(len(caught))
        for _ in range(299):
            make_employee(unit=branch)
    assert queries[0] == queries[1]


def test_a_month_that_is_closed_for_good_gets_no_new_duties(branch, by):
    make_employee(unit=branch)
    _planned(branch)
    run = open_month(month=NOVEMBER, by=by, at=OPENED).runs[0].run
    make_employee(unit=branch)
    late = _planned(branch)
    values = {"state": "closed", "begun_at": OPENED, "closed_at": OPENED, "digest": "x", "newest_change": 0}
    MonthClose.objects.create(month=NOVEMBER, **values)
    at = local(2026, 12, 5)
    with pytest.raises(opening.ClosedForGood):
        open_run(run=run, by=by, at=at)
    with pytest.raises(opening.ClosedForGood):
        opening.enrol_some(run=run, by=by, at=at, limit=5)
    report = open_month(month=NOVEMBER, by=by, at=at)
    assert {type(refusal.problem) for refusal in report.refused} == {opening.ClosedForGood}
    assert (report.runs, Enrolment.objects.count()) == ([], 1)
    assert not CourseRun.objects.filter(course=late).exists()


def test_a_month_that_is_being_signed_can_still_get_duties(branch, by):
    make_employee(unit=branch)
    _planned(branch)
    MonthClose.objects.create(month=NOVEMBER, begun_at=OPENED)
    assert open_month(month=NOVEMBER, by=by, at=OPENED).assigned == 1
