"""Months as HR runs them: the list, one month with its runs, opening and catching up (PM-M01)."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.jobs import start_job
from core.models import Job
from core.periods import Month
from courses.domain import opening
from courses.domain.access import hr_units, own_audiences, own_plan_lines, own_programmes
from courses.domain.queries import Figures, run_figures
from courses.forms import PlanLineForm, ProgrammeForm
from courses.models import Course, CourseRun
from courses.tasks import parts_of
from people.domain.access import actor_of, binds, require

IN_THE_REQUEST = 2000  # more people than this are enrolled by a job


def month_or_404(text: str) -> Month:
    try:
        return Month.parse(text)
    except ValueError as error:
        raise Http404 from error


def this_month() -> Month:
    return Month.of(timezone.localdate())


def _tabs(active: str) -> list[dict]:
    return [
        {"label": label, "url": reverse(f"courses:{name}"), "active": name == active, "count": None}
        for name, label in (
            ("months", _("Months")),
            ("plan", _("Plan")),
            ("programmes", _("Programmes")),
            ("audiences", _("Audiences")),
        )
    ]


@binds("PM-M01")
@require_safe
def months(request):
    """Every month with a plan or a run: what is planned, what is open, how far it is."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    lines = own_plan_lines(actor).values_list("month", "course_id", "opened_at")
    planned: dict[Month, set[int]] = {}
    unopened: dict[Month, set[int]] = {}
    for month, course_id, opened_at in lines:
        planned.setdefault(month, set()).add(course_id)
        if opened_at is None:
            unopened.setdefault(month, set()).add(course_id)
    runs = list(CourseRun.objects.exclude(state=CourseRun.State.PLANNED).select_related("course"))
    figures = run_figures(runs=runs, units=hr_units(actor))
    by_month: dict[Month, list[CourseRun]] = {}
    by_choice: dict[Month, Figures] = {}
    for run in runs:
        one = figures.get(run.pk, Figures())
        if one.owes:
            by_month.setdefault(run.month, []).append(run)
        if one.voluntary:  # beside what the month owes, also where nobody owes the course
            by_choice[run.month] = by_choice.get(run.month, Figures()) + one
    current = this_month()
    rows = []
    for month in sorted(planned.keys() | by_month.keys() | by_choice.keys() | {current}, reverse=True):
        total = [figures.get(run.pk, Figures()) for run in by_month.get(month, [])]
        rows.append(
            {
                "month": month,
                "courses": len(planned.get(month, set()) | {run.course_id for run in by_month.get(month, [])}),
                "waiting": len(unopened.get(month, ())),
                "open": sum(1 for run in by_month.get(month, []) if run.state == CourseRun.State.OPEN),
                "closed": sum(1 for run in by_month.get(month, []) if run.state == CourseRun.State.CLOSED),
                "assigned": sum(one.assigned for one in total),
                "completed": sum(one.completed for one in total),
                "by_choice": by_choice.get(month),
                "is_current": month == current,
            }
        )
    return render(request, "courses/months.html", {"rows": rows, "tabs": _tabs("months")})


def _lines_by_course(actor, month: Month) -> dict[Course, list]:
    by_course: dict[Course, list] = {}
    for line in opening.plan_lines(month=month, scope=hr_units(actor)):
        by_course.setdefault(line.course, []).append(line)
    return by_course


