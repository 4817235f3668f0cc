"""The figures of an award rule, edited while it is drafted or in consultation (PM-V11)."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from kpi.domain import rule_access, rules
from kpi.domain.parameters import ParametersWrong
from kpi.models import Rule, RuleVersion
from kpi.recognition_forms import (
    AwardRuleForm,
    Conditions,
    first_values,
    indicator_choices,
    parameters_of,
    tie_faults,
)
from people.domain.access import actor_of, binds, require

ROWS = "conditions"


@binds("PM-V11")
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def edit_award(request, version_id: int):
    """Places, quorum, majority, days of publicity, and what a nominee must reach."""
    actor = actor_of(request)
    require(actor, "PM-V11")
    version = rule_access.desk_version_or_404(actor, version_id)
    if version.rule.family != Rule.Family.AWARD or not rule_access.may_propose(actor, version.rule):
        raise Http404
    back = reverse("kpi:rule_version", args=[version.pk])
    if version.state == RuleVersion.State.PUBLISHED:
        messages.info(request, _("A published version changes no more. Begin the next one."))
        return HttpResponseRedirect(back)
    values, rows = first_values(version.parameters)
    choices = indicator_choices({row["indicator"] for row in rows})
    if request.method == "POST":
        data = request.POST.copy()
        if "add" in data:
            total = data.get(f"{ROWS}-TOTAL_FORMS", "")
            data[f"{ROWS}-TOTAL_FORMS"] = str(int(total) + 1 if total.isdecimal() and len(total) < 4 else 1)
        form = AwardRuleForm(data)
        conditions = Conditions(data, prefix=ROWS, form_kwargs={"indicators": choices})
        if "add" in data:
            form, conditions = AwardRuleForm(initial=_typed(form)), _one_more(conditions, choices)
        elif _save(request, version, form, conditions):
            return HttpResponseRedirect(back)
    else:
        form = AwardRuleForm(initial={**values, "seen": version.revision})
        conditions = Conditions(initial=rows, prefix=ROWS, form_kwargs={"indicators": choices})
    wrong = request.method == "POST" and "add" not in request.POST
    context = {
        "form": form,
        "conditions": conditions,
        "version": version,
        "back": back,
        "has_indicators": bool(choices),
    }
    return render(request, "kpi/recognition_rule.html", context, status=422 if wrong else 200)


def _typed(form: AwardRuleForm) -> dict[str, str]:
    return {name: form.data.get(name, "") for name in form.fields}


def _one_more(conditions, choices):
    """The rows as they were typed and an empty one, without finding fault with any yet."""
    rows = [
        {name: one.data.get(one.add_prefix(name), "") for name in (*one.fields, "DELETE")} for one in conditions.forms
    ]
    kept = [row for row in rows if not row["DELETE"]]
    return Conditions(initial=kept, prefix=ROWS, form_kwargs={"indicators": choices})


def _save(request, version: RuleVersion, form: AwardRuleForm, conditions) -> bool:
    good = form.is_valid()
    if not conditions.is_valid() or not good:
        return False
    rows = conditions.standing()
    try:
        rules.change_draft(
            version=version,
            by=request.user,
            at=timezone.now(),
            seen=form.cleaned_data["seen"],
            parameters=parameters_of(form, rows),
        )
    except ParametersWrong as wrong:
        tie_faults(wrong.faults, form, rows)
    except rules.ChangedMeanwhile:
        form.add_error(
            None, _("Somebody else changed this draft meanwhile. Note what you typed, open the page again and add it.")
        )
    except rules.NotInWork:
        form.add_error(None, _("The version was published meanwhile. Begin the next one."))
    else:
        messages.success(request, _("The figures of the rule are saved."))
        return True
    return False
