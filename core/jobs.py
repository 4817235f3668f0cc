"""Long work in chunks: started once, watched, stopped, resumed, and done exactly once (docs/decisions/0005).

An app declares a kind of job in its ``tasks.py``::

    @job_kind("people.apply_roster", title=_("Applying the roster"))
    class ApplyRoster(JobKind):
        def start(self, job) -> int: ...          # how many items there are
        def chunk(self, job) -> int: ...          # do the items from job.cursor on; return how many were done
        def finish(self, job) -> dict | None: ... # what the result page needs

and starts it with ``start_job(kind="people.apply_roster", arguments={...}, by=user, at=now)`` inside the transaction that
asks for it. The table of jobs is the queue: with ``JOBS=worker`` the worker (manage.py run_worker) takes the job up; with
``JOBS=immediate`` it runs in the request that asked for it, right after its commit.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from functools import wraps

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from core.models import Job

log = logging.getLogger(__name__)

STALLED_AFTER = dt.timedelta(seconds=60)  # a running job without a sign of life for so long is taken over (TRUST FL-6)
MAX_ATTEMPTS = 5


class JobProblem(Exception):
    """What went wrong in words for the person who asked for the job; everything else is logged and shown as a fault of ours."""


class _LeaseLost(Exception):
    """Another worker owns the job by now: what this one did in its last chunk is rolled back."""


class JobKind:
    """What a kind of job does. ``chunk`` runs in a transaction that also moves the cursor: both happen or neither."""

    name: str
    title: str

    def start(self, job: Job) -> int:
        """Count the items. Runs once, before the first chunk."""
        raise NotImplementedError

    def chunk(self, job: Job) -> int:
        """Do some items from ``job.cursor`` on and return how many (more than none). A second or two of work is a good size."""
        raise NotImplementedError

    def finish(self, job: Job) -> dict | None:
        """Close the work in the last transaction and return what the result page needs."""
        return None

    def url(self, job: Job) -> str:
        """Where the person goes when the job is done; empty to stay."""
        return ""


KINDS: dict[str, JobKind] = {}


def job_kind(name: str, *, title: str):
    """Declare a kind of job (a class decorator)."""

    def register(cls: type[JobKind]) -> type[JobKind]:
        kind = cls()
        kind.name, kind.title = name, title
        KINDS[name] = kind
        return cls

    return register


def start_job(*, kind: str, arguments: dict, by, at: dt.datetime) -> Job:
    """This function will put a job in the queue, in the caller's transaction, and return it."""
    if kind not in KINDS:
        raise KeyError(kind)
    job = Job.objects.create(kind=kind, arguments=arguments, requested_by=by, created_at=at)
    _run_now_if_immediate(job)
    return job


def _run_now_if_immediate(job: Job) -> None:
    if settings.JOBS == "immediate":
        transaction.on_commit(lambda: run_job(job.pk))


def stop_job(job: Job) -> bool:
    """This function will ask a job to stop at its next chunk; False when it had already ended."""
    return bool(
        Job.objects.filter(pk=job.pk, state__in=[Job.State.WAITING, Job.State.RUNNING]).update(stop_requested=True)
    )


def resume_job(job: Job) -> bool:
    """This function will put a stopped or failed job back in the queue, to go on where it was; False when it is neither."""
    moved = Job.objects.filter(pk=job.pk, state__in=[Job.State.STOPPED, Job.State.FAILED]).update(
        state=Job.State.WAITING, stop_requested=False, finished_at=None, error="", attempts=0
    )
    if moved:
        _run_now_if_immediate(job)
    return bool(moved)


def _ready(now: dt.datetime) -> Q:
    return Q(state=Job.State.WAITING) | Q(state=Job.State.RUNNING, heartbeat_at__lt=now - STALLED_AFTER)


def next_job(now: dt.datetime) -> int | None:
    """This function will return the id of the oldest job that waits or has stalled, or None."""
    return Job.objects.filter(_ready(now)).order_by("pk").values_list("pk", flat=True).first()