@binds("PM-M01")
@require_safe
def month(request, month: str):
    """One month: each course with its people, what opening it would do, and how the open ones stand."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    wanted, at = month_or_404(month), timezone.now()
    units = hr_units(actor)
    lines = _lines_by_course(actor, wanted)
    runs = {run.course_id: run for run in CourseRun.objects.filter(month=wanted).select_related("course")}
    figures = run_figures(runs=runs.values(), units=units)
    on = max(timezone.localdate(at), wanted.first_day)
    courses = {course.pk: course for course in lines}
    courses.update({run.course_id: run.course for run in runs.values() if figures.get(run.pk)})
    rows = []
    for course in sorted(courses.values(), key=lambda course: course.code):
        course_lines, run = lines.get(course, []), runs.get(course.pk)
        to_open = [line for line in course_lines if line.opened_at is None]
        closed = run is not None and run.state == CourseRun.State.CLOSED
        rows.append(
            {
                "course": course,
                "run": run,
                "state": run.state if run else CourseRun.State.PLANNED,
                "lines": course_lines,
                "times": run or CourseRun(course=course, month=wanted, **opening.default_times(wanted)),
                "figures": figures.get(run.pk) if run else None,
                "only_by_choice": not course_lines and run is not None and not figures[run.pk].owes,
                "preview": opening.preview_run(course=course, month=wanted, run=run, lines=to_open, on=on)
                if to_open and not closed
                else None,
                "may_close": run is not None and run.state == CourseRun.State.OPEN and at > run.accept_until,
                "problem": _problem(course) if to_open else "",
            }
        )
    rows.sort(key=lambda row: row["only_by_choice"])
    job = (
        Job.objects.filter(
            kind="courses.open_month",
            requested_by=request.user,
            arguments__month=str(wanted),
            state__in=[Job.State.WAITING, Job.State.RUNNING, Job.State.FAILED, Job.State.STOPPED],
        )
        .order_by("-pk")
        .first()
    )
    context = {
        "month": wanted,
        "rows": rows,
        "to_open": sum(1 for row in rows if row["preview"] and not row["problem"]),
        "people": sum(row["preview"].enters for row in rows if row["preview"] and not row["problem"]),
        "open_runs": [row["run"] for row in rows if row["state"] == CourseRun.State.OPEN],
        "job": job,
        "previous_url": reverse("courses:month", args=[wanted.previous]),
        "next_url": reverse("courses:month", args=[wanted.next]),
        "is_past": wanted < this_month(),
        "tabs": _tabs("months"),
    }
    return render(request, "courses/month.html", context)


def _problem(course: Course) -> str:
    """Why a course cannot be opened, in words; empty when it can."""
    if not course.steps.filter(live=True, required=True).exists():
        return _("No required step of this course has been published.")
    if course.certificate_design and not course.certificate_design.versions.exists():
        return _("Its certificate design has not been published.")
    return ""


@binds("PM-M01")
@require_POST
def open_month(request, month: str):
    """Open everything that is planned for the month in the units of the actor; a second press changes nothing."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    wanted, at = month_or_404(month), timezone.now()
    back = HttpResponseRedirect(reverse("courses:month", args=[wanted]))
    lines = {
        course: to_open
        for course, lines in _lines_by_course(actor, wanted).items()
        if (to_open := [line for line in lines if line.opened_at is None])
    }
    if not lines:
        messages.info(request, _("Nothing is left to open for this month."))
        return back
    on = max(timezone.localdate(at), wanted.first_day)
    people = {course.pk: opening.planned_people(lines=some, on=on).count() for course, some in lines.items()}
    if sum(people.values()) > IN_THE_REQUEST:
        with transaction.atomic():
            start_job(
                kind="courses.open_month",
                arguments={"month": str(wanted), "parts": parts_of(people)},
                by=request.user,
                at=at,
            )
        return back
    report = opening.open_month(month=wanted, by=request.user, at=at, scope=hr_units(actor))
    text = ngettext(
        "%(number)d duty was set, %(exempt)d exempt, %(waiting)d people start next month.",
        "%(number)d duties were set, %(exempt)d exempt, %(waiting)d people start next month.",
        report.assigned,
    ) % {"number": report.assigned, "exempt": report.exempt, "waiting": report.waiting}
    messages.success(request, text)
    for refusal in report.refused:
        messages.error(
            request,
            _("“%(course)s” was not opened: %(problem)s")
            % {"course": refusal.course.title, "problem": _problem(refusal.course) or _("the run is closed.")},
        )
    return back


