"""Results of units: the grade of each unit over closed months, and computing them (reading PM-F07, computing PM-V05)."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from core.models import Job
from core.periods import Month
from core.templatetags.interface import count
from kpi import unit_jobs
from kpi.domain import rules
from kpi.domain import unit_results as domain
from kpi.domain.review_access import visible_cycles
from kpi.models import Rule, RuleVersion
from kpi.review_forms import UnitResultsForm
from kpi.unit_words import REFUSALS, refusal_words
from people.domain.access import Actor, actor_of, binds, require, visible_units

PAGE = 50


@binds("PM-F07")
@never_cache
@require_safe
def unit_results(request: HttpRequest) -> HttpResponse:
    """The results that hold over some months, in the order of the tree; the newest months first."""
    actor = actor_of(request)
    require(actor, "PM-F07")
    return _page(request, actor, _form(actor) if actor.may("PM-V05") else None)


def _page(request: HttpRequest, actor: Actor, form: UnitResultsForm | None, status: int = 200) -> HttpResponse:
    periods = domain.periods(actor)
    asked = request.GET.get("months", "")
    chosen = next((one for one in periods if one.key == asked), periods[0] if periods else None)
    cards = domain.results(actor, chosen.first_month, chosen.last_month) if chosen else []
    context = {
        "periods": periods,
        "chosen": chosen,
        "page": Paginator(cards, PAGE).get_page(request.GET.get("page")),
        "form": form,
        "job": unit_jobs.newest(request.user),
        "may_rule": actor.may("PM-V11"),
    }
    return render(request, "kpi/unit_results.html", context, status=status)


def _form(actor: Actor, data=None) -> UnitResultsForm:
    versions = RuleVersion.objects.filter(
        state=RuleVersion.State.PUBLISHED, rule__family=Rule.Family.SCORECARD, rule__subject=Rule.Subject.UNIT
    ).select_related("rule")
    current = rules.current_versions(versions, on=actor.on)
    form = UnitResultsForm(
        data, versions=versions.order_by("rule", "-number"), units=visible_units(actor, "PM-V05").order_by("path")
    )
    form.fields["version"].initial = current.order_by("rule", "number").first()
    cycle = visible_cycles(actor, "PM-V01").filter(last_month__lt=Month.of(actor.on)).first()  # the newest that is over
    if cycle is not None:
        form.initial |= {"first_month": cycle.first_month, "last_month": cycle.last_month}
    return form


@binds("PM-V05")
@never_cache
@require_POST
def compute(request: HttpRequest) -> HttpResponse:
    """Compute the results of a unit and all below it."""
    actor, at = actor_of(request), timezone.now()
    require(actor, "PM-V05")
    form = _form(actor, request.POST)
    if not form.is_valid():
        return _page(request, actor, form, 422)
    asked = form.cleaned_data
    try:
        domain.require_ready(**asked, by=request.user, at=at)
    except REFUSALS as refusal:
        form.add_error(None, refusal_words(refusal))
        return _page(request, actor, form, 422)
    job = unit_jobs.start(**asked, by=request.user, at=at)
    if job.state == Job.State.DONE:
        number = job.result["units"]
        if number:
            done = ngettext("%(number)s unit has a result.", "%(number)s units have a result.", number)
            messages.success(request, done % {"number": count(number)})
        else:
            messages.warning(
                request,
                _("Nothing was measured of these units in these months. Collect the months, then compute again."),
            )
    return redirect(reverse("kpi:unit_results") + f"?months={asked['first_month']}_{asked['last_month']}")
