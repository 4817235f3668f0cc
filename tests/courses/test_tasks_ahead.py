"""By the clock: next month is prepared from a set day, and opens when its first day has come; a second look changes nothing."""

import datetime as dt

import pytest

from core.models import Event
from courses import tasks
from courses.domain import opening, planning
from courses.models import CourseRun, Enrolment, PlanLine
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
        tasks.open_published_runs(local(2026, 11, 24, hour))
        assert _stands() == (["planned"], 1, 2)
    make_employee(unit=unit)
    tasks.prepare_next_month(local(2026, 11, 30, 23, 30))
    assert _stands() == (["planned"], 2, 3)
    for minute in (0, 30):
        tasks.prepare_next_month(local(2026, 12, 1, 0, minute))
        tasks.open_published_runs(local(2026, 12, 1, 0, minute))
        assert _stands() == (["open"], 2, 4)


def test_what_nobody_prepared_is_opened_too_once_its_day_has_come(unit):
    make_programme(make_audience(unit), plan=[(make_course(), DECEMBER)])
    tasks.open_published_runs(local(2026, 11, 30, 23))
    assert _stands() == ([], 0, 0)
    for day in (10, 11):  # the worker was down until then
        tasks.open_published_runs(local(2026, 12, day))
        assert _stands() == (["open"], 1, 2)


def test_many_whom_nobody_prepared_are_opened_in_batches(unit, monkeypatch):
    monkeypatch.setattr("courses.tasks.BATCH", 2)
    for _number in range(4):
        make_employee(unit=unit)
    make_programme(make_audience(unit), plan=[(make_course(), DECEMBER)])
    for _look in range(2):
        tasks.open_published_runs(local(2026, 12, 1))
        assert _stands() == (["open"], 5, 3)
    assert not PlanLine.objects.filter(opened_at=None).exists()


def test_what_was_published_after_somebody_opened_the_run_early_joins_it_when_its_month_begins(unit):
    other, course = make_unit(), make_course()
    make_employee(unit=other)
    make_programme(make_audience(unit), plan=[(course, DECEMBER)])
    opening.open_month(month=DECEMBER, by=None, at=local(2026, 11, 20))
    make_programme(make_audience(other), plan=[(course, DECEMBER)])
    PlanLine.objects.filter(opened_at=None).update(published_at=local(2026, 11, 25))
    for day in (26, 30):
        tasks.prepare_next_month(local(2026, 11, day))
        tasks.open_published_runs(local(2026, 11, day))
        assert (_stands()[0], Enrolment.objects.count()) == (["open"], 1)
    tasks.open_published_runs(local(2026, 12, 1))
    assert (_stands()[0], Enrolment.objects.count()) == (["open"], 2)
    assert Event.objects.filter(chain="months").latest("sequence").action == "extended"


def test_what_was_published_after_the_last_preparing_opens_with_its_month(unit):
    make_programme(make_audience(unit), plan=[(make_course(), DECEMBER)])
    PlanLine.objects.update(published_at=local(2026, 11, 30, 23, 50))
    tasks.prepare_next_month(local(2026, 12, 1))
    tasks.open_published_runs(local(2026, 12, 1))
    assert (_stands()[0], Enrolment.objects.count()) == (["open"], 1)


@pytest.mark.parametrize("how", ["published", "moved"])
def test_what_comes_into_a_month_that_has_begun_waits_for_a_person(unit, how):
    course, other = make_course(), make_unit()
    make_employee(unit=other)
    make_programme(make_audience(unit), plan=[(course, DECEMBER)])
    make_programme(make_audience(other), plan=[(course, DECEMBER if how == "published" else DECEMBER.next)])
    line = PlanLine.objects.latest("pk")
    if how == "published":
        PlanLine.objects.filter(pk=line.pk).update(published_at=local(2026, 12, 1, 0, 0, 0))
    else:
        planning.move_course(line=line, month=DECEMBER, by=None, at=local(2026, 12, 1, 8))
    for day in (1, 2):
        tasks.open_published_runs(local(2026, 12, day, 9))
        assert (_stands()[0], Enrolment.objects.count()) == (["open"], 1)
    line.refresh_from_db()
    assert (line.month, line.opened_at) == (DECEMBER, None)


def test_a_course_that_cannot_be_prepared_or_opened_does_not_stop_the_others(unit, caplog):
    good, bare = make_course(code="B-GOOD"), make_course(code="A-BARE", steps=0)
    spoilt = make_course(code="C-SPOILT")
    make_programme(make_audience(unit), plan=[(one, DECEMBER) for one in (good, bare, spoilt)])
    tasks.prepare_next_month(local(2026, 11, 28))
    spoilt.steps.update(live=False)
    tasks.open_published_runs(local(2026, 12, 1))
    states = dict(CourseRun.objects.values_list("course__code", "state"))
    assert states == {"B-GOOD": "open", "C-SPOILT": "planned"}
    assert [record.getMessage() for record in caplog.records if record.name == "courses.tasks"] == [
        "A-BARE 2026-12 cannot be prepared: NothingToLearn",
        "A-BARE 2026-12 cannot be opened: NothingToLearn",
        "C-SPOILT 2026-12 cannot be opened: NothingToLearn",
    ]


def test_a_run_whose_due_day_has_passed_is_left_to_people(unit):
    make_programme(make_audience(unit), plan=[(make_course(), DECEMBER)])
    tasks.prepare_next_month(local(2026, 11, 28))
    tasks.open_published_runs(local(2027, 1, 1) + dt.timedelta(hours=1))
    assert _stands()[0] == ["planned"]
