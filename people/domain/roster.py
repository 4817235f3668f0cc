"""A roster import from the file to its undoing: what may be done when, by whom, and the steps between the states.

What the rows mean is in roster_check, what applying does in roster_apply; the long parts run as jobs (people.tasks).
"""

from __future__ import annotations

import datetime as dt
import enum
import hashlib
from functools import partial
from typing import BinaryIO

from django.core.files import File
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from core.events import record_event
from core.jobs import resume_job, start_job
from core.models import Job
from people.domain.access import Actor
from people.domain.roster_apply import changed_since, prepare_undo
from people.domain.roster_check import fingerprint
from people.models import Employee, OrgUnit, RoleGrant, RosterChange, RosterImport, User

State = RosterImport.State


class Action(enum.StrEnum):
    CHECK = "check"
    APPLY = "apply"
    CONFIRM = "confirm"
    UNDO = "undo"
    DISCARD = "discard"
    FAULTS = "faults"


# TRUST PM-S4: what may be done in which state, and the rows of the permission table that say who may (HR of a unit that
# holds the scope; the report also the auditor). Everything not written here is refused with WrongState.
ALLOWED: dict[Action, tuple[str, frozenset[str]]] = {
    Action.CHECK: ("PM-I01", frozenset({State.UPLOADED, State.CHECKED, State.AWAITING_SECOND})),
    Action.APPLY: ("PM-I02", frozenset({State.CHECKED, State.APPLYING})),  # applying: go on after a stop
    Action.CONFIRM: ("PM-I03", frozenset({State.AWAITING_SECOND})),
    Action.UNDO: ("PM-I04", frozenset({State.APPLIED, State.UNDOING})),  # undoing: go on after a stop
    Action.DISCARD: (
        "PM-I01",
        frozenset({State.UPLOADED, State.CHECKED, State.AWAITING_SECOND, State.UNREADABLE}),
    ),
    Action.FAULTS: (
        "PM-I05",
        frozenset({State.CHECKED, State.AWAITING_SECOND, State.APPLYING, State.APPLIED, State.UNDOING, State.UNDONE}),
    ),
}


class WrongState(Exception):
    """This cannot be done with an import where it stands."""


class SameFileApplying(Exception):
    """This very file is being applied at the moment."""


class AnotherApplying(Exception):
    """Another import for the same units is being applied or undone; wait for its end."""


class FaultsRemain(Exception):
    """All or nothing was chosen, and some rows are refused."""


class OwnRecordInside(Exception):
    """The import would change the record of the very person who applies or confirms it."""


class SamePerson(Exception):
    """The second person of the stop must be another one than who uploaded the file."""


class ChangedSince(Exception):
    """People were changed after the import, so it cannot be taken back. ``names`` are some of the ``count``."""

    def __init__(self, names: list[str], count: int):
        super().__init__(names, count)
        self.names, self.count = names, count


class EffectiveDayAhead(Exception):
    """The day from which changes hold has not come yet."""


class NextStep(enum.StrEnum):
    """What became of a wish to apply."""

    APPLYING = "applying"
    AWAITING_SECOND = "awaiting"
    CHECKING_AGAIN = "checking"  # the data moved on since the check


def may(roster: RosterImport, action: Action) -> bool:
    """This function will say whether an action is possible in the state of an import."""
    return roster.state in ALLOWED[action][1]


def _demand(roster: RosterImport, action: Action) -> None:
    if not may(roster, action):
        raise WrongState(f"{action} in {roster.state}")


# --- who sees what --------------------------------------------------------------------------------------------------


def visible_rosters(actor: Actor, row: str = "PM-I05") -> QuerySet[RosterImport]:
    """This function will return the imports an actor may see (PM-I05), or act upon for the other rows.

    HR: those for a unit of theirs or below; those for the whole house if they are HR of a root. The auditor reads all.
    """
    if row == "PM-I05" and "AUD" in actor.roles:
        return RosterImport.objects.all()
    found = Q(pk__in=[])
    for unit in actor.units("HRU"):
        found |= Q(scope__path__startswith=unit.path)
        if unit.is_root():
            found |= Q(scope=None)
    return RosterImport.objects.filter(found)


