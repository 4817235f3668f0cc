"""Applying a checked roster in chunks, and taking it back in chunks: both as sets, both exactly once.

A chunk is a range of RosterChange rows. The import's ``applied_to`` moves over the range by compare-and-swap in the
transaction that applies it, so a chunk that is run again does nothing. Every person is compared once more with what the
check saw: who was changed meanwhile is left alone and reported, never overwritten.
"""
# ruff: noqa: S608 - statements are put together from our own names only; every value is a parameter

from __future__ import annotations

import datetime as dt

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from core.events import record_event
from people.domain import roster_sql as sql
from people.domain.roster_sql import CHANGE, EMPLOYEE, PLACEMENT, has, one, run, value
from people.domain.roster_units import make_positions, make_units, remove_unused_positions, remove_unused_units
from people.models import Employee, Placement, RosterChange, RosterImport, User

Outcome = RosterChange.Outcome
RosterState = RosterImport.State

CHUNK = 30_000
NAMED = 20  # people in a message

# key in before and after -> (column, kind)
FIELDS = {
    "name": ("name", "text"),
    "pinyin": ("pinyin", "text"),
    "unit": ("unit_id", "bigint"),
    "position": ("position_id", "bigint"),
    "manager": ("manager_id", "bigint"),
    "hired_on": ("hired_on", "date"),
    "left_on": ("left_on", "date"),
    "state": ("state", "text"),
    "email": ("email", "text"),
    "mobile": ("mobile", "text"),
    "language": ("language", "text"),
}
BEFORE, AFTER = 'c."before"', 'c."after"'
KNOWN = "c.outcome IN ('changed', 'moved', 'left')"


class NotAtThisPoint(Exception):
    """The import is not where this chunk begins: somebody else does, or did, this part."""


class ChangedUnderUs(Exception):
    """People of the chunk were changed between the look and the write; nothing of it was done. Running it again helps."""


def to_apply(roster: RosterImport) -> int:
    """This function will return how many people an import still changes."""
    return roster.changes.exclude(outcome=Outcome.REFUSED).filter(pk__gt=roster.applied_to).count()


def prepare_apply(*, roster: RosterImport) -> None:
    """This function will make the units and positions that the import needs, once."""
    with transaction.atomic():
        plan = {**roster.plan, "made": True}
        if roster.plan.get("made"):
            return
        if not RosterImport.objects.filter(pk=roster.pk, state=RosterState.APPLYING, applied_to=0).update(plan=plan):
            raise NotAtThisPoint(roster.pk)
        make_units(plan.get("units", []))
        make_positions(plan.get("positions", []))
        roster.plan = plan


def apply_chunk(*, roster: RosterImport, at: dt.datetime, size: int = CHUNK) -> int:
    """This function will apply the next changes of an import and return how many; 0 when none is left.

    Raises NotAtThisPoint, ChangedUnderUs.
    """
    low = roster.applied_to
    with transaction.atomic():
        high, count = one(
            f"SELECT max(id), count(*) FROM (SELECT id FROM {CHANGE} WHERE {sql.walked('roster_id')} = %s AND id > %s"
            " AND outcome <> 'refused' ORDER BY id LIMIT %s) x",
            [roster.pk, low, size],
        )
        if not count:
            return 0
        if not RosterImport.objects.filter(pk=roster.pk, state=RosterState.APPLYING, applied_to=low).update(
            applied_to=high
        ):
            raise NotAtThisPoint(roster.pk)
        chunk = _Chunk(roster, low, high, at)
        chunk.set_lost_aside()
        chunk.insert_people()
        chunk.write_people(BEFORE, AFTER)
        chunk.write_posts()
        chunk.follow_users()
        chunk.end_sessions()
    roster.applied_to = high
    return count


