"""A file of measures on its way: uploaded, checked, applied, taken back or put aside. Reading it is for kpi.imports.

Each step is a compare-and-swap on the state, so two people cannot take it twice.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable
from typing import Any, BinaryIO

from django.core.files import File
from django.db import transaction
from django.db.models import Q, QuerySet

from core.events import record_event
from core.jobs import start_job
from core.periods import Month
from kpi.domain import measures
from kpi.domain.measures import Written
from kpi.models import Measure, MeasureImport
from people.domain.access import Actor
from people.models import User

CHECK, APPLY, UNDO = "kpi.check_measures", "kpi.apply_measures", "kpi.undo_measures"
_CHAIN = "measures"
_State = MeasureImport.State


class WrongState(Exception):
    """The file is at another step by now: somebody was faster."""


class NothingToApply(Exception):
    """No row of the file would write anything."""


def visible_imports(actor: Actor) -> QuerySet[MeasureImport]:
    """This function will return the files that the actor uploaded; all of them to HR of a root unit, as others may leave."""
    if not actor.may("PM-F02"):
        return MeasureImport.objects.none()
    whole = any(unit.is_root() for unit in actor.units("HRU"))
    return MeasureImport.objects.filter(Q() if whole else Q(uploaded_by=actor.user))


def upload_file(*, file: BinaryIO, file_name: str, month: Month | None, by: User, at: dt.datetime) -> MeasureImport:
    """This function will keep a file and start its check. ``month`` is for rows that name none. One event."""
    seal = hashlib.sha256()
    while block := file.read(1 << 20):
        seal.update(block)
    file.seek(0)
    ending = "csv" if file_name.lower().endswith((".csv", ".txt", ".tsv")) else "xlsx"
    with transaction.atomic():
        upload = MeasureImport(file_name=file_name[:255], month=month, uploaded_by=by, uploaded_at=at)
        upload.file.save(f"measures.{ending}", File(file), save=False)
        upload.save()
        upload.job = start_job(kind=CHECK, arguments={"import": upload.pk}, by=by, at=at)
        upload.save(update_fields=["job"])
        after = {"file": upload.file_name, "sha256": seal.hexdigest()}
        record_event(chain=_CHAIN, action="file uploaded", subject=upload, actor=by, at=at, after=after)
    return upload


def keep_check(*, upload: MeasureImport, counts: dict[str, int], report: dict[str, Any]) -> None:
    """This function will keep what checking a file found. Raises WrongState."""
    _move(upload, [_State.UPLOADED], _State.CHECKED, counts=counts, report=report)


def keep_unreadable(*, upload: MeasureImport, problem: str, cure: str) -> None:
    """This function will keep why a file cannot be read. Raises WrongState."""
    _move(upload, [_State.UPLOADED], _State.UNREADABLE, report={"problem": problem, "cure": cure})


def check_again(*, upload: MeasureImport, by: User, at: dt.datetime) -> None:
    """This function will check a file again against the measures as they stand now. Raises WrongState."""
    with transaction.atomic():
        _move(upload, [_State.CHECKED, _State.UNREADABLE], _State.UPLOADED, counts={}, report={})
        _start(upload, CHECK, by=by, at=at)


def request_apply(*, upload: MeasureImport, reason: str, by: User, at: dt.datetime) -> None:
    """This function will start the application of a checked file.

    ``reason`` is for corrected values whose row gives none; it is needed when there are some. Raises WrongState,
    NothingToApply or measures.ReasonMissing.
    """
    reason = reason.strip()[:300]
    counts = upload.counts
    if not counts.get("new", 0) + counts.get("corrected", 0):
        raise NothingToApply
    if counts.get("unexplained", 0) and not reason:
        raise measures.ReasonMissing
    with transaction.atomic():
        _move(upload, [_State.CHECKED], _State.APPLYING, reason=reason, applied_by=by, applied_at=at)
        _start(upload, APPLY, by=by, at=at)


def keep_written(*, upload: MeasureImport, written: Written) -> None:
    """This function will remember which measures a part of the file wrote, in the transaction that wrote them."""
    fresh = MeasureImport.objects.get(pk=upload.pk)
    MeasureImport.objects.filter(pk=upload.pk).update(written=[*fresh.written, *measures.ranges(written.ids)])


def finish_apply(*, upload: MeasureImport, counts: dict[str, int], by: User | None, at: dt.datetime) -> None:
    """This function will say that a file is applied, with what came of it. One event. Raises WrongState."""
    with transaction.atomic():
        _move(upload, [_State.APPLYING], _State.APPLIED, counts=counts, applied_at=at)
        record_event(chain=_CHAIN, action="file applied", subject=upload, actor=by, at=at, after=counts)


def request_undo(*, upload: MeasureImport, by: User, at: dt.datetime) -> None:
    """This function will start taking an applied file back. Raises WrongState."""
    with transaction.atomic():
        _move(upload, [_State.APPLIED], _State.UNDOING, undone_by=by, undone_at=at)
        _start(upload, UNDO, by=by, at=at)


def written_ids(upload: MeasureImport) -> list[int]:
    """This function will return the ids of the measures that a file wrote."""
    return [pk for first, last in upload.written for pk in range(first, last + 1)]


def undo_some(*, upload: MeasureImport, ids: Iterable[int], actor: Actor, at: dt.datetime) -> Written:
    """This function will take back some of the measures of a file, those in the actor's scope. One event."""
    found = measures.visible_measures(actor, "PM-F02", "PM-F02").filter(pk__in=list(ids)).order_by("pk")
    return measures.take_back(measures=found, reason=measures.IMPORT_UNDONE, by=actor.user, at=at, about=upload)


def finish_undo(*, upload: MeasureImport, by: User | None, at: dt.datetime) -> int:
    """This function will say that a file is taken back and return how many of its values stay. One event. Raises WrongState.

    What stays was corrected since by somebody, or is out of the scope of whoever took it back.
    """
    left = sum(
        Measure.objects.filter(pk__gte=first, pk__lte=last, superseded_by=None).count()
        for first, last in upload.written
    )
    corrected = sum(
        Measure.objects.filter(pk__gte=first, pk__lte=last, superseded_by__isnull=False)
        .exclude(superseded_by__reason=measures.IMPORT_UNDONE)
        .count()
        for first, last in upload.written
    )
    with transaction.atomic():
        report = {**upload.report, "left": left + corrected}
        _move(upload, [_State.UNDOING], _State.UNDONE, report=report, undone_at=at)
        after = {"left": left + corrected}
        record_event(chain=_CHAIN, action="file taken back", subject=upload, actor=by, at=at, after=after)
    return left + corrected


def discard(*, upload: MeasureImport, by: User, at: dt.datetime) -> None:
    """This function will put a file aside that was not applied. One event. Raises WrongState."""
    with transaction.atomic():
        _move(upload, [_State.CHECKED, _State.UNREADABLE, _State.UPLOADED], _State.DISCARDED)
        record_event(chain=_CHAIN, action="file put aside", subject=upload, actor=by, at=at)


def _move(upload: MeasureImport, before: list[str], state: str, **values) -> None:
    moved = MeasureImport.objects.filter(pk=upload.pk, state__in=before).update(state=state, **values)
    if not moved:
        raise WrongState
    upload.refresh_from_db()


def _start(upload: MeasureImport, kind: str, *, by: User, at: dt.datetime) -> None:
    job = start_job(kind=kind, arguments={"import": upload.pk}, by=by, at=at)
    MeasureImport.objects.filter(pk=upload.pk).update(job=job)
