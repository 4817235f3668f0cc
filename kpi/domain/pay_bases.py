"""What payroll gives and answers: bases, attendance, and what became of each line. Only added to; a later row counts.

Rows come from files that were checked and applied once (PayFile). Each writing is one event of the chain ``pay`` with the
digest of the rows it wrote.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, BinaryIO

from django.core.files import File
from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from core.batches import batches
from core.events import record_event, sealed
from core.models import Event
from core.periods import Month
from kpi.domain.pay_seals import CHAIN, canonical
from kpi.domain.pay_steps import require_allowed
from kpi.models import PayAttendance, PayBase, PayFile, PayLine, PayReturn, PayRun
from people.domain.access import Actor
from people.models import Employee, OrgUnit, Placement, User

Kind = PayFile.Kind
_AT_ONCE = 2000
_TAKEN_IN = "pay file taken in"
# What is sealed of each row that a file wrote, by kind.
_SEALED: dict[str, tuple[type[models.Model], tuple[str, ...]]] = {
    Kind.BASES: (PayBase, ("employee__employee_no", "from_month", "base_fen", "source")),
    Kind.ATTENDANCE: (
        PayAttendance,
        ("employee__employee_no", "first_month", "last_month", "attended", "attended_of", "source"),
    ),
    Kind.ANSWERS: (PayReturn, ("line__run__code", "line__number", "state", "amount_fen", "note", "source")),
}


class AppliedAlready(Exception):
    """The file was applied before; a file counts once."""


class NothingToApply(Exception):
    """No row of the file says anything new."""


@dataclass(frozen=True, slots=True)
class NewRow:
    """One row to write: the row of the file, and the values of the model."""

    row: int
    values: dict[str, Any]


# --- whom a preparer may write about ------------------------------------------------------------------------------------
def payable_people(actor: Actor) -> QuerySet[Employee]:
    """This function will return the people whose bases and attendance the actor may give (PM-Y04): of the units, never oneself.

    Who left, or had a post in the units within the last year, is among them: the days until then are still to be paid.
    """
    own: Any = Q(pk__in=[])
    units = OrgUnit.objects.none()
    for unit in actor.units("PMK"):
        units = units | OrgUnit.objects.filter(path__startswith=unit.path)
    if actor.units("PMK"):
        inside = units.order_by().values("pk")
        since = actor.on - dt.timedelta(days=366)
        was = Placement.objects.filter(employee=OuterRef("pk"), unit__in=inside, ends_on__gte=since)
        own = Q(unit__in=inside) | Exists(was)
    found = Employee.objects.filter(own)
    return found.exclude(pk=actor.employee.pk) if actor.employee else found


def known_bases(*, people: Iterable[int]) -> dict[int, list[tuple[Month, int]]]:
    """This function will return {employee id: [(from month, base in fen)]} as they count by now, by month."""
    found: dict[int, dict[Month, int]] = {}
    for some in batches(people, _AT_ONCE):
        rows = PayBase.objects.filter(employee__in=some).order_by("pk")
        for employee, month, fen in rows.values_list("employee_id", "from_month", "base_fen"):
            found.setdefault(employee, {})[month] = fen
    return {employee: sorted(months.items()) for employee, months in found.items()}


def known_attendance(*, people: Iterable[int], first: Month, last: Month) -> dict[int, tuple[Decimal, Decimal]]:
    """This function will return {employee id: (attended, of)} of a period as it counts by now."""
    found: dict[int, tuple[Decimal, Decimal]] = {}
    for some in batches(people, _AT_ONCE):
        rows = PayAttendance.objects.filter(employee__in=some, first_month=first, last_month=last).order_by("pk")
        found |= {pk: (attended, of) for pk, attended, of in rows.values_list("employee_id", "attended", "attended_of")}
    return found


def newest_answers(run: PayRun) -> dict[int, PayReturn]:
    """This function will return {line id: payroll's newest answer} of a run."""
    rows = PayReturn.objects.filter(line__run=run).order_by("at", "pk")
    return {answer.line_id: answer for answer in rows.iterator(chunk_size=_AT_ONCE)}


# --- files ----------------------------------------------------------------------------------------------------------------
def keep_file(
    *,
    kind: str,
    file: BinaryIO,
    name: str,
    first_month: Month | None = None,
    last_month: Month | None = None,
    run: PayRun | None = None,
    by: User,
    at: dt.datetime,
) -> PayFile:
    """This function will keep an uploaded file until it is applied; nothing of it counts yet."""
    file.seek(0)
    digest = hashlib.sha256(file.read()).hexdigest()
    file.seek(0)
    upload = PayFile(
        kind=kind,
        name=name[:150],
        digest=digest,
        first_month=first_month,
        last_month=last_month,
        run=run,
        uploaded_by=by,
        uploaded_at=at,
    )
    ending = "csv" if name.lower().endswith((".csv", ".txt", ".tsv")) else "xlsx"
    upload.file.save(f"{kind}.{ending}", File(file), save=False)
    upload.save()
    return upload


@transaction.atomic
def apply_file(*, upload: PayFile, rows: Sequence[NewRow], by: User, at: dt.datetime) -> int:
    """This function will write the checked rows of a file, once, and return how many. Raises AppliedAlready, NothingToApply.

    Answers need an exported run (NotInThisState).
    """
    if not rows:
        raise NothingToApply
    if upload.run is not None:
        require_allowed(upload.run, "answer")
    if not PayFile.objects.filter(pk=upload.pk, applied_at=None).update(applied_at=at, applied_rows=len(rows)):
        raise AppliedAlready
    model, _columns = _SEALED[upload.kind]
    for some in batches(rows, _AT_ONCE):
        model._default_manager.bulk_create(
            model(**row.values, source=_source(upload, row.row), at=at, by=by) for row in some
        )
    upload.refresh_from_db()
    record_event(
        chain=CHAIN,
        action=_TAKEN_IN,
        subject=upload,
        actor=by,
        at=at,
        after={
            "kind": upload.kind,
            "name": upload.name,
            "sha256": upload.digest,
            "rows": len(rows),
            "digest": _digest(upload.kind, upload.pk)[0],
        },
    )
    return len(rows)


def _source(upload: PayFile, row: int) -> str:
    return f"#{upload.pk} {upload.name}:{row}"[:200]


def _digest(kind: str, key: int | str) -> tuple[str, int]:
    """The digest and the number of the rows that a file wrote."""
    model, columns = _SEALED[kind]
    digest, count = hashlib.sha256(), 0
    rows = model._default_manager.filter(source__startswith=f"#{key} ").order_by("pk").values_list(*columns)
    for row in rows.iterator(chunk_size=_AT_ONCE):
        plain = [f"{value:.2f}" if isinstance(value, Decimal) else str(value) for value in row]
        digest.update(canonical(plain) + b"\n")
        count += 1
    return digest.hexdigest(), count


@sealed
def check_pay_files() -> Iterator[tuple[str, bool]]:
    """For manage.py verify_events: the rows of each file of pay are the ones that were written."""
    events = Event.objects.filter(chain=CHAIN, action=_TAKEN_IN).order_by("sequence")
    for key, kept in events.values_list("subject_id", "after"):
        after = kept or {}
        sound = _digest(after["kind"], key) == (after["digest"], after["rows"])
        yield f"pay file {key} ({after['name']})", sound


@dataclass(frozen=True)
class Reconciliation:
    """What payroll answered beside what was exported: counts and sums in fen."""

    lines: int
    exported_fen: int
    paid: int
    paid_fen: int
    changed: int
    changed_fen: int
    changed_from_fen: int
    refused: int
    refused_fen: int
    waiting: int
    waiting_fen: int

    @property
    def is_complete(self) -> bool:
        return self.waiting == 0

    @property
    def difference_fen(self) -> int:
        """What payroll paid more (or less) than was exported, of the lines it answered."""
        return self.paid_fen + self.changed_fen - (self.exported_fen - self.waiting_fen)


def reconcile(run: PayRun) -> Reconciliation:
    """This function will put payroll's newest answers beside the exported lines."""
    answers = newest_answers(run)
    counts: dict[str, list[int]] = {state: [0, 0, 0] for state in (*PayReturn.State.values, "waiting")}
    total = lines = 0
    rows = PayLine.objects.filter(run=run).order_by().values_list("pk", "paid_fen")
    for key, fen in rows.iterator(chunk_size=_AT_ONCE):
        answer = answers.get(key)
        cell = counts[answer.state if answer else "waiting"]
        cell[0] += 1
        cell[1] += answer.amount_fen if answer else fen
        cell[2] += fen
        total, lines = total + fen, lines + 1
    paid, changed, refused, waiting = (counts[state] for state in ("paid", "changed", "refused", "waiting"))
    return Reconciliation(
        lines=lines,
        exported_fen=total,
        paid=paid[0],
        paid_fen=paid[1],
        changed=changed[0],
        changed_fen=changed[1],
        changed_from_fen=changed[2],
        refused=refused[0],
        refused_fen=refused[2],
        waiting=waiting[0],
        waiting_fen=waiting[1],
    )