def finish_apply(*, roster: RosterImport, at: dt.datetime) -> dict:
    """This function will close an applied import: the counts as they came out, and one event on the chain ``roster``."""
    with transaction.atomic():
        found = dict(roster.changes.order_by().values_list("outcome").annotate(number=Count("pk")))
        lost = found.get(Outcome.REFUSED, 0) - roster.counts["refused"]
        counts = {**roster.counts, **{outcome.value: found.get(outcome.value, 0) for outcome in Outcome}}
        notes = [*roster.notes, {"code": "lost", "params": {"count": lost}}] if lost else roster.notes
        done = RosterImport.objects.filter(pk=roster.pk, state=RosterState.APPLYING).update(
            state=RosterState.APPLIED, applied_at=at, counts=counts, notes=notes
        )
        if not done:
            raise NotAtThisPoint(roster.pk)
        record_event(
            chain="roster",
            action="roster applied",
            subject=roster,
            actor=roster.applied_by,
            at=at,
            after={
                "file": roster.file_name,
                "sha256": roster.file_hash,
                "scope": roster.scope.code if roster.scope else None,
                "mode": roster.mode,
                "missing": roster.missing,
                "effective_on": roster.effective_on,
                "uploaded_by": roster.uploaded_by_id,
                "confirmed_by": roster.confirmed_by_id,
                "units_made": len(roster.plan.get("units", [])),
                "positions_made": len(roster.plan.get("positions", [])),
                **counts,
            },
        )
    roster.refresh_from_db()
    return counts


