"""Closing a month: what is still open, who answers for which unit, and the figures that stand still from then on.

A month is closed in three acts: begun after its due day, signed unit by unit from the branches up, and closed once every
root is signed. The acts of one month are done one after the other: each holds the row of its MonthClose.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import connection, transaction
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Length, Substr

from core.batches import batches
from core.events import record_event, sealed
from core.models import Event, Job
from core.periods import Month
from courses.domain import tallies
from courses.domain.history import Point, count_at, count_changes, fold
from courses.domain.month_plan import plan_lines
from courses.domain.queries import Figures
from courses.domain.reconciling import Report, keep_report, newest_report
from courses.domain.tallies import COLUMNS
from courses.models import (
    ClosedFigure,
    CourseRun,
    DutyRequest,
    Enrolment,
    EnrolmentChange,
    Matter,
    MonthClose,
    SignOff,
    Tally,
)
from people.models import OrgUnit, RoleGrant, RosterImport, User

SIGNED_COLUMNS = ("assigned", "completed", "on_time", "exempt", "withdrawn")  # what a signature answers for
_CHAIN = "months"
_State = MonthClose.State


class NothingToClose(Exception):
    """No course of the month was opened, so there are no figures."""


class NotDueYet(Exception):
    """A course of the month is not due yet (or only just now)."""


class MonthClosed(Exception):
    """The month is closed: nothing about it is signed or taken back any more."""


class NotBegun(Exception):
    """The closing of the month has not begun, or was called off."""


class NothingToSign(Exception):
    """The unit has no duty in the month, neither itself nor below it."""


class BelowNotSigned(Exception):
    """Units right below are not signed yet, or their figures changed since: ``units``."""

    def __init__(self, units: list[OrgUnit]):
        super().__init__([unit.code for unit in units])
        self.units = units


class NotSigned(Exception):
    """The unit is not signed."""


class SignedAbove(Exception):
    """A unit above has signed; its signature has to be taken back first: ``unit``."""

    def __init__(self, unit: OrgUnit):
        super().__init__(unit.code)
        self.unit = unit


class FiguresChanged(Exception):
    """Figures changed since they were signed, so these units have to be signed anew: ``units``."""

    def __init__(self, units: list[OrgUnit]):
        super().__init__([unit.code for unit in units])
        self.units = units


class SignedAlready(Exception):
    """Units are signed, so the closing cannot be called off as if it had not begun."""


# --- where it stands --------------------------------------------------------------------------------------------------
class Standing:
    """How a unit stands in a closing."""

    SIGNED, CHANGED, READY, WAITING = "signed", "changed", "ready", "waiting"


@dataclass(frozen=True)
class UnitSigning:
    """One unit of a closing: its figures now, its signature, and which units right below it still wait."""

    unit: OrgUnit
    now: Figures
    signed: SignOff | None
    waits_for: tuple[OrgUnit, ...]
    below: int  # units right below with duties

    @property
    def standing(self) -> str:
        if self.signed and self.signed.figures == signed_figures(self.now):
            return Standing.SIGNED
        if self.waits_for:
            return Standing.WAITING
        return Standing.CHANGED if self.signed else Standing.READY

    @property
    def is_signed(self) -> bool:
        return self.standing == Standing.SIGNED


def signed_figures(figures: Figures) -> dict[str, int]:
    """This function will return what a signature keeps of a unit's figures."""
    return {column: getattr(figures, column) for column in SIGNED_COLUMNS}


def month_figures(*, month: Month) -> dict[int, Figures]:
    """This function will return {unit id: figures} of every unit with a duty in the month, from the tallies. One query."""
    sums = {f"sum_{column}": Sum(column) for column in COLUMNS}
    rows = Tally.objects.filter(run__month=month).order_by().values("unit_id").annotate(**sums)
    found = {row["unit_id"]: _figures(row) for row in rows}
    return {unit: figures for unit, figures in found.items() if figures}


def _figures(row: Mapping[str, Any]) -> Figures:
    return Figures(**{column: row[f"sum_{column}"] for column in COLUMNS})


