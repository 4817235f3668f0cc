"""Completion down the unit tree to names, and as a file (PM-X01, PM-X02)."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy
from django.views.decorators.http import require_safe

from core.periods import Month
from core.spreadsheets import download
from courses.domain.access import sees_people, sees_units
from courses.domain.comparison import RANKED, Beside, LiveFigures, live_figures, units_beside
from courses.domain.queries import (
    Figures,
    ListState,
    courses_of_month,
    figures_of_units,
    in_state,
    month_enrolments,
    month_series,
    months_with_runs,
    page_after,
    people_figures,
    rows_in_state,
    search_enrolments,
)
from courses.models import Course, Enrolment
from courses.templatetags.courses_tags import state_chip
from courses.views.months import month_or_404, this_month
from people.domain.access import RULES, Actor, actor_of, binds, require, unit_or_404, visible_employees, visible_units
from people.models import OrgUnit

SMALLEST_GROUP = 5  # who sees counts only (M) sees none over fewer people
PAGE = 50
MANY = 2000  # a longer list is found by walking along the employee numbers

STATE_LABELS = {
    ListState.MISSING: gettext_lazy("Not done"),
    ListState.OVERDUE: gettext_lazy("Overdue"),
    ListState.ASSIGNED: gettext_lazy("Assigned"),
    ListState.STARTED: pgettext_lazy("learning", "In progress"),
    ListState.ON_TIME: gettext_lazy("Done in time"),
    ListState.LATE: gettext_lazy("Done late"),
    ListState.EXEMPT: gettext_lazy("Exempt"),
    ListState.WITHDRAWN: gettext_lazy("Withdrawn"),
    ListState.CHOICE: gettext_lazy("By choice"),
}


def _counts_only(actor: Actor) -> bool:
    """Does the actor see units by the letter M alone?"""
    letters = frozenset().union(*(RULES["PM-X01"][role] for role in actor.roles))
    return not letters & {"U", "A", "G"}


def _top_units(actor: Actor) -> list[OrgUnit]:
    """The topmost units whose figures the actor sees."""
    letters = frozenset().union(*(RULES["PM-X01"][role] for role in actor.roles))
    if letters & {"A", "M"}:
        return list(OrgUnit.objects.filter(depth=1))
    return actor.units("HRU")


def _sees_path(actor: Actor, unit: OrgUnit) -> bool:
    """Does the actor see who is missing in this unit, with what can be done (the page portal:unit_path)?"""
    if actor.letters("PM-X01") & {"A"}:
        return True
    return any(top.contains(unit) for top in actor.units("HRU"))


def _course(request, courses: list[Course]) -> Course | None:
    code = request.GET.get("course", "")
    return next((course for course in courses if course.code == code), None)


def _newest_month() -> Month:
    current = this_month()
    return next((month for month in months_with_runs() if month <= current), current)


@binds("PM-X01")
@require_safe
def completion(request):
    """The newest month of the topmost unit; for a manager, of the people below."""
    actor = actor_of(request)
    require(actor, "PM-X01")
    month = _newest_month()
    if sees_units(actor, "PM-X01"):
        units = _top_units(actor)
        if units:
            return HttpResponseRedirect(reverse("courses:completion_unit", args=[month, units[0].pk]))
    return HttpResponseRedirect(reverse("courses:completion_people", args=[month]))


class _Row:
    """One row of the table: a unit with its figures, hidden where they would speak of too few people.

    What the template shows is made here once, because a group has many rows.
    """

    def __init__(self, figures: LiveFigures, table: _Table, *, own: bool = False):
        self.unit, self.now, self.change = figures.unit, figures.now, figures.change
        self.depth, self.own = figures.unit.depth - table.top.depth + own, own
        self.has_children = figures.unit.numchild > 0 and not own
        self.hidden = table.counts_only and 0 < figures.now.assigned < SMALLEST_GROUP
        self.url, self.rows_url, self.names_url = table.addresses(figures.unit)
        self.words = table.count_words(self.now.completed, self.now.assigned)
        # One person moves a small share too far: there the counts say it.
        self.is_small = 0 < self.now.assigned < RANKED
        if self.is_small:
            self.time_words = table.count_words(self.now.on_time, self.now.assigned)
            before = figures.before
            self.before_words = table.count_words(before.completed, before.assigned) if before.assigned else ""


class _Table:
    """The units right below one, and what counts in the unit itself, beside the unit's own figures."""

    def __init__(
        self, unit: OrgUnit, month: Month, course: Course | None, *, at: dt.datetime, top: OrgUnit, counts_only: bool
    ):
        self.top, self.counts_only = top, counts_only
        self._words = _("%(done)s of %(total)s")
        self._query = f"?course={course.code}" if course else ""
        # One look at the address patterns for the whole table; the unit is put in its place.
        self._patterns = [
            reverse(f"courses:{name}", args=[month, 0]).replace(f"/{month}/0/", f"/{month}/%d/")
            for name in ("completion_unit", "completion_rows", "completion_names")
        ]
        units = [unit, *unit.get_children()]
        self.own, *below = live_figures(unit=unit, units=units, month=month, at=at, course=course)
        self.rows = [_Row(child, self) for child in below]
        now, before, ended = self.own.now, self.own.before, self.own.ended
        for child in below:
            now, before, ended = now - child.now, before - child.before, ended - child.ended
        if below and now:
            self.rows.insert(0, _Row(LiveFigures(unit, now, before, ended, self.own.same_point), self, own=True))

    def count_words(self, done: int, total: int) -> str:
        return self._words % {"done": f"{done:,}", "total": f"{total:,}"}

    def addresses(self, unit: OrgUnit) -> tuple[str, str, str]:
        page, rows, names = (pattern % unit.pk for pattern in self._patterns)
        return page + self._query, rows + self._query, names + self._query