@binds("PM-M01")
@require_POST
def close_run(request, run_id: int):
    """Close a run whose last acceptance has passed."""
    require(actor_of(request), "PM-M01")
    run = get_object_or_404(CourseRun.objects.select_related("course"), pk=run_id)
    try:
        opening.close_run(run=run, by=request.user, at=timezone.now())
    except opening.StillAccepting:
        messages.error(request, _("Late work is still accepted; the course can be closed afterwards."))
    else:
        messages.success(request, _("“%(course)s” is closed.") % {"course": run.course.title})
    return HttpResponseRedirect(reverse("courses:month", args=[run.month]))


# --- the plan -----------------------------------------------------------------------------------------------------
@binds("PM-M01")
@require_http_methods(["GET", "HEAD", "POST"])
def plan(request):
    """Programmes by months: which course runs when."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    first = this_month()
    programmes = list(own_programmes(actor))
    form = PlanLineForm(request.POST or None, programmes=own_programmes(actor), first=first)
    if request.method == "POST" and form.is_valid():
        line = form.save(at=timezone.now())
        messages.success(
            request,
            _("“%(course)s” is planned for %(month)s.") % {"course": line.course.title, "month": line.month.label},
        )
        return HttpResponseRedirect(reverse("courses:plan"))
    start = first
    if "from" in request.GET:
        start = month_or_404(request.GET["from"])
    shown = [start.plus(number) for number in range(6)]
    cells: dict = {}
    for line in own_plan_lines(actor).filter(month__in=shown):
        cells.setdefault((line.programme_id, line.month), []).append(line)
    grid = [
        {
            "programme": programme,
            "cells": [{"month": one, "lines": cells.get((programme.pk, one), [])} for one in shown],
        }
        for programme in programmes
    ]
    context = {
        "form": form,
        "grid": grid,
        "shown": shown,
        "earlier_url": f"?from={start.plus(-6)}",
        "later_url": f"?from={start.plus(6)}",
        "has_courses": form.fields["course"].queryset.exists(),
        "tabs": _tabs("plan"),
    }
    return render(request, "courses/plan.html", context, status=422 if form.errors else 200)


@binds("PM-M01")
@require_POST
def remove_plan_line(request, line_id: int):
    """Take a course out of the plan again, as long as it has not been opened."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    line = get_object_or_404(own_plan_lines(actor), pk=line_id)
    removed, _rows = own_plan_lines(actor).filter(pk=line.pk, opened_at=None).delete()
    if removed:
        messages.success(
            request,
            _("“%(course)s” is no longer planned for %(month)s.")
            % {"course": line.course.title, "month": line.month.label},
        )
    else:
        messages.error(request, _("This course has been opened, so it stays in the plan."))
    return HttpResponseRedirect(reverse("courses:plan"))


@binds("PM-M01")
@require_safe
def programmes(request):
    actor = actor_of(request)
    require(actor, "PM-M01")
    context = {"programmes": own_programmes(actor), "tabs": _tabs("programmes")}
    return render(request, "courses/programmes.html", context)


@binds("PM-M01")
@require_http_methods(["GET", "HEAD", "POST"])
def programme(request, programme_id: int | None = None):
    """A programme: its name and its audience."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    found = get_object_or_404(own_programmes(actor), pk=programme_id) if programme_id else None
    form = ProgrammeForm(request.POST or None, instance=found, audiences=own_audiences(actor))
    if request.method == "POST" and form.is_valid():
        saved = form.save()
        messages.success(request, _("“%(name)s” is saved.") % {"name": saved.label})
        return HttpResponseRedirect(reverse("courses:programmes"))
    context = {"form": form, "programme": found, "has_audiences": form.fields["audience"].queryset.exists()}
    return render(request, "courses/programme.html", context, status=422 if form.errors else 200)