def signing(*, month: Month, close: MonthClose | None) -> dict[int, UnitSigning]:
    """This function will return {unit id: how it stands} of every unit with a duty in the month, in tree order.

    Three queries. Without a close nobody has signed.
    """
    figures = month_figures(month=month)
    signed = {}
    if close is not None:
        rows = SignOff.objects.filter(close=close).select_related("by__employee", "signed_from").order_by("pk")
        signed = {one.unit_id: one for one in rows}
    counting = Tally.objects.filter(run__month=month).order_by().values("unit")
    units = [unit for unit in OrgUnit.objects.filter(pk__in=counting) if unit.pk in figures]
    below: dict[str, list[OrgUnit]] = defaultdict(list)
    for unit in units:
        below[unit.path[: -OrgUnit.steplen]].append(unit)
    found: dict[int, UnitSigning] = {}
    for unit in reversed(units):  # leaves first
        waits = tuple(one for one in below[unit.path] if not found[one.pk].is_signed)
        found[unit.pk] = UnitSigning(
            unit=unit,
            now=figures[unit.pk],
            signed=signed.get(unit.pk),
            waits_for=waits,
            below=len(below[unit.path]),
        )
    return {unit.pk: found[unit.pk] for unit in units}


def hr_of(*, units: Iterable[OrgUnit], on: dt.date) -> dict[int, list[User]]:
    """This function will return {unit id: who is HR of it}: of the unit itself or, if nobody is, of the nearest above.

    One query for all of them.
    """
    units = list(units)
    ways = {unit.pk: list(_upwards(unit.path)) for unit in units}
    grants = (
        RoleGrant.objects.filter(Q(until=None) | Q(until__gte=on), role=RoleGrant.Role.HR, starts_on__lte=on)
        .filter(unit__path__in={path for way in ways.values() for path in way}, user__is_active=True)
        .select_related("user__employee", "unit")
        .order_by("pk")
    )
    by_path: dict[str, list[User]] = defaultdict(list)
    for grant in grants:
        if grant.unit and grant.user not in by_path[grant.unit.path]:
            by_path[grant.unit.path].append(grant.user)
    return {pk: next((by_path[path] for path in way if path in by_path), []) for pk, way in ways.items()}


@dataclass(frozen=True)
class Item:
    """Something that is open before a month is closed. ``blocks``: the month cannot be closed as long as it is so."""

    key: str  # not_opened, not_due, requests, matters, imports, changed, unsigned
    count: int
    blocks: bool


def checklist(
    *, month: Month, at: dt.datetime, scope: Iterable[OrgUnit] | None = None, stand: Mapping | None = None
) -> list[Item]:
    """This function will return everything that could be open before a month is closed, each with its count (0: settled).

    ``scope``: as far as these units are concerned (default: everywhere). ``stand``: what ``signing`` said, if it was
    asked already. Tallies that drifted are not among it: finding them means counting every duty (drift, count_again).
    """
    scope = None if scope is None else list(scope)
    if stand is None:
        stand = signing(month=month, close=MonthClose.objects.filter(month=month).first())
    standing = [one for one in stand.values() if scope is None or any(unit.contains(one.unit) for unit in scope)]
    runs = CourseRun.objects.filter(month=month)
    lines = plan_lines(month=month, scope=scope).filter(opened_at=None)
    asked = DutyRequest.objects.filter(state=DutyRequest.State.ASKED, enrolment__run__month=month)
    matters = Matter.objects.filter(state=Matter.State.OPEN).filter(
        Q(run__month=month) | Q(run=None, enrolment__run__month=month)
    )
    waiting = [RosterImport.State.UPLOADED, RosterImport.State.CHECKED, RosterImport.State.AWAITING_SECOND]
    imports = RosterImport.objects.filter(state__in=waiting)
    if scope is not None:
        asked = asked.filter(_in(scope, "enrolment__unit"))
        matters = matters.filter(_in(scope, "employee__unit"))
        whole = Q(scope=None) if any(unit.is_root() for unit in scope) else Q(pk__in=[])
        imports = imports.filter(_in(scope, "scope") | whole)
    changed = sum(1 for one in standing if one.signed and not one.is_signed)
    return [
        Item("not_opened", lines.order_by().values("course").distinct().count(), blocks=False),
        Item("not_due", runs.filter(due_at__gte=at).exclude(state=CourseRun.State.PLANNED).count(), blocks=True),
        Item("requests", asked.count(), blocks=False),
        Item("matters", matters.count(), blocks=False),
        Item("imports", imports.count(), blocks=False),
        Item("changed", changed, blocks=True),
        Item("unsigned", sum(1 for one in standing if not one.signed), blocks=True),
    ]


