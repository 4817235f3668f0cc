"""Proving a course by its tests alone, where the author allows it (courses.domain.progress.TestingOut)."""

import datetime as dt

import pytest

from assessments.domain.attempts import submit_attempt, void_attempt
from courses.domain import progress, tallies
from courses.domain.progress import complete_step
from courses.domain.queries import duty_of
from courses.models import Enrolment, RunStep, StepCompletion, Tally
from tests.factories.assessments import (
    STARTED,
    answer_all,
    make_attempt,
    make_question,
    make_quiz,
    make_quiz_duty,
    make_quiz_step,
)
from tests.factories.courses import make_course, make_design, make_enrolment, make_run
from tests.factories.people import make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db

LATER = STARTED + dt.timedelta(hours=1)


def _duty(allowed=True, **fields):
    enrolment, step = make_quiz_duty(lessons=2, **fields)
    _allow(enrolment, allowed)
    return enrolment, step


def _allow(enrolment, allowed=True):
    course = enrolment.run.course
    course.test_out = allowed
    course.save()


def _sit(enrolment, step, right=True, at=STARTED):
    attempt = make_attempt(enrolment, step, at=at)
    answer_all(attempt, right=right)
    return submit_attempt(attempt=attempt, at=at)


def _how(enrolment):
    rows = StepCompletion.objects.filter(enrolment=enrolment).order_by("step__position")
    return [(one.how, one.at) for one in rows]


def _standing(enrolment):
    required = [one.step for one in RunStep.objects.filter(run=enrolment.run, required=True).select_related("step")]
    return progress.testing_out(enrolment=enrolment, required=required)


def test_passing_the_quiz_completes_the_lessons_as_tested_out_with_the_certificate():
    enrolment, step = _duty(design=make_design())
    assert _standing(enrolment).is_open

    _sit(enrolment, step)

    enrolment.refresh_from_db()
    assert _how(enrolment) == [("tested_out", STARTED), ("tested_out", STARTED), ("passed", STARTED)]
    assert (enrolment.state, enrolment.completed_at, enrolment.on_time, enrolment.steps_done) == (
        "completed",
        STARTED,
        True,
        3,
    )
    assert enrolment.certificate is not None
    assert duty_of(enrolment, at=LATER).tested_out is True
    assert list(Tally.objects.values_list("assigned", "completed", "on_time")) == [(1, 1, 1)]


def test_without_the_authors_leave_nothing_changes():
    enrolment, step = _duty(allowed=False)
    _sit(enrolment, step)
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.steps_done) == ("in_progress", 1)
    assert _how(enrolment) == [("passed", STARTED)]


def test_what_was_read_before_stays_read():
    enrolment, step = _duty()
    lesson = enrolment.run.course.steps.first()
    complete_step(enrolment=enrolment, step=lesson, at=STARTED - dt.timedelta(hours=1))
    _sit(enrolment, step)
    assert [how for how, _at in _how(enrolment)] == ["read", "tested_out", "passed"]


def test_after_a_failure_the_lessons_are_the_way_and_the_attempt_counts():
    enrolment, step = _duty(attempts_allowed=3)
    _sit(enrolment, step, right=False)
    assert (_standing(enrolment).failed, _standing(enrolment).is_open) == (True, False)

    _sit(enrolment, step, at=LATER)

    enrolment.refresh_from_db()
    assert (enrolment.state, [how for how, _at in _how(enrolment)]) == ("in_progress", ["passed"])
    assert [attempt.number for attempt in enrolment.attempts.order_by("number")] == [1, 2]
    for lesson in enrolment.run.course.steps.filter(kind="courses.lessonpage"):
        complete_step(enrolment=enrolment, step=lesson, at=LATER)
    enrolment.refresh_from_db()
    assert enrolment.state == "completed"
    assert [how for how, _at in _how(enrolment)] == ["read", "read", "passed"]


def test_an_attempt_that_was_taken_out_of_the_count_is_no_failure():
    enrolment, step = _duty()
    failed = _sit(enrolment, step, right=False)
    void_attempt(attempt=failed, by=make_user(), at=LATER, reason="断电")
    _sit(enrolment, step, at=LATER)
    enrolment.refresh_from_db()
    assert enrolment.state == "completed"


def test_every_required_quiz_must_be_passed_and_an_optional_one_need_not():
    course = make_course(steps=1)
    course.test_out = True
    course.save()
    quizzes = [make_quiz([make_question("single")]) for _n in range(3)]
    first, second = (make_quiz_step(quiz, course=course) for quiz in quizzes[:2])
    optional = make_quiz_step(quizzes[2], course=course, required=False)
    enrolment = make_enrolment(make_employee(make_unit()), make_run(course))

    _sit(enrolment, optional, right=False)
    _sit(enrolment, first)
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.steps_done) == ("in_progress", 1)
    assert _standing(enrolment).left == [second]

    _sit(enrolment, second, at=LATER)
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.steps_done) == ("completed", 3)
    assert _how(enrolment) == [("tested_out", LATER), ("passed", STARTED), ("passed", LATER)]


def test_a_course_of_lessons_alone_cannot_be_tested_out_of():
    enrolment = make_enrolment(run=make_run(make_course(steps=2)))
    _allow(enrolment)
    assert _standing(enrolment) is None


def test_one_who_took_it_by_choice_may_test_out_as_well():
    enrolment, step = _duty()
    Enrolment.objects.filter(pk=enrolment.pk).update(voluntary=True, reason="choice")
    tallies.recount(run=enrolment.run)
    _sit(enrolment, step)
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.voluntary) == ("completed", True)
