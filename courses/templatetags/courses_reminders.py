"""Nudges and steps in templates."""

from __future__ import annotations

from collections.abc import Iterable

from django import template
from django.utils import timezone

from courses.domain.nudging import nudged_today
from people.domain.access import actor_of

register = template.Library()


@register.filter
def distance(days: int) -> int:
    """How many days it is, before or after."""
    return abs(days)


@register.filter
def has_open(duties: Iterable) -> bool:
    """``{% if record.duties|has_open %}``: is one of these duties owed, and can it be done now?"""
    return any(duty.is_owed and duty.is_open and not duty.enrolment.voluntary for duty in duties or [])


@register.simple_tag
def nudged(*employees) -> set[int]:
    """``{% nudged employee as told %}``: which of these people were nudged today. One query."""
    return nudged_today(employees={one.pk for one in employees}, on=timezone.localdate())


@register.simple_tag
def nudged_among(rows) -> set[int]:
    """``{% nudged_among rows as told %}``: the same for rows that each have an employee. One query."""
    return nudged_today(employees={row.employee.pk for row in rows}, on=timezone.localdate())


@register.simple_tag(takes_context=True)
def may_nudge(context) -> bool:
    """``{% may_nudge as may %}``: may the reader of the page nudge anybody at all?"""
    return actor_of(context["request"]).may("PM-M03")
