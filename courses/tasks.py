"""Long work of this app: opening a month for many people; and by the clock: keeping up with who moves, joins and leaves."""

from __future__ import annotations

import datetime as dt
import logging

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.jobs import JobKind, JobProblem, every, job_kind
from core.models import Event
from core.periods import Month
from courses.domain import opening, tallies
from courses.domain.access import hr_units
from courses.models import Course, CourseRun
from people.domain.access import Actor

log = logging.getLogger(__name__)


@job_kind("courses.open_month", title=_("Opening the month"))
class OpenMonth(JobKind):
    """Opens one course of the plan after the other, for the units in which the person is HR at that moment."""

    def start(self, job) -> int:
        return len(self._courses(job))

    def chunk(self, job) -> int:
        course = Course.objects.get(pk=self._courses(job)[job.cursor])
        at, month = timezone.now(), Month.parse(job.arguments["month"])
        try:
            run = opening.plan_run(course=course, month=month, by=job.requested_by, at=at)
            opening.open_run(run=run, by=job.requested_by, at=at, scope=self._scope(job))
        except (opening.NothingToLearn, opening.DesignNotPublished, opening.RunClosed):
            pass  # the page of the month says so beside the course
        return 1

    def finish(self, job) -> dict:
        return {"month": job.arguments["month"]}

    def url(self, job) -> str:
        return reverse("courses:month", args=[job.arguments["month"]])

    def _courses(self, job) -> list[int]:
        """The courses named when the job was asked for: a list that does not change while the job runs."""
        return job.arguments["courses"]

    def _scope(self, job) -> list:
        units = hr_units(Actor(user=job.requested_by, on=timezone.localdate()))
        if not units:
            raise JobProblem(str(_("You are no longer HR of any unit.")))
        return units


@every(dt.timedelta(hours=1))
def catch_up_with_the_roster(now: dt.datetime) -> None:
    """Enrol joiners, follow movers, withdraw leavers in every open run (as the button of the month does)."""
    for run in CourseRun.objects.filter(state=CourseRun.State.OPEN, opens_at__lte=now).order_by("pk"):
        opening.catch_up(run=run, by=None, at=now)


_newest_move: int | None = None


@every(dt.timedelta(minutes=1))
def follow_moved_units(now: dt.datetime) -> None:
    """Recount the open runs when a unit was hung under another one: its duties now count for other units above it.

    The app of people knows nothing of tallies; the event of the move tells. Once at the start of the worker as well.
    """
    global _newest_move
    moves = Event.objects.filter(chain="roster", action="unit moved").order_by("-sequence")
    newest = moves.values_list("sequence", flat=True).first() or 0
    if newest == _newest_move:
        return
    for run in CourseRun.objects.filter(state=CourseRun.State.OPEN).order_by("pk"):
        if differences := tallies.recount(run=run):
            log.info("%s: %s tallies followed the unit tree", run, len(differences))
    _newest_move = newest
