import datetime as dt

import pytest

from certificates.domain.issuing import revoke_certificate
from core.events import verify_chain
from core.models import Event
from core.periods import Month
from courses.domain import catching_up, choice, month_plan, opening, queries, tallies
from courses.domain.catching_up import catch_up
from courses.domain.choice import AlreadyOwed, NotByChoice, NotGivenUp, NotReady, PlannedLater, give_up, take_course
from courses.domain.exceptions import reinstate_enrolment, withdraw_enrolment
from courses.domain.opening import open_month, open_run
from courses.domain.progress import complete_step
from courses.domain.queries import Figures, ListState, unit_figures
from courses.models import CourseRun, Enrolment, EnrolmentChange, RunStep, StepCompletion, Tally
from people.models import Employee
from tests.factories.certificates import make_certificate
from tests.factories.courses import (
    NOVEMBER,
    local,
    make_audience,
    make_course,
    make_design,
    make_enrolment,
    make_programme,
    make_run,
)
from tests.factories.people import make_employee, make_leave, make_position, make_unit, make_user

AT = local(2026, 11, 10, 9)

db = pytest.mark.django_db


@pytest.fixture
def by():
    return make_user()


@pytest.fixture
def branch():
    return make_unit(make_unit(make_unit()))


@pytest.fixture
def person(branch):
    return make_employee(branch, with_user=True)


def _take(person, course, at=AT):
    return take_course(employee=person, course=course, by=person.user, at=at)


def _figures(unit, **fields):
    return unit_figures(unit=unit, month=NOVEMBER, **fields)


def _kept(enrolment, *names):
    return Enrolment.objects.values_list(*names).get(pk=enrolment.pk)


@db
def test_take_course_opens_a_run_of_this_month_with_nobody_else_in_it(person, branch):
    course = make_course(steps=2)
    make_employee(branch)

    enrolment = _take(person, course)

    run = CourseRun.objects.get(course=course)
    assert (run.month, run.state, run.opened_at, run.due_at) == (NOVEMBER, "open", AT, local(2026, 11, 30, 23, 59, 59))
    assert RunStep.objects.filter(run=run).count() == 2
    assert list(Enrolment.objects.filter(run=run)) == [enrolment]
    assert _kept(enrolment, "state", "voluntary", "reason", "unit", "assigned_at", "changed_at", "decided_by") == (
        "assigned",
        True,
        "choice",
        branch.pk,
        AT,
        AT,
        None,
    )
    assert [_figures(unit) for unit in (branch, branch.get_parent())] == [Figures(voluntary=1)] * 2
    assert list(Event.objects.order_by("pk").values_list("chain", "action", "actor")) == [
        ("months", "planned", person.user.pk),
        ("months", "opened by choice", person.user.pk),
        ("completions", "taken by choice", person.user.pk),
    ]
    assert verify_chain("completions") == (1, None)


@db
def test_take_course_joins_the_run_that_is_open_and_leaves_its_rate_alone(person, branch):
    course = make_course()
    run = make_run(course)
    make_enrolment(make_employee(branch), run, state="completed")
    make_enrolment(make_employee(branch), run)
    before = _figures(branch)

    enrolment = _take(person, course)
    for run_step in run.steps.all():
        complete_step(enrolment=enrolment, step=run_step.step, at=AT)

    after = _figures(branch)
    assert (
        (after.rate, after.on_time_rate, after.open)
        == (before.rate, before.on_time_rate, before.open)
        == ("50.0", "50.0", 1)
    )
    assert after - before == Figures(voluntary=1, voluntary_done=1)
    assert tallies.recount(run=run) == []
    people = Employee.objects.filter(unit=branch)
    assert queries.people_figures(people=people, month=NOVEMBER) == after


@db
def test_take_course_twice_is_once(person):
    course = make_course()
    first, second = _take(person, course), _take(person, course, AT + dt.timedelta(seconds=1))
    assert first == second
    assert Event.objects.filter(chain="completions").count() == 1
    assert set(Tally.objects.values_list("voluntary", flat=True)) == {1}


def test_race_of_two_taps_takes_the_course_once(at_once):
    person, course = make_employee(make_unit(make_unit()), with_user=True), make_course()
    found = at_once(*[lambda: _take(person, course).pk] * 4)
    assert len(set(found)) == 1, found
    assert (Enrolment.objects.count(), CourseRun.objects.count(), RunStep.objects.count()) == (1, 1, 3)
    assert set(Tally.objects.values_list("voluntary", flat=True)) == {1}
    assert Event.objects.filter(chain="completions").count() == 1