def _in(scope: Iterable[OrgUnit], field: str) -> Q:
    found = Q(pk__in=[])
    for unit in scope:
        found |= Q(**{f"{field}__path__startswith": unit.path})
    return found


def drift(*, month: Month) -> list[tuple[int, int]]:
    """This function will return (run id, unit id) of every tally of the month that the duties do not bear out."""
    found = []
    nothing = dict.fromkeys(COLUMNS, 0)
    for run in CourseRun.objects.filter(month=month).exclude(state=CourseRun.State.PLANNED).order_by("pk"):
        counted = tallies.count(run=run)
        kept = {row["unit_id"]: row for row in Tally.objects.filter(run=run).values("unit_id", *COLUMNS)}
        for unit in sorted(counted.keys() | kept.keys()):
            said = kept.get(unit, nothing)
            if counted.get(unit, nothing) != {column: said[column] for column in COLUMNS}:
                found.append((run.pk, unit))
    return found


def recount_month(*, month: Month) -> int:
    """This function will recount every run of the month and return how many tallies were wrong. They are put right."""
    runs = CourseRun.objects.filter(month=month).exclude(state=CourseRun.State.PLANNED).order_by("pk")
    return sum(len(tallies.recount(run=run)) for run in runs)


def count_again(*, month: Month, at: dt.datetime) -> Report:
    """This function will recount a month and keep what that found as its newest report, for newest_count."""
    runs = CourseRun.objects.filter(month=month).exclude(state=CourseRun.State.PLANNED).count()
    report = Report(at=at, runs=runs, differences=recount_month(month=month), failed=0)
    keep_report(report, month=month)
    return report


def newest_count(*, month: Month) -> Report | None:
    """This function will return what counting this month again found the last time, or None.

    By hand, or in a later night that counted all of its runs and found no difference anywhere. Three queries at most.
    """
    own, night = newest_report(month=month), newest_report()
    if night is None or not night.is_clean or (own is not None and own.at >= night.at):
        return own
    by_night = not CourseRun.objects.filter(month=month, state=CourseRun.State.CLOSED).exists()
    return night if by_night else own


def months_to_close(*, at: dt.datetime) -> list[tuple[Month, MonthClose | None]]:
    """This function will return the months whose courses are all due and that are not closed, the oldest first.

    Each with its closing if that has begun. Two queries.
    """
    rows = (
        CourseRun.objects.exclude(state=CourseRun.State.PLANNED)
        .order_by("month")
        .values("month")
        .annotate(due_at=Max("due_at"))
        .values_list("month", "due_at")
    )
    closes = {close.month: close for close in MonthClose.objects.all()}
    return [
        (month, closes.get(month))
        for month, due_at in rows
        if due_at < at and (month not in closes or closes[month].state != _State.CLOSED)
    ]


# --- beginning --------------------------------------------------------------------------------------------------------
def begin_close(*, month: Month, by: User | None, at: dt.datetime) -> MonthClose:
    """This function will begin the closing of a month whose courses are all due; begun before, nothing changes.

    One event on the chain ``months``. Raises NothingToClose or NotDueYet.
    """
    due = CourseRun.objects.filter(month=month).exclude(state=CourseRun.State.PLANNED).aggregate(last=Max("due_at"))
    if due["last"] is None:
        raise NothingToClose
    if at <= due["last"]:
        raise NotDueYet
    with transaction.atomic():
        close, created = MonthClose.objects.get_or_create(month=month, defaults={"begun_at": at, "begun_by": by})
        if created:
            _tell(close, "close begun", by=by, at=at, after={"month": str(month)})
    return close


