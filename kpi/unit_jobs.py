"""Computing the results of units in the background, a span of units at a time."""

from __future__ import annotations

from django.db import transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.jobs import JobKind, JobProblem, job_kind, start_job
from core.models import Job
from core.periods import Month
from kpi.domain import unit_results
from kpi.models import RuleVersion
from kpi.unit_words import REFUSALS, refusal_words
from people.models import OrgUnit

COMPUTE = "kpi.compute_units"
SPAN = 200


@job_kind(COMPUTE, title=_("Computing the results of units"))
class ComputeUnits(JobKind):
    """The units of a scope from the top down. Begun again, it goes on where it was; what is computed twice is the same."""

    def start(self, job: Job) -> int:
        asked = _asked(job)
        try:
            unit_results.require_ready(**asked, by=job.requested_by, at=timezone.now())
        except REFUSALS as refusal:
            raise JobProblem(refusal_words(refusal)) from refusal
        return len(unit_results.units_of(asked["scope"]))

    def chunk(self, job: Job) -> int:
        asked = _asked(job)
        units = unit_results.units_of(asked["scope"])[job.cursor : job.cursor + SPAN]
        try:
            unit_results.compute_units(**asked, units=units, by=job.requested_by, at=timezone.now())
        except REFUSALS as refusal:
            raise JobProblem(refusal_words(refusal)) from refusal
        return len(units) or job.total - job.cursor  # units may have gone meanwhile

    def finish(self, job: Job) -> dict:
        asked = _asked(job)
        cards = unit_results.standing(asked["first_month"], asked["last_month"])
        return {"units": cards.filter(org_unit__in=unit_results.units_of(asked["scope"])).count()}

    def url(self, job: Job) -> str:
        return reverse("kpi:unit_results") + f"?months={job.arguments['first']}_{job.arguments['last']}"


def _asked(job: Job) -> dict:
    if job.requested_by is None:
        raise JobProblem(_("Whoever asked for it has no account any more."))
    return {
        "version": RuleVersion.objects.select_related("rule__scope").get(pk=job.arguments["version"]),
        "scope": OrgUnit.objects.get(pk=job.arguments["scope"]),
        "first_month": Month.parse(job.arguments["first"]),
        "last_month": Month.parse(job.arguments["last"]),
    }


def start(*, version: RuleVersion, scope: OrgUnit, first_month: Month, last_month: Month, by, at) -> Job:
    """This function will begin computing, at once or in the background, and return the job."""
    arguments = {"version": version.pk, "scope": scope.pk, "first": str(first_month), "last": str(last_month)}
    with transaction.atomic():
        job = start_job(kind=COMPUTE, arguments=arguments, by=by, at=at)
    job.refresh_from_db()
    return job


def newest(user) -> Job | None:
    """This function will return the person's own computing that is under way or went wrong."""
    found = Job.objects.filter(kind=COMPUTE, requested_by=user).order_by("-pk").first()
    return found if found and found.state != Job.State.DONE else None
