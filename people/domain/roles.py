"""Giving and taking back roles."""

from __future__ import annotations

import datetime as dt

from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from core.events import record_event
from people.domain.access import Actor
from people.domain.sign_ins import end_sessions
from people.models import OrgUnit, RoleGrant, User

Role = RoleGrant.Role
OF_A_UNIT = frozenset({Role.HR, Role.PAY_MAKER, Role.PAY_CHECKER})

# Wagtail asks its own groups who may do what in the content admin; these follow the roles.
AUTHORS_GROUP, MODERATORS_GROUP = "Content authors", "Content moderators"
GROUP_OF = {Role.AUTHOR: AUTHORS_GROUP, Role.MODERATOR: MODERATORS_GROUP}


class OwnRole(Exception):
    """Nobody gives a role to himself or takes one from himself."""


class NotAdministrator(Exception):
    """Only an administrator gives and takes back roles."""


class UnitMissing(Exception):
    """HR and the pay duties are held for a unit."""


class UnitNotMeant(Exception):
    """Authors, moderators, auditors and administrators act for the whole house: no unit belongs to the role."""


class AlreadyOver(Exception):
    """The last day of the role lies before its first."""


class HeldAlready(Exception):
    """The person has this role there, or above, without an end or until a later day."""


class DutiesClash(Exception):
    """Nobody both prepares and checks the pay of the same people."""


class GrantGone(Exception):
    """Somebody else has taken the role back already."""


def grants_in_force(on: dt.date) -> QuerySet[RoleGrant]:
    """This function will return the roles in force on a day or still to begin, with who, where and by whom."""
    return (
        RoleGrant.objects.filter(Q(until=None) | Q(until__gte=on))
        .select_related("user__employee__unit", "unit", "granted_by__employee")
        .order_by("role", "unit__path", "user__username")
    )


@transaction.atomic
def grant_role(
    *,
    user: User,
    role: str,
    unit: OrgUnit | None = None,
    until: dt.date | None = None,
    by: User | None,
    at: dt.datetime,
) -> RoleGrant:
    """This function will give a role from today on, for a unit and all below it, until a last day if one is said.

    ``by`` is an administrator and not the person; None is the house itself (the command line). Ends the person's
    sessions, so that the role is there at the next sign-in and not in the middle of a page; keeps Wagtail's
    groups in step; one event on the chain ``roles``. Raises OwnRole, NotAdministrator, UnitMissing, UnitNotMeant,
    AlreadyOver, HeldAlready, DutiesClash.
    """
    role, today = Role(role), timezone.localdate(at)
    _require_administrator(user, by, today)
    if role in OF_A_UNIT and unit is None:
        raise UnitMissing
    if role not in OF_A_UNIT and unit is not None:
        raise UnitNotMeant
    if until is not None and until < today:
        raise AlreadyOver
    # Written first: on PostgreSQL two grants to one person now wait for each other, so the looks below hold.
    end_sessions(user)
    held = list(RoleGrant.objects.filter(Q(until=None) | Q(until__gte=today), user=user).select_related("unit"))
    for other in held:
        longer = other.until is None or (until is not None and other.until >= until)
        if other.role == role and longer and (unit is None or _holds(other.unit, unit)):
            raise HeldAlready
        if {other.role, role} == {Role.PAY_MAKER, Role.PAY_CHECKER} and (
            _holds(other.unit, unit) or _holds(unit, other.unit)
        ):
            raise DutiesClash
    grant = RoleGrant.objects.create(user=user, role=role, unit=unit, starts_on=today, until=until, granted_by=by)
    sync_groups(user, today)
    record_event(chain="roles", action="role granted", subject=user, actor=by, at=at, after=_said(grant))
    return grant


def _holds(upper: OrgUnit | None, lower: OrgUnit | None) -> bool:
    """Is one unit the other or below it? A role for the whole house has no unit and is not compared."""
    return upper is not None and lower is not None and upper.contains(lower)


@transaction.atomic
def revoke_role(*, grant: RoleGrant, by: User | None, at: dt.datetime) -> None:
    """This function will take a role back at once; the event on the chain ``roles`` keeps what it was.

    Ends the person's sessions and keeps Wagtail's groups in step. Raises OwnRole, NotAdministrator, GrantGone.
    """
    today = timezone.localdate(at)
    _require_administrator(grant.user, by, today)
    before, user = _said(grant), grant.user
    deleted, _rows = RoleGrant.objects.filter(pk=grant.pk).delete()
    if not deleted:
        raise GrantGone
    end_sessions(user)
    sync_groups(user, today)
    record_event(chain="roles", action="role revoked", subject=user, actor=by, at=at, before=before)


def sync_groups(user: User, on: dt.date) -> None:
    """This function will put a user into Wagtail's author and moderator groups, or out of them, as the roles say.

    Called when a role changes and at every sign-in: a role that ran out overnight opens no content admin.
    """
    in_force = RoleGrant.objects.filter(Q(until=None) | Q(until__gte=on), user=user, starts_on__lte=on)
    roles = set(in_force.filter(role__in=GROUP_OF).values_list("role", flat=True))
    is_in = {group.name: group for group in user.groups.filter(name__in=GROUP_OF.values())}
    for role, name in GROUP_OF.items():
        if role in roles and name not in is_in:
            user.groups.add(Group.objects.get_or_create(name=name)[0])
        elif role not in roles and name in is_in:
            user.groups.remove(is_in[name])


def _require_administrator(user: User, by: User | None, on: dt.date) -> None:
    if by is None:
        return
    if by.pk == user.pk:
        raise OwnRole
    if not Actor(user=by, on=on).may("PM-P12"):
        raise NotAdministrator


def _said(grant: RoleGrant) -> dict:
    """What a grant says, as kept in the event."""
    return {"role": grant.role, "unit": grant.unit.code if grant.unit else None, "until": grant.until}