@db
@pytest.mark.parametrize("state", ["assigned", "in_progress", "completed", "exempt", "withdrawn"])
def test_take_course_refuses_what_is_on_record_this_month(person, state):
    course = make_course()
    make_enrolment(person, make_run(course), state=state)
    with pytest.raises(AlreadyOwed):
        _take(person, course)


@db
def test_take_course_refuses_a_debt_of_last_month_and_what_was_done_by_choice(person):
    course, other = make_course(), make_course(steps=1)
    make_enrolment(person, make_run(course, month="2026-10"))
    with pytest.raises(AlreadyOwed):
        _take(person, course)

    enrolment = _take(person, other)
    complete_step(enrolment=enrolment, step=other.steps.get(), at=AT)
    with pytest.raises(AlreadyOwed):
        _take(person, other)


@db
def test_take_course_goes_on_with_one_taken_last_month(person):
    course = make_course()
    old = make_enrolment(person, make_run(course, month="2026-10"), voluntary=True, reason="choice")
    assert _take(person, course) == old
    assert CourseRun.objects.count() == 1


@db
def test_take_course_again_when_it_was_done_in_another_month(person):
    course = make_course()
    make_enrolment(person, make_run(course, month="2026-09"), state="completed")
    assert _take(person, course).run.month == NOVEMBER


@db
def test_take_course_refuses_what_the_author_does_not_offer(person):
    course = make_course()
    course.by_choice = False
    course.save()
    with pytest.raises(NotByChoice):
        _take(person, course)
    gone = make_employee(person.unit, with_user=True, state="left", left_on=dt.date(2026, 11, 1))
    with pytest.raises(NotByChoice):
        take_course(employee=gone, course=make_course(), by=gone.user, at=AT)


@db
def test_take_course_refuses_what_nobody_could_complete(person):
    nothing, no_design = make_course(steps=0), make_course(design=make_design())
    no_design.certificate_design.versions.all().delete()
    closed = make_course()
    make_run(closed, state="closed")
    for course in (nothing, no_design, closed):
        with pytest.raises(NotReady):
            _take(person, course)
    assert not Enrolment.objects.exists()
    assert list(CourseRun.objects.values_list("course", flat=True)) == [closed.pk]


@db
def test_take_course_leaves_what_hr_has_prepared_or_opens_later(person, branch):
    prepared, later = make_course(), make_course()
    make_enrolment(make_employee(branch), make_run(prepared, state="planned"))
    make_run(later, state="planned", opens_at=local(2026, 11, 16))
    for course in (prepared, later):
        with pytest.raises(PlannedLater):
            _take(person, course)
    assert set(CourseRun.objects.values_list("state", flat=True)) == {"planned"}


@db
def test_offer_of_says_the_same_without_changing_anything(person):
    course = make_course()
    assert choice.offer_of(employee=person, course=course, at=AT).may_take
    assert not CourseRun.objects.exists()
    enrolment = _take(person, course)
    offer = choice.offer_of(employee=person, course=course, at=AT)
    assert (offer.taken, offer.may_take) == (enrolment, False)


# --- giving up ----------------------------------------------------------------------------------------------------------
@db
def test_give_up_counts_nowhere_and_taking_it_again_goes_on_where_it_stood(person, branch):
    course = make_course(steps=2)
    enrolment = _take(person, course)
    complete_step(enrolment=enrolment, step=course.steps.first(), at=AT)

    give_up(enrolment=enrolment, by=person.user, at=AT + dt.timedelta(hours=1))
    assert give_up(enrolment=enrolment, by=person.user, at=AT + dt.timedelta(hours=2)).state == "withdrawn"
    assert _kept(enrolment, "state", "reason", "changed_at") == ("withdrawn", "choice", AT + dt.timedelta(hours=1))
    assert _figures(branch) == Figures()
    assert tallies.recount(run=enrolment.run) == []

    again = _take(person, course, AT + dt.timedelta(hours=3))
    assert (again.pk, again.state, again.steps_done) == (enrolment.pk, "in_progress", 1)
    assert _figures(branch) == Figures(voluntary=1)
    assert list(Event.objects.filter(chain="completions").order_by("pk").values_list("action", flat=True)) == [
        "taken by choice",
        "given up",
        "taken by choice",
    ]
    assert list(EnrolmentChange.objects.order_by("pk").values_list("state", flat=True)) == [
        "assigned",
        "in_progress",
        "withdrawn",
        "in_progress",
    ]


@db
def test_give_up_refuses_a_duty_and_what_is_done(person):
    duty = make_enrolment(person, make_run())
    done = make_enrolment(person, make_run(), state="completed", voluntary=True)
    for enrolment in (duty, done):
        with pytest.raises(NotGivenUp):
            give_up(enrolment=enrolment, by=person.user, at=AT)


