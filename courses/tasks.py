"""Long work of this app: opening a month for many people."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.jobs import JobKind, JobProblem, job_kind
from core.periods import Month
from courses.domain import opening
from courses.domain.access import hr_units
from courses.models import Course
from people.domain.access import Actor


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
