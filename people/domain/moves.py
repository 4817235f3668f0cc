"""What happens to an employee's post: moving, leaving, coming back, being suspended; and the record's plain fields.

Every function keeps Employee.unit, position and manager equal to the newest Placement, and puts one event on the chain
``roster`` in the same transaction.
"""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.utils import timezone

from core.events import record_event
from people.domain.queries import pinyin_of
from people.domain.sign_ins import end_sessions
from people.models import Employee, OrgUnit, Placement, Position, User

State = Employee.State


class NotHere(Exception):
    """The person has left; take them back before anything else."""


class StillHere(Exception):
    """The person has not left, so there is nobody to take back."""


class TooEarly(Exception):
    """The day lies before the present post began, or before the person was hired."""


class InFuture(Exception):
    """The day has not come yet. A post is the present one, so a move is noted on or after its day."""


class NothingChanges(Exception):
    """The person holds this post under this manager already."""


class ManagerCircle(Exception):
    """The manager is the person, or stands below the person: following managers upwards would never end."""


class ManagerHasLeft(Exception):
    """The manager does not work here any more."""


class ChangedMeanwhile(Exception):
    """Somebody else changed the same person a moment ago; look again and decide anew."""


@transaction.atomic
def move_employee(
    *,
    employee: Employee,
    unit: OrgUnit,
    position: Position | None,
    manager: Employee | None,
    on: dt.date,
    by: User | None,
    at: dt.datetime,
) -> Placement:
    """This function will give an employee another unit, position or manager from a day on.

    The present Placement ends the day before and the next begins; on the day the present one began it is put right
    instead. Raises NotHere, InFuture, TooEarly, NothingChanges, ManagerHasLeft, ManagerCircle, ChangedMeanwhile.
    """
    if employee.state == State.LEFT:
        raise NotHere
    if on > timezone.localdate(at):
        raise InFuture
    post = {"unit_id": unit.pk, "position_id": _id(position), "manager_id": _id(manager)}
    held = {"unit_id": employee.unit_id, "position_id": employee.position_id, "manager_id": employee.manager_id}
    if post == held:
        raise NothingChanges
    _check_manager(employee, manager, on)
    before = _post(employee.unit, employee.position, employee.manager)
    present = Placement.objects.filter(employee=employee, ends_on=None).first()
    if employee.hired_on and on < employee.hired_on:
        raise TooEarly
    if present is None:
        last = Placement.objects.filter(employee=employee).order_by("-starts_on").first()
        if last and last.ends_on and on <= last.ends_on:
            raise TooEarly
        present = Placement.objects.create(employee=employee, starts_on=on, **post)
    elif on < present.starts_on:
        raise TooEarly
    elif on == present.starts_on:
        if not Placement.objects.filter(pk=present.pk, ends_on=None).update(**post):
            raise ChangedMeanwhile
    else:
        eve = on - dt.timedelta(days=1)
        if not Placement.objects.filter(pk=present.pk, ends_on=None).update(ends_on=eve):
            raise ChangedMeanwhile
        present = Placement.objects.create(employee=employee, starts_on=on, **post)
    if not Employee.objects.filter(pk=employee.pk, state=employee.state, **held).update(**post):
        raise ChangedMeanwhile
    after = {**_post(unit, position, manager), "on": on}
    record_event(chain="roster", action="moved", subject=employee, actor=by, at=at, before=before, after=after)
    _refuse_circle(employee, manager)
    employee.unit, employee.position, employee.manager = unit, position, manager
    return present


@transaction.atomic
def mark_left(*, employee: Employee, on: dt.date, by: User | None, at: dt.datetime, reason: str = "") -> None:
    """This function will note that a day was, or will be, an employee's last at work.

    Ends the open Placement and, if the day is over, every session. Who reported to the person keeps doing so on paper
    until moved. Raises NotHere, TooEarly, ChangedMeanwhile.
    """
    if employee.state == State.LEFT:
        raise NotHere
    present = Placement.objects.filter(employee=employee, ends_on=None).first()
    if (present and on < present.starts_on) or (employee.hired_on and on < employee.hired_on):
        raise TooEarly
    before = {"state": employee.state}
    if not Employee.objects.filter(pk=employee.pk, state=employee.state).update(state=State.LEFT, left_on=on):
        raise ChangedMeanwhile
    if present and not Placement.objects.filter(pk=present.pk, ends_on=None).update(ends_on=on):
        raise ChangedMeanwhile
    employee.state, employee.left_on = State.LEFT, on
    if employee.user and on < timezone.localdate(at):
        end_sessions(employee.user)
    after = {"state": State.LEFT, "left_on": on}
    record_event(
        chain="roster", action="left", subject=employee, actor=by, at=at, before=before, after=after, reason=reason
    )


