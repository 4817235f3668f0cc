"""One-time links: the first sign-in of an employee, and the way back in for who lost it (TRUST SC-34, SC-35, MC-14)."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Sequence

from axes.models import AccessAttempt
from django.db import transaction
from django.utils import timezone

from core.events import record_event
from people.domain.sign_ins import Closed, set_password, why_closed_to
from people.models import Employee, Invitation, OrgUnit, User

FIRST_LINK_LASTS = dt.timedelta(hours=72)
RECOVERY_LINK_LASTS = dt.timedelta(minutes=30)
MOST_AT_ONCE = 200


class HasSignIn(Exception):
    """The person can sign in already: a first invitation is not what is needed."""


class NoSignIn(Exception):
    """There is no sign-in to recover; the person needs a first invitation."""


class HasLeft(Exception):
    """The person has left or is suspended; a link would open nothing."""


class TooMany(Exception):
    """More people than one sheet of invitations may hold."""


class LinkUnknown(Exception):
    """No invitation has this token."""


class LinkUsed(Exception):
    """The link has done its work already, or a newer one has replaced it."""


class LinkExpired(Exception):
    """The time of the link is over."""


class NameTaken(Exception):
    """Another sign-in bears this employee's number as its user name."""


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _is_gone(employee: Employee, at: dt.datetime) -> bool:
    return why_closed_to(employee, timezone.localdate(at)) in {Closed.LEFT, Closed.SUSPENDED}


def _make(employees: Sequence[Employee], *, by: User | None, at: dt.datetime, lasts: dt.timedelta):
    """New invitations with their tokens, in the order of the people; older unused links of theirs end now."""
    Invitation.objects.filter(employee__in=employees, used_at=None, expires_at__gt=at).update(expires_at=at)
    tokens = [secrets.token_urlsafe(24) for _employee in employees]  # 192 bits
    made = Invitation.objects.bulk_create(
        Invitation(employee=employee, token_hash=_hash(token), created_at=at, created_by=by, expires_at=at + lasts)
        for employee, token in zip(employees, tokens, strict=True)
    )
    return list(zip(made, tokens, strict=True))


@transaction.atomic
def invite(*, employee: Employee, by: User | None, at: dt.datetime) -> tuple[Invitation, str]:
    """This function will make the link by which an employee sets a first password, good for 72 hours.

    Returns the invitation and its token, which is stored nowhere: show it once. An older link of the person ends. One
    event on the chain ``roles``. Raises HasSignIn, HasLeft.
    """
    if employee.user_id:
        raise HasSignIn
    if _is_gone(employee, at):
        raise HasLeft
    [(invitation, token)] = _make([employee], by=by, at=at, lasts=FIRST_LINK_LASTS)
    record_event(chain="roles", action="invited", subject=employee, actor=by, at=at)
    return invitation, token


@transaction.atomic
def invite_many(
    *, employees: Sequence[Employee], unit: OrgUnit, by: User | None, at: dt.datetime
) -> list[tuple[Invitation, str]]:
    """This function will invite many people of one unit at once: for a printed sheet with one link each.

    Whoever can sign in already, left or is suspended is passed over. One event, on the unit, names everybody. Raises
    TooMany above 200 people.
    """
    wanted = [employee for employee in employees if not employee.user_id and not _is_gone(employee, at)]
    if len(wanted) > MOST_AT_ONCE:
        raise TooMany
    if not wanted:
        return []
    made = _make(wanted, by=by, at=at, lasts=FIRST_LINK_LASTS)
    numbers = [employee.employee_no for employee in wanted]
    record_event(chain="roles", action="invited", subject=unit, actor=by, at=at, after={"employee_no": numbers})
    return made


@transaction.atomic
def recover(*, employee: Employee, by: User, at: dt.datetime) -> tuple[Invitation, str]:
    """This function will make the link by which a person who lost the password sets a new one, good for 30 minutes.

    One event on the chain ``roles``. Raises NoSignIn, HasLeft.
    """
    if not employee.user_id:
        raise NoSignIn
    if _is_gone(employee, at):
        raise HasLeft
    [(invitation, token)] = _make([employee], by=by, at=at, lasts=RECOVERY_LINK_LASTS)
    record_event(chain="roles", action="recovery link made", subject=employee, actor=by, at=at)
    return invitation, token


def open_invitation(*, token: str, at: dt.datetime) -> Invitation:
    """This function will return the invitation of a token without using it up, for the page that asks for a password.

    Raises LinkUnknown, LinkUsed, LinkExpired.
    """
    found = Invitation.objects.select_related("employee__unit", "employee__user")
    invitation = found.filter(token_hash=_hash(token)).first()
    if invitation is None:
        raise LinkUnknown
    if invitation.used_at is not None:
        raise LinkUsed
    if invitation.expires_at <= at:
        raise LinkExpired
    return invitation


@transaction.atomic
def accept_invitation(*, token: str, password: str, at: dt.datetime) -> User:
    """This function will use up a link and give its person a sign-in with this password, or a new password to theirs.

    The link is taken by compare-and-swap, so of two clicks one wins. The user name is the employee number. Ends older
    sessions and forgets wrong passwords of before. One event on the chain ``roles``. Raises LinkUnknown, LinkUsed,
    LinkExpired, HasLeft, NameTaken; then nothing has changed.
    """
    invitation = open_invitation(token=token, at=at)
    taken = Invitation.objects.filter(pk=invitation.pk, used_at=None, expires_at__gt=at).update(used_at=at)
    if not taken:
        raise LinkUsed
    employee = invitation.employee
    if _is_gone(employee, at):
        raise HasLeft
    user = employee.user
    if user is not None:
        set_password(user=user, password=password, by=user, at=at)
        AccessAttempt.objects.filter(username=user.username).delete()  # the pause after wrong passwords ends too
        return user
    if User.objects.filter(username=employee.employee_no).exists():
        raise NameTaken
    user = User.objects.create_user(
        username=employee.employee_no,
        password=password,
        email=employee.email,
        first_name=employee.name[:150],
        language=employee.language,
    )
    # Another link of the same person may have been taken up at this moment.
    if not Employee.objects.filter(pk=employee.pk, user=None).update(user=user):
        raise LinkUsed
    AccessAttempt.objects.filter(username=user.username).delete()
    user.employee = employee
    record_event(chain="roles", action="sign-in made", subject=user, actor=user, at=at)
    return user