def call_off_close(*, close: MonthClose, by: User | None, at: dt.datetime) -> None:
    """This function will undo the beginning of a closing as long as nobody has signed.

    One event on the chain ``months``. Raises MonthClosed, NotBegun or SignedAlready.
    """
    with transaction.atomic():
        _hold(close)
        if SignOff.objects.filter(close=close).exists():
            raise SignedAlready
        _tell(close, "close called off", by=by, at=at, before={"month": str(close.month)})
        MonthClose.objects.filter(pk=close.pk).delete()


def _hold(close: MonthClose) -> None:
    """Have the closing to ourselves until the end of the transaction. Raises MonthClosed or NotBegun."""
    if not MonthClose.objects.filter(pk=close.pk, state=_State.SIGNING).update(state=_State.SIGNING):
        raise MonthClosed if MonthClose.objects.filter(pk=close.pk).exists() else NotBegun


def _tell(close: MonthClose, action: str, **values) -> None:
    record_event(chain=_CHAIN, action=action, subject=close, actor=values.pop("by"), at=values.pop("at"), **values)


# --- signing ----------------------------------------------------------------------------------------------------------
def sign_off(*, close: MonthClose, unit: OrgUnit, by: User | None, at: dt.datetime, note: str = "") -> SignOff:
    """This function will sign a unit with its figures of this moment; signed with the same figures, nothing changes.

    A signature over figures that changed since is replaced. One event on the chain ``months``. Raises NothingToSign,
    BelowNotSigned, MonthClosed or NotBegun.
    """
    with transaction.atomic():
        _hold(close)
        one = signing(month=close.month, close=close).get(unit.pk)
        if one is None:
            raise NothingToSign
        if one.signed and one.is_signed:
            return one.signed
        if one.waits_for:
            raise BelowNotSigned(list(one.waits_for))
        values = {"by": by, "at": at, "note": note.strip()[:300], "figures": signed_figures(one.now)}
        before = {"figures": one.signed.figures} if one.signed else None
        sign, _made = SignOff.objects.update_or_create(close=close, unit=unit, defaults={**values, "signed_from": None})
        after = {"month": str(close.month), "unit": unit.code, "figures": values["figures"]}
        _tell(close, "unit signed", by=by, at=at, before=before, after=after, reason=values["note"])
    return sign


def sign_below(*, close: MonthClose, unit: OrgUnit, by: User | None, at: dt.datetime, note: str = "") -> int:
    """This function will sign, in one act, every unit below one that is not signed or whose figures changed since.

    Each of these signatures says from which unit above it was given. The unit itself is not signed. Returns how many;
    for none, nothing happens. One event on the chain ``months``. Raises NothingToSign, MonthClosed or NotBegun.
    """
    note = note.strip()[:300]
    with transaction.atomic():
        _hold(close)
        stand = signing(month=close.month, close=close)
        if unit.pk not in stand:
            raise NothingToSign
        place = stand[unit.pk].unit
        due = [one for one in stand.values() if place.contains(one.unit) and one.unit != place and not one.is_signed]
        if not due:
            return 0
        SignOff.objects.bulk_create(
            [
                SignOff(
                    close=close,
                    unit=one.unit,
                    by=by,
                    at=at,
                    note=note,
                    signed_from=place,
                    figures=signed_figures(one.now),
                )
                for one in due
            ],
            batch_size=1000,
            update_conflicts=True,
            unique_fields=["close", "unit"],
            update_fields=["by", "at", "note", "signed_from", "figures"],
        )
        after = {"month": str(close.month), "unit": place.code, "units": [one.unit.code for one in due]}
        _tell(close, "signed below", by=by, at=at, after=after, reason=note)
    return len(due)


