"""Months as HR runs them: the list, one month with its runs, preparing, opening and catching up (PM-M01)."""

from __future__ import annotations

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext
from django.views.decorators.http import require_POST, require_safe

from core.jobs import start_job
from core.models import Job
from core.periods import Month
from core.templatetags import interface
from courses.domain import closing, month_plan, opening, preparing
from courses.domain.access import hr_units, own_plan_lines, runs_the_company
from courses.domain.queries import Figures, run_figures
from courses.models import Course, CourseRun
from courses.tasks import DAYS_AHEAD, parts_of
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
        {
            "label": label,
            "url": reverse(name if ":" in name else f"courses:{name}"),
            "active": name == active,
            "count": None,
        }
        for name, label in (
            ("months", _("Months")),
            ("plan", _("Plan")),
            ("programmes", _("Programmes")),
            ("audiences", _("Audiences")),
            ("ladder", _("Reminders")),
            ("bulletins:desk", _("Bulletins")),
        )
    ]


@binds("PM-M01")
@require_safe
def months(request):
    """Every month with a plan or a run: what is planned, what is open, how far it is."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    lines = own_plan_lines(actor).filter(programme__active=True)
    planned: dict[Month, set[int]] = {}
    unopened: dict[tuple[Month, str], set[int]] = {}
    for month, course_id, published_at, prepared_at, opened_at in lines.values_list(
        "month", "course_id", "published_at", "prepared_at", "opened_at"
    ):
        planned.setdefault(month, set()).add(course_id)
        if opened_at is None:
            state = "prepared" if prepared_at else "waiting" if published_at else "drafts"
            unopened.setdefault((month, state), set()).add(course_id)
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
                **{state: len(unopened.get((month, state), ())) for state in ("drafts", "waiting", "prepared")},
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
    for line in month_plan.plan_lines(month=month, scope=hr_units(actor)):
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
    ahead = preparing.people_ahead(runs=runs.values(), units=units)
    drafts = own_plan_lines(actor).filter(month=wanted, published_at=None, opened_at=None, programme__active=True)
    on = max(timezone.localdate(at), wanted.first_day)
    courses = {course.pk: course for course in lines}
    courses.update({run.course_id: run.course for run in runs.values() if figures.get(run.pk)})
    month_closed, may_close = closing.closed_month(wanted) is not None, runs_the_company(actor)
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
                "times": run or CourseRun(course=course, month=wanted, **month_plan.default_times(wanted)),
                "figures": figures.get(run.pk) if run else None,
                "only_by_choice": not course_lines and run is not None and not figures[run.pk].owes,
                "ahead": ahead.get(run.pk) if run else None,
                "prepared": bool(to_open) and all(line.prepared_at for line in to_open),
                "preview": opening.preview_run(course=course, month=wanted, run=run, lines=to_open, on=on)
                if to_open and not closed
                else None,
                "may_close": may_close
                and run is not None
                and run.state == CourseRun.State.OPEN
                and at > run.accept_until,
                "problem": _problem(course, month_closed) if to_open else "",
            }
        )
    rows.sort(key=lambda row: row["only_by_choice"])
    job = (
        Job.objects.filter(
            kind__in=["courses.open_month", "courses.prepare_month"],
            requested_by=request.user,
            arguments__month=str(wanted),
            state__in=[Job.State.WAITING, Job.State.RUNNING, Job.State.FAILED, Job.State.STOPPED],
        )
        .order_by("-pk")
        .first()
    )
    can_open = [row for row in rows if row["preview"] and not row["problem"]]
    context = {
        "month": wanted,
        "rows": rows,
        "to_open": len(can_open),
        "people": sum(row["preview"].enters for row in can_open),
        "prepared": sum(1 for row in can_open if row["prepared"]),
        "ahead": sum(row["ahead"].assigned for row in can_open if row["ahead"]),
        "leaves": sum(row["preview"].leaves for row in can_open),
        "may_prepare": at < month_plan.default_times(wanted)["opens_at"],
        "days_ahead": DAYS_AHEAD,
        "drafts": drafts.count(),
        "plan_url": f"{reverse('courses:plan')}?year={wanted.year}",
        "open_runs": [row["run"] for row in rows if row["state"] == CourseRun.State.OPEN],
        "job": job,
        "previous_url": reverse("courses:month", args=[wanted.previous]),
        "next_url": reverse("courses:month", args=[wanted.next]),
        "is_past": wanted < this_month(),
        "tabs": _tabs("months"),
    }
    return render(request, "courses/month.html", context)


def _problem(course: Course, month_closed: bool = False) -> str:
    """Why a course cannot be opened, in words; empty when it can."""
    if month_closed:
        return _("This month is closed and its figures are sealed: no course of it is opened any more.")
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
    if shared := _shared_before_the_day(actor, wanted, lines, at):
        messages.error(
            request,
            _(
                "Nothing was opened. %(courses)s: other units have planned it for this month as well, and a course opens for"
                " everybody at once. Only HR of the top unit opens it before %(day)s; on that day it opens by itself."
            )
            % {
                "courses": pgettext("between names", ", ").join(shared),
                "day": interface.day(wanted.first_day),
            },
        )
        return back
    if _as_job("courses.open_month", request, wanted, lines, at):
        return back
    report = opening.open_month(month=wanted, by=request.user, at=at, scope=hr_units(actor))
    text = ngettext(
        "%(number)d duty was set, %(exempt)d exempt, %(waiting)d people start next month.",
        "%(number)d duties were set, %(exempt)d exempt, %(waiting)d people start next month.",
        report.assigned,
    ) % {"number": report.assigned, "exempt": report.exempt, "waiting": report.waiting}
    if report.ahead:
        prepared = ngettext(
            "%(number)d of them was prepared ahead.", "%(number)d of them were prepared ahead.", report.ahead
        )
        text = _("%(first)s %(second)s") % {"first": text, "second": prepared % {"number": report.ahead}}
    if report.runs or not report.refused:
        messages.success(request, text)
    for refusal in report.refused:
        messages.error(
            request,
            _("“%(course)s” was not opened: %(problem)s")
            % {
                "course": refusal.course.title,
                "problem": _problem(refusal.course, isinstance(refusal.problem, opening.ClosedForGood))
                or _("the run is closed."),
            },
        )
    return back


def _shared_before_the_day(actor, month: Month, lines: dict[Course, list], at) -> list[str]:
    """Courses that other units have planned too and whose day has not come; HR of a part does not open them early."""
    if runs_the_company(actor):
        return []
    runs = {run.course_id: run for run in CourseRun.objects.filter(month=month)}
    early = month_plan.default_times(month)["opens_at"]
    wait = [
        course
        for course in lines
        if (run := runs.get(course.pk)) is None or run.state == CourseRun.State.PLANNED
        if (run.opens_at if run else early) > at
    ]
    own = {line.pk for some in lines.values() for line in some}
    others = month_plan.plan_lines(month=month).filter(course__in=wait, opened_at=None).exclude(pk__in=own)
    return sorted({line.course.title for line in others})


def _as_job(kind: str, request, month: Month, lines: dict[Course, list], at) -> bool:
    """Start a job when too many people have to be enrolled for one request; who was enrolled ahead is no work."""
    on = max(timezone.localdate(at), month.first_day)
    people = {
        course.pk: month_plan.people_to_enrol(course=course, month=month, lines=some, on=on).count()
        for course, some in lines.items()
    }
    if sum(people.values()) <= IN_THE_REQUEST:
        return False
    with transaction.atomic():
        start_job(kind=kind, arguments={"month": str(month), "parts": parts_of(people)}, by=request.user, at=at)
    return True


@binds("PM-M01")
@require_POST
def prepare_month(request, month: str):
    """Enrol the people of a month's published plan ahead; nobody sees or owes it before the month is opened."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    wanted, at = month_or_404(month), timezone.now()
    back = HttpResponseRedirect(reverse("courses:month", args=[wanted]))
    if at >= month_plan.default_times(wanted)["opens_at"]:
        messages.info(request, _("This month has begun: open it instead."))
        return back
    lines = {
        course: to_open
        for course, lines in _lines_by_course(actor, wanted).items()
        if (to_open := [line for line in lines if line.opened_at is None])
    }
    if not lines:
        messages.info(request, _("Nothing is published for this month that could be prepared."))
        return back
    if _as_job("courses.prepare_month", request, wanted, lines, at):
        return back
    report = preparing.prepare_month(month=wanted, by=request.user, at=at, scope=hr_units(actor))
    if report.changed:
        text = ngettext(
            "%(number)d person is enrolled ahead, %(exempt)d of them exempt. Nobody sees it before the month opens.",
            "%(number)d people are enrolled ahead, %(exempt)d of them exempt. Nobody sees it before the month opens.",
            report.people,
        )
        messages.success(request, text % {"number": report.people, "exempt": report.exempt})
    elif not report.refused:
        messages.success(request, _("Everything was prepared before; nothing has changed since."))
    for refusal in report.refused:
        messages.error(
            request,
            _("“%(course)s” was not prepared: %(problem)s")
            % {"course": refusal.course.title, "problem": _problem(refusal.course) or _("it has been opened.")},
        )
    return back


@binds("PM-M01")
@require_POST
def close_run(request, run_id: int):
    """Close a run whose last acceptance has passed, for everybody: HR of a root unit only."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    if not runs_the_company(actor):
        raise Http404
    run = get_object_or_404(CourseRun.objects.select_related("course"), pk=run_id)
    try:
        opening.close_run(run=run, by=request.user, at=timezone.now())
    except opening.StillAccepting:
        messages.error(request, _("Late work is still accepted; the course can be closed afterwards."))
    else:
        messages.success(request, _("“%(course)s” is closed.") % {"course": run.course.title})
    return HttpResponseRedirect(reverse("courses:month", args=[run.month]))
