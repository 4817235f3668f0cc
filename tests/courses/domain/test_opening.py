import datetime as dt

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.events import verify_chain
from core.models import Event
from core.periods import Month, end_of
from courses.domain import exceptions, opening, tallies
from courses.domain.opening import catch_up, default_times, open_month, open_run, plan_run
from courses.domain.queries import unit_figures
from courses.models import CourseRun, Enrolment, MonthClose, RunStep, Tally
from people.models import Employee
from tests.factories.courses import (
    NOVEMBER,
    local,
    make_audience,
    make_course,
    make_design,
    make_enrolment,
    make_programme,
    make_run,
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


def _states(run):
    return dict(Enrolment.objects.filter(run=run).values_list("employee__name", "state"))


def test_default_times_are_the_month_and_the_end_of_the_next():
    assert default_times(Month(2026, 12)) == {
        "opens_at": local(2026, 12, 1),
        "due_at": local(2026, 12, 31, 23, 59, 59),
        "accept_until": local(2027, 1, 31, 23, 59, 59),
    }


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
    assert _states(CourseRun.objects.get()) == {east.code: "assigned", west.code: "assigned"}


def test_open_month_reports_a_course_that_cannot_be_opened_and_opens_the_others(branch, by):
    make_employee(unit=branch)
    empty = _planned(branch, steps=0, code="A-EMPTY")
    good = _planned(branch, code="B-GOOD")

    report = open_month(month=NOVEMBER, by=by, at=OPENED)

    assert [(refusal.course, type(refusal.problem)) for refusal in report.refused] == [(empty, opening.NothingToLearn)]
    assert [run.run.course for run in report.runs] == [good]
    assert not CourseRun.objects.filter(course=empty).exists()


def test_open_run_refuses_a_certificate_design_that_was_never_published(branch, by):
    design = make_design()
    design.versions.all().delete()
    course = _planned(branch, design=design)
    run = plan_run(course=course, month=NOVEMBER, by=by, at=OPENED)

    with pytest.raises(opening.DesignNotPublished):
        open_run(run=run, by=by, at=OPENED)
    run.refresh_from_db()
    assert run.state == "planned"


def test_open_run_leaves_who_joins_with_too_few_days_for_the_next_month(branch, by):
    make_employee(unit=branch, name="early", hired_on=dt.date(2026, 11, 24))
    make_employee(unit=branch, name="late", hired_on=dt.date(2026, 11, 25))
    _planned(branch)

    report = open_month(month=NOVEMBER, by=by, at=local(2026, 11, 26))

    assert (report.assigned, report.waiting) == (1, 1)
    assert _states(CourseRun.objects.get()) == {"early": "assigned"}
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

    assert _states(CourseRun.objects.get()) == {"whole": "exempt", "gap": "assigned", "joiner": "exempt"}


# --- keeping up -------------------------------------------------------------------------------------------------
@pytest.fixture
def open_course(branch, by):
    make_employee(unit=branch, name="first")
    course = _planned(branch)
    open_month(month=NOVEMBER, by=by, at=OPENED)
    return CourseRun.objects.get(course=course)


def test_catch_up_gives_nothing_to_who_leaves_today(open_course, branch, by):
    """The duty would be withdrawn by the next catching up, so a second one would change something."""
    make_employee(branch, name="today", state="left", left_on=dt.date(2026, 11, 10), hired_on=dt.date(2026, 11, 9))
    make_employee(branch, name="tomorrow", state="left", left_on=dt.date(2026, 11, 11), hired_on=dt.date(2026, 11, 9))

    assert catch_up(run=open_course, by=by, at=local(2026, 11, 10, 22)).joined == 1
    assert not catch_up(run=open_course, by=by, at=local(2026, 11, 10, 22)).changed
    assert _states(open_course) == {"first": "assigned", "tomorrow": "assigned"}


def test_catch_up_enrols_joiners_while_days_are_left(open_course, branch, by):
    make_employee(unit=branch, name="joiner", hired_on=dt.date(2026, 11, 10))

    report = catch_up(run=open_course, by=by, at=local(2026, 11, 24))

    assert (report.joined, report.waiting) == (1, 0)
    assert Enrolment.objects.get(employee__name="joiner").reason == "joined"
    assert catch_up(run=open_course, by=by, at=local(2026, 11, 24)).changed == 0


def test_catch_up_reports_who_waits_for_the_next_month(open_course, branch, by):
    late = make_employee(unit=branch, hired_on=dt.date(2026, 11, 10))

    report = catch_up(run=open_course, by=by, at=local(2026, 11, 25))

    assert (report.joined, report.waiting) == (0, 1)
    assert list(opening.waiting_people(run=open_course, at=local(2026, 11, 25))) == [late]
    assert Event.objects.filter(chain="months", action="caught up").count() == 0


def test_catch_up_lets_the_duty_follow_its_person_until_it_is_due(open_course, by):
    person = Employee.objects.get(name="first")
    other = make_unit(make_unit())
    post = person.placements.get()
    post.ends_on = dt.date(2026, 11, 14)
    post.save()
    person.placements.create(unit=other, starts_on=dt.date(2026, 11, 15))
    Employee.objects.filter(pk=person.pk).update(unit=other)

    report = catch_up(run=open_course, by=by, at=local(2026, 11, 16))

    enrolment = Enrolment.objects.get()
    assert (report.moved, enrolment.unit, enrolment.unit_set) == (1, other, post.unit)
    assert unit_figures(unit=other, month=NOVEMBER).assigned == 1
    assert unit_figures(unit=post.unit, month=NOVEMBER).assigned == 0

    third = make_unit(make_unit())  # moved again after the due day: the duty stays
    person.placements.filter(ends_on=None).update(ends_on=dt.date(2026, 12, 1))
    person.placements.create(unit=third, starts_on=dt.date(2026, 12, 2))
    Employee.objects.filter(pk=person.pk).update(unit=third)
    assert catch_up(run=open_course, by=by, at=local(2026, 12, 3)).moved == 0


def test_catch_up_withdraws_leavers_and_takes_them_back(open_course, by):
    Employee.objects.filter(name="first").update(state="left", left_on=dt.date(2026, 11, 12))
    gone = catch_up(run=open_course, by=by, at=local(2026, 11, 15))
    assert (gone.withdrawn, _states(open_course)) == (1, {"first": "withdrawn"})
    assert Enrolment.objects.get().reason == "left"

    Employee.objects.filter(name="first").update(state="active", left_on=None)
    back = catch_up(run=open_course, by=by, at=local(2026, 11, 16))
    assert (back.returned, _states(open_course)) == (1, {"first": "assigned"})


def test_an_extended_duty_of_a_leaver_is_withdrawn_by_the_rule_and_returns_with_its_person(open_course, by):
    until = dt.date(2026, 12, 5)
    exceptions.extend_due(enrolment=Enrolment.objects.get(), until=until, by=by, at=local(2026, 11, 5), reason="项目")
    Employee.objects.filter(name="first").update(state="left", left_on=dt.date(2026, 11, 12))
    catch_up(run=open_course, by=None, at=local(2026, 11, 15))
    gone = Enrolment.objects.get()
    assert (gone.state, gone.reason, gone.reason_text, gone.decided_by) == ("withdrawn", "left", "", None)

    Employee.objects.filter(name="first").update(state="active", left_on=None)
    assert catch_up(run=open_course, by=None, at=local(2026, 11, 16)).returned == 1
    back = Enrolment.objects.get()
    assert (back.state, back.due_at) == ("assigned", end_of(until))


def test_catch_up_keeps_what_a_leaver_has_done(branch, by):
    run = make_run()
    make_enrolment(make_employee(unit=branch, name="done"), run, state="completed")
    Employee.objects.filter(name="done").update(state="left", left_on=dt.date(2026, 11, 12))

    assert catch_up(run=run, by=by, at=local(2026, 11, 15)).withdrawn == 0
    assert _states(run) == {"done": "completed"}


def test_catch_up_exempts_for_leave_and_takes_back_when_the_leave_goes(open_course, by):
    leave = make_leave(Employee.objects.get(name="first"), dt.date(2026, 11, 1), dt.date(2026, 11, 30))
    away = catch_up(run=open_course, by=by, at=local(2026, 11, 5))
    assert (away.exempted, away.joined, _states(open_course)) == (1, 0, {"first": "exempt"})

    leave.delete()
    back = catch_up(run=open_course, by=by, at=local(2026, 11, 6))
    assert (back.returned, _states(open_course)) == (1, {"first": "assigned"})


@pytest.mark.parametrize(("state", "problem"), [("planned", opening.RunNotOpen), ("closed", opening.RunClosed)])
def test_catch_up_refuses_a_run_that_is_not_open(state, problem, by):
    with pytest.raises(problem):
        catch_up(run=make_run(state=state), by=by, at=OPENED)


def test_close_run_waits_for_the_last_acceptance(open_course, by):
    with pytest.raises(opening.StillAccepting):
        opening.close_run(run=open_course, by=by, at=open_course.accept_until)
    assert opening.close_run(run=open_course, by=by, at=local(2027, 1, 1)) is True
    assert opening.close_run(run=open_course, by=by, at=local(2027, 1, 1)) is False
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
