"""Who is stuck at a quiz."""

import datetime as dt

import pytest

from assessments.domain.attempts import quiz_of
from assessments.domain.struggling import Stuck, stuck_enrolments
from assessments.models import Attempt
from courses.models import StepCompletion
from tests.factories.assessments import make_quiz_duty

pytestmark = pytest.mark.django_db


def _attempt(duty, number, passed=False, state="submitted"):
    enrolment, step = duty
    at = enrolment.run.opens_at + dt.timedelta(days=number)
    return Attempt.objects.create(
        enrolment=enrolment,
        step=step,
        quiz=quiz_of(step=step),
        number=number,
        state=state,
        rules={},
        started_at=at,
        submitted_at=None if state == "open" else at,
        max_score=10,
        passed=passed if state == "submitted" else None,
    )


def test_the_last_attempt_decides_and_the_limit_is_that_of_the_quiz():
    failed, used_up, passed, untouched = (make_quiz_duty(attempts_allowed=2) for _ in range(4))
    _attempt(failed, 1)
    _attempt(used_up, 1)
    _attempt(used_up, 2)
    _attempt(passed, 1)
    _attempt(passed, 2, passed=True)
    assert stuck_enrolments([duty[0].pk for duty in (failed, used_up, passed, untouched)]) == {
        failed[0].pk: Stuck(made=1, used_up=False),
        used_up[0].pk: Stuck(made=2, used_up=True),
    }


def test_without_a_limit_nothing_is_used_up():
    duty = make_quiz_duty(attempts_allowed=0)
    for number in range(1, 9):
        _attempt(duty, number)
    assert stuck_enrolments([duty[0].pk]) == {duty[0].pk: Stuck(made=8, used_up=False)}


def test_voided_attempts_count_for_nothing_and_an_open_one_is_a_chance():
    voided, last = make_quiz_duty(attempts_allowed=2), make_quiz_duty(attempts_allowed=2)
    _attempt(voided, 1)
    _attempt(voided, 2, state="voided")
    _attempt(last, 1)
    _attempt(last, 2, state="open")
    assert stuck_enrolments([voided[0].pk, last[0].pk]) == {
        voided[0].pk: Stuck(made=1, used_up=False),
        last[0].pk: Stuck(made=1, used_up=False),
    }


def test_a_quiz_whose_step_is_done_is_over(at):
    duty = make_quiz_duty(attempts_allowed=2)
    _attempt(duty, 1)
    StepCompletion.objects.create(enrolment=duty[0], step=duty[1], at=at)
    assert stuck_enrolments([duty[0].pk]) == {}


def test_two_queries_for_any_number(django_assert_num_queries):
    duties = [make_quiz_duty() for _ in range(3)]
    for duty in duties:
        _attempt(duty, 1)
    with django_assert_num_queries(2):
        assert len(stuck_enrolments([duty[0].pk for duty in duties])) == 3
