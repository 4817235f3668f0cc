import pytest
from django.core.management import CommandError, call_command

from courses.models import CourseRun, Enrolment
from tests.factories.courses import NOVEMBER, local, make_audience, make_course, make_programme
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def now(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: local(2026, 11, 2, 6))


@pytest.fixture
def unit():
    unit = make_unit()
    make_employee(unit=unit)
    make_programme(make_audience(unit), plan=[(make_course(code="ETQ-01"), NOVEMBER)])
    return unit


def test_open_month_dry_run_says_what_would_happen_and_changes_nothing(unit, capsys):
    call_command("open_month", "2026-11", "--dry-run")
    assert capsys.readouterr().out == "ETQ-01 2026-11: would assign 1, exempt 0, 0 next month\n"
    assert not CourseRun.objects.exists()


def test_open_month_twice_opens_once(unit, capsys):
    call_command("open_month", "2026-11")
    call_command("open_month", "2026-11")
    assert capsys.readouterr().out == (
        "ETQ-01 2026-11: opened, 1 assigned, 0 exempt, 0 next month\n"
        "ETQ-01 2026-11: open already, 0 assigned, 0 exempt, 0 next month\n"
    )
    assert Enrolment.objects.count() == 1


def test_open_month_without_a_plan_says_so(capsys):
    call_command("open_month", "2026-12")
    assert capsys.readouterr().out == "Nothing is planned for 2026-12.\n"


def test_open_month_refuses_what_is_no_month():
    with pytest.raises(CommandError):
        call_command("open_month", "November")


def test_catch_up_enrols_joiners(unit, capsys):
    call_command("open_month", "2026-11")
    make_employee(unit=unit)
    capsys.readouterr()
    call_command("catch_up")
    assert capsys.readouterr().out == (
        "ETQ-01 2026-11: 1 joined, 0 next month, 0 exempt, 0 moved, 0 withdrawn, 0 returned\n"
    )


def test_prepare_month_twice_changes_nothing_the_second_time(capsys):
    unit = make_unit()
    make_employee(unit=unit)
    make_programme(make_audience(unit), plan=[(make_course(code="ETQ-01"), NOVEMBER.next)])
    call_command("prepare_month", "2026-12")
    call_command("prepare_month", "2026-12")
    assert capsys.readouterr().out == (
        "ETQ-01 2026-12: 1 enrolled ahead, 0 of them exempt; now 1 came in, 0 dropped out, 0 moved\n"
        "ETQ-01 2026-12: 1 enrolled ahead, 0 of them exempt; now 0 came in, 0 dropped out, 0 moved\n"
    )
    assert list(CourseRun.objects.values_list("state", flat=True)) == ["planned"]


def test_prepare_month_without_a_plan_says_so(capsys):
    call_command("prepare_month", "2027-01")
    assert capsys.readouterr().out == "Nothing is left to prepare for 2027-01.\n"


@pytest.mark.parametrize("month", ["2026-11", "December"])
def test_prepare_month_refuses_a_month_that_has_begun_or_is_none(unit, month):
    with pytest.raises(CommandError):
        call_command("prepare_month", month)
    assert not CourseRun.objects.exists()