class _Chunk:
    """The statements that work on the changes of one import between two numbers."""

    def __init__(self, roster: RosterImport, low: int, high: int, at: dt.datetime):
        self.roster, self.at = roster, at
        # By the range of ids: an index over the import would be walked from its start for every chunk.
        self.here = f"{sql.walked('c.roster_id')} = %s AND c.id > %s AND c.id <= %s"
        self.range = [roster.pk, low, high]
        self.effective = roster.effective_on.isoformat()
        self.eve = (roster.effective_on - dt.timedelta(days=1)).isoformat()

    def with_post(self, *posts: str, known: bool = True) -> str:
        """The SQL of the people of the chunk to whose Placement this happens; its parameters are ``self.range``."""
        which = ", ".join(f"'{post}'" for post in posts)
        outcome = KNOWN if known else "c.outcome <> 'refused'"
        return (
            f"(SELECT c.employee_id FROM {CHANGE} c WHERE {self.here} AND {outcome}"
            f" AND {value(AFTER, 'post')} IN ({which}))"
        )

    def set_lost_aside(self) -> None:
        """Refuse the changes whose person is not any more what the check saw, or whose number somebody else took."""
        taken = (
            f"SELECT c.id FROM {CHANGE} c JOIN {EMPLOYEE} e ON e.employee_no = c.employee_no"
            f" WHERE {self.here} AND c.outcome = 'new'"
        )
        differing = (
            f"SELECT c.id FROM {CHANGE} c LEFT JOIN {EMPLOYEE} e ON e.id = c.employee_id"
            f" WHERE {self.here} AND {KNOWN} AND (e.id IS NULL OR NOT ({_matches(BEFORE)}))"
        )
        faults = [{"column": "", "value": "", "code": "moved_on", "params": {}}]
        for found in (taken, differing):
            lost = [pk for (pk,) in sql.rows(found, self.range)]
            for start in range(0, len(lost), 500):
                RosterChange.objects.filter(pk__in=lost[start : start + 500]).update(
                    outcome=Outcome.REFUSED, faults=faults
                )

    def insert_people(self) -> None:
        columns = ", ".join(column for column, _kind in FIELDS.values())
        values = ", ".join(value(AFTER, key, kind) for key, (_column, kind) in FIELDS.items())
        run(
            f"INSERT INTO {EMPLOYEE} (id, employee_no, name_latin, {columns})"
            f" SELECT c.employee_id, c.employee_no, '', {values} FROM {CHANGE} c WHERE {self.here} AND c.outcome = 'new'",
            self.range,
        )

    def write_people(self, old: str, new: str) -> None:
        """Write ``new`` over ``old``, everywhere or nowhere: the count is checked."""
        expected = one(f"SELECT count(*) FROM {CHANGE} c WHERE {self.here} AND {KNOWN}", self.range)[0]
        if not expected:
            return
        settings = ", ".join(
            f"{column} = CASE WHEN {has(new, key)} THEN {value(new, key, kind)} ELSE e.{column} END"
            for key, (column, kind) in FIELDS.items()
        )
        written = run(
            f"UPDATE {EMPLOYEE} AS e SET {settings} FROM {CHANGE} c"
            f" WHERE c.employee_id = e.id AND {self.here} AND {KNOWN} AND {_matches(old)}",
            self.range,
        )
        if written != expected:
            raise ChangedUnderUs(self.roster.pk)

    def write_posts(self) -> None:
        """End and begin the Placements, after the people are written: a new one takes the post from its person."""
        run(
            f"UPDATE {PLACEMENT} SET ends_on = %s WHERE ends_on IS NULL AND employee_id IN {self.with_post('turn')}",
            [self.eve, *self.range],
        )
        run(
            f"INSERT INTO {PLACEMENT} (employee_id, unit_id, position_id, manager_id, starts_on, ends_on)"
            f" SELECT e.id, e.unit_id, e.position_id, e.manager_id, {value(AFTER, 'starts_on', 'date')}, e.left_on"
            f" FROM {CHANGE} c JOIN {EMPLOYEE} e ON e.id = c.employee_id WHERE {self.here} AND c.outcome <> 'refused'"
            f" AND {value(AFTER, 'post')} IN ('begin', 'turn')",
            self.range,
        )
        self._amend()
        run(
            f"UPDATE {PLACEMENT} AS p SET ends_on = e.left_on FROM {EMPLOYEE} e WHERE e.id = p.employee_id"
            f" AND p.ends_on IS NULL AND p.employee_id IN {self.with_post('end')}",
            self.range,
        )
        self._shift(BEFORE, AFTER)
        run(
            f"UPDATE {PLACEMENT} AS p SET ends_on = NULL FROM {CHANGE} c WHERE c.employee_id = p.employee_id"
            f" AND {self.here} AND {KNOWN} AND {value(AFTER, 'post')} = 'reopen'"
            f" AND p.ends_on = {value(BEFORE, 'left_on', 'date')}",
            self.range,
        )

    def _amend(self) -> None:
        run(
            f"UPDATE {PLACEMENT} AS p SET unit_id = e.unit_id, position_id = e.position_id, manager_id = e.manager_id"
            f" FROM {EMPLOYEE} e WHERE e.id = p.employee_id AND p.ends_on IS NULL"
            f" AND p.employee_id IN {self.with_post('amend')}",
            self.range,
        )

    def _shift(self, old: str, new: str) -> None:
        run(
            f"UPDATE {PLACEMENT} AS p SET ends_on = {value(new, 'left_on', 'date')} FROM {CHANGE} c"
            f" WHERE c.employee_id = p.employee_id AND {self.here} AND {KNOWN} AND {value(AFTER, 'post')} = 'shift'"
            f" AND p.ends_on = {value(old, 'left_on', 'date')}",
            self.range,
        )

    def follow_users(self) -> None:
        """The sign-in's own copy of name and address follows the record."""
        run(
            f"UPDATE {User._meta.db_table} AS u SET email = e.email, first_name = e.name FROM {EMPLOYEE} e, {CHANGE} c"
            f" WHERE e.user_id = u.id AND c.employee_id = e.id AND {self.here} AND {KNOWN}"
            f" AND ({has(AFTER, 'email')} OR {has(AFTER, 'name')})",
            self.range,
        )

    def end_sessions(self) -> None:
        """Whoever is suspended, or whose last day is over, is signed out everywhere at the next request."""
        today = timezone.localdate(self.at).isoformat()
        users = (
            f"SELECT e.user_id FROM {CHANGE} c JOIN {EMPLOYEE} e ON e.id = c.employee_id WHERE {self.here}"
            f" AND c.outcome = 'left' AND e.user_id IS NOT NULL AND (e.state = 'suspended' OR e.left_on < %s)"
        )
        run(
            f"UPDATE {User._meta.db_table} SET session_epoch = session_epoch + 1 WHERE id IN ({users})",
            [*self.range, today],
        )

    # --- taking back ----------------------------------------------------------------------------------------------

    def take_back_posts(self) -> None:
        """Undo ``write_posts`` for people who were there before the import; run before they are written back."""
        run(
            f"DELETE FROM {PLACEMENT} WHERE starts_on = %s AND ends_on IS NULL"
            f" AND employee_id IN {self.with_post('turn', 'begin')}",
            [self.effective, *self.range],
        )
        run(
            f"UPDATE {PLACEMENT} SET ends_on = NULL WHERE ends_on = %s AND employee_id IN {self.with_post('turn')}",
            [self.eve, *self.range],
        )
        run(
            f"UPDATE {PLACEMENT} AS p SET ends_on = NULL FROM {CHANGE} c WHERE c.employee_id = p.employee_id"
            f" AND {self.here} AND {KNOWN} AND {value(AFTER, 'post')} = 'end'"
            f" AND p.ends_on = {value(AFTER, 'left_on', 'date')}",
            self.range,
        )
        self._shift(AFTER, BEFORE)
        run(
            f"UPDATE {PLACEMENT} AS p SET ends_on = {value(BEFORE, 'left_on', 'date')} FROM {CHANGE} c"
            f" WHERE c.employee_id = p.employee_id AND {self.here} AND {KNOWN} AND {value(AFTER, 'post')} = 'reopen'"
            " AND p.ends_on IS NULL",
            self.range,
        )

    def remove_people(self, kept: set[int]) -> None:
        """Remove the people the import made, but for those who must stay."""
        made = [
            pk
            for (pk,) in sql.rows(
                f"SELECT c.employee_id FROM {CHANGE} c WHERE {self.here} AND c.outcome = 'new'", self.range
            )
            if pk not in kept
        ]
        for start in range(0, len(made), 500):
            part = made[start : start + 500]
            Placement.objects.filter(employee_id__in=part)._raw_delete("default")
            # Nothing else points at them: that was asked of every model before.
            Employee.objects.filter(pk__in=part)._raw_delete("default")


