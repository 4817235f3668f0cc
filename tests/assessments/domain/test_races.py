"""Two tabs, two presses, two workers at the same moment: real connections on a database of their own."""

import datetime as dt
from decimal import Decimal

from assessments.domain.attempts import (
    AttemptClosed,
    OwnResponse,
    expire_due_attempts,
    save_answer,
    start_attempt,
    submit_attempt,
)
from assessments.models import Attempt, Response
from courses.models import StepCompletion
from tests.factories.assessments import STARTED, answer_all, make_attempt, make_quiz_duty, right_answer
from tests.factories.courses import make_design


def test_race_of_starts_makes_one_attempt(at_once):
    enrolment, step = make_quiz_duty()
    found = at_once(*[lambda: start_attempt(enrolment=enrolment, step=step, at=STARTED).pk] * 4)
    assert len(set(found)) == 1
    assert (Attempt.objects.count(), Response.objects.count()) == (1, 3)


def test_race_of_submissions_makes_one_mark(at_once):
    enrolment, step = make_quiz_duty(design=make_design())
    attempt = make_attempt(enrolment, step)
    answer_all(attempt)
    found = at_once(*[lambda: submit_attempt(attempt=attempt, at=STARTED).percent] * 4)
    assert found == [Decimal("100.00")] * 4
    assert StepCompletion.objects.filter(enrolment=enrolment).count() == 1
    enrolment.refresh_from_db()
    assert (enrolment.state, enrolment.steps_done) == ("completed", 1)


def test_race_of_answer_and_submission_marks_every_acknowledged_answer(at_once):
    for _round in range(6):
        attempt = make_attempt()
        answer_all(attempt, only=2)
        last = Response.objects.select_related("question_version").get(attempt=attempt, position=3)
        version = last.question_version
        known = OwnResponse(last.pk, version.pk, version.content_hash, last.option_order, attempt.deadline_at)
        saved, done = at_once(
            lambda known=known, version=version: save_answer(response=known, answer=right_answer(version), at=STARTED),
            lambda attempt=attempt: submit_attempt(attempt=attempt, at=STARTED),
        )
        assert saved is None or isinstance(saved, AttemptClosed)
        assert done.score == (3 if saved is None else 2)


def test_race_of_person_and_clock_submits_once(at_once):
    attempt = make_attempt(time_limit=10)
    late = attempt.deadline_at + dt.timedelta(minutes=1)
    at_once(lambda: submit_attempt(attempt=attempt, at=attempt.deadline_at), lambda: expire_due_attempts(at=late))
    attempt.refresh_from_db()
    assert attempt.state == "submitted"
    assert attempt.responses.filter(score=None).count() == 0