@transaction.atomic
def rehire(
    *,
    employee: Employee,
    unit: OrgUnit,
    position: Position | None,
    manager: Employee | None,
    on: dt.date,
    by: User | None,
    at: dt.datetime,
) -> Placement:
    """This function will take a person who left back into a post from a day on; the record and its history go on.

    The hire day becomes the new first day, so that the rules for joiners hold again. Raises StillHere, InFuture,
    TooEarly, ManagerHasLeft, ManagerCircle, ChangedMeanwhile.
    """
    if employee.state != State.LEFT:
        raise StillHere
    if on > timezone.localdate(at):
        raise InFuture
    assert employee.left_on is not None  # a constraint: who left has a last day
    last = Placement.objects.filter(employee=employee).order_by("-starts_on").first()
    if on <= employee.left_on or (last and last.ends_on and on <= last.ends_on):
        raise TooEarly
    _check_manager(employee, manager, on)
    before = {
        **_post(employee.unit, employee.position, employee.manager),
        "state": State.LEFT,
        "left_on": employee.left_on,
        "hired_on": employee.hired_on,
    }
    back = Employee.objects.filter(pk=employee.pk, state=State.LEFT, left_on=employee.left_on).update(
        state=State.ACTIVE, left_on=None, hired_on=on, unit=unit, position=position, manager=manager
    )
    if not back:
        raise ChangedMeanwhile
    placement = Placement.objects.create(employee=employee, unit=unit, position=position, manager=manager, starts_on=on)
    after = {**_post(unit, position, manager), "state": State.ACTIVE, "hired_on": on}
    record_event(chain="roster", action="rehired", subject=employee, actor=by, at=at, before=before, after=after)
    _refuse_circle(employee, manager)
    employee.state, employee.left_on, employee.hired_on = State.ACTIVE, None, on
    employee.unit, employee.position, employee.manager = unit, position, manager
    return placement


@transaction.atomic
def suspend(*, employee: Employee, by: User | None, at: dt.datetime, reason: str = "") -> None:
    """This function will bar an employee from signing in until reinstated; the post stays. Raises ChangedMeanwhile."""
    _switch(employee, State.ACTIVE, State.SUSPENDED, "suspended", by, at, reason)
    if employee.user:
        end_sessions(employee.user)


@transaction.atomic
def reinstate(*, employee: Employee, by: User | None, at: dt.datetime, reason: str = "") -> None:
    """This function will let a suspended employee in again. Raises ChangedMeanwhile."""
    _switch(employee, State.SUSPENDED, State.ACTIVE, "reinstated", by, at, reason)


@transaction.atomic
def change_record(
    *,
    employee: Employee,
    name: str,
    name_latin: str,
    email: str,
    mobile: str,
    language: str,
    by: User | None,
    at: dt.datetime,
) -> None:
    """This function will correct the plain fields of a record; the pinyin follows the name, the sign-in the address.

    One event with the values that changed; nothing happens, and no event, when none did.
    """
    values = {"name": name, "name_latin": name_latin, "email": email, "mobile": mobile, "language": language}
    changed = {field: value for field, value in values.items() if getattr(employee, field) != value}
    if not changed:
        return
    before = {field: getattr(employee, field) for field in changed}
    if not Employee.objects.filter(pk=employee.pk, **before).update(**changed, pinyin=pinyin_of(name)):
        raise ChangedMeanwhile
    for field, value in changed.items():
        setattr(employee, field, value)
    if employee.user_id and "email" in changed:
        User.objects.filter(pk=employee.user_id).update(email=email)
    if employee.user_id and "name" in changed:
        User.objects.filter(pk=employee.user_id).update(first_name=name)
    record_event(
        chain="roster", action="record changed", subject=employee, actor=by, at=at, before=before, after=changed
    )


def _switch(employee: Employee, old: str, new: str, action: str, by: User | None, at: dt.datetime, reason: str) -> None:
    if not Employee.objects.filter(pk=employee.pk, state=old).update(state=new):
        raise ChangedMeanwhile
    employee.state = new
    record_event(
        chain="roster",
        action=action,
        subject=employee,
        actor=by,
        at=at,
        before={"state": old},
        after={"state": new},
        reason=reason,
    )


def _check_manager(employee: Employee, manager: Employee | None, on: dt.date) -> None:
    if manager is None:
        return
    if manager.pk == employee.pk:
        raise ManagerCircle
    if manager.left_on and manager.left_on < on:
        raise ManagerHasLeft


def _refuse_circle(employee: Employee, manager: Employee | None) -> None:
    """Raise ManagerCircle, and so undo all, if going up from the manager comes to the employee.

    Looked at after the event is written: it holds the head of the chain until the commit, so two moves that would close
    a circle only together follow each other, and the second sees the first.
    """
    seen, above = {employee.pk}, _id(manager)
    while above is not None:
        if above in seen:
            raise ManagerCircle
        seen.add(above)
        above = Employee.objects.filter(pk=above).values_list("manager_id", flat=True).first()


def _id(row) -> int | None:
    return row.pk if row else None


def _post(unit: OrgUnit | None, position: Position | None, manager: Employee | None) -> dict:
    """A post in words that stay readable: codes and numbers, no ids."""
    return {
        "unit": unit.code if unit else None,
        "position": position.title if position else None,
        "manager_no": manager.employee_no if manager else None,
    }
