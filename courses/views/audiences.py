"""Audiences: the rules that select people, edited in groups of conditions and looked at before they are saved (PM-M01)."""

from __future__ import annotations

import datetime as dt
import re
from copy import copy

from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from courses.audience_forms import AudienceForm, Choices, RuleEditor
from courses.domain.access import hr_units, own_audiences, own_lists
from courses.domain.audiences import (
    AudienceChanged,
    Names,
    compare_rules,
    describe_rule,
    marker,
    people_by_unit,
    save_audience,
)
from courses.domain.catching_up import effect_on_runs
from courses.models import Audience
from courses.views.months import _tabs
from people.domain.access import Actor, actor_of, binds, require
from people.models import Employee, OrgUnit

TREE_AT_ONCE = 400  # a larger tree is fetched level by level
SHOWN_NAMES = 12
SHOWN_UNITS = 40
_FIELD = re.compile(r"rule(-[0-9]{1,2}){1,10}-units")


@binds("PM-M01")
@require_safe
def audiences(request):
    """The audiences of the own units, each in words."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    found = list(own_audiences(actor).prefetch_related("programmes"))
    names = Names.of(one.rule for one in found)
    rows = [{"audience": one, "words": describe_rule(rule=one.rule, scope=one.scope, names=names)} for one in found]
    context = {"rows": rows, "lists": own_lists(actor).count(), "tabs": _tabs("audiences")}
    return render(request, "courses/audiences.html", context)


def scopes_of(actor: Actor) -> list[OrgUnit]:
    """The units for which an audience or a list may be made: those of the role and two levels below."""
    found: list[OrgUnit] = []
    for unit in hr_units(actor):
        found += OrgUnit.objects.under(unit).filter(depth__lte=unit.depth + 2)
    return found


@binds("PM-M01")
@require_http_methods(["GET", "HEAD", "POST"])
def audience(request, audience_id: int | None = None):
    """One audience: its rule in groups of conditions, and whom it selects before it is saved.

    The button ``do`` says what is asked for: to add or remove a condition, to look, or (without it) to save. Only
    saving changes anything.
    """
    actor = actor_of(request)
    require(actor, "PM-M01")
    found = get_object_or_404(own_audiences(actor), pk=audience_id) if audience_id else None
    scopes, choices, at = scopes_of(actor), Choices.within(own_lists(actor)), timezone.now()
    do = request.POST.get("do", "")
    preview, faults, status = None, [], 200
    seen = request.POST.get("seen") or (marker(found) if found else None)
    if request.method == "POST":
        editor = RuleEditor.of_post(request.POST, choices=choices)
        scope = found.scope if found else _chosen(request.POST.get("scope"), scopes)
        if not do:
            form = AudienceForm(request.POST, instance=copy(found), scopes=scopes)
            rule = editor.read(scope=scope)
            if form.is_valid() and rule is not None:
                try:
                    return _saved(request, found, form, rule, at, seen)
                except AudienceChanged:
                    found = get_object_or_404(own_audiences(actor), pk=audience_id)
                    seen = marker(found)
                    form.add_error(None, _changed_words(found))
            status = 422
        else:
            form = AudienceForm(initial=request.POST.dict(), instance=copy(found), scopes=scopes)
            editor.act(do)
            rule = editor.read(scope=scope)
            preview = None if rule is None else _preview(found, rule, scope, at)
            if do == "preview" and request.headers.get("HX-Request"):
                context = {"preview": preview, "faults": editor.faults}
                return render(request, "courses/_audience_preview.html", context)
            if do != "preview":
                for one in editor.nodes():  # half done is no fault while one is still adding
                    one.errors = []
        faults = editor.faults
    else:
        form = AudienceForm(instance=copy(found), scopes=scopes)
        scope = found.scope if found else scopes[0]
        editor = RuleEditor.of_rule(found.rule if found else {}, choices=choices)
        if not found:
            editor.act("add:rule:units")
            editor.conditions[0].is_new = False
    roots = [found.scope] if found else hr_units(actor)
    for condition in editor.conditions:
        if condition.kind == "units":
            condition.tree = _tree(roots=roots, chosen=set(condition.typed.get("units", [])))
    context = {
        "form": form,
        "audience": found,
        "seen": seen,
        "editor": editor,
        "faults": faults,
        "preview": preview,
        "words": describe_rule(rule=found.rule, scope=found.scope) if found else "",
    }
    response = render(request, "courses/audience.html", context, status=status)
    if do:
        response["HX-Trigger-After-Settle"] = "ruleChanged"  # the preview beside the editor looks again
    return response


def _chosen(scope_id: str | None, scopes: list[OrgUnit]) -> OrgUnit:
    """The unit of the form, or the first one while it says none that may be chosen (the form says so itself)."""
    return next((unit for unit in scopes if str(unit.pk) == scope_id), scopes[0])


def _saved(request, found: Audience | None, form: AudienceForm, rule: dict, at: dt.datetime, seen: str | None):
    data = form.cleaned_data
    saved = save_audience(
        audience=found,
        name=data["name"],
        name_en=data["name_en"],
        scope=found.scope if found else data["scope"],
        rule=rule,
        by=request.user,
        at=at,
        seen=seen,
    )
    messages.success(request, _("“%(name)s” is saved.") % {"name": saved.label})
    return HttpResponseRedirect(reverse("courses:audiences"))


def _changed_words(audience: Audience) -> str:
    """What an audience says by now, for whoever was about to write over it."""
    words = _(
        "Somebody changed this audience meanwhile: it is now called “%(name)s” and its rule is: %(rule)s What you typed is "
        "still here; save again to put it in the place of that."
    )
    return words % {"name": audience.label, "rule": describe_rule(rule=audience.rule, scope=audience.scope)}


def _preview(found: Audience | None, rule: dict, scope: OrgUnit, at: dt.datetime) -> dict:
    on = timezone.localdate(at)
    change = compare_rules(before=found.rule if found else None, after=rule, scope=scope, on=on)
    units = people_by_unit(people=change.now, scope=scope)
    effects = effect_on_runs(audience=found, rule=rule, at=at) if found else []
    return {
        "words": describe_rule(rule=rule, scope=scope),
        "now": sum(unit.number for unit in units),
        "units": units[:SHOWN_UNITS],
        "other_units": len(units[SHOWN_UNITS:]),
        "changes": [] if found is None else [_some(change.enters), _some(change.leaves)],
        "runs": [
            {"run": effect.run, "takes_joiners": effect.takes_joiners, **_both(effect.enters, effect.stays)}
            for effect in effects
        ],
    }


def _both(enters: QuerySet[Employee], stays: QuerySet[Employee]) -> dict:
    return {"enters": _some(enters), "stays": _some(stays)}


def _some(people: QuerySet[Employee]) -> dict:
    """How many they are, and the first of them by unit and number."""
    number = people.count()
    shown = people.select_related("unit", "position").order_by("unit__path", "employee_no")[:SHOWN_NAMES]
    return {"number": number, "first": list(shown) if number else [], "others": max(0, number - SHOWN_NAMES)}


def _tree(*, roots: list[OrgUnit], chosen: set[str]) -> list[dict]:
    """The units below the roots, nested; a large tree stops after two levels and is fetched further on demand."""
    units: list[OrgUnit] = []
    for root in roots:
        below = OrgUnit.objects.under(root)
        if below.count() > TREE_AT_ONCE:
            below = below.filter(depth__lte=root.depth + 1)
        units += below
    known = {unit.code for unit in units}
    nodes: dict[str, dict] = {}
    top: list[dict] = []
    for unit in units:
        node = {"unit": unit, "chosen": unit.code in chosen, "children": [], "more": unit.numchild > 0, "open": False}
        nodes[unit.path] = node
        parent = nodes.get(unit.path[: -OrgUnit.steplen])
        if parent:
            parent["children"].append(node)
            parent["more"] = False
        else:
            top.append(node)
    for node in top:
        node["open"] = True
    for path, node in nodes.items():
        if node["chosen"]:
            for end in range(OrgUnit.steplen, len(path), OrgUnit.steplen):
                if path[:end] in nodes:
                    nodes[path[:end]]["open"] = True
    deep = OrgUnit.objects.filter(code__in=chosen - known)
    return [{"unit": unit, "chosen": True, "children": [], "more": False, "open": False} for unit in deep] + top


@binds("PM-M01")
@require_safe
def audience_units(request, unit_id: int):
    """The units right below one, as check boxes: a piece of the tree of a large company."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    unit = get_object_or_404(OrgUnit, pk=unit_id)
    name = request.GET.get("field", "")
    if not any(top.contains(unit) for top in hr_units(actor)) or not _FIELD.fullmatch(name):
        raise Http404
    nodes = [
        {"unit": child, "chosen": False, "children": [], "more": child.numchild > 0, "open": False}
        for child in unit.get_children()
    ]
    return render(request, "courses/_unit_tree.html", {"nodes": nodes, "field": name})
