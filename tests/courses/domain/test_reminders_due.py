"""Which step is reached on which day, and who is told at it."""

import datetime as dt

import pytest
from django.utils import timezone

from core.models import Message
from courses.domain.exceptions import extend_due
from courses.domain.ladders import give_own_ladder, remove_own_ladder
from courses.domain.reminders_due import find_due
from courses.models import Ladder, LadderStep, ReminderDue
from tests.factories.courses import local, make_audience, make_course, make_enrolment, make_programme, make_run
from tests.factories.people import make_leave, make_user
from tests.factories.reminders import DUE, morning, send

pytestmark = pytest.mark.django_db


def test_each_step_tells_whom_it_is_for_on_its_day(house):
    house.staff()
    seen = []
    for days in range(-9, 10):
        find_due(on=DUE + dt.timedelta(days=days), at=morning(days))
        seen += [(days, key[1:], who) for key, who in house.told().items()]
        ReminderDue.objects.filter(on=DUE + dt.timedelta(days=days)).update(on=DUE)  # keep, but do not list again
    first = {}
    for days, key, who in seen:
        first.setdefault((key, who), days)
    assert first == {
        ((-7, "employee"), "王伟"): -7,
        ((-3, "employee"), "王伟"): -3,
        ((0, "employee"), "王伟"): 0,
        ((1, "employee"), "王伟"): 1,
        ((1, "manager"), "主管"): 1,
        ((3, "manager"), "主管"): 3,
        ((7, "upper"), "总监"): 7,
    }


def test_after_some_days_without_a_run_only_the_newest_step_is_told(house):
    house.staff()
    find_due(on=DUE + dt.timedelta(days=5), at=morning(5))
    assert house.told() == {("王伟", 1, "employee"): "王伟", ("王伟", 3, "manager"): "主管"}


@pytest.mark.parametrize(
    ("state", "fields"),
    [("completed", {}), ("exempt", {}), ("withdrawn", {}), ("assigned", {"voluntary": True})],
)
def test_nobody_is_reminded_of_what_is_not_owed(house, state, fields):
    make_enrolment(house.person("李娜", manager=house.manager), house.run, state=state, **fields)
    assert find_due(on=DUE, at=morning(0)) == 0


@pytest.mark.parametrize("case", ["planned", "closed", "no longer accepted", "not begun"])
def test_runs_that_take_no_work_are_not_chased(house, case):
    house.staff()
    at = morning(0)
    if case in {"planned", "closed"}:
        house.run.state = case
    elif case == "no longer accepted":
        house.run.accept_until, at = house.run.due_at, morning(3)
    else:
        at = house.run.opens_at - dt.timedelta(days=1)
    house.run.save()
    assert find_due(on=timezone.localdate(at), at=at) == 0


@pytest.mark.parametrize("fields", [{"state": "suspended"}, {"state": "left", "left_on": dt.date(2026, 11, 20)}])
def test_who_is_not_at_work_is_not_chased_and_not_told_on(house, fields):
    make_enrolment(house.person("李娜", manager=house.manager, **fields), house.run)
    assert find_due(on=DUE + dt.timedelta(days=3), at=morning(3)) == 0


def test_who_is_on_leave_is_left_in_peace_and_hears_on_the_first_day_back(house):
    enrolment = house.staff()
    make_leave(enrolment.employee, DUE, DUE + dt.timedelta(days=2))
    for days in (0, 1, 2):
        find_due(on=DUE + dt.timedelta(days=days), at=morning(days))
    assert house.told() == {("王伟", 1, "manager"): "主管"}
    find_due(on=DUE + dt.timedelta(days=3), at=morning(3))
    assert house.told()["王伟", 1, "employee"] == "王伟"


def test_a_manager_on_leave_hears_on_the_first_day_back(house):
    house.staff()
    make_leave(house.manager, DUE, DUE + dt.timedelta(days=4))
    find_due(on=DUE + dt.timedelta(days=4), at=morning(4))
    assert "manager" not in {to for _name, _days, to in house.told()}
    find_due(on=DUE + dt.timedelta(days=5), at=morning(5))
    assert house.told()["王伟", 3, "manager"] == "主管"


def test_a_granted_extension_begins_the_ladder_anew(house):
    enrolment = house.staff()
    find_due(on=DUE, at=morning(0))
    extend_due(enrolment=enrolment, until=dt.date(2026, 12, 10), by=make_user(), at=morning(0), reason="x")
    find_due(on=dt.date(2026, 12, 1), at=morning(1))
    assert ReminderDue.objects.count() == 1  # nothing on the first: it is nine days before the new day
    find_due(on=dt.date(2026, 12, 10), at=morning(10))
    rows = ReminderDue.objects.order_by("due_on").values_list("due_on", "days", "to")
    assert list(rows) == [(DUE, 0, "employee"), (dt.date(2026, 12, 10), 0, "employee")]


def test_who_cannot_sign_in_is_told_to_the_manager(house):
    house.staff("李娜", with_user=False)
    locked = house.staff("赵敏")
    locked.employee.user.is_active = False
    locked.employee.user.save()
    find_due(on=DUE, at=morning(0))
    assert house.told() == {("李娜", 0, "employee"): "主管", ("赵敏", 0, "employee"): "主管"}


def test_a_manager_who_cannot_sign_in_is_told_nothing(house):
    house.staff("李娜", manager=house.person("无号", with_user=False))
    house.staff("赵敏", manager=None)
    find_due(on=DUE + dt.timedelta(days=1), at=morning(1))
    assert house.told() == {("李娜", 1, "employee"): "李娜", ("赵敏", 1, "employee"): "赵敏"}


def test_a_day_begins_at_local_midnight(house):
    house.staff(due_at=local(2026, 12, 1, 0))  # a moment after the 30th, in UTC still the 30th
    find_due(on=DUE, at=morning(0))
    assert house.told() == {("王伟", -3, "employee"): "王伟"}


def test_an_inactive_ladder_chases_nobody(house):
    house.staff()
    Ladder.objects.update(active=False)
    assert find_due(on=DUE, at=morning(0)) == 0


def test_without_a_ladder_nothing_happens(house):
    house.staff()
    Ladder.objects.all().delete()
    report = send(0)
    assert (report.rows, report.people, Message.objects.count()) == (0, 0, 0)


def test_a_programme_with_steps_of_its_own_is_chased_by_those(house):
    course = make_course(title_zh="谈判")
    programme = make_programme(make_audience(house.group), plan=[(course, house.run.month)])
    own = give_own_ladder(programme=programme, by=None, at=morning(-9))
    own.steps.all().delete()
    LadderStep.objects.create(ladder=own, days=-5, to="employee")
    house.staff("王伟")
    house.staff("李娜", run=make_run(course))
    find_due(on=DUE - dt.timedelta(days=5), at=morning(-5))
    assert house.told() == {("王伟", -7, "employee"): "王伟", ("李娜", -5, "employee"): "李娜"}
    assert remove_own_ladder(programme=programme, by=None, at=morning(-5))
    assert not remove_own_ladder(programme=programme, by=None, at=morning(-5))


def test_finding_takes_the_same_queries_for_one_and_for_many(house, django_assert_num_queries):
    house.staff()
    with django_assert_num_queries(7):
        find_due(on=DUE + dt.timedelta(days=1), at=morning(1))
    ReminderDue.objects.all().delete()
    for number in range(6):
        house.staff(f"新{number}")
    with django_assert_num_queries(7):
        assert find_due(on=DUE + dt.timedelta(days=1), at=morning(1)) == 14
