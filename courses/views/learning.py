"""What a learner sees of a course: the overview of a duty and its lessons. Only one's own (PM-T06)."""

from __future__ import annotations

from dataclasses import replace

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses.domain import choice, progress
from courses.domain.access import own_enrolment_or_404
from courses.domain.publishing import course_pages, step_page
from courses.domain.queries import StepLine, step_lines
from courses.domain.requests import asking_about
from courses.models import Enrolment, LessonPage, Step, StepCompletion
from courses.rendering import lesson_html, step_url
from people.domain.access import actor_of, binds

LESSON = LessonPage._meta.label_lower


def _lines(enrolment: Enrolment, current: Step | None = None) -> list[StepLine]:
    return step_lines(enrolment=enrolment, current=current)


def _step_or_404(lines: list[StepLine], step_id: int) -> StepLine:
    line = next((line for line in lines if line.step.pk == step_id), None)
    if line is None:
        raise Http404
    return line


def _next_line(lines: list[StepLine], after: StepLine | None = None) -> StepLine | None:
    """The first step that is still to be done after this one, else the first one that is still to be done at all."""
    left = [line for line in lines if line.done_at is None and line is not after]
    later = [line for line in left if after is None or line.number > after.number]
    owed = [line for line in left if line.required]
    return next(iter(later or owed or left), None)


def _situation(enrolment: Enrolment, at) -> str:
    """Where the duty stands, as the pages word it: early, closed, excused, done, or open."""
    run = enrolment.run
    if enrolment.state in {Enrolment.State.EXEMPT, Enrolment.State.WITHDRAWN}:
        return "excused"
    if run.state == run.State.PLANNED or at < run.opens_at:
        return "early"
    if enrolment.state == Enrolment.State.COMPLETED:
        return "done"
    if not progress.accepts_work(run=run, at=at):
        return "closed"
    return "open"


def _steps_for_list(enrolment: Enrolment, lines: list[StepLine], *, readable: bool) -> list[dict]:
    """The lines as components/steps.html takes them."""
    first_left = next((line for line in lines if line.done_at is None), None)
    steps = []
    for line in lines:
        if line.is_current or (first_left is line and not any(other.is_current for other in lines)):
            state = "current"
        else:
            state = "done" if line.done_at else "open"
        note = _("about %(minutes)d min") % {"minutes": line.step.minutes}
        if not line.required:
            note = _("%(note)s · not required") % {"note": note}
        if line.how == StepCompletion.How.TESTED_OUT:
            note = _("%(note)s · tested out") % {"note": note}
        steps.append(
            {
                "label": line.step.title,
                "url": step_url(enrolment, line.step) if readable else "",
                "state": state,
                "note": note,
            }
        )
    return steps


def _overview_context(enrolment: Enrolment, lines: list[StepLine], at) -> dict:
    situation = _situation(enrolment, at)
    course = enrolment.run.course
    required = [line for line in lines if line.required]
    left = [line for line in required if line.done_at is None]
    testing = None
    if situation == "open" and course.test_out:
        testing = progress.testing_out(enrolment=enrolment, required=[line.step for line in required])
    resume = next((line for line in lines if line.step.pk == enrolment.last_step_id and line.done_at is None), None)
    return {
        "enrolment": enrolment,
        "run": enrolment.run,
        "course": course,
        "page": course_pages(courses=[course], language=get_language()).get(course.pk),
        "situation": situation,
        "steps": _steps_for_list(enrolment, lines, readable=situation != "early"),
        "steps_total": len(required),
        "steps_done": len(required) - len(left) if situation != "done" else len(required),
        "minutes_left": sum(line.step.minutes for line in left),
        "is_overdue": enrolment.is_overdue(at),
        "next_step": (resume or _next_line(lines)) if situation == "open" else None,
        "testing": testing,
        "test_url": step_url(enrolment, testing.left[0]) if testing and testing.is_open else "",
        "proof": choice.proof_of(enrolment=enrolment, on=timezone.localdate(at)) if situation == "open" else None,
        "tested_out": any(line.how == StepCompletion.How.TESTED_OUT for line in lines),
        "may_take": enrolment.voluntary
        and situation in {"excused", "closed"}
        and choice.offer_of(employee=enrolment.employee, course=course, at=at).may_take,
    }