@binds("PM-X01")
@require_safe
def completion_unit(request, month: str, unit_id: int):
    """A unit's month: its own figures, and the units below it as a table that opens in place."""
    actor = actor_of(request)
    unit = unit_or_404(actor, "PM-X01", unit_id)
    wanted = month_or_404(month)
    courses = courses_of_month(wanted)
    course = _course(request, courses)
    counts_only, at = _counts_only(actor), timezone.now()
    table = _Table(unit, wanted, course, at=at, top=unit, counts_only=counts_only)
    own = table.own
    tops = _top_units(actor)
    path = [unit]
    if unit not in tops:
        path = [above for above in OrgUnit.objects.above(unit) if any(top.contains(above) for top in tops)]
    query = f"?course={course.code}" if course else ""
    for above in path:
        above.url = reverse("courses:completion_unit", args=[wanted, above.pk]) + query
    series = month_series(unit=unit, last=wanted, course=course)
    context = {
        "unit": unit,
        "month": wanted,
        "own": own,
        "now": own.now,
        "beside": _beside(actor, unit, wanted, course, query, counts_only=counts_only),
        "hidden": counts_only and 0 < own.now.assigned < SMALLEST_GROUP,
        "rows": table.rows,
        "path": path,
        "tops": [top for top in tops if top.pk != unit.pk] if len(tops) > 1 else [],
        "courses": courses,
        "course": course,
        "query": query,
        "sees_names": sees_people(actor, "PM-X01"),
        "sees_path": _sees_path(actor, unit),
        "may_export": actor.may("PM-X02"),
        "series_values": [
            # A month under way would look like a fall.
            figures.permille / 10
            if figures.permille is not None and not counts_only and (one < this_month() or not figures.open)
            else None
            for one, figures in series
        ],
        "previous_url": reverse("courses:completion_unit", args=[wanted.previous, unit.pk]) + query,
        "next_url": reverse("courses:completion_unit", args=[wanted.next, unit.pk]) + query
        if wanted < this_month()
        else "",
    }
    return render(request, "courses/completion_unit.html", context)


def _beside(
    actor: Actor, unit: OrgUnit, month: Month, course: Course | None, query: str, *, counts_only: bool
) -> Beside | None:
    """The units beside this one that the actor may see too, each with its address."""
    found = units_beside(unit=unit, month=month, visible=visible_units(actor, "PM-X01"), course=course)
    if found is None:
        return None
    if counts_only:
        shown = [one for one in found.units if one.now.assigned >= SMALLEST_GROUP]
        found = replace(found, units=shown)
    for one in found.units:
        one.unit.url = reverse("courses:completion_unit", args=[month, one.unit.pk]) + query
    return found


@binds("PM-X01")
@require_safe
def completion_rows(request, month: str, unit_id: int):
    """The rows right below a unit: what the table fetches when one is opened."""
    actor = actor_of(request)
    unit = unit_or_404(actor, "PM-X01", unit_id)
    wanted = month_or_404(month)
    course = _course(request, courses_of_month(wanted))
    try:
        top = visible_units(actor, "PM-X01").filter(pk=int(request.GET.get("top", ""))).first() or unit
    except ValueError:
        top = unit
    if not top.contains(unit):
        raise Http404
    context = {
        "rows": _Table(unit, wanted, course, at=timezone.now(), top=top, counts_only=_counts_only(actor)).rows,
        "month": wanted,
        "unit": top,
        "sees_names": sees_people(actor, "PM-X01"),
        "sees_path": _sees_path(actor, unit),
    }
    return render(request, "courses/_completion_rows.html", context)