def second_people(roster: RosterImport, on: dt.date) -> QuerySet[User]:
    """This function will return who could be the second person of a stop: other HR for a unit that holds the scope."""
    grants = RoleGrant.objects.filter(Q(until=None) | Q(until__gte=on), role=RoleGrant.Role.HR, starts_on__lte=on)
    units = OrgUnit.objects.above(roster.scope) if roster.scope else OrgUnit.objects.filter(depth=1)
    grants = grants.filter(unit__in=units.order_by().values("pk"))
    people = User.objects.filter(role_grants__in=grants, is_active=True).distinct()
    return people if roster.uploaded_by_id is None else people.exclude(pk=roster.uploaded_by_id)


def names_of(ids: set[int]) -> dict[int, str]:
    """This function will return name and number of some people, as on their cards, by id."""
    found = Employee.objects.filter(pk__in=ids).values_list("pk", "name", "employee_no")
    return {pk: f"{name} ({no})" for pk, name, no in found}


# --- the steps ------------------------------------------------------------------------------------------------------


def upload_roster(
    *,
    file: BinaryIO,
    file_name: str,
    scope: OrgUnit | None,
    mode: str,
    missing: str,
    effective_on: dt.date,
    all_or_nothing: bool,
    by: User | None,
    at: dt.datetime,
) -> RosterImport:
    """This function will keep an uploaded file and have it checked in a job; nothing else changes.

    Raises EffectiveDayAhead, SameFileApplying.
    """
    if effective_on > timezone.localdate(at):
        raise EffectiveDayAhead
    file.seek(0)
    digest = _sha256(file)
    file.seek(0)
    if RosterImport.objects.filter(file_hash=digest, scope=scope, state__in=[State.APPLYING, State.UNDOING]).exists():
        raise SameFileApplying
    with transaction.atomic():
        roster = RosterImport.objects.create(
            scope=scope,
            file=File(file, name=f"{at:%Y%m%d}-{digest[:16]}.roster"),
            file_name=file_name[-255:],
            file_hash=digest,
            mode=mode,
            missing=missing if mode == RosterImport.Mode.FULL else RosterImport.Missing.KEEP,
            effective_on=effective_on,
            all_or_nothing=all_or_nothing,
            uploaded_by=by,
            uploaded_at=at,
        )
        _start_check(roster, by=by, at=at)
    return roster


def _sha256(file: BinaryIO) -> str:
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    return found.hexdigest()


def _start_check(roster: RosterImport, *, by: User | None, at: dt.datetime, moved_on: bool = False) -> None:
    arguments = {"roster": roster.pk, "moved_on": moved_on}
    roster.job = start_job(kind="people.check_roster", arguments=arguments, by=by, at=at)
    roster.save(update_fields=["job"])


def check_again(*, roster: RosterImport, by: User | None, at: dt.datetime, moved_on: bool = False) -> None:
    """This function will have the file of an import checked anew against the data as it is now. Raises WrongState."""
    _demand(roster, Action.CHECK)
    with transaction.atomic():
        moved = RosterImport.objects.filter(pk=roster.pk, state=roster.state).update(
            state=State.UPLOADED, confirmed_by=None, confirmed_at=None
        )
        if not moved:
            raise WrongState(roster.pk)
        roster.refresh_from_db()
        _start_check(roster, by=by, at=at, moved_on=moved_on)


def discard_roster(*, roster: RosterImport, by: User, at: dt.datetime) -> None:
    """This function will put an import aside before it is applied: the file and what was found in it go. Raises WrongState."""
    _demand(roster, Action.DISCARD)
    with transaction.atomic():
        if not RosterImport.objects.filter(pk=roster.pk, state=roster.state).update(
            state=State.DISCARDED, plan={}, problem=None, file=""
        ):
            raise WrongState(roster.pk)
        RosterChange.objects.filter(roster=roster).delete()
        record_event(
            chain="roster",
            action="roster discarded",
            subject=roster,
            actor=by,
            at=at,
            after={"file": roster.file_name, "sha256": roster.file_hash},
        )
        storage, name = roster.file.storage, roster.file.name
        if name:
            transaction.on_commit(partial(storage.delete, name))
    roster.refresh_from_db()