@binds("PM-T06")
@require_safe
def overview(request, enrolment_id: int):
    """One duty: what it is for, how far it is, and the next step as the largest thing on the page."""
    enrolment = own_enrolment_or_404(actor_of(request), enrolment_id)
    at = timezone.now()
    context = _overview_context(enrolment, _lines(enrolment), at) | {"about": asking_about(enrolment, at)}
    return render(request, "courses/overview.html", context)


@binds("PM-T06")
@require_http_methods(["GET", "HEAD", "POST"])
def lesson(request, enrolment_id: int, step_id: int):
    """A lesson to read; a POST says it is read to the end and leads to the next step."""
    enrolment = own_enrolment_or_404(actor_of(request), enrolment_id)
    lines = _lines(enrolment)
    line = _step_or_404(lines, step_id)
    if line.step.kind != LESSON:  # another kind of step is opened, and completed, by its own app
        if request.method == "POST":
            raise Http404
        return HttpResponseRedirect(step_url(enrolment, line.step))
    if request.method == "POST":
        return _done(request, enrolment, line.step)
    at = timezone.now()
    situation = _situation(enrolment, at)
    if situation == "early":
        return HttpResponseRedirect(reverse("courses:overview", args=[enrolment.pk]))
    lines = [replace(one, is_current=one.step.pk == step_id) for one in lines]
    line = _step_or_404(lines, step_id)
    language = get_language()
    page = step_page(step=line.step, language=language)
    context = {
        "enrolment": enrolment,
        "course": enrolment.run.course,
        "run": enrolment.run,
        "step": line.step,
        "line": line,
        "page": page,
        "text": lesson_html(page) if page else "",
        "other_language": page is not None and page.locale.language_code != language,
        "steps": _steps_for_list(enrolment, lines, readable=True),
        "situation": situation,
        "counts": situation == "open" or (situation == "done" and progress.accepts_work(run=enrolment.run, at=at)),
        "next_line": _next_line(lines, after=line),
        "previous_line": next((one for one in reversed(lines) if one.number < line.number), None),
        "following": next((one for one in lines if one.number > line.number), None),
        "steps_total": len(lines),
    }
    for name in ("previous_line", "following"):
        if context[name]:
            context[f"{name}_url"] = step_url(enrolment, context[name].step)
    return render(request, "courses/lesson.html", context)


def _done(request, enrolment: Enrolment, step: Step):
    """The lesson was read to the end: keep that and lead on."""
    overview_url = reverse("courses:overview", args=[enrolment.pk])
    try:
        result = progress.complete_step(enrolment=enrolment, step=step, at=timezone.now())
    except progress.NotOpenYet:
        messages.error(request, _("This course has not opened yet."))
    except progress.TooLate:
        messages.error(request, _("The last day for this course has passed, so this lesson can no longer be counted."))
    except progress.NotOwed:
        messages.info(request, _("You do not have to take this course this month, so nothing was recorded."))
    else:
        if result.finished:
            messages.success(request, _("You have completed this course. Well done!"))
            return HttpResponseRedirect(overview_url)
        lines = _lines(enrolment)
        following = _next_line(lines, after=_step_or_404(lines, step.pk))
        if following:
            return HttpResponseRedirect(step_url(enrolment, following.step))
    return HttpResponseRedirect(overview_url)


@binds("PM-T06")
@require_POST
def visit(request, enrolment_id: int, step_id: int):
    """Keep the place: called by the page that was opened (then nothing is answered) or by Continue (then it leads on)."""
    enrolment = own_enrolment_or_404(actor_of(request), enrolment_id)
    line = _step_or_404(_lines(enrolment), step_id)
    progress.visit_step(enrolment=enrolment, step=line.step, at=timezone.now())
    if request.headers.get("X-Keep-Place"):
        return HttpResponse(status=204)
    return HttpResponseRedirect(step_url(enrolment, line.step))
