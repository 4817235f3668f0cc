"""The unit tree, opened step by step, and changing it by hand."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from people.domain import units as domain
from people.domain.access import actor_of, binds, require, unit_or_404, visible_employees, visible_units
from people.forms import MoveUnitForm, NewUnitForm, UnitForm
from people.models import OrgUnit

read_or_send = require_http_methods(["GET", "HEAD", "POST"])


def _path(actor, unit) -> list[OrgUnit]:
    """The units above, as far up as the actor may see, and the unit itself."""
    return list(visible_units(actor, "PM-P05").above(unit))


@binds("PM-P05")
@never_cache
@require_safe
def units(request: HttpRequest) -> HttpResponse:
    """The topmost units of the actor; with only one, that one."""
    actor = actor_of(request)
    require(actor, "PM-P05")
    top = actor.units("HRU")
    if len(top) == 1:
        return redirect("people:unit", top[0].pk)
    lines = [line for unit in top for line in domain.people_in([unit])]
    return render(request, "people/units.html", {"lines": lines})


@binds("PM-P05")
@never_cache
@require_safe
def unit(request: HttpRequest, unit_id: int) -> HttpResponse:
    """One unit: where it stands, who works in it, what is below it."""
    actor = actor_of(request)
    found = unit_or_404(actor, "PM-P05", unit_id)
    below = list(found.get_children())
    here = visible_employees(actor, "PM-P01").filter(unit=found).exclude(state="left")
    words = {
        "unit": found,
        "path": _path(actor, found),
        "lines": domain.people_in(below),
        "total": domain.people_in([found])[0].people,
        "people": list(here.select_related("unit", "position").order_by("employee_no")[:50]),
        "here": here.count(),
        "may_move": not found.is_root() and found.pk not in {top.pk for top in actor.units("HRU")},
    }
    return render(request, "people/unit.html", words)


@binds("PM-P05")
@never_cache
@read_or_send
def rename(request: HttpRequest, unit_id: int) -> HttpResponse:
    actor = actor_of(request)
    found = unit_or_404(actor, "PM-P05", unit_id)
    initial = {"name": found.name, "name_en": found.name_en, "kind": found.kind}
    form = UnitForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        domain.rename_unit(unit=found, **form.cleaned_data, by=request.user, at=timezone.now())
        messages.success(request, _("The unit is saved as %(name)s.") % {"name": found.label})
        return redirect("people:unit", found.pk)
    return _form(request, "unit_edit", found, form, actor)


@binds("PM-P05")
@never_cache
@read_or_send
def add(request: HttpRequest, unit_id: int) -> HttpResponse:
    actor = actor_of(request)
    parent = unit_or_404(actor, "PM-P05", unit_id)
    form = NewUnitForm(request.POST or None, initial={"kind": _kind_below(parent)})
    if request.method == "POST" and form.is_valid():
        try:
            made = domain.add_unit(parent=parent, **form.cleaned_data, by=request.user, at=timezone.now())
        except domain.CodeTaken:
            form.add_error("code", _("Another unit has this code."))
        except domain.TreeBusy:
            form.add_error(None, _("Somebody else is changing this part of the tree. Try again in a moment."))
        else:
            messages.success(request, _("%(name)s is added.") % {"name": made.label})
            return redirect("people:unit", parent.pk)
    return _form(request, "unit_add", parent, form, actor)


@binds("PM-P05")
@never_cache
@read_or_send
def move(request: HttpRequest, unit_id: int) -> HttpResponse:
    """Puts a unit under another. Both ends lie below a unit of the actor, whose own topmost unit stays where it is."""
    actor = actor_of(request)
    found = unit_or_404(actor, "PM-P05", unit_id)
    if found.is_root() or found.pk in {top.pk for top in actor.units("HRU")}:
        raise Http404
    targets = visible_units(actor, "PM-P05").exclude(path__startswith=found.path)
    form = MoveUnitForm(request.POST or None, units=targets)
    if request.method == "POST" and form.is_valid():
        try:
            domain.move_unit(unit=found, under=form.cleaned_data["under"], by=request.user, at=timezone.now())
        except domain.UnitCircle:
            form.add_error("under", _("A unit cannot be put under itself."))
        except domain.AlreadyThere:
            form.add_error("under", _("The unit stands there already."))
        except domain.TreeBusy:
            form.add_error(None, _("Somebody else is changing this part of the tree. Try again in a moment."))
        else:
            messages.success(request, _("%(name)s is moved.") % {"name": found.label})
            return redirect("people:unit", found.pk)
    return _form(request, "unit_move", found, form, actor)


def _form(request, template, unit, form, actor):
    words = {"unit": unit, "form": form, "path": _path(actor, unit)}
    return render(request, f"people/{template}.html", words, status=422 if form.errors else 200)


def _kind_below(parent: OrgUnit) -> str:
    """The kind a unit under this one most likely has."""
    order = [OrgUnit.Kind.GROUP, OrgUnit.Kind.PROVINCE, OrgUnit.Kind.CITY, OrgUnit.Kind.BRANCH]
    following = dict(zip(order, order[1:], strict=False))
    return following.get(parent.kind, OrgUnit.Kind.DEPARTMENT)