def run_job(job_id: int, *, clock: Callable[[], dt.datetime] = timezone.now) -> None:
    """This function will take a job (one worker wins) and run it to its end, its stop, or its fault.

    Each chunk and the cursor that says so are one transaction. A worker that lost the job to another one (its lease is
    old) commits nothing more.
    """
    now = clock()
    taken = Job.objects.filter(_ready(now), pk=job_id).update(
        state=Job.State.RUNNING, lease=F("lease") + 1, heartbeat_at=now, attempts=F("attempts") + 1
    )
    if not taken:
        return
    job = Job.objects.get(pk=job_id)
    kind, lease = KINDS[job.kind], job.lease
    mine = Job.objects.filter(pk=job_id, lease=lease, state=Job.State.RUNNING)
    try:
        if job.attempts > MAX_ATTEMPTS:
            raise JobProblem("stopped too often")
        while _step(mine, kind, clock):
            pass
    except _LeaseLost:
        log.warning("job %s was taken over by another worker", job_id)
    except JobProblem as problem:
        mine.update(state=Job.State.FAILED, error=str(problem), finished_at=clock())
    except Exception:
        log.exception("job %s failed", job_id)
        mine.update(state=Job.State.FAILED, error="", finished_at=clock())


def _step(mine, kind: JobKind, clock) -> bool:
    """One transaction of a job; False when it has ended."""
    with transaction.atomic():
        if not mine.update(heartbeat_at=clock()):  # also takes the lock on the row
            raise _LeaseLost
        job = mine.get()
        if job.stop_requested:
            return not mine.update(state=Job.State.STOPPED, finished_at=clock())
        if not job.started:
            job.total = kind.start(job)
            _keep(mine, total=job.total, started=True)
            return True
        if job.cursor >= job.total:
            result = kind.finish(job)
            _keep(mine, state=Job.State.DONE, result=result, finished_at=clock())
            return False
        done = kind.chunk(job)
        if done < 1:
            raise RuntimeError(f"{kind.name} did nothing at {job.cursor} of {job.total}")
        _keep(mine, cursor=job.cursor + done, heartbeat_at=clock())
        return True


def _keep(mine, **values) -> None:
    if not mine.update(**values):
        raise _LeaseLost


# --- work by the clock ----------------------------------------------------------------------------------------------
PERIODIC: list[tuple[dt.timedelta, Callable[[dt.datetime], object]]] = []


def every(period: dt.timedelta):
    """Declare a function of the time that the worker calls about so often. It must be safe to run twice at once."""

    def register(function: Callable[[dt.datetime], object]):
        PERIODIC.append((period, function))
        return function

    return register


NIGHT = 3  # o'clock, in the time zone of the site


def every_night(kind: str):
    """Declare a function of the time that the worker calls once a night, and whose answer is kept until the next one.

    One row of the table of jobs says when it was last done, so that a worker started anew does not repeat it, and one
    that slept through the night makes up for it. It must be safe to run twice at once.
    """

    def register(function: Callable[[dt.datetime], dict]):
        @wraps(function)
        def once_a_night(now: dt.datetime) -> None:
            last = Job.objects.filter(kind=kind, requested_by=None)
            if last.filter(finished_at__gte=_night_before(now)).exists():
                return
            values = {"state": Job.State.DONE, "result": function(now), "finished_at": now}
            if not last.update(**values):
                Job.objects.create(kind=kind, created_at=now, **values)

        return every(dt.timedelta(hours=1))(once_a_night)

    return register


def _night_before(now: dt.datetime) -> dt.datetime:
    """The last time it was three in the night."""
    local = timezone.localtime(now)
    at_three = local.replace(hour=NIGHT, minute=0, second=0, microsecond=0)
    return at_three if at_three <= local else at_three - dt.timedelta(days=1)
