"""The long parts of a roster import as jobs: checking, applying, undoing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.jobs import JobKind, JobProblem, job_kind
from core.models import Job
from core.spreadsheets import Unreadable
from people.domain.access import Actor
from people.domain.roster import visible_rosters
from people.domain.roster_apply import (
    ChangedUnderUs,
    apply_chunk,
    finish_apply,
    finish_undo,
    prepare_apply,
    to_apply,
    to_undo,
    undo_chunk,
)
from people.domain.roster_check import Check
from people.domain.roster_words import RosterProblem
from people.imports import Batch, RosterFile, open_roster
from people.models import RosterImport

STAGE_BATCHES = 12  # batches of rows (2,000 each) read in one step
State = RosterImport.State


def _roster_of(job: Job) -> RosterImport:
    return RosterImport.objects.select_related("scope", "job", "uploaded_by", "applied_by").get(
        pk=job.arguments["roster"]
    )


def _page(job: Job) -> str:
    return reverse("people:roster_detail", args=[job.arguments["roster"]])


@dataclass
class _Reading:
    """A file half read: what a check keeps between its steps, in the process that runs it."""

    lease: int
    file: RosterFile
    batches: Iterator[Batch]
    check: Check


@job_kind("people.check_roster", title=_("Checking the roster"))
class CheckRoster(JobKind):
    """Reads and stages the rows step by step; the last transaction compares and writes down what differs.

    The staged rows lie in temporary tables of one connection. A check that another worker takes over is read again from
    the start; nothing had been changed yet.
    """

    def __init__(self):
        self.readings: dict[int, _Reading] = {}

    def start(self, job: Job) -> int:
        try:
            return self._open(job).file.table.rows_about + 1
        except (Unreadable, RosterProblem) as error:
            return self._unreadable(job, error)

    def chunk(self, job: Job) -> int:
        left = job.total - job.cursor
        try:
            reading = self._reading(job)
            count = reading.check.stage(islice(reading.batches, STAGE_BATCHES))
        except (Unreadable, RosterProblem) as error:
            self._unreadable(job, error)
            return left
        return min(count, left) if count else left

    def finish(self, job: Job) -> dict:
        roster = _roster_of(job)
        if roster.state != State.UPLOADED or roster.job_id != job.pk:
            self._drop(job)
            return {}
        try:
            reading = self._reading(job)
            while reading.check.stage(islice(reading.batches, STAGE_BATCHES)):
                pass
            if not reading.check.staged:
                raise RosterProblem("no_rows")
        except (Unreadable, RosterProblem) as error:
            self._unreadable(job, error)
            return {}
        notes = list(reading.file.notes)
        if job.arguments.get("moved_on"):
            notes.insert(0, {"code": "moved_on"})
        reading.check.finish(notes=notes, at=timezone.now())
        self._drop(job)
        return dict(reading.check.roster.counts)

    def url(self, job: Job) -> str:
        return _page(job)

    def _open(self, job: Job) -> _Reading:
        self._drop(job)
        roster = _roster_of(job)
        try:
            source = roster.file.open("rb").file
        except OSError as error:
            raise RosterProblem("file_gone") from error
        try:
            file = open_roster(source)
        except BaseException:
            source.close()
            raise
        file.table.close.callback(source.close)
        roster.sheet = file.sheet.name[:100]
        reading = _Reading(job.lease, file, file.batches(), Check(roster, today=timezone.localdate()))
        self.readings[job.pk] = reading
        return reading

    def _reading(self, job: Job) -> _Reading:
        reading = self.readings.get(job.pk)
        if reading is None or reading.lease != job.lease or not reading.check.is_alive():
            reading = self._open(job)
            while reading.check.staged < job.cursor and reading.check.stage(islice(reading.batches, 1)):
                pass
        return reading

    def _drop(self, job: Job) -> None:
        reading = self.readings.pop(job.pk, None)
        if reading:
            reading.file.table.close.close()

    def _unreadable(self, job: Job, error: Unreadable | RosterProblem) -> int:
        self._drop(job)
        RosterImport.objects.filter(pk=job.arguments["roster"], state=State.UPLOADED).update(
            state=State.UNREADABLE, problem={"code": error.code, "params": error.params}, checked_at=timezone.now()
        )
        return 0


def _still_may(job: Job, roster: RosterImport, row: str) -> bool:
    """The person who asked must still have the right when the work begins (TRUST 2.1: a worker acts as who asked)."""
    if job.requested_by is None:  # from the command line
        return True
    actor = Actor(user=job.requested_by, on=timezone.localdate())
    return visible_rosters(actor, row).filter(pk=roster.pk).exists()


def _patiently(step, **arguments) -> int:
    """Run a chunk again when people were changed between its look and its write."""
    for _attempt in range(3):
        try:
            return step(**arguments)
        except ChangedUnderUs:
            continue
    raise JobProblem(_("The same people are being changed by somebody else. Wait a minute and go on."))


@job_kind("people.apply_roster", title=_("Applying the roster"))
class ApplyRoster(JobKind):
    def start(self, job: Job) -> int:
        roster = _roster_of(job)
        if not _still_may(job, roster, "PM-I02"):
            RosterImport.objects.filter(pk=roster.pk, state=State.APPLYING, applied_to=0).update(
                state=State.CHECKED, confirmed_by=None, confirmed_at=None
            )
            return 0
        prepare_apply(roster=roster)
        return to_apply(roster)

    def chunk(self, job: Job) -> int:
        return _patiently(apply_chunk, roster=_roster_of(job), at=timezone.now()) or job.total - job.cursor

    def finish(self, job: Job) -> dict:
        roster = _roster_of(job)
        if roster.state != State.APPLYING:
            return {}
        return finish_apply(roster=roster, at=timezone.now())

    def url(self, job: Job) -> str:
        return _page(job)


@job_kind("people.undo_roster", title=_("Taking the roster back"))
class UndoRoster(JobKind):
    def start(self, job: Job) -> int:
        roster = _roster_of(job)
        if not _still_may(job, roster, "PM-I04"):
            last = roster.changes.order_by("-pk").values_list("pk", flat=True).first() or 0
            RosterImport.objects.filter(pk=roster.pk, state=State.UNDOING, applied_to__gte=last).update(
                state=State.APPLIED, undone_by=None
            )
            return 0
        return to_undo(roster)

    def chunk(self, job: Job) -> int:
        return _patiently(undo_chunk, roster=_roster_of(job), at=timezone.now()) or job.total - job.cursor

    def finish(self, job: Job) -> dict:
        roster = _roster_of(job)
        if roster.state != State.UNDOING:
            return {}
        return finish_undo(roster=roster, by=job.requested_by, at=timezone.now())

    def url(self, job: Job) -> str:
        return _page(job)