def _matches(document: str) -> str:
    """Is the person (e) what the document says, in every field it names?"""
    return " AND ".join(
        f"(NOT {has(document, key)} OR NOT ({sql.differs(f'e.{column}', value(document, key, kind))}))"
        for key, (column, kind) in FIELDS.items()
        if key != "pinyin"
    )


def _post_stands() -> str:
    """Is the Placement still as the import left it? Else somebody moved or left since, and it cannot be unpicked."""
    post = value(AFTER, "post")
    here = f"SELECT 1 FROM {PLACEMENT} p WHERE p.employee_id = c.employee_id AND"
    began, ended = (
        f"p.starts_on = {value(AFTER, 'starts_on', 'date')}",
        f"p.ends_on = {value(AFTER, 'left_on', 'date')}",
    )
    return (
        f"CASE WHEN {post} IS NULL THEN TRUE"
        f" WHEN {post} IN ('end', 'shift') THEN EXISTS ({here} {ended})"
        f" WHEN {post} = 'reopen' THEN EXISTS ({here} p.ends_on IS NULL)"
        f" WHEN c.outcome = 'new' THEN EXISTS ({here} {began})"
        f" ELSE EXISTS ({here} {began} AND p.ends_on IS NULL) END"
    )


# --- undo -----------------------------------------------------------------------------------------------------------


def changed_since(roster: RosterImport) -> tuple[list[str], int]:
    """This function will return who was changed after the import by anything else: some names, and how many there are."""
    found = (
        f"FROM {CHANGE} c LEFT JOIN {EMPLOYEE} e ON e.id = c.employee_id"
        f" WHERE c.roster_id = %s AND c.outcome <> 'refused'"
        f" AND (e.id IS NULL OR NOT ({_matches(AFTER)}) OR NOT ({_post_stands()}))"
    )
    count = one(f"SELECT count(*) {found}", [roster.pk])[0]
    if not count:
        return [], 0
    some = sql.rows(f"SELECT c.name, c.employee_no {found} ORDER BY c.employee_no LIMIT {NAMED}", [roster.pk])
    return [f"{name} ({no})" for name, no in some], count


def to_undo(roster: RosterImport) -> int:
    """This function will return how many people are still to be put back."""
    return roster.changes.exclude(outcome=Outcome.REFUSED).filter(pk__lte=roster.applied_to).count()


