"""Development in the demo company: which course helps with which indicator, and plans that were begun."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from courses.models import Course
from kpi.domain import development
from kpi.models import CourseForIndicator, Indicator, ScorecardLine
from people.models import Employee
from portal.demo import company as story

if TYPE_CHECKING:
    from portal.demo.builder import Builder

# indicator -> themes of the courses that help with it
HELPING = {
    "satisfaction": ["etiquette", "six-steps"],
    "complaints_liable": ["etiquette"],
    "complaints_late": ["etiquette"],
    "sales": ["negotiation", "six-steps"],
}


def tell_development(builder: Builder) -> None:
    """Say which course helps, and let the employee of the cast and some of the branch plan one."""
    for code, themes in HELPING.items():
        indicator = Indicator.objects.filter(code=code).first()
        if indicator is not None:
            development.name_courses(indicator=indicator, courses=Course.objects.filter(theme__in=themes))
    _plan_of_the_employee(builder)
    _plans_of_the_branch(builder)


def _plan_of_the_employee(builder: Builder) -> None:
    """What the employee of the cast lost most on; or, where nothing was lost, a course taken for its own sake."""
    one = builder.people[story.CAST_NUMBERS[story.EMPLOYEE]]
    card = development.newest_card(one)
    losses = development.losses_of(card) if card else []
    at = builder.now - dt.timedelta(days=1)
    if losses:
        _plan(one, losses[0].courses[0], losses[0].indicator, losses[0].line, at)
        return
    row = CourseForIndicator.objects.filter(indicator__code="sales").select_related("indicator", "course").first()
    if row is not None:
        _plan(one, row.course, row.indicator, None, at)


def _plans_of_the_branch(builder: Builder) -> None:
    """Some colleagues of the employee plan what would win back the points they lost."""
    me = builder.people[story.CAST_NUMBERS[story.EMPLOYEE]]
    branch = Employee.objects.filter(unit=me.unit, user__isnull=False, state=Employee.State.ACTIVE).exclude(pk=me.pk)
    for place, one in enumerate(branch.select_related("user").order_by("employee_no")):
        card = development.newest_card(one)
        for lost in development.losses_of(card)[:1] if card else []:
            _plan(one, lost.courses[0], lost.indicator, lost.line, builder.now - dt.timedelta(days=3, hours=place))


def _plan(one: Employee, course: Course, indicator: Indicator, line: ScorecardLine | None, at: dt.datetime) -> None:
    development.plan_course(employee=one, course=course, indicator=indicator, line=line, by=one.user, at=at)