def request_apply(*, roster: RosterImport, by: User | None, at: dt.datetime) -> NextStep:
    """This function will have a checked import applied, or ask for the second person, or check again if the data moved on.

    Nothing unseen is applied: the data must be what the check looked at. An import that was stopped in the middle goes
    on. Raises WrongState, FaultsRemain, OwnRecordInside, AnotherApplying.
    """
    _demand(roster, Action.APPLY)
    if roster.state == State.APPLYING:
        _go_on(roster)
        return NextStep.APPLYING
    if roster.all_or_nothing and roster.counts.get("refused"):
        raise FaultsRemain
    _refuse_own_record(roster, by)
    if not roster.needs_second:
        return _claim(roster, State.CHECKED, by=by, at=at)
    if fingerprint(roster) != roster.fingerprint:
        check_again(roster=roster, by=by, at=at, moved_on=True)
        return NextStep.CHECKING_AGAIN
    if not RosterImport.objects.filter(pk=roster.pk, state=State.CHECKED).update(
        state=State.AWAITING_SECOND, applied_by=by
    ):
        raise WrongState(roster.pk)
    roster.refresh_from_db()
    return NextStep.AWAITING_SECOND


def confirm_roster(*, roster: RosterImport, by: User, at: dt.datetime) -> NextStep:
    """This function will let an import go over the stop, by a second person, and have it applied.

    Raises WrongState, SamePerson, OwnRecordInside, AnotherApplying.
    """
    _demand(roster, Action.CONFIRM)
    if by.pk == roster.uploaded_by_id:
        raise SamePerson
    _refuse_own_record(roster, by)
    return _claim(roster, State.AWAITING_SECOND, by=by, at=at, confirmed_by=by, confirmed_at=at)


def _claim(roster: RosterImport, state: str, *, by: User | None, at: dt.datetime, **values) -> NextStep:
    """Take the import for applying: one taker wins, and no other import of the same units may be under way."""
    if fingerprint(roster) != roster.fingerprint:
        check_again(roster=roster, by=by, at=at, moved_on=True)
        return NextStep.CHECKING_AGAIN
    with transaction.atomic():
        if not RosterImport.objects.filter(pk=roster.pk, state=state).update(
            state=State.APPLYING, applied_to=0, applied_by=by, **values
        ):
            raise WrongState(roster.pk)
        _refuse_beside_another(roster)
        if "confirmed_by" in values:
            record_event(
                chain="roster",
                action="roster confirmed",
                subject=roster,
                actor=by,
                at=at,
                after={"sha256": roster.file_hash, **roster.counts},
            )
        job = start_job(kind="people.apply_roster", arguments={"roster": roster.pk}, by=by, at=at)
        RosterImport.objects.filter(pk=roster.pk).update(job=job)
    roster.refresh_from_db()
    return NextStep.APPLYING


def _refuse_beside_another(roster: RosterImport) -> None:
    beside = RosterImport.objects.filter(state__in=[State.APPLYING, State.UNDOING]).exclude(pk=roster.pk)
    if roster.scope:
        above = OrgUnit.objects.above(roster.scope).order_by().values("pk")
        beside = beside.filter(Q(scope=None) | Q(scope__path__startswith=roster.scope.path) | Q(scope__in=above))
    if beside.exists():
        raise AnotherApplying


def _refuse_own_record(roster: RosterImport, by: User | None) -> None:
    own = getattr(by, "employee", None)
    if own and roster.changes.exclude(outcome=RosterChange.Outcome.REFUSED).filter(employee_id=own.pk).exists():
        raise OwnRecordInside


def _go_on(roster: RosterImport) -> None:
    """Put the stopped job of an import back in the queue; a job that runs or waits is left alone."""
    if roster.job is None or roster.job.state in {Job.State.RUNNING, Job.State.WAITING}:
        raise WrongState(roster.pk)
    resume_job(roster.job)
    roster.refresh_from_db()


def request_undo(*, roster: RosterImport, by: User | None, at: dt.datetime) -> None:
    """This function will have an applied import taken back: fields, posts, and the people it made.

    Raises WrongState, ChangedSince (nothing is taken back then), OwnRecordInside, AnotherApplying.
    """
    _demand(roster, Action.UNDO)
    if roster.state == State.UNDOING:
        _go_on(roster)
        return
    _refuse_own_record(roster, by)
    names, count = changed_since(roster)
    if count:
        raise ChangedSince(names, count)
    with transaction.atomic():
        if not RosterImport.objects.filter(pk=roster.pk, state=State.APPLIED).update(state=State.UNDOING, undone_by=by):
            raise WrongState(roster.pk)
        _refuse_beside_another(roster)
        prepare_undo(roster=roster)
        job = start_job(kind="people.undo_roster", arguments={"roster": roster.pk}, by=by, at=at)
        RosterImport.objects.filter(pk=roster.pk).update(job=job)
    roster.refresh_from_db()