# --- names --------------------------------------------------------------------------------------------------------
class _Names:
    """A list of duties with names, as the address asks for it."""

    def __init__(self, request, row: str, month: str, unit_id: int | None):
        actor = actor_of(request)
        require(actor, row)
        if not sees_people(actor, row):  # counts only
            raise PermissionDenied(row)
        self.month = month_or_404(month)
        self.unit = None
        if unit_id is not None:
            self.unit = unit_or_404(actor, row, unit_id)
        self.courses = courses_of_month(self.month)
        self.course = _course(request, self.courses)
        self.state = request.GET.get("state", "")
        self.search = request.GET.get("q", "").strip()[:100]
        self.people = visible_employees(actor, row)
        self.at = timezone.now()
        found = month_enrolments(people=self.people, month=self.month, unit=self.unit, course=self.course)
        if self.state:
            found = in_state(found, self.state, self.at)
        self.enrolments = search_enrolments(found, self.search)

    @property
    def parameters(self) -> dict[str, str]:
        chosen = {"course": self.course.code if self.course else "", "state": self.state, "q": self.search}
        return {name: value for name, value in chosen.items() if value}


def _figures(names: _Names) -> Figures:
    if names.unit is not None:
        return figures_of_units(units=[names.unit], month=names.month, course=names.course)[0].now
    return people_figures(people=names.people, month=names.month, course=names.course)


@binds("PM-X01")
@require_safe
def completion_names(request, month: str, unit_id: int | None = None):
    """The people behind a figure, paged by key so that the last page is as quick as the first."""
    names = _Names(request, "PM-X01", month, unit_id)
    after = request.GET.get("after", "")
    now = _figures(names)
    page = page_after(
        names.enrolments,
        after=int(after) if after.isdecimal() and len(after) < 19 else None,
        size=PAGE,
        many=names.unit is not None and not names.search and rows_in_state(now, names.state) > MANY,
    )
    view = "courses:completion_names" if names.unit else "courses:completion_people"
    tail = [names.unit.pk] if names.unit else []
    context = {
        "names": names,
        "month": names.month,
        "unit": names.unit,
        "page": page,
        "now": now,
        "at": names.at,
        "is_first": not after,
        "states": [
            {"value": value, "label": label, "chosen": value == names.state} for value, label in STATE_LABELS.items()
        ],
        "parameters": names.parameters,
        "here": reverse(view, args=[names.month, *tail]),
        "may_export": actor_of(request).may("PM-X02"),
        "export_view": view.replace("names", "export").replace("people", "people_export"),
        "back_url": reverse("courses:completion_unit", args=[names.month, names.unit.pk]) if names.unit else "",
        "previous_url": reverse(view, args=[names.month.previous, *tail]),
        "next_url": reverse(view, args=[names.month.next, *tail]) if names.month < this_month() else "",
    }
    return render(request, "courses/completion_names.html", context)


@binds("PM-X02")
@require_safe
def completion_export(request, month: str, kind: str, unit_id: int | None = None):
    """The same list as a file, with its scope on a sheet of its own."""
    names = _Names(request, "PM-X02", month, unit_id)
    paths = _unit_paths()
    rows = (_export_row(enrolment, names.at, paths) for enrolment in names.enrolments.iterator(chunk_size=2000))
    scope = names.unit.label if names.unit else _("The people below me")
    return download(
        kind=kind,
        name=f"completion-{names.month}",
        title=str(names.month),
        header=[
            _("Month"),
            _("Course code"),
            _("Course"),
            _("Unit"),
            _("Employee no."),
            pgettext("a person", "Name"),
            _("Position"),
            _("State"),
            _("Due"),
            _("Completed on"),
            _("Steps done"),
            _("Reason"),
            _("By choice"),
        ],
        rows=rows,
        widths=[10, 12, 28, 40, 14, 16, 18, 14, 18, 18, 10, 30, 10],
        notes=[
            _("Completion of %(month)s, %(scope)s") % {"month": names.month.label, "scope": scope},
            _("As of %(at)s, by %(user)s")
            % {"at": timezone.localtime(names.at).strftime("%Y-%m-%d %H:%M"), "user": request.user},
            *(f"{name}: {value}" for name, value in names.parameters.items()),
        ],
    )


def _unit_paths() -> dict[int, str]:
    """{unit id: the names from the root down}: one query for any number of rows."""
    names: dict[str, str] = {}
    paths: dict[int, str] = {}
    for unit in OrgUnit.objects.order_by("path"):
        above = names.get(unit.path[: -OrgUnit.steplen])
        names[unit.path] = paths[unit.pk] = f"{above} / {unit.label}" if above else unit.label
    return paths


def _export_row(enrolment: Enrolment, at, paths: dict[int, str]) -> list:
    employee, course = enrolment.employee, enrolment.run.course
    return [
        str(enrolment.run.month),
        course.code,
        course.title,
        paths.get(enrolment.unit_id, ""),
        employee.employee_no,
        employee.name,
        enrolment.position_set.label if enrolment.position_set else "",
        state_chip(enrolment, at)["label"],
        timezone.localtime(enrolment.due_at),
        timezone.localtime(enrolment.completed_at) if enrolment.completed_at else None,
        enrolment.steps_done,
        enrolment.reason_text or (enrolment.get_reason_display() if enrolment.reason != "plan" else ""),
        _("yes") if enrolment.voluntary else "",
    ]