def take_back(*, close: MonthClose, unit: OrgUnit, by: User | None, at: dt.datetime) -> None:
    """This function will take back the signature of a unit as long as nobody above has signed.

    One event on the chain ``months``. Raises NotSigned, SignedAbove, MonthClosed or NotBegun.
    """
    with transaction.atomic():
        _hold(close)
        sign = SignOff.objects.filter(close=close, unit=unit).first()
        if sign is None:
            raise NotSigned
        place = OrgUnit.objects.get(pk=unit.pk)
        above = OrgUnit.objects.above(place).exclude(pk=place.pk).order_by()
        upper = SignOff.objects.filter(close=close, unit__in=above).select_related("unit").first()
        if upper:
            raise SignedAbove(upper.unit)
        sign.delete()
        before = {"month": str(close.month), "unit": place.code, "figures": sign.figures}
        _tell(close, "signature taken back", by=by, at=at, before=before)


def take_back_below(*, close: MonthClose, unit: OrgUnit, by: User | None, at: dt.datetime) -> int:
    """This function will take back every signature that was given from a unit for those below it (sign_below).

    One over which another unit has signed since stays. Returns how many were taken back. One event on the chain
    ``months``. Raises SignedAbove when the unit or one above it has signed, MonthClosed or NotBegun.
    """
    with transaction.atomic():
        _hold(close)
        place = OrgUnit.objects.get(pk=unit.pk)
        signed = list(SignOff.objects.filter(close=close).select_related("unit"))
        paths = {one.unit.path: one for one in signed}
        for path in _upwards(place.path):
            if path in paths:
                raise SignedAbove(paths[path].unit)
        given = {one.unit.path: one for one in signed if one.signed_from_id == place.pk}
        others = paths.keys() - given.keys()
        gone = [one for path, one in given.items() if not any(upper in others for upper in _upwards(path))]
        if gone:
            for some in batches(gone, 1000):
                SignOff.objects.filter(pk__in=[one.pk for one in some]).delete()
            before = {"month": str(close.month), "unit": place.code, "units": [one.unit.code for one in gone]}
            _tell(close, "signatures below taken back", by=by, at=at, before=before)
    return len(gone)


def _upwards(path: str) -> Iterator[str]:
    """The path of a unit and of every unit above it."""
    for end in range(len(path), 0, -OrgUnit.steplen):
        yield path[:end]


# --- closing ----------------------------------------------------------------------------------------------------------
def close_month(*, close: MonthClose, by: User | None, at: dt.datetime) -> bool:
    """This function will close a month all of whose root units are signed; closed before, it returns False.

    Recounts the month first. Writes the figures of every run and unit as they are called and where they hang now, seals
    them with a digest, and puts it with the totals on the chain ``months``: one event. While it works no duty changes
    and no unit moves. Raises FiguresChanged when the figures of a signed unit changed since, BelowNotSigned with the
    roots that are not signed, NothingToClose or NotBegun.
    """
    recount_month(month=close.month)  # kept even if the month is then refused
    with transaction.atomic():
        try:
            _hold(close)
        except MonthClosed:
            close.refresh_from_db()
            return False
        _stand_still()
        recount_month(month=close.month)
        stand = signing(month=close.month, close=close)
        _refuse_unsigned(stand)
        _freeze(close)
        digest, number = digest_of(close)
        totals = _totals(close)
        newest = EnrolmentChange.objects.aggregate(newest=Max("pk"))["newest"] or 0
        closed = MonthClose.objects.filter(pk=close.pk, state=_State.SIGNING).update(
            state=_State.CLOSED, closed_at=at, closed_by=by, digest=digest, newest_change=newest
        )
        if not closed:
            raise RuntimeError(f"{close} changed while it was ours")
        close.refresh_from_db()
        after = {
            "month": str(close.month),
            "digest": digest,
            "figures": number,
            "signatures": _signatures_digest(close),
            "totals": totals,
        }
        _tell(close, "month closed", by=by, at=at, after=after)
    return True


