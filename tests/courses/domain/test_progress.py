import datetime as dt
from functools import partial

import pytest

from certificates.models import Certificate
from core.models import Notice
from courses.domain import progress, publishing
from courses.domain.progress import Completed, complete_step, visit_step
from courses.models import CourseRun, Enrolment, Step, StepCompletion, Tally
from tests.factories.courses import (
    local,
    make_course,
    make_course_page,
    make_design,
    make_enrolment,
    make_run,
    make_step,
)
from tests.factories.people import make_employee, make_position, make_unit

db = pytest.mark.django_db

AT = local(2026, 11, 10, 9)


def _enrolment(steps=2, design=True, **fields):
    course = make_course(steps=steps, design=make_design() if design else None)
    return make_enrolment(run=make_run(course), **fields)


def _steps(enrolment):
    return [run_step.step for run_step in enrolment.run.steps.all()]


def _tally(enrolment):
    rows = Tally.objects.filter(run=enrolment.run).values_list("assigned", "started", "completed", "on_time")
    return sorted(rows)


@db
def test_visit_step_starts_the_duty_once_and_keeps_the_place():
    enrolment = make_enrolment(make_employee(unit=make_unit(make_unit())), make_run())
    first, second, _third = _steps(enrolment)

    assert visit_step(enrolment=enrolment, step=first, at=AT) is True
    assert visit_step(enrolment=enrolment, step=second, at=AT + dt.timedelta(hours=1)) is True

    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.started_at, enrolment.last_step) == ("in_progress", AT, second)
    assert _tally(enrolment) == [(1, 1, 0, 0)] * 2


@db
@pytest.mark.parametrize("moment", [local(2026, 10, 31, 23), local(2027, 1, 1)])
def test_visit_step_leaves_no_trace_outside_the_time_of_the_run(moment):
    enrolment = _enrolment()
    assert visit_step(enrolment=enrolment, step=_steps(enrolment)[0], at=moment) is False
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.last_step) == ("assigned", None)


@db
def test_visit_step_refuses_a_step_that_was_not_frozen_with_the_run():
    enrolment = _enrolment()
    with pytest.raises(progress.StepNotInRun):
        visit_step(enrolment=enrolment, step=make_step(enrolment.run.course), at=AT)


@db
def test_complete_step_keeps_the_first_time():
    enrolment = _enrolment()
    step = _steps(enrolment)[0]

    first = complete_step(enrolment=enrolment, step=step, at=AT)
    again = complete_step(enrolment=enrolment, step=step, at=AT + dt.timedelta(days=1))

    assert first == Completed(first_time=True, finished=False, steps_done=1, steps_total=2)
    assert again == Completed(first_time=False, finished=False, steps_done=1, steps_total=2)
    assert StepCompletion.objects.get().at == AT


@db
def test_complete_step_with_the_last_required_step_finishes_everything():
    branch, moved_to = make_unit(make_unit()), make_unit()
    position = make_position("店长")
    employee = make_employee(unit=branch, with_user=True)
    enrolment = _enrolment(employee=employee)
    employee.unit, employee.position = moved_to, position
    employee.save()
    optional = make_step(enrolment.run.course, required=False)
    enrolment.run.steps.create(step=optional, position=9, required=False)
    first, second, _optional = _steps(enrolment)

    complete_step(enrolment=enrolment, step=first, at=AT)
    result = complete_step(enrolment=enrolment, step=second, at=AT)

    enrolment.refresh_from_db()
    certificate = Certificate.objects.get()
    assert result == Completed(first_time=True, finished=True, steps_done=2, steps_total=2, certificate=certificate)
    assert (
        enrolment.state,
        enrolment.completed_at,
        enrolment.on_time,
        enrolment.unit,
        enrolment.unit_done,
        enrolment.position_done,
        enrolment.certificate,
    ) == ("completed", AT, True, branch, moved_to, position, certificate)
    assert (certificate.employee, certificate.subject_zh) == (employee, enrolment.run.course.title_zh)
    assert _tally(enrolment) == [(1, 1, 1, 1)] * 2
    assert Notice.objects.get().user == employee.user


@db
def test_complete_step_of_an_optional_step_never_finishes():
    enrolment = _enrolment(steps=1)
    optional = make_step(enrolment.run.course, required=False)
    enrolment.run.steps.create(step=optional, position=9, required=False)

    assert complete_step(enrolment=enrolment, step=optional, at=AT).finished is False
    assert complete_step(enrolment=enrolment, step=_steps(enrolment)[0], at=AT).finished is True
    assert complete_step(enrolment=enrolment, step=optional, at=AT).first_time is False


@db
def test_complete_step_after_the_due_time_is_late_and_after_acceptance_refused():
    late, too_late = _enrolment(steps=1), _enrolment(steps=1)

    complete_step(enrolment=late, step=_steps(late)[0], at=local(2026, 12, 31, 23, 59, 59))
    with pytest.raises(progress.TooLate):
        complete_step(enrolment=too_late, step=_steps(too_late)[0], at=local(2027, 1, 1))

    late.refresh_from_db()
    too_late.refresh_from_db()
    assert (late.state, late.on_time, too_late.state) == ("completed", False, "assigned")


