"""Who may sign in, and ending the sessions of who may no longer."""

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import F, TextChoices
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from core.events import record_event
from people.models import Employee, User

# After so many wrong passwords in a row, from wherever they came, only a new link opens the sign-in (TRUST SC-38).
MOST_FAILURES = 100


class Closed(TextChoices):
    """Why a sign-in does not open."""

    LOCKED = "locked", _("The sign-in is locked.")
    SUSPENDED = "suspended", _("The person is suspended.")
    LEFT = "left", _("The person has left.")
    NOT_HIRED = "not_hired", _("The first day at work has not come yet.")


class AlreadySo(Exception):
    """Somebody else made the same change a moment before."""


def why_closed(user: User, on: dt.date) -> Closed | None:
    """This function will say why a user may not sign in on a day, or None if the door is open (TRUST SC-39).

    The one gate: asked at the sign-in, at every later request of a session and before an invitation is taken up. The
    last day at work still counts as at work. A user without an employee record is judged by the lock alone.
    """
    if not user.is_active:
        return Closed.LOCKED
    employee = getattr(user, "employee", None)
    return why_closed_to(employee, on) if employee else None


def why_closed_to(employee: Employee, on: dt.date) -> Closed | None:
    """This function will say the same of an employee who may have no sign-in yet."""
    if employee.left_on and employee.left_on < on:
        return Closed.LEFT
    if employee.state == Employee.State.SUSPENDED:
        return Closed.SUSPENDED
    if employee.hired_on and employee.hired_on > on:
        return Closed.NOT_HIRED
    return None


def user_called(typed: str) -> User | None:
    """This function will find the user whom a typed name means: user name, employee number or e-mail address.

    An e-mail address counts only if it is one person's alone. Full-width letters and digits, as a Chinese keyboard
    gives them, are read as plain ones by the form.
    """
    users = User.objects.select_related("employee__unit", "employee__position")
    if not typed or "\x00" in typed:
        return None
    user = users.filter(username=typed).first() or users.filter(employee__employee_no=typed).first()
    if user is None and "@" in typed:
        owners = Employee.objects.alias(address=Lower("email")).filter(address=typed.lower(), user__isnull=False)
        found = list(owners.order_by().values_list("user", flat=True)[:2])
        user = users.get(pk=found[0]) if len(found) == 1 else None
    return user


def end_sessions(user: User) -> None:
    """This function will end every session of a user at its next request (TRUST MC-13).

    The number in the user at hand is raised with it, so that a caller may keep the session of this very request by
    django.contrib.auth.update_session_auth_hash.
    """
    User.objects.filter(pk=user.pk).update(session_epoch=F("session_epoch") + 1)
    user.refresh_from_db(fields=["session_epoch"])


@transaction.atomic
def end_sessions_of(*, user: User, by: User, at: dt.datetime) -> None:
    """This function will end every session of another person, with an event on the chain ``roles``."""
    end_sessions(user)
    record_event(chain="roles", action="sessions ended", subject=user, actor=by, at=at)


@transaction.atomic
def lock_sign_in(*, user: User, by: User, at: dt.datetime, reason: str = "") -> None:
    """This function will lock a sign-in and end its sessions. Raises AlreadySo if it is locked."""
    if not User.objects.filter(pk=user.pk, is_active=True).update(is_active=False):
        raise AlreadySo
    user.is_active = False
    end_sessions(user)
    record_event(chain="roles", action="sign-in locked", subject=user, actor=by, at=at, reason=reason)


@transaction.atomic
def unlock_sign_in(*, user: User, by: User, at: dt.datetime) -> None:
    """This function will open a locked sign-in again and forget its wrong passwords. Raises AlreadySo if it is open."""
    if not User.objects.filter(pk=user.pk, is_active=False).update(is_active=True, failed_sign_ins=0):
        raise AlreadySo
    user.is_active = True
    record_event(chain="roles", action="sign-in unlocked", subject=user, actor=by, at=at)


@transaction.atomic
def set_password(*, user: User, password: str, by: User, at: dt.datetime) -> None:
    """This function will give a user a new password, end every session and forget the wrong passwords of before.

    The password has passed the validators. The event says that it changed, never what it is.
    """
    user.set_password(password)
    user.failed_sign_ins = 0
    user.save(update_fields=["password", "failed_sign_ins"])
    end_sessions(user)
    record_event(chain="roles", action="password changed", subject=user, actor=by, at=at)


def count_failure(user: User) -> None:
    """This function will count one wrong password of a user."""
    User.objects.filter(pk=user.pk).update(failed_sign_ins=F("failed_sign_ins") + 1)


def forget_failures(user: User) -> None:
    """This function will forget the wrong passwords before a right one."""
    if user.failed_sign_ins:
        User.objects.filter(pk=user.pk).update(failed_sign_ins=0)
        user.failed_sign_ins = 0