# --- an audience catches a volunteer -------------------------------------------------------------------------------------
@db
@pytest.mark.parametrize("how", ["untouched", "begun", "done", "given up"])
def test_open_run_makes_what_was_taken_by_choice_owed_and_keeps_what_was_done(person, branch, by, how):
    course = make_course(steps=2)
    colleague = make_employee(branch)
    enrolment = _take(person, course)
    first, second = course.steps.all()
    if how != "untouched":
        complete_step(enrolment=enrolment, step=first, at=AT)
    if how == "done":
        complete_step(enrolment=enrolment, step=second, at=AT)
    if how == "given up":
        give_up(enrolment=enrolment, by=person.user, at=AT)
    make_programme(make_audience(branch), plan=[(course, NOVEMBER)])
    later = AT + dt.timedelta(days=1)
    preview = opening.preview_run(
        course=course,
        month=NOVEMBER,
        run=enrolment.run,
        lines=month_plan.plan_lines(month=NOVEMBER),
        on=later.date(),
    )
    assert (preview.enters, preview.enrolled) == (2, 0)

    report = open_month(month=NOVEMBER, by=by, at=later)

    assert (report.assigned, report.exempt) == (2, 0)
    state = {"untouched": "assigned", "begun": "in_progress", "done": "completed", "given up": "in_progress"}[how]
    done = {"untouched": 0, "begun": 1, "done": 2, "given up": 1}[how]
    assert _kept(enrolment, "state", "voluntary", "reason", "steps_done", "changed_at") == (
        state,
        False,
        "plan",
        done,
        later,
    )
    assert StepCompletion.objects.filter(enrolment=enrolment).count() == done
    finished = int(how == "done")
    assert _figures(branch) == Figures(
        assigned=2, started=int(how != "untouched"), completed=finished, on_time=finished
    )
    assert Enrolment.objects.get(employee=colleague).voluntary is False
    change = EnrolmentChange.objects.filter(enrolment=enrolment).order_by("pk").last()
    assert (change.voluntary, change.state) == (False, state)
    again = open_month(month=NOVEMBER, by=by, at=later)
    assert (again.assigned, again.runs[0].opened) == (0, False)


@db
def test_catch_up_makes_a_volunteer_who_comes_into_the_audience_owe_it(person, branch, by):
    course = make_course()
    make_programme(make_audience(branch, {"job_families": ["sales"]}), plan=[(course, NOVEMBER)])
    make_employee(branch, position=make_position(job_family="sales"))
    open_month(month=NOVEMBER, by=by, at=local(2026, 11, 1, 6))
    enrolment = _take(person, course)
    run = enrolment.run
    assert _figures(branch) == Figures(assigned=1, voluntary=1)
    assert catch_up(run=run, by=by, at=AT).changed == 0

    Employee.objects.filter(pk=person.pk).update(position=make_position(job_family="sales"))
    assert [one.pk for one in catching_up.preview_catch_up(run=run, at=AT).joined] == [person.pk]
    report = catch_up(run=run, by=by, at=AT)

    assert (report.joined, report.changed) == (1, 1)
    assert _kept(enrolment, "voluntary", "reason") == (False, "plan")
    assert _figures(branch) == Figures(assigned=2)
    assert catch_up(run=run, by=by, at=AT).changed == 0


@db
def test_catch_up_exempts_a_volunteer_of_the_audience_who_is_away_and_has_not_begun(person, branch, by):
    course = make_course()
    enrolment = _take(person, course)
    make_leave(person, dt.date(2026, 11, 1), dt.date(2026, 12, 31))
    make_programme(make_audience(branch), plan=[(course, NOVEMBER)])
    report = open_run(run=enrolment.run, by=by, at=AT)
    assert (report.assigned, report.exempt) == (0, 1)
    assert _kept(enrolment, "state", "reason", "voluntary") == ("exempt", "leave", False)
    assert catch_up(run=enrolment.run, by=by, at=AT).changed == 0


@db
def test_what_hr_withdrew_from_a_volunteer_stays_withdrawn(person, branch, by):
    course = make_course()
    enrolment = _take(person, course)
    withdraw_enrolment(enrolment=enrolment, by=by, at=AT, reason="误选")
    make_programme(make_audience(branch), plan=[(course, NOVEMBER)])
    assert open_run(run=enrolment.run, by=by, at=AT).assigned == 0
    assert _kept(enrolment, "state", "voluntary") == ("withdrawn", True)
    assert catch_up(run=enrolment.run, by=by, at=AT).changed == 0
    with pytest.raises(AlreadyOwed):
        _take(person, course)