@db
def test_complete_step_on_the_last_second_is_on_time():
    enrolment = _enrolment(steps=1)
    complete_step(enrolment=enrolment, step=_steps(enrolment)[0], at=local(2026, 11, 30, 23, 59, 59))
    enrolment.refresh_from_db()
    assert enrolment.on_time is True


@db
def test_complete_step_before_the_opening_is_refused():
    enrolment = _enrolment()
    with pytest.raises(progress.NotOpenYet):
        complete_step(enrolment=enrolment, step=_steps(enrolment)[0], at=local(2026, 10, 31))


@db
@pytest.mark.parametrize("state", ["exempt", "withdrawn"])
def test_complete_step_of_a_duty_that_is_not_owed_is_refused(state):
    enrolment = _enrolment(state=state)
    with pytest.raises(progress.NotOwed):
        complete_step(enrolment=enrolment, step=_steps(enrolment)[0], at=AT)
    assert not StepCompletion.objects.exists()


@db
def test_complete_step_without_a_design_gives_no_certificate():
    enrolment = _enrolment(steps=1, design=False)
    assert complete_step(enrolment=enrolment, step=_steps(enrolment)[0], at=AT).certificate is None
    assert not Certificate.objects.exists()


@db
def test_complete_step_keeps_the_work_when_the_design_cannot_issue(caplog):
    enrolment = _enrolment(steps=1)
    enrolment.run.course.certificate_design.versions.all().delete()

    assert complete_step(enrolment=enrolment, step=_steps(enrolment)[0], at=AT).finished is True
    assert "no certificate for enrolment" in caplog.text


@db
def test_editing_a_course_never_takes_a_completion_away():
    page = make_course_page(lessons=2)
    course = page_course = publishing.sync_course(page)
    enrolment = make_enrolment(run=make_run(course))
    version = course.version
    for step in _steps(enrolment):
        complete_step(enrolment=enrolment, step=step, at=AT)

    for lesson in page.get_children().specific():
        lesson.unpublish()
    page.get_children().first().delete()

    enrolment.refresh_from_db()
    page_course.refresh_from_db()
    assert (enrolment.state, StepCompletion.objects.count(), page_course.version) == ("completed", 2, version + 2)
    assert list(Step.objects.filter(course=course).values_list("live", flat=True)) == [False, False]


@db
def test_complete_step_of_an_open_run_ignores_steps_published_later():
    page = make_course_page(lessons=1)
    course = publishing.sync_course(page)
    enrolment = make_enrolment(run=make_run(course))
    step = make_step(course)
    assert complete_step(enrolment=enrolment, step=_steps(enrolment)[0], at=AT).finished is True
    assert step.pk not in [run_step.step_id for run_step in CourseRun.objects.get().steps.all()]


# --- races --------------------------------------------------------------------------------------------------------
def test_two_last_steps_at_once_finish_once_with_one_certificate(at_once):
    enrolment = _enrolment(steps=2)
    first, second = _steps(enrolment)

    results = at_once(
        partial(complete_step, enrolment=enrolment, step=first, at=AT),
        partial(complete_step, enrolment=enrolment, step=second, at=AT),
    )

    assert sorted(result.finished for result in results) == [False, True]
    assert (Certificate.objects.count(), Enrolment.objects.get().state) == (1, "completed")
    assert _tally(enrolment) == [(1, 1, 1, 1)]


def test_the_last_step_twice_at_once_finishes_once_with_one_certificate(at_once):
    enrolment = _enrolment(steps=1)
    step = _steps(enrolment)[0]
    call = partial(complete_step, enrolment=enrolment, step=step, at=AT)

    results = at_once(call, call, call)

    assert sorted(result.finished for result in results) == [False, False, True]
    assert sorted(result.first_time for result in results) == [False, False, True]
    assert (Certificate.objects.count(), StepCompletion.objects.count()) == (1, 1)
    assert _tally(enrolment) == [(1, 1, 1, 1)]


def test_people_of_several_branches_finish_at_once_and_the_tallies_hold(at_once):
    root = make_unit()
    run = make_run(make_course(steps=1, design=make_design()))
    enrolments = [make_enrolment(make_employee(unit=make_unit(make_unit(root))), run) for _ in range(6)]
    step = run.steps.get().step

    results = at_once(*(partial(complete_step, enrolment=one, step=step, at=AT) for one in enrolments))

    assert [result.finished for result in results] == [True] * 6
    tally = Tally.objects.get(run=run, unit=root)
    assert (tally.assigned, tally.completed, tally.on_time) == (6, 6, 6)
    assert Certificate.objects.values("number").distinct().count() == 6
