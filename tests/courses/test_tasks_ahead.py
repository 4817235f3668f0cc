"""By the clock: next month is prepared from a set day, and opens when its first day has come; a second look changes nothing."""

import datetime as dt

import pytest

from core.models import Event
from courses import tasks
from courses.models import CourseRun, Enrolment
from tests.factories.courses import NOVEMBER, local, make_audience, make_course, make_programme
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db

DECEMBER = NOVEMBER.next


@pytest.fixture
def unit():
    unit = make_unit()
    make_employee(unit=unit)
    return unit


def _stands():
    return (
        list(CourseRun.objects.order_by("pk").values_list("state", flat=True)),
        Enrolment.objects.count(),
        Event.objects.filter(chain="months").count(),
    )


def test_next_month_is_prepared_seven_days_before_and_opens_on_its_first_day(unit):
    make_programme(make_audience(unit), plan=[(make_course(), DECEMBER)])
    tasks.prepare_next_month(local(2026, 11, 23, 23, 59))
    assert _stands() == ([], 0, 0)
    for hour in (0, 1):
        tasks.prepare_next_month(local(2026, 11, 24, hour))
        tasks.open_prepared_runs(local(2026, 11, 24, hour))
        assert _stands() == (["planned"], 1, 2)
    make_employee(unit=unit)
    tasks.prepare_next_month(local(2026, 11, 30, 23, 30))
    assert _stands() == (["planned"], 2, 3)
    for minute in (0, 30):
        tasks.prepare_next_month(local(2026, 12, 1, 0, minute))
        tasks.open_prepared_runs(local(2026, 12, 1, 0, minute))
        assert _stands() == (["open"], 2, 4)


def test_what_nobody_prepared_is_not_opened_by_the_clock(unit):
    make_programme(make_audience(unit), plan=[(make_course(), DECEMBER)])
    tasks.open_prepared_runs(local(2026, 12, 1))
    assert _stands() == ([], 0, 0)


def test_a_course_that_cannot_be_prepared_or_opened_does_not_stop_the_others(unit, caplog):
    good, bare = make_course(code="B-GOOD"), make_course(code="A-BARE", steps=0)
    spoilt = make_course(code="C-SPOILT")
    make_programme(make_audience(unit), plan=[(one, DECEMBER) for one in (good, bare, spoilt)])
    tasks.prepare_next_month(local(2026, 11, 28))
    spoilt.steps.update(live=False)
    tasks.open_prepared_runs(local(2026, 12, 1))
    states = dict(CourseRun.objects.values_list("course__code", "state"))
    assert states == {"B-GOOD": "open", "C-SPOILT": "planned"}
    assert [record.getMessage() for record in caplog.records if record.name == "courses.tasks"] == [
        "A-BARE 2026-12 cannot be prepared: NothingToLearn",
        "C-SPOILT 2026-12 cannot be opened: NothingToLearn",
    ]


def test_a_run_whose_due_day_has_passed_is_left_to_people(unit):
    make_programme(make_audience(unit), plan=[(make_course(), DECEMBER)])
    tasks.prepare_next_month(local(2026, 11, 28))
    tasks.open_prepared_runs(local(2027, 1, 1) + dt.timedelta(hours=1))
    assert _stands()[0] == ["planned"]
