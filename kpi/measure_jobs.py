"""The long parts of measures as jobs: checking, applying and taking back a file; collecting a month, by hand and at night."""

from __future__ import annotations

import datetime as dt
import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.jobs import JobKind, JobProblem, every_night, job_kind
from core.models import Job
from core.periods import Month
from core.spreadsheets import Unreadable
from kpi.domain import collecting, measure_files, measures
from kpi.imports import Batch, FileProblem, MeasureFile, Resolver, resolved
from kpi.models import MeasureImport
from people.domain.access import Actor

log = logging.getLogger(__name__)

KEPT_FAULTS, KEPT_SAMPLES = 300, 40
UNDO_SIZE = 1000
COLLECT = "kpi.collect_month"
State = MeasureImport.State


def _upload_of(job: Job) -> MeasureImport:
    return MeasureImport.objects.get(pk=job.arguments["import"])


def _actor_of(job: Job) -> Actor:
    """Who asked, with the roles of today: a worker can do no more than that person (TRUST PG-09)."""
    return Actor(user=job.requested_by, on=timezone.localdate())


@dataclass
class _Reading:
    """A file half read: what a job keeps between its chunks, in the process that runs it."""

    lease: int
    done: int
    file: MeasureFile
    batches: Iterator[Batch]
    counts: Counter
    report: dict


class _FileJob(JobKind):
    """Reads the file of an import in parts. A job that another worker takes over reads again up to its place."""

    def __init__(self):
        self.readings: dict[int, _Reading] = {}

    def url(self, job: Job) -> str:
        return reverse("kpi:measure_import", args=[job.arguments["import"]])

    def _reading(self, job: Job) -> _Reading:
        reading = self.readings.get(job.pk)
        if reading is None or reading.lease != job.lease or reading.done != job.cursor:
            self._drop(job)
            reading = self._open(job)
            self.readings[job.pk] = reading
        return reading

    def _open(self, job: Job) -> _Reading:
        upload = _upload_of(job)
        try:
            source = upload.file.open("rb").file
        except OSError as error:
            raise FileProblem(str(_("The uploaded file is gone.")), str(_("Upload it again."))) from error
        try:
            file = MeasureFile(source, month=upload.month, today=timezone.localdate())
        except BaseException:
            source.close()
            raise
        file.table.close.callback(source.close)
        batches = resolved(file, Resolver(actor=_actor_of(job), upload=upload))
        reading = _Reading(
            job.lease, 0, file, batches, Counter(), {"faults": [], "samples": [], "ignored": file.ignored}
        )
        while reading.done < job.cursor:  # taken over: read again, write nothing
            reading.done += next(batches).number
        return reading

    def _drop(self, job: Job) -> None:
        reading = self.readings.pop(job.pk, None)
        if reading:
            reading.file.table.close.close()


@job_kind(measure_files.CHECK, title=_("Checking the measures"))
class CheckMeasures(_FileJob):
    """Compares every row with what stands and writes down what would change. Nothing is written yet."""

    def start(self, job: Job) -> int:
        try:
            return self._reading(job).file.table.rows_about + 1
        except (Unreadable, FileProblem) as error:
            return self._unreadable(job, error)

    def chunk(self, job: Job) -> int:
        left = job.total - job.cursor
        if job.cursor and job.pk not in self.readings:
            # what was counted so far went with the process: count again from the start
            self._restart(job)
        try:
            reading = self._reading(job)
            some = list(islice(reading.batches, 4))
        except (Unreadable, FileProblem) as error:
            self._unreadable(job, error)
            return left
        for batch in some:
            _note(reading, batch)
        number = sum(batch.number for batch in some)
        done = min(number, left) if number else left
        reading.done = job.cursor + done
        return done

    def _restart(self, job: Job) -> None:
        reading = self._open(Job(pk=job.pk, lease=job.lease, arguments=job.arguments, requested_by=job.requested_by))
        while reading.done < job.cursor and (batch := next(reading.batches, None)):
            _note(reading, batch)
            reading.done += batch.number
        reading.done = job.cursor
        self.readings[job.pk] = reading

    def finish(self, job: Job) -> dict:
        upload = _upload_of(job)
        if upload.state != State.UPLOADED:
            self._drop(job)
            return {}
        if job.pk not in self.readings:
            self._restart(job)
        reading = self.readings[job.pk]
        for batch in reading.batches:  # more rows than the file said
            _note(reading, batch)
        counts = {name: reading.counts[name] for name in _COUNTS}
        if counts["rows"]:
            measure_files.keep_check(upload=upload, counts=counts, report=reading.report)
        else:
            measure_files.keep_unreadable(
                upload=upload,
                problem=str(_("There is no row below the headings.")),
                cure=str(_("Write one row for each value and upload the file again.")),
            )
        self._drop(job)
        return counts

    def _unreadable(self, job: Job, error: Unreadable | FileProblem) -> int:
        self._drop(job)
        measure_files.keep_unreadable(upload=_upload_of(job), problem=error.problem, cure=error.cure)
        return 0


_COUNTS = ("rows", "refused", "new", "corrected", "unchanged", "unexplained")


