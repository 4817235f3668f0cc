"""Cards and their editor: the letter that explains a card (PM-V01), the form of a scorecard and its preview (PM-V11)."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from core.periods import Month
from kpi.domain import looks, previewing, rule_access, rules
from kpi.domain.letters import card_or_404, letter_of, may_object, openable
from kpi.domain.parameters import ParametersWrong, scorecard_rule
from kpi.models import Indicator, Rule, RuleVersion
from kpi.scorecard_forms import PreviewForm, ScorecardEditor
from kpi.views.looks import looked
from people.domain.access import Actor, actor_of, binds, require, visible_employees
from people.models import OrgUnit

PAGE = 25


@binds("PM-V01", "PM-F07")
@never_cache
@require_safe
def card(request: HttpRequest, card_id: int) -> HttpResponse:
    """One card as a letter: the result, how it adds up, what it rests on, who decided, until when one can object."""
    actor, at = actor_of(request), timezone.now()
    found, review = card_or_404(actor, card_id)
    is_mine = actor.employee is not None and actor.employee.pk == found.employee_id
    if found.employee_id:  # the card of a unit is nobody's
        looked(request, [found.employee_id], looks.CARD, looks.kept_months(found.first_month, found.last_month))
    context = {
        "letter": letter_of(card=found, review=review),
        "is_mine": is_mine,
        "may": {row.replace("-", "_") for row in openable(actor, found)},
        "may_object": may_object(actor=actor, review=review, at=at),
        "is_over": review is not None and review.object_until is not None and at > review.object_until,
        "appeal_url": _address("kpi:appeal", review.pk) if review else "",
        "rule_url": _address("kpi:rule", found.version_id),
        "measure_links": bool(_address("kpi:measure", 1)),
    }
    return render(request, "kpi/scorecards_card.html", context)


def _address(name: str, *values: int) -> str:
    """The address of a page of another part, or nothing while that part has none."""
    try:
        return reverse(name, args=values)
    except NoReverseMatch:
        return ""


# --- the editor -------------------------------------------------------------------------------------------------------------
def _draft_or_404(actor: Actor, version_id: int) -> RuleVersion:
    """A version of a scorecard of the actor's units, in whatever state."""
    require(actor, "PM-V11")
    version = rule_access.desk_version_or_404(actor, version_id)
    if version.rule.family != Rule.Family.SCORECARD or not rule_access.may_propose(actor, version.rule):
        raise PermissionDenied("PM-V11")
    return version


def _to_version(version: RuleVersion) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("kpi:rule_version", args=[version.pk]))


def _indicators(version: RuleVersion) -> list[Indicator]:
    """Those in use, and those the card reads already."""
    used = _codes(version.parameters)
    return [one for one in Indicator.objects.order_by("code") if one.active or one.code in used]


def _codes(parameters: dict) -> set[str]:
    codes = {code for line in parameters.get("lines") or [] for code in line.get("indicators") or []}
    codes |= {count.get("indicator") for line in parameters.get("lines") or [] for count in line.get("counts") or []}
    codes |= set((parameters.get("bonus") or {}).get("indicators") or [])
    return codes | {veto.get("indicator") for veto in parameters.get("vetoes") or []}


@binds("PM-V11")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def edit_scorecard(request: HttpRequest, version_id: int) -> HttpResponse:
    """The form of a scorecard. The button ``do`` adds, moves or removes something; ``save`` and ``preview`` keep the card."""
    actor = actor_of(request)
    version = _draft_or_404(actor, version_id)
    if version.state == RuleVersion.State.PUBLISHED:
        messages.error(request, _("A published version does not change. Begin the next version instead."))
        return _to_version(version)
    more = {"indicators": _indicators(version), "of_units": version.rule.subject == Rule.Subject.UNIT}
    status, seen, changed = 200, version.revision, False
    if request.method == "POST":
        editor = ScorecardEditor.of_post(request.POST, **more)
        do = request.POST.get("do", "")
        seen = int(sent) if (sent := request.POST.get("seen", "")).isdecimal() and len(sent) < 10 else 0
        if do not in ("save", "preview"):
            editor.act(do)
        else:
            try:
                saved = rules.change_draft(
                    version=version, parameters=editor.parameters(), seen=seen, by=request.user, at=timezone.now()
                )
            except ParametersWrong as wrong:
                editor.tell(wrong.faults)
                status = 422
            except rules.ChangedMeanwhile:
                status, changed, seen = 422, True, version.revision
            except rules.NotInWork:
                messages.error(request, _("The version was published meanwhile. Begin the next version instead."))
                return _to_version(version)
            else:
                messages.success(request, _("The scorecard of version %(number)d is saved.") % {"number": saved.number})
                if do == "preview":
                    return HttpResponseRedirect(reverse("kpi:preview_scorecard", args=[saved.pk]))
                return _to_version(saved)
    else:
        editor = ScorecardEditor.of_parameters(version.parameters, **more)
        if not editor.typed["bands"]:
            editor.act("rows:bands")
    context = {"version": version, "editor": editor, "seen": seen, "changed": changed}
    return render(request, "kpi/scorecards_edit.html", context, status=status)


