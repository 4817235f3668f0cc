"""The path to 100 %: for a manager the own people, for HR a unit and what lies below it."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core.periods import Month
from courses.domain.forecast import people_forecast, unit_forecast
from courses.domain.queries import people_figures, unit_figures
from people.domain.access import Actor, actor_of, binds, require, unit_or_404, visible_employees, visible_units
from people.models import OrgUnit
from portal import dashboards, path

NAMES = 60  # people on one page of names


def _this_month() -> Month:
    return Month.of(timezone.localdate())


def _month_or_404(text: str) -> Month:
    try:
        month = Month.parse(text)
    except ValueError as error:
        raise Http404 from error
    if not _this_month().plus(-120) <= month <= _this_month():
        raise Http404
    return month


def _names(request, duties, month: Month, at) -> dict:
    """One page of the missing people, in groups: what templates/portal/_missing.html shows."""
    page = Paginator(path.missing_numbers(duties), NAMES).get_page(request.GET.get("page"))
    actor = actor_of(request)
    people = path.missing_people(employees=list(page.object_list), duties=duties, month=month, at=at, actor=actor)
    return {"page": page, "groups": path.grouped(people), "me": actor.employee}


# --- a manager ----------------------------------------------------------------------------------------------------------
@binds("PM-T05", "PM-X01")
@require_safe
@never_cache
def team_path(request):
    """Who of my people decides whether all of them make it, and what I can do about each."""
    actor = actor_of(request)
    require(actor, "PM-X01")
    month, at = _month_or_404(request.GET.get("month") or str(_this_month())), timezone.now()
    level = dashboards.ALL if request.GET.get("level") == dashboards.ALL else dashboards.DIRECT
    people = dashboards.team_of(actor, level)
    duties = path.missing_duties(people=people, month=month)
    names = _names(request, duties, month, at)
    wide = "&level=all" if level == dashboards.ALL else ""
    home = actor.employee.unit if actor.employee else None
    context = {
        **names,
        "month": month,
        "at": at,
        "is_manager": actor.is_manager,
        "direct": not wide,
        "now": people_figures(people=people, month=month),
        "deciding": names["page"].paginator.count,
        "forecast": people_forecast(people=people, month=month, at=at, above=_above(home)),
        "levels": [
            {"label": _("My direct reports"), "url": f"?month={month}", "active": not wide},
            {"label": _("Everybody below me"), "url": f"?month={month}&level=all", "active": bool(wide)},
        ],
        "team_url": f"{reverse('portal:my_team')}?month={month}{wide}",
        "previous_url": f"?month={month.previous}{wide}",
        "next_url": f"?month={month.next}{wide}" if month < _this_month() else "",
    }
    return render(request, "portal/team_path.html", context)


def _above(unit: OrgUnit | None) -> OrgUnit | None:
    """What a team leans on: the unit above that of its manager, who mostly leads the own unit."""
    if unit is None or unit.is_root():
        return unit
    return unit.get_parent()


# --- a unit -------------------------------------------------------------------------------------------------------------
def _unit_or_404(actor: Actor, unit_id: int) -> OrgUnit:
    """A unit whose people the actor sees: for HR of it and auditors. Managers have people, authors counts."""
    if not actor.letters("PM-X01") & {"U", "A"}:
        raise PermissionDenied("PM-X01")
    unit = unit_or_404(actor, "PM-X01", unit_id)
    if not _may_see(actor, unit):  # an author who is HR elsewhere sees its counts, not its people
        raise Http404
    return unit


class _Row:
    """One unit of the table: where it leads, and where its rows come from."""

    def __init__(self, short: path.ShortUnit, month: Month, top: OrgUnit):
        self.unit, self.short, self.figures, self.own = short.unit, short.short, short.figures, short.own
        self.depth = short.unit.depth - top.depth + short.own
        address = [month, short.unit.pk]
        tail = "?own=1" if short.own else ""
        self.url = reverse("portal:unit_path", args=address) + tail
        self.rows_url = reverse("portal:unit_path_rows", args=address) + tail
        self.has_more = short.has_more


@binds("PM-T05", "PM-X01")
@require_safe
@never_cache
def unit_path(request, month: str, unit_id: int):
    """Who decides whether a unit reaches 100 %: the units below by how many people they are short, down to names."""
    actor = actor_of(request)
    unit = _unit_or_404(actor, unit_id)
    wanted, at = _month_or_404(month), timezone.now()
    own = request.GET.get("own") == "1"
    shortage = path.shortage(unit=unit, month=wanted)
    names = None
    if own or not shortage.rows or shortage.people <= NAMES:
        people = visible_employees(actor, "PM-T05")
        names = _names(request, path.missing_duties(people=people, month=wanted, unit=unit, own=own), wanted, at)
    rows = [] if own else [_Row(row, wanted, unit) for row in shortage.rows]
    way = [one for one in OrgUnit.objects.above(unit) if _may_see(actor, one)]
    for one in way:
        one.url = reverse("portal:unit_path", args=[wanted, one.pk])
    context = {
        "unit": unit,
        "way": way,
        "own": own,
        "month": wanted,
        "at": at,
        "now": unit_figures(unit=unit, month=wanted),
        "shortage": shortage,
        "deciding": shortage.people,
        "rows": rows,
        "names": names,
        "elsewhere": max(0, shortage.people - names["page"].paginator.count) if names and not own else 0,
        "forecast": None if own else unit_forecast(unit=unit, month=wanted, at=at),
        "completion_url": reverse("courses:completion_unit", args=[wanted, unit.pk]),
        "previous_url": reverse("portal:unit_path", args=[wanted.previous, unit.pk]),
        "next_url": reverse("portal:unit_path", args=[wanted.next, unit.pk]) if wanted < _this_month() else "",
    }
    return render(request, "portal/unit_path.html", context)


def _may_see(actor: Actor, unit: OrgUnit) -> bool:
    """Does one of the actor's roles reach this unit? No query: the units of the roles are known."""
    if actor.letters("PM-X01") & {"A"}:
        return True
    return any(top.contains(unit) for top in actor.units("HRU"))


@binds("PM-T05", "PM-X01")
@require_safe
@never_cache
def unit_path_rows(request, month: str, unit_id: int):
    """What the table fetches when a unit is opened: the units below it, or the names where there are none."""
    actor = actor_of(request)
    unit = _unit_or_404(actor, unit_id)
    wanted, at = _month_or_404(month), timezone.now()
    top = unit
    if request.GET.get("top", "").isdecimal() and len(request.GET["top"]) < 19:
        top = visible_units(actor, "PM-X01").filter(pk=int(request.GET["top"])).first() or unit
    if not top.contains(unit):
        raise Http404
    own = request.GET.get("own") == "1"
    rows = [] if own else [_Row(row, wanted, top) for row in path.shortage(unit=unit, month=wanted).rows]
    context = {"rows": rows, "top": top, "unit": unit, "month": wanted, "depth": unit.depth - top.depth + 1 + own}
    if not rows:
        people = visible_employees(actor, "PM-T05")
        duties = path.missing_duties(people=people, month=wanted, unit=unit, own=own)
        context["names"] = _names(request, duties, wanted, at)
        context["more_url"] = reverse("portal:unit_path", args=[wanted, unit.pk]) + ("?own=1" if own else "")
    return render(request, "portal/_path_rows.html", context)