def _note(reading: _Reading, batch: Batch) -> None:
    """Count what a part of the file would do, and keep the first faults and changes for the page."""
    counts, report = reading.counts, reading.report
    counts["rows"] += batch.number
    counts["refused"] += batch.refused
    kept = report["faults"]
    kept += [fault.as_dict() for fault in batch.faults[: KEPT_FAULTS - len(kept)]]
    there = measures.standing(batch.rows)
    for row, (number, name) in zip(batch.rows, batch.places, strict=True):
        before = there.get(row.key)
        if before is None:
            outcome = "new"
        elif measures.figures_of(before) == row.figures:
            outcome = "unchanged"
        else:
            outcome = "corrected"
            counts["unexplained"] += not row.reason
        counts[outcome] += 1
        if outcome != "unchanged" and reading.counts[outcome] <= KEPT_SAMPLES:
            report["samples"].append(
                {
                    "outcome": outcome,
                    "row": number,
                    "subject": name,
                    "employee": row.employee,
                    "month": str(row.month),
                    "indicator": row.indicator.pk,
                    "before": str(before.value) if before and before.value is not None else None,
                    "after": str(row.value),
                }
            )


@job_kind(measure_files.APPLY, title=_("Applying the measures"))
class ApplyMeasures(_FileJob):
    """Writes the rows part by part, each with its event; what changed since the check is seen as it is now."""

    def start(self, job: Job) -> int:
        return _upload_of(job).counts["rows"]

    def chunk(self, job: Job) -> int:
        try:
            reading = self._reading(job)
            batch = next(reading.batches, None)
        except (Unreadable, FileProblem) as error:
            self._drop(job)
            raise JobProblem(f"{error.problem} {error.cure}") from error
        if batch is None:
            return job.total - job.cursor
        upload = _upload_of(job)
        try:
            written = measures.write_measures(
                rows=batch.rows, by=job.requested_by, at=timezone.now(), about=upload, action="measures from a file"
            )
        except measures.MeasuredMeanwhile as error:
            self._drop(job)
            raise JobProblem(
                _("The same values are being written by somebody else. Wait a minute and go on.")
            ) from error
        except measures.ReasonMissing as error:
            self._drop(job)
            raise JobProblem(
                _("Values were written since the check that this file would correct. Put it aside and upload it again.")
            ) from error
        measure_files.keep_written(upload=upload, written=written)
        done = min(batch.number, job.total - job.cursor)
        reading.done = job.cursor + done
        return done

    def finish(self, job: Job) -> dict:
        self._drop(job)
        upload = _upload_of(job)
        if upload.state != State.APPLYING:
            return {}
        wrote = measures.of_ranges(upload.written)
        corrected = new = 0
        for one in wrote:
            corrected, new = corrected + bool(one.supersedes_id), new + (not one.supersedes_id)
        counts = {**upload.counts, "new": new, "corrected": corrected}
        measure_files.finish_apply(upload=upload, counts=counts, by=job.requested_by, at=timezone.now())
        return counts


@job_kind(measure_files.UNDO, title=_("Taking the measures back"))
class UndoMeasures(JobKind):
    def start(self, job: Job) -> int:
        return len(measure_files.written_ids(_upload_of(job)))

    def chunk(self, job: Job) -> int:
        upload = _upload_of(job)
        ids = measure_files.written_ids(upload)[job.cursor : job.cursor + UNDO_SIZE]
        try:
            measure_files.undo_some(upload=upload, ids=ids, actor=_actor_of(job), at=timezone.now())
        except measures.MeasuredMeanwhile as error:
            raise JobProblem(
                _("The same values are being written by somebody else. Wait a minute and go on.")
            ) from error
        return len(ids)

    def finish(self, job: Job) -> dict:
        upload = _upload_of(job)
        if upload.state != State.UNDOING:
            return {}
        return {"left": measure_files.finish_undo(upload=upload, by=job.requested_by, at=timezone.now())}

    def url(self, job: Job) -> str:
        return reverse("kpi:measure_import", args=[job.arguments["import"]])


# --- collecting -----------------------------------------------------------------------------------------------------------
@job_kind(COLLECT, title=_("Collecting a closed month"))
class CollectMonth(JobKind):
    """A span of people at a time (the cursor is an id of a person), then the units."""

    def start(self, job: Job) -> int:
        month = Month.parse(job.arguments["month"])
        try:
            collecting.closed(month)
            collecting.collected_indicators()
        except collecting.MonthNotClosed as error:
            raise JobProblem(_("The month is not closed yet.")) from error
        except collecting.NoIndicator as error:
            raise JobProblem(_("No indicator in use takes its values from training or from assessments.")) from error
        return collecting.last_person(month) + 2

    def chunk(self, job: Job) -> int:
        close = collecting.closed(Month.parse(job.arguments["month"]))
        indicators, by, at = collecting.collected_indicators(), job.requested_by, timezone.now()
        try:
            if job.cursor == job.total - 1:
                collecting.collect_units(close=close, indicators=indicators, by=by, at=at)
                return 1
            last = min(job.cursor + collecting.SPAN, job.total - 1) - 1
            collecting.collect_people(close=close, first=job.cursor, last=last, indicators=indicators, by=by, at=at)
        except measures.MeasuredMeanwhile as error:
            raise JobProblem(
                _("The same values are being written by somebody else. Wait a minute and go on.")
            ) from error
        return last - job.cursor + 1

    def finish(self, job: Job) -> dict:
        return {"month": job.arguments["month"]}

    def url(self, job: Job) -> str:
        return reverse("kpi:measures")


@every_night("kpi.collect_closed_months")
def collect_at_night(now: dt.datetime) -> dict:
    """Measure the closed months of which late work may still come in, and those never measured, as the command does."""
    new = corrected = 0
    for month in collecting.months_to_collect(at=now):
        try:
            collected = collecting.collect_month(month=month, by=None, at=now)
        except collecting.NoIndicator:
            break
        new, corrected = new + collected.new, corrected + collected.corrected
        if collected.new or collected.corrected:
            log.info("%s: %s values collected, %s corrected", month, collected.new, collected.corrected)
    return {"new": new, "corrected": corrected}
