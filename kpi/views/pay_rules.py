"""The figures of a pay rule in a form (PM-Y11)."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from kpi.domain import rule_access, rules
from kpi.domain.parameters import ParametersWrong
from kpi.models import Rule, RuleVersion
from kpi.pay_forms import PayRuleForm
from people.domain.access import actor_of, binds, require

# Where a fault of the parameters stands in the form; what is not named stands above it.
_BOXES = {
    "pool.mode": "mode",
    "pool.share": "share",
    "pay.cap_fen": "cap",
    "pay.cap_share": "cap_share",
    "pay.floor_fen": "floor",
    "pay.floor_share": "floor_share",
    "pay.reserve_share": "reserve_share",
    "pay.without_review": "without_review",
    "cap": "cap",
    "floor": "floor",
    "reserve_share": "reserve_share",
    "without_review": "without_review",
}


@binds("PM-Y11")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def edit_pay(request, version_id: int) -> HttpResponse:
    """Pool, caps and floors, reserve, and the coefficients of units, of a version that is not published yet."""
    actor = actor_of(request)
    require(actor, "PM-Y11")
    version = rule_access.desk_version_or_404(actor, version_id)
    if version.rule.family != Rule.Family.PAY or not rule_access.may_propose(actor, version.rule):
        raise PermissionDenied("PM-Y11")
    if version.state == RuleVersion.State.PUBLISHED:
        messages.error(request, _("A published version does not change. Begin the next version instead."))
        return redirect("kpi:rule_version", version.pk)
    form, status, seen = PayRuleForm(initial=PayRuleForm.initial_of(version.parameters)), 200, version.revision
    if request.method == "POST":
        form, status = PayRuleForm(request.POST), 422
        sent = request.POST.get("seen", "")
        seen = int(sent) if sent.isdecimal() and len(sent) < 10 else 0
        if form.is_valid():
            try:
                rules.change_draft(
                    version=version, parameters=form.parameters(), seen=seen, by=request.user, at=timezone.now()
                )
            except ParametersWrong as wrong:
                for place, words in wrong.faults:
                    form.add_error(_BOXES.get(place), words)
            except (rules.ChangedMeanwhile, rules.NotInWork):
                form.add_error(
                    None, _("Somebody changed this draft meanwhile. Load the page again to see how it stands by now.")
                )
            else:
                messages.success(request, _("Saved."))
                return redirect("kpi:rule_version", version.pk)
    context = {"version": version, "form": form, "seen": seen}
    return render(request, "kpi/pay_rule.html", context, status=status)
