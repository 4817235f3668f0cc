"""Computing a large pay run in the background; a small one is computed in the request that asks for it."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from core.jobs import JobKind, JobProblem, job_kind
from core.models import Job
from kpi.domain import pay_runs
from kpi.models import PayRun
from kpi.pay_words import REFUSALS, refusal_words
from people.domain.access import Actor, visible_units

COMPUTE = "kpi.compute_pay"


@job_kind(COMPUTE, title=_("Computing the pay run"))
class ComputePay(JobKind):
    """One piece of work: a run is computed as a whole or not at all."""

    def start(self, job: Job) -> int:
        return 1

    def chunk(self, job: Job) -> int:
        run = PayRun.objects.select_related("cycle", "version__rule", "scope").filter(pk=job.arguments["run"]).first()
        actor = Actor(user=job.requested_by, on=timezone.localdate()) if job.requested_by else None
        # Who asked may have lost the duty since (TRUST PG-09).
        if run is None or actor is None or not visible_units(actor, "PM-Y03").filter(pk=run.scope_id).exists():
            raise JobProblem(_("The run is gone, or you do not prepare pay of this unit any more."))
        try:
            pay_runs.compute_run(run=run, by=actor.user, at=timezone.now())
        except REFUSALS as refusal:
            raise JobProblem(refusal_words(refusal)) from refusal
        return 1

    def url(self, job: Job) -> str:
        return reverse("kpi:pay_run", args=[job.arguments["run"]])


def newest(run: PayRun, user) -> Job | None:
    """This function will return the person's own computing of a run that is under way or went wrong."""
    found = Job.objects.filter(kind=COMPUTE, requested_by=user, arguments__run=run.pk).order_by("-pk").first()
    return found if found and found.state != Job.State.DONE else None