@db
def test_a_volunteer_who_leaves_and_returns_is_still_a_volunteer(person, branch, by):
    enrolment = _take(person, make_course())
    Employee.objects.filter(pk=person.pk).update(state="left", left_on=dt.date(2026, 11, 5))
    catch_up(run=enrolment.run, by=by, at=AT)
    assert _kept(enrolment, "state", "reason", "voluntary") == ("withdrawn", "left", True)
    assert _figures(branch) == Figures()
    Employee.objects.filter(pk=person.pk).update(state="active", left_on=None)
    catch_up(run=enrolment.run, by=by, at=AT)
    assert _kept(enrolment, "state", "reason", "voluntary") == ("assigned", "choice", True)
    assert _figures(branch) == Figures(voluntary=1)


# --- lists and figures -----------------------------------------------------------------------------------------------------
@db
def test_lists_keep_what_was_taken_by_choice_apart(person, branch):
    course = make_course()
    run = make_run(course)
    owed = make_enrolment(make_employee(branch), run)
    chosen = _take(person, course)
    given_up = _take(make_employee(branch, with_user=True), course)
    give_up(enrolment=given_up, by=person.user, at=AT)
    late = run.due_at + dt.timedelta(days=1)

    everything = queries.month_enrolments(people=Employee.objects.all(), month=NOVEMBER)
    assert set(everything) == {owed, chosen}
    found = {state: list(queries.in_state(everything, state, late)) for state in ListState.CHOICES}
    assert {state: rows for state, rows in found.items() if rows} == {
        "missing": [owed],
        "overdue": [owed],
        "assigned": [owed],
        "choice": [chosen],
    }
    assert queries.rows_in_state(_figures(branch), "") == 2
    assert chosen.is_overdue(late) is False


@db
def test_my_month_keeps_what_was_taken_by_choice_apart_and_a_strip_counts_what_is_owed(person):
    owed = make_enrolment(person, make_run())
    chosen = _take(person, make_course(steps=1))
    old = make_enrolment(person, make_run(month="2026-10"), voluntary=True, reason="choice")
    mine = queries.my_month(person, NOVEMBER, AT)
    assert [duty.enrolment for duty in mine.owed] == [owed]
    assert {duty.enrolment for duty in mine.chosen} == {chosen, old}
    assert (mine.debts, mine.done, mine.excused) == ([], [], [])
    complete_step(enrolment=chosen, step=chosen.run.course.steps.get(), at=AT)
    cells = queries.person_months(employee=person, last=NOVEMBER, months=1, at=AT)
    assert [(cell.assigned, cell.completed, cell.by_choice) for cell in cells] == [(1, 0, 1)]


@db
def test_a_run_that_was_only_taken_by_choice_makes_no_month(person, by):
    make_enrolment(make_employee(person.unit), make_run(month="2026-10"))
    _take(person, make_course())
    assert queries.months_with_runs() == [Month(2026, 10)]
    assert open_month(month=NOVEMBER, by=by, at=AT).runs == []


@db
def test_proof_of_is_the_newest_certificate_of_the_course_that_is_still_valid(person):
    course = make_course()
    now = make_enrolment(person, make_run(course))
    assert choice.proof_of(enrolment=now, on=AT.date()) is None
    kept = make_certificate(person, AT)
    make_enrolment(person, make_run(course, month="2026-08"), state="completed", certificate=kept)
    revoked = make_certificate(person, AT)
    revoke_certificate(certificate=revoked, by=make_user(), at=AT, reason="误发")
    make_enrolment(person, make_run(course, month="2026-09"), state="completed", certificate=revoked)
    make_enrolment(person, make_run(month="2026-09"), state="completed", certificate=make_certificate(person, AT))
    assert choice.proof_of(enrolment=now, on=AT.date()) == kept


@db
def test_what_hr_reinstated_and_the_person_gave_up_is_the_persons_own_again(person, by):
    """The last word is the person's, so it may be taken again, and no decision stands on it."""
    course = make_course()
    taken = _take(person, course)
    taken = withdraw_enrolment(enrolment=taken, by=by, at=AT, reason="busy")
    taken = reinstate_enrolment(enrolment=taken, by=by, at=AT, reason="after all")
    given_up = give_up(enrolment=taken, by=person.user, at=AT)

    assert _kept(given_up, "state", "reason", "reason_text", "decided_by") == ("withdrawn", "choice", "", None)
    assert _take(person, course) == taken
    assert _kept(taken, "state", "voluntary", "decided_by") == ("assigned", True, None)