def _stand_still() -> None:
    """Let no duty change and no unit move until the transaction ends, after those that are about to have done so.

    On SQLite the whole transaction is the lock.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("LOCK TABLE courses_enrolment, people_orgunit IN SHARE MODE")


def _refuse_unsigned(stand: Mapping[int, UnitSigning]) -> None:
    if not stand:
        raise NothingToClose
    changed = [one.unit for one in stand.values() if one.signed and not one.is_signed]
    if changed:
        raise FiguresChanged(changed)
    unsigned = [one.unit for one in stand.values() if one.unit.is_root() and not one.is_signed]
    unsigned = unsigned or [one.unit for one in stand.values() if not one.is_signed]
    if unsigned:
        raise BelowNotSigned(unsigned)


def _freeze(close: MonthClose) -> None:
    """Write the tallies of the month as closed figures, in one INSERT .. SELECT."""
    parent = OrgUnit.objects.filter(
        path=Substr(OuterRef("unit__path"), 1, Length(OuterRef("unit__path")) - OrgUnit.steplen)
    ).order_by()
    columns = {
        "close_id": Value(close.pk),
        "run_id": F("run_id"),
        "unit_id": F("unit_id"),
        "parent_id": Subquery(parent.values("pk")[:1]),
        "path": F("unit__path"),
        "depth": F("unit__depth"),
        "unit_code": F("unit__code"),
        "unit_zh": F("unit__name"),
        "unit_en": F("unit__name_en"),
        **{column: F(column) for column in COLUMNS},
    }
    something = Q(pk__in=[])
    for column in COLUMNS:
        something |= Q(**{f"{column}__gt": 0})
    rows = (
        Tally.objects.filter(something, run__month=close.month)
        .order_by()
        .annotate(**{f"new_{name}": value for name, value in columns.items()})
        .values_list(*(f"new_{name}" for name in columns))
    )
    select, parameters = rows.query.sql_with_params()
    quote = connection.ops.quote_name
    names = ", ".join(quote(name) for name in columns)
    with connection.cursor() as cursor:
        # Names come from the model and values go as parameters: nothing in this statement was typed by anybody.
        cursor.execute(
            f"INSERT INTO {quote(ClosedFigure._meta.db_table)} ({names}) {select}",  # noqa: S608
            parameters,
        )


_SEALED = ("run_id", "unit_id", "parent_id", "path", "depth", "unit_code", "unit_zh", "unit_en", *COLUMNS)


def digest_of(close: MonthClose) -> tuple[str, int]:
    """This function will return (the SHA-256 of a closed month's figures, how many rows they are).

    Over the month and then each row in the order of run and unit, each as JSON without white space on a line of its own
    (docs/decisions/0013).
    """
    seal, number = hashlib.sha256(_line([str(close.month)])), 0
    rows = ClosedFigure.objects.filter(close=close).order_by("run_id", "unit_id").values_list(*_SEALED)
    for row in rows.iterator(chunk_size=2000):
        seal.update(_line(row))
        number += 1
    return seal.hexdigest(), number


def _signatures_digest(close: MonthClose) -> str:
    seal = hashlib.sha256(_line([str(close.month)]))
    rows = SignOff.objects.filter(close=close).order_by("unit_id")
    for row in rows.values_list("unit_id", "by_id", "at", "note", "signed_from_id", "figures").iterator(
        chunk_size=2000
    ):
        unit, by, at, note, signed_from, figures = row
        moment = at.astimezone(dt.UTC).isoformat(timespec="microseconds")
        seal.update(_line([unit, by, moment, note, signed_from, figures]))
    return seal.hexdigest()


def _line(values: Iterable) -> bytes:
    return json.dumps(list(values), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def _totals(close: MonthClose) -> dict[str, int]:
    sums = ClosedFigure.objects.filter(close=close, parent=None).aggregate(**{one: Sum(one) for one in COLUMNS})
    return {column: sums[column] or 0 for column in COLUMNS}


# --- a closed month ---------------------------------------------------------------------------------------------------
def closed_month(month: Month) -> MonthClose | None:
    """This function will return the closing of a month that is closed, or None. One query."""
    return MonthClose.objects.filter(month=month, state=_State.CLOSED).select_related("closed_by__employee").first()


def point_of(close: MonthClose) -> Point:
    """This function will return the point of the history up to which a closed month counts."""
    assert close.closed_at is not None  # a closed month says when (closed_month_is_sealed)
    return Point(close.closed_at, close.newest_change)


@dataclass(frozen=True)
class ClosedUnit:
    """A unit of a closed month as it was called and hung then: its figures at the close, and with what came since."""

    pk: int
    parent: int | None
    depth: int
    code: str
    label: str
    closed: Figures
    since: Figures  # what was added since the close; may be negative
    below: int  # units right below with figures

    @property
    def adjusted(self) -> Figures:
        """The figures with the adjustments since."""
        return Figures(**{one: getattr(self.closed, one) + getattr(self.since, one) for one in COLUMNS})


def closed_units(*, close: MonthClose, run: CourseRun | None = None) -> dict[int, ClosedUnit]:
    """This function will return {unit id: its figures} of a closed month (or one run of it), in the order of the tree.

    Adjustments are folded through the tree of the close, so that both figures are about the same units; a duty that
    counts today in a unit which had no figures then is added to the nearest one above it that had. Four queries.
    """
    figures = ClosedFigure.objects.filter(close=close)
    if run is not None:
        figures = figures.filter(run=run)
    names = ("unit_id", "parent_id", "path", "depth", "unit_code", "unit_zh", "unit_en")
    sums = {f"sum_{column}": Sum(column) for column in COLUMNS}
    rows = list(figures.order_by("path").values(*names).annotate(**sums))
    parents = {row["unit_id"]: row["parent_id"] for row in rows}
    below: dict[int | None, int] = defaultdict(int)
    for parent in parents.values():
        below[parent] += 1
    changed = count_changes(month=close.month, point=point_of(close), run=run)
    since = fold(_in_closed_units(changed, parents), partial(_above, parents=parents))
    nothing = dict.fromkeys(COLUMNS, 0)
    return {
        row["unit_id"]: ClosedUnit(
            pk=row["unit_id"],
            parent=row["parent_id"],
            depth=row["depth"],
            code=row["unit_code"],
            label=ClosedFigure(unit_zh=row["unit_zh"], unit_en=row["unit_en"]).unit_label,
            closed=_figures(row),
            since=Figures(**since.get(row["unit_id"], nothing)),
            below=below[row["unit_id"]],
        )
        for row in rows
    }


def _above(unit: int | None, parents: Mapping[int, int | None]) -> Iterator[int]:
    while unit is not None:
        yield unit
        unit = parents[unit]


def _in_closed_units(changed: Mapping[int, dict[str, int]], parents: Mapping[int, int | None]):
    """The changes by unit, those of units without closed figures moved to the nearest unit above that has some."""
    strange = [unit for unit in changed if unit not in parents]
    if not strange:
        return changed
    by_path = dict(OrgUnit.objects.order_by().values_list("path", "pk"))
    path_of = {pk: path for path, pk in by_path.items()}
    found: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    for unit, counts in changed.items():
        way = (by_path[path] for path in _upwards(path_of[unit]))
        home = unit if unit in parents else next((upper for upper in way if upper in parents), None)
        if home is not None:
            for column, number in counts.items():
                found[home][column] += number
    return found


@dataclass(frozen=True)
class Verification:
    """Whether a closed month is what it was: each part True or False."""

    close: MonthClose
    figures: bool  # the digest of the stored figures is the one that was written down
    chain: bool  # and the one in the event chain
    signatures: bool  # the signatures are those of the event chain
    history: bool | None  # the history of every duty gives the same figures (None: not asked)

    @property
    def sound(self) -> bool:
        return self.figures and self.chain and self.signatures and self.history is not False


def verify_close(*, close: MonthClose, history: bool = True) -> Verification:
    """This function will check a closed month: its figures, its signatures, the event chain and the history of duties.

    ``history=False`` leaves out the last, which counts every duty of the month. (Whether the chain itself is whole says
    core.events.verify_chain.)
    """
    digest, number = digest_of(close)
    event = closing_event(close)
    after = (event.after if event else None) or {}
    return Verification(
        close=close,
        figures=digest == close.digest,
        chain=(after.get("digest"), after.get("figures")) == (close.digest, number),
        signatures=after.get("signatures") == _signatures_digest(close),
        history=_history_agrees(close) if history else None,
    )


@dataclass(frozen=True)
class SealCheck:
    """When a closed month was checked by a person the last time, and whether it was what it had been."""

    at: dt.datetime
    sound: bool


_SEAL_CHECKED = "courses.check_seal"  # the kind of job that keeps it; nothing runs under this name


def check_seal(*, close: MonthClose, at: dt.datetime) -> SealCheck:
    """This function will check a closed month with its history, and keep the answer for newest_check."""
    sound = verify_close(close=close).sound
    values = {"state": Job.State.DONE, "result": {"sound": sound}, "finished_at": at}
    if not Job.objects.filter(**_seal_checked(close)).update(**values):
        about = {"kind": _SEAL_CHECKED, "arguments": {"month": str(close.month)}}
        Job.objects.create(created_at=at, **about, **values)
    return SealCheck(at, sound)


def newest_check(close: MonthClose) -> SealCheck | None:
    """This function will return what checking a closed month found the last time, or None. One query."""
    row = Job.objects.filter(**_seal_checked(close)).values_list("finished_at", "result").first()
    return SealCheck(row[0], row[1]["sound"]) if row and row[0] and row[1] else None


def _seal_checked(close: MonthClose) -> dict[str, Any]:
    return {"kind": _SEAL_CHECKED, "requested_by": None, "arguments__month": str(close.month)}


def closing_event(close: MonthClose) -> Event | None:
    """This function will return the event by which a month was closed."""
    kind, pk = MonthClose._meta.label_lower, str(close.pk)
    return Event.objects.filter(subject_type=kind, subject_id=pk, chain=_CHAIN, action="month closed").first()


def _history_agrees(close: MonthClose) -> bool:
    """Counted from the history up to the close, run by run, and folded through the tree of the close: the same?"""
    for run in CourseRun.objects.filter(month=close.month):
        rows = ClosedFigure.objects.filter(close=close, run=run).values("unit_id", "parent_id", *COLUMNS)
        kept = {row["unit_id"]: {column: row[column] for column in COLUMNS} for row in rows}
        parents = {row["unit_id"]: row["parent_id"] for row in rows}
        counted = count_at(run=run, point=point_of(close))
        if not counted.keys() <= parents.keys():
            return False
        if fold(counted, partial(_above, parents=parents)) != kept:
            return False
    return True


@sealed
def check_closed_months() -> Iterator[tuple[str, bool]]:
    """For manage.py verify_events: each closed month and whether its figures and signatures are what was sealed."""
    for close in MonthClose.objects.filter(state=_State.CLOSED).order_by("month"):
        yield f"closed month {close.month}", verify_close(close=close, history=False).sound


# --- for pages and files ----------------------------------------------------------------------------------------------
def closed_figures(*, close: MonthClose, unit_id: int, run: CourseRun | None = None) -> QuerySet[ClosedFigure]:
    """This function will return the closed figures of a unit and everything below it then, in tree order."""
    path = ClosedFigure.objects.filter(close=close, unit=unit_id).values_list("path", flat=True).first()
    if path is None:
        return ClosedFigure.objects.none()
    found = ClosedFigure.objects.filter(close=close, path__startswith=path).order_by("path", "run__course__code")
    return found if run is None else found.filter(run=run)


def signatures(*, close: MonthClose, unit_id: int) -> QuerySet[SignOff]:
    """This function will return the signatures of a unit and everything below it then, in the order they were given."""
    units = closed_figures(close=close, unit_id=unit_id).order_by().values("unit")
    found = SignOff.objects.filter(close=close, unit__in=units).select_related("unit", "by__employee", "signed_from")
    return found.order_by("at", "pk")


def within(changed: QuerySet[Enrolment], *, close: MonthClose, unit_id: int) -> QuerySet[Enrolment]:
    """This function will keep the duties (of history.changed_since) that counted in a unit at the close, or do now."""
    then = closed_figures(close=close, unit_id=unit_id).order_by().values("unit")
    unit = OrgUnit.objects.get(pk=unit_id)
    now = OrgUnit.objects.under(unit).order_by().values("pk")
    return changed.filter(Q(then_unit__in=then) | Q(unit__in=now))
