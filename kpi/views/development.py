"""Development: a person's plan (PM-D01, PM-D02), which course helps with what (PM-F03), and whether it did (PM-F07)."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from courses.models import Course
from kpi.development_forms import AddForm, CoursesForm
from kpi.domain import development, looks
from kpi.models import CourseForIndicator, DevelopmentItem, Indicator
from kpi.views.looks import looked
from people.domain.access import actor_of, binds, employee_or_404, require, rows_on, visible_employees
from people.models import Employee


@binds("PM-D01")
@never_cache
@require_safe
def my_plan(request: HttpRequest) -> HttpResponse:
    """One's own plan: what could close a lost point, what is planned, what is done."""
    actor = actor_of(request)
    require(actor, "PM-D01")
    if actor.employee is None:
        raise Http404
    return _plan(request, actor.employee, mine=True)


@binds("PM-D01")
@never_cache
@require_safe
def person_plan(request: HttpRequest, employee_id: int) -> HttpResponse:
    actor = actor_of(request)
    employee = employee_or_404(actor, "PM-D01", employee_id)
    if actor.employee is not None and employee.pk == actor.employee.pk:
        return redirect("kpi:my_plan")
    return _plan(request, employee, mine=False)


def _plan(request: HttpRequest, employee: Employee, *, mine: bool) -> HttpResponse:
    looked(request, [employee.pk], looks.PLAN)  # it names what the card lost
    items = list(development.plan_of(employee))
    taken = {
        item.course_id for item in items if item.state in (DevelopmentItem.State.PLANNED, DevelopmentItem.State.DONE)
    }
    card = development.newest_card(employee)
    lost = [*(development.losses_of(card) if card else []), *development.unmet_by(employee)]
    context = {
        "employee": employee,
        "mine": mine,
        "card": card,
        "offers": [{"lost": each, "courses": [c for c in each.courses if c.pk not in taken]} for each in lost],
        "planned": [item for item in items if item.state == DevelopmentItem.State.PLANNED and not item.is_done],
        "done": [item for item in items if item.state == DevelopmentItem.State.DONE or _just_done(item)],
        "may_plan": "PM-D02" in rows_on(actor_of(request), employee, ["PM-D02"]),
        "form": AddForm(),
    }
    return render(request, "kpi/development_plan.html", context)


def _just_done(item) -> bool:
    """Is it planned still only because the night has not come since it was completed?"""
    return item.state == DevelopmentItem.State.PLANNED and item.is_done


def _back(request: HttpRequest, employee: Employee) -> HttpResponse:
    own = actor_of(request).employee
    if own is not None and own.pk == employee.pk:
        return redirect("kpi:my_plan")
    return redirect("kpi:person_plan", employee.pk)


@binds("PM-D02")
@require_POST
def add(request: HttpRequest, employee_id: int) -> HttpResponse:
    """Put one course into a plan, for the loss it is offered for."""
    employee = employee_or_404(actor_of(request), "PM-D02", employee_id)
    form = AddForm(request.POST)
    if not form.is_valid():
        messages.error(request, _("This course is not offered any more. Look at the list again."))
        return _back(request, employee)
    course, indicator = form.cleaned_data["course"], form.cleaned_data["indicator"]
    if not CourseForIndicator.objects.filter(course=course, indicator=indicator).exists():
        raise Http404
    card = development.newest_card(employee)
    line = next(
        (
            lost.line
            for lost in (development.losses_of(card) if card else [])
            if lost.indicator == indicator and course in lost.courses
        ),
        None,
    )
    try:
        item = development.plan_course(
            employee=employee, course=course, indicator=indicator, line=line, by=request.user, at=timezone.now()
        )
    except development.PlannedAlready:
        messages.info(request, _("“%(course)s” stands in the plan already.") % {"course": course.title})
        return _back(request, employee)
    if item.enrolment:
        words = _("“%(course)s” is in the plan, and can be begun at once.")
    else:
        words = _("“%(course)s” is in the plan. It cannot be begun yet; it comes when it is offered or due.")
    messages.success(request, words % {"course": course.title})
    return _back(request, employee)


@binds("PM-D02")
@require_POST
def drop(request: HttpRequest, employee_id: int, item_id: int) -> HttpResponse:
    """Take a course out of a plan: not now."""
    employee = employee_or_404(actor_of(request), "PM-D02", employee_id)
    item = get_object_or_404(DevelopmentItem, pk=item_id, employee=employee)
    try:
        development.drop_item(item=item, at=timezone.now())
    except development.NotOpen:
        messages.error(request, _("This was done or taken out of the plan meanwhile."))
    else:
        words = _("“%(course)s” is out of the plan. If it was begun, it goes on under My month.")
        messages.success(request, words % {"course": item.course.title})
    return _back(request, employee)


@binds("PM-F03")
@never_cache
@require_safe
def helping(request: HttpRequest) -> HttpResponse:
    """HR: which courses are offered for which indicator."""
    require(actor_of(request), "PM-F03")
    rows = CourseForIndicator.objects.select_related("course", "indicator")
    named: dict[int, list[Course]] = {}
    for row in rows:
        named.setdefault(row.indicator_id, []).append(row.course)
    indicators = [
        {"indicator": indicator, "courses": named.get(indicator.pk, []), "form": CoursesForm(indicator=indicator)}
        for indicator in Indicator.objects.filter(active=True)
    ]
    return render(request, "kpi/development_helping.html", {"indicators": indicators})


@binds("PM-F03")
@require_POST
def name_courses(request: HttpRequest, indicator_id: int) -> HttpResponse:
    require(actor_of(request), "PM-F03")
    indicator = get_object_or_404(Indicator, pk=indicator_id)
    form = CoursesForm(request.POST, indicator=indicator)
    if form.is_valid():
        development.name_courses(indicator=indicator, courses=form.cleaned_data["courses"])
        messages.success(request, _("Saved what helps with “%(name)s”.") % {"name": indicator.label})
    else:
        messages.error(request, _("This course is not offered any more. Look at the list again."))
    return redirect("kpi:development")


@binds("PM-F07")
@never_cache
@require_safe
def effect(request: HttpRequest, indicator_id: int, course_id: int) -> HttpResponse:
    """Did taking a course move an indicator, among the people the reader is responsible for?"""
    actor = actor_of(request)
    require(actor, "PM-F07")
    indicator, course = get_object_or_404(Indicator, pk=indicator_id), get_object_or_404(Course, pk=course_id)
    found = development.effect_of(
        course=course, indicator=indicator, people=visible_employees(actor, "PM-F01"), on=timezone.localdate()
    )
    better = found.difference is not None and (found.difference > 0) is (indicator.better == Indicator.Better.HIGHER)
    context = {"indicator": indicator, "course": course, "effect": found, "better": better}
    context["may_name"] = actor.may("PM-F03")
    context |= {"window": development.WINDOW, "fewest": development.FEWEST, "nearest": development.NEAREST}
    return render(request, "kpi/development_effect.html", context)
