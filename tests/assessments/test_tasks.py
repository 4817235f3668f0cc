"""Work by the clock: an attempt whose time is up is handed in though nobody looks, and a second look changes nothing."""

import datetime as dt

import pytest

from assessments import tasks
from tests.factories.assessments import answer_all, make_attempt

pytestmark = pytest.mark.django_db


def test_attempts_whose_time_is_up_are_submitted_once():
    attempt = make_attempt(time_limit=10)
    answer_all(attempt)
    late = attempt.deadline_at + dt.timedelta(minutes=1)
    for at in (attempt.deadline_at, late, late):
        tasks.submit_expired_attempts(at)
        attempt.refresh_from_db()
        assert attempt.state == ("submitted" if at == late else "open")
    assert (attempt.ended, attempt.submitted_at) == ("time", attempt.deadline_at)


def test_looking_for_attempts_whose_time_is_up_costs_one_query(at, django_assert_num_queries):
    make_attempt(time_limit=10)
    with django_assert_num_queries(1):
        tasks.submit_expired_attempts(at - dt.timedelta(days=999))
