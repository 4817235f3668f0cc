"""Development in the demo company: which course helps with which indicator, and a plan that was begun."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from courses.models import Course
from kpi.domain import development
from kpi.models import Indicator
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
    """Say which course helps, and let the employee of the cast plan one of them."""
    for code, themes in HELPING.items():
        indicator = Indicator.objects.filter(code=code).first()
        if indicator is not None:
            development.name_courses(indicator=indicator, courses=Course.objects.filter(theme__in=themes))
    one = builder.people[story.CAST_NUMBERS[story.EMPLOYEE]]
    card = development.newest_card(one)
    for lost in development.losses_of(card)[:1] if card else []:
        development.plan_course(
            employee=one,
            course=lost.courses[0],
            indicator=lost.indicator,
            line=lost.line,
            by=one.user,
            at=builder.now - dt.timedelta(days=1),
        )
