"""Days on which an employee is away and owes nothing."""

from __future__ import annotations

import datetime as dt

from django.db import transaction

from core.events import record_event
from people.models import Employee, Leave, User


class LeaveBackwards(Exception):
    """The last day lies before the first."""


class LeaveTooLong(Exception):
    """More than three years: a slip of the keyboard, not a leave."""


class LeaveOverlaps(Exception):
    """The person is away on some of these days already."""


class LeaveGone(Exception):
    """Somebody else has removed this leave already."""


@transaction.atomic
def add_leave(
    *, employee: Employee, starts_on: dt.date, ends_on: dt.date, reason: str = "", by: User | None, at: dt.datetime
) -> Leave:
    """This function will note that an employee is away from one day to another, both included.

    One event on the chain ``roster``. Raises LeaveBackwards, LeaveTooLong, LeaveOverlaps.
    """
    if ends_on < starts_on:
        raise LeaveBackwards
    if ends_on - starts_on > dt.timedelta(days=3 * 366):
        raise LeaveTooLong
    leave = Leave.objects.create(employee=employee, starts_on=starts_on, ends_on=ends_on, reason=reason)
    # The event holds the head of the chain until the commit, so a second leave added at the same moment is seen here.
    record_event(chain="roster", action="leave added", subject=employee, actor=by, at=at, after=_said(leave))
    others = Leave.objects.filter(employee=employee, starts_on__lte=ends_on, ends_on__gte=starts_on)
    if others.exclude(pk=leave.pk).exists():
        raise LeaveOverlaps
    return leave


@transaction.atomic
def remove_leave(*, leave: Leave, by: User | None, at: dt.datetime) -> None:
    """This function will take a leave out; the event on the chain ``roster`` keeps what it was. Raises LeaveGone."""
    before = _said(leave)
    deleted, _rows = Leave.objects.filter(pk=leave.pk).delete()
    if not deleted:
        raise LeaveGone
    record_event(chain="roster", action="leave removed", subject=leave.employee, actor=by, at=at, before=before)


def _said(leave: Leave) -> dict:
    return {"starts_on": leave.starts_on, "ends_on": leave.ends_on, "reason": leave.reason}
