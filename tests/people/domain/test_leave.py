import datetime as dt

import pytest

from core.models import Event
from people.domain.leave import LeaveBackwards, LeaveGone, LeaveOverlaps, LeaveTooLong, add_leave, remove_leave
from people.models import Leave
from tests.factories.people import make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db


def day(number):
    return dt.date(2026, 11, number)


def test_leave_is_added_and_removed_with_an_event_each(at):
    employee, hr = make_employee(make_unit()), make_user()
    leave = add_leave(employee=employee, starts_on=day(2), ends_on=day(6), reason="secondment", by=hr, at=at)
    assert (leave.employee, leave.starts_on, leave.ends_on, leave.reason) == (employee, day(2), day(6), "secondment")
    again = Leave.objects.get(pk=leave.pk)
    remove_leave(leave=leave, by=hr, at=at)
    with pytest.raises(LeaveGone):
        remove_leave(leave=again, by=hr, at=at)
    said = {"starts_on": "2026-11-02", "ends_on": "2026-11-06", "reason": "secondment"}
    assert list(Event.objects.values_list("chain", "action", "before", "after")) == [
        ("roster", "leave added", None, said),
        ("roster", "leave removed", said, None),
    ]


@pytest.mark.parametrize(("starts", "ends"), [(1, 2), (6, 8), (3, 4), (1, 30), (2, 6)])
def test_leave_refuses_days_away_already(at, starts, ends):
    employee = make_employee(make_unit())
    add_leave(employee=employee, starts_on=day(2), ends_on=day(6), by=None, at=at)
    with pytest.raises(LeaveOverlaps):
        add_leave(employee=employee, starts_on=day(starts), ends_on=day(ends), by=None, at=at)
    assert (Leave.objects.count(), Event.objects.count()) == (1, 1)


def test_leave_may_touch_another_and_be_one_day(at):
    employee = make_employee(make_unit())
    add_leave(employee=employee, starts_on=day(2), ends_on=day(6), by=None, at=at)
    add_leave(employee=employee, starts_on=day(7), ends_on=day(7), by=None, at=at)
    add_leave(employee=make_employee(make_unit()), starts_on=day(2), ends_on=day(6), by=None, at=at)
    assert Leave.objects.count() == 3


def test_leave_refuses_what_cannot_be(at):
    employee = make_employee(make_unit())
    with pytest.raises(LeaveBackwards):
        add_leave(employee=employee, starts_on=day(6), ends_on=day(2), by=None, at=at)
    with pytest.raises(LeaveTooLong):
        add_leave(employee=employee, starts_on=day(6), ends_on=dt.date(2062, 1, 1), by=None, at=at)
