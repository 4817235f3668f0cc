import datetime as dt

import pytest
from django.core.management import call_command

from core.jobs import PERIODIC
from core.models import Job
from courses import tasks
from courses.domain import requests
from courses.models import DutyRequest, Enrolment
from tests.factories.courses import local, make_enrolment, make_run
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db

NOW = local(2026, 11, 2, 6)


@pytest.fixture
def unit():
    """With two records that may be one person, and a request about a duty that fell away."""
    unit = make_unit()
    for _number in range(2):
        make_employee(unit=unit, name="王伟", mobile="13900000001")
    duty = make_enrolment(make_employee(unit=unit, with_user=True), make_run())
    asked = {"kind": "exemption", "code": "other", "text": "x"}
    requests.ask(enrolment=duty, by=duty.employee.user, at=local(2026, 11, 2, 5), **asked)
    Enrolment.objects.update(state="withdrawn")
    return unit


def test_find_matters_twice_finds_once_and_ends_requests_nobody_needs_answered(unit, capsys, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOW)
    call_command("find_matters")
    call_command("find_matters")
    assert capsys.readouterr().out == (
        "1 found, 0 open again, 0 gone; 1 open. 1 requests lapsed.\n"
        "0 found, 0 open again, 0 gone; 1 open. 0 requests lapsed.\n"
    )


def test_the_worker_looks_for_matters_once_a_night(unit):
    tasks.find_matters_at_night(NOW)
    tasks.find_matters_at_night(NOW + dt.timedelta(hours=1))
    job = Job.objects.get(kind="courses.find_matters")
    assert (job.result, job.finished_at) == ({"found": 1, "back": 0, "gone": 0, "open": 1}, NOW)


def test_the_worker_ends_requests_nobody_needs_answered(unit):
    tasks.lapse_requests_without_a_duty(NOW)
    assert DutyRequest.objects.get().state == "lapsed"


def test_the_worker_knows_both():
    known = {function.__name__: period for period, function in PERIODIC}
    hour = dt.timedelta(hours=1)
    assert {name: known.get(name) for name in ("find_matters_at_night", "lapse_requests_without_a_duty")} == {
        "find_matters_at_night": hour,
        "lapse_requests_without_a_duty": hour,
    }