# --- the preview ------------------------------------------------------------------------------------------------------------
@binds("PM-V11")
@never_cache
@require_safe
def preview_scorecard(request: HttpRequest, version_id: int) -> HttpResponse:
    """What a version would have meant in months that are over, beside the one in force. Writes nothing."""
    actor, at = actor_of(request), timezone.now()
    version = _draft_or_404(actor, version_id)
    context: dict = {"version": version, "is_draft": version.state != RuleVersion.State.PUBLISHED}
    try:
        rule = scorecard_rule(version.parameters)
    except ParametersWrong as wrong:
        context["faults"] = [words for _place, words in wrong.faults]
        return render(request, "kpi/scorecards_preview.html", context)
    months = previewing.months_with_figures(rule)
    units = previewing.units_to_choose(actor, version.rule, "PM-V11")
    if not months or not units:
        return render(request, "kpi/scorecards_preview.html", context | {"nothing": True})
    usual = {"first": str(months[0]), "last": str(months[0]), "unit": str(units[0].pk)}
    asked = {name: request.GET.get(name) or value for name, value in usual.items()}
    form = PreviewForm(asked, months=months, units=units)
    context["form"] = form
    if form.is_valid():
        unit = next(one for one in units if str(one.pk) == asked["unit"])
        first, last = Month.parse(asked["first"]), Month.parse(asked["last"])
        context |= _compared(request, actor, version, unit, first, last, at)
    return render(request, "kpi/scorecards_preview.html", context)


def _compared(
    request: HttpRequest, actor: Actor, version: RuleVersion, unit: OrgUnit, first: Month, last: Month, at
) -> dict:
    base = rules.version_in_force(version.rule, timezone.localdate(at))
    if base is not None and base.pk == version.pk:
        base = None
    of_units = version.rule.subject == Rule.Subject.UNIT
    people = None if of_units else previewing.people_in(actor, version.rule, unit, last.last_day)
    try:
        found = previewing.compare(
            draft=version,
            base=base,
            first_month=first,
            last_month=last,
            employees=people,
            units=OrgUnit.objects.under(unit) if of_units else None,
            at=at,
        )
    except previewing.TooMany as too_many:
        return {"too_many": too_many.number, "most": previewing.MOST}
    # What stays as it is says nothing about the draft: it comes last.
    changed_first = sorted(found.outcomes, key=lambda one: not one.difference)
    shown = {"gain": found.gain, "lose": found.lose}.get(request.GET.get("who", ""), changed_first)
    page = Paginator(shown, PAGE).get_page(request.GET.get("page"))
    ids = [one.subject for one in page.object_list]
    if of_units:
        subjects = OrgUnit.objects.in_bulk(ids)
    else:
        subjects = visible_employees(actor, "PM-V01").select_related("unit", "position").in_bulk(ids)
        looked(request, subjects, looks.PREVIEW, looks.kept_months(first, last))
    rows = [{"outcome": one, "subject": subjects.get(one.subject)} for one in page.object_list]
    most = max((number for _grade, *numbers in found.grades() for number in numbers), default=0)
    kept = request.GET.copy()
    for name in ("page", "who"):
        kept.pop(name, None)
    return {
        "found": found,
        "grades": [{"grade": grade, "before": b, "after": a, "most": most} for grade, b, a in found.grades()],
        "base": base,
        "of_units": of_units,
        "has_rating": any(line["kind"] == "rating" for line in version.parameters["lines"]),
        "rows": rows,
        "page": page,
        "who": request.GET.get("who", ""),
        "query": kept.urlencode(),
        "without": found.subjects - found.measured,
    }