def prepare_undo(*, roster: RosterImport) -> None:
    """This function will find the people made by the import on whom other records rest by now; they will stay."""
    made = RosterChange.objects.filter(roster=roster, outcome=Outcome.NEW)
    ids = made.values("employee_id")
    led = (
        roster.changes.filter(after__has_key="manager").exclude(outcome__in=[Outcome.NEW, Outcome.REFUSED]).order_by()
    ).values("employee_id")
    kept = set(Employee.objects.filter(pk__in=ids, user__isnull=False).values_list("pk", flat=True))
    for relation in Employee._meta.related_objects:
        model, name = relation.related_model, relation.field.attname
        if model is RosterChange or (model, name) == (Placement, "employee_id"):
            continue
        resting = model._base_manager.filter(**{f"{name}__in": ids})
        # What the import itself made rest on them goes back with it.
        if model is Employee:
            resting = resting.exclude(pk__in=ids).exclude(pk__in=led)
        if model is Placement:
            resting = resting.exclude(employee_id__in=ids).exclude(employee_id__in=led, starts_on=roster.effective_on)
        kept |= set(resting.values_list(name, flat=True))
    kept |= set(
        Placement.objects.filter(employee_id__in=ids)
        .values("employee_id")
        .order_by()
        .annotate(posts=Count("pk"))
        .filter(posts__gt=1)
        .values_list("employee_id", flat=True)
    )
    # Who stays keeps the manager, so a manager made by the same import stays as well.
    above = kept
    while above:
        above = (
            set(Employee.objects.filter(pk__in=above, manager_id__in=ids).values_list("manager_id", flat=True)) - kept
        )
        kept |= above
    roster.plan = {**roster.plan, "kept": sorted(kept)}
    if not RosterImport.objects.filter(pk=roster.pk, state=RosterState.UNDOING).update(plan=roster.plan):
        raise NotAtThisPoint(roster.pk)


def undo_chunk(*, roster: RosterImport, at: dt.datetime, size: int = CHUNK) -> int:
    """This function will take back the last changes still in force and return how many; 0 when none is left.

    From the last to the first, so people who were there before are put back before the new ones they may report to go.
    Raises NotAtThisPoint, ChangedUnderUs.
    """
    high = roster.applied_to
    with transaction.atomic():
        first, count = one(
            f"SELECT min(id), count(*) FROM (SELECT id FROM {CHANGE} WHERE {sql.walked('roster_id')} = %s AND id <= %s"
            " AND outcome <> 'refused' ORDER BY id DESC LIMIT %s) x",
            [roster.pk, high, size],
        )
        if not count:
            return 0
        if not RosterImport.objects.filter(pk=roster.pk, state=RosterState.UNDOING, applied_to=high).update(
            applied_to=first - 1
        ):
            raise NotAtThisPoint(roster.pk)
        chunk = _Chunk(roster, first - 1, high, at)
        chunk.take_back_posts()
        chunk.write_people(AFTER, BEFORE)
        chunk._amend()
        chunk.follow_users()
        chunk.remove_people(set(roster.plan.get("kept", ())))
    roster.applied_to = first - 1
    return count


def finish_undo(*, roster: RosterImport, by: User | None, at: dt.datetime) -> dict:
    """This function will close an undone import: remove units and positions left empty, and put one event on the chain."""
    with transaction.atomic():
        plan = roster.plan
        stayed = remove_unused_units([step["id"] for step in plan.get("units", [])])
        remove_unused_positions([step["id"] for step in plan.get("positions", [])])
        kept = list(
            Employee.objects.filter(pk__in=plan.get("kept", ()))
            .order_by("employee_no")
            .values_list("name", "employee_no")
        )
        notes = list(roster.notes)
        if kept:
            people = [f"{name} ({no})" for name, no in kept[:NAMED]] + ["…"] * (len(kept) > NAMED)
            notes.append({"code": "kept_people", "params": {"people": people}})
        if stayed:
            notes.append({"code": "kept_units", "params": {"units": stayed[:NAMED] + ["…"] * (len(stayed) > NAMED)}})
        if not RosterImport.objects.filter(pk=roster.pk, state=RosterState.UNDOING).update(
            state=RosterState.UNDONE, undone_at=at, undone_by=by, notes=notes
        ):
            raise NotAtThisPoint(roster.pk)
        record_event(
            chain="roster",
            action="roster undone",
            subject=roster,
            actor=by,
            at=at,
            before={"applied_at": roster.applied_at, **roster.counts},
            after={"sha256": roster.file_hash, "people_kept": len(kept), "units_kept": len(stayed)},
        )
    roster.refresh_from_db()
    return {"kept": len(kept)}
