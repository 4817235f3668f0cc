"""Keeping up with the roster: what each round did to whom, what one would do now, and the button for it (PM-M01)."""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from courses.domain import catching_up, opening
from courses.domain.access import runs_the_company
from courses.models import CourseRun
from courses.views.months import month_or_404
from people.domain.access import Actor, actor_of, binds, require, visible_employees
from people.models import Employee

ROUNDS = 20
SHOWN_NAMES = 30
PAGE = 50
WORDS = {
    "joined": pgettext_lazy("catching up", "joined"),
    "moved": pgettext_lazy("catching up", "moved with their person"),
    "exempted": pgettext_lazy("catching up", "exempt (on leave all through)"),
    "withdrawn": pgettext_lazy("catching up", "withdrawn (left)"),
    "returned": pgettext_lazy("catching up", "returned"),
    "waiting": pgettext_lazy("catching up", "start next month"),
    "stay": pgettext_lazy("catching up", "no longer in the audience; the duty stays owed"),
}


@binds("PM-M01", "PM-T01")
@require_http_methods(["GET", "HEAD", "POST"])
def catch_up(request, month: str):
    """When the month was last brought up to date, what came of it, and what would come of it now. A POST does it."""
    actor = actor_of(request)
    require(actor, "PM-M01")
    wanted, at = month_or_404(month), timezone.now()
    if request.method == "POST":
        return _do(request, actor, wanted, at)
    runs = list(catching_up.open_runs(month=wanted))
    people = visible_employees(actor, "PM-T01")
    if request.GET.get("now"):
        previews = [catching_up.preview_catch_up(run=run, at=at) for run in runs]
        now = [_preview(preview, people) for preview in previews]
        if request.headers.get("HX-Request"):
            return render(request, "courses/_catch_up_now.html", {"now": now, "month": wanted})
    else:
        now = None
    every = list(CourseRun.objects.filter(month=wanted).select_related("course"))
    events = catching_up.events_of(runs=every)
    page = Paginator(events, ROUNDS).get_page(request.GET.get("page"))
    sees_all = runs_the_company(actor)
    found = catching_up.rounds(events=page.object_list, runs=every, people=people)
    rounds = [
        {"at": at, "by": some[0].event.actor, "runs": [_counts(one, sees_all) for one in some]}
        for (at, _by), some in (
            (key, list(rows)) for key, rows in groupby(found, lambda one: (one.at, one.event.actor_id))
        )
    ]
    context = {
        "month": wanted,
        "runs": runs,
        "now": now,
        "rounds": rounds,
        "page": page,
        "looked_at": catching_up.looked_last_at(),
        "changed_at": events.values_list("at", flat=True).first(),
    }
    return render(request, "courses/catch_up.html", context)


def _counts(one: catching_up.Round, sees_all: bool) -> dict:
    """What one round did to one course; the number that waits is the whole company's, for who runs all of it."""
    return {
        "run": one.run,
        "sequence": one.event.sequence,
        "counts": [(what, WORDS[what], number) for what, number in one.counts.items() if number],
        "waiting": one.waiting if sees_all else None,
    }


def _preview(preview: catching_up.CatchUpPreview, people: QuerySet[Employee]) -> dict:
    mine = people.order_by().values("pk")
    lines = []
    for what in (*catching_up.DONE, "waiting", "stay"):
        found = getattr(preview, what).filter(pk__in=mine)
        if number := found.count():
            first = found.select_related("unit", "position").order_by("unit__path", "employee_no")[:SHOWN_NAMES]
            lines.append(
                {
                    "what": what,
                    "words": WORDS[what],
                    "number": number,
                    "first": list(first),
                    "others": max(0, number - SHOWN_NAMES),
                }
            )
    return {"run": preview.run, "lines": lines, "changes": any(line["what"] in catching_up.DONE for line in lines)}


def _do(request, actor: Actor, month, at):
    runs = list(catching_up.open_runs(month=month))
    reports = []
    for run in runs:
        with suppress(opening.RunClosed):  # somebody closed it a moment ago
            reports.append(catching_up.catch_up(run=run, by=request.user, at=at))
    if runs_the_company(actor):
        counts = {name: sum(getattr(report, name) for report in reports) for name in catching_up.DONE}
        waiting = sum(report.waiting for report in reports)
    else:  # of the people in reach only, as the page shows them
        events = catching_up.events_of(runs=runs).filter(at=at, actor=request.user)
        found = catching_up.rounds(events=events, runs=runs, people=visible_employees(actor, "PM-T01"))
        counts = {name: sum(one.counts[name] for one in found) for name in catching_up.DONE}
        waiting = 0
    if not reports:
        messages.info(request, _("No course of this month is open."))
    elif not any(counts.values()):
        messages.success(request, _("Everything is up to date with the roster."))
    else:
        messages.success(
            request,
            _(
                "Up to date: %(joined)d joined, %(exempted)d exempt, %(moved)d moved with their person,"
                " %(withdrawn)d withdrawn, %(returned)d returned."
            )
            % counts,
        )
    if waiting:
        messages.info(
            request, _("%(number)d joined too late for this month and start next month.") % {"number": waiting}
        )
    return HttpResponseRedirect(reverse("courses:catch_up", args=[month]))


@binds("PM-M01", "PM-T01")
@require_safe
def catch_up_people(request, month: str, sequence: int, what: str):
    """The people behind one count of one round."""
    actor: Actor = actor_of(request)
    require(actor, "PM-M01")
    wanted = month_or_404(month)
    if what not in catching_up.DONE:
        raise Http404
    runs = {run.pk: run for run in CourseRun.objects.filter(month=wanted).select_related("course")}
    event = get_object_or_404(catching_up.events_of(runs=runs.values()), sequence=sequence)
    people = visible_employees(actor, "PM-T01")
    found = catching_up.people_of_round(event=event, what=what, people=people).select_related("unit", "position")
    context = {
        "month": wanted,
        "event": event,
        "run": runs[int(event.subject_id)],
        "words": WORDS[what],
        "page": Paginator(found.order_by("employee_no"), PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "courses/catch_up_people.html", context)
