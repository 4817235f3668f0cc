"""The plan of a month: its published lines, whom they select, the runs planned from them, and what cannot run at all.

A run is planned with the usual times of its month; it is then prepared ahead (``preparing``) or opened (``opening``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Exists, OuterRef, Q, QuerySet

from certificates.models import DesignVersion
from core.events import record_event
from core.periods import Month, end_of, start_of
from courses.domain.audiences import select_people
from courses.domain.enrolling import taken_by_choice
from courses.models import Course, CourseRun, Enrolment, PlanLine, Step
from people.models import Employee, OrgUnit


class NothingToLearn(Exception):
    """The course has no published step that is required, so a run of it could never be completed."""


class DesignNotPublished(Exception):
    """The course promises a certificate whose design was never published."""


@dataclass(frozen=True)
class Refusal:
    """A course of the plan that could not be opened, and why (the exception that said so)."""

    course: Course
    problem: Exception


def default_times(month: Month) -> dict[str, dt.datetime]:
    """This function will return when a run opens, is due and ends to accept, in local time.

    Opens on the first at 00:00, due on the last day at 23:59:59, accepts late work until the next month ends.
    """
    return {
        "opens_at": start_of(month.first_day),
        "due_at": end_of(month.last_day),
        "accept_until": end_of(month.next.last_day),
    }


def plan_run(*, course: Course, month: Month, by, at: dt.datetime) -> CourseRun:
    """This function will return the run of a course in a month, planned with the default times if there is none yet."""
    run, created = CourseRun.objects.get_or_create(
        course=course, month=month, defaults={**default_times(month), "course_version": course.version}
    )
    if created:
        record_event(chain="months", action="planned", subject=run, actor=by, at=at, after=named(run))
    return run


def plan_lines(*, month: Month, scope: Iterable[OrgUnit] | None = None) -> QuerySet[PlanLine]:
    """This function will return a month's published lines of active programmes.

    ``scope``: only those whose audience belongs to one of these units or below.
    """
    lines = PlanLine.objects.filter(month=month, programme__active=True, published_at__isnull=False).select_related(
        "course", "programme__audience__scope"
    )
    if scope is not None:
        within = Q(pk__in=[])
        for unit in scope:
            within |= Q(programme__audience__scope__path__startswith=unit.path)
        lines = lines.filter(within)
    return lines.order_by("course__code", "programme__name", "pk")


def planned_people(*, lines: Iterable[PlanLine], on: dt.date) -> QuerySet[Employee]:
    """This function will return everybody whom the audiences of these plan lines select on a day, each once."""
    found = Q(pk__in=[])
    for line in lines:
        audience = line.programme.audience
        people = select_people(rule=audience.rule, scope=audience.scope, on=on)
        found |= Q(pk__in=people.order_by().values("pk"))
    return Employee.objects.filter(found)


def people_to_enrol(*, course: Course, month: Month, lines: Iterable[PlanLine], on: dt.date) -> QuerySet[Employee]:
    """This function will return whom these lines select who has no place in the course's run yet."""
    duties = Enrolment.objects.filter(run__course=course, run__month=month).exclude(taken_by_choice())
    return planned_people(lines=lines, on=on).exclude(Exists(duties.filter(employee=OuterRef("pk"))))


def refuse_unready(course: Course) -> None:
    """This function will refuse a course that nobody could complete, or whose certificate could not be issued.

    It is neither prepared nor opened. Raises NothingToLearn, DesignNotPublished.
    """
    if not Step.objects.filter(course=course, live=True, required=True).exists():
        raise NothingToLearn
    if course.certificate_design and not DesignVersion.objects.filter(design=course.certificate_design).exists():
        raise DesignNotPublished


def named(run: CourseRun) -> dict:
    """This function will return what the events of the chain ``months`` say of a run."""
    return {"course": run.course.code, "month": str(run.month), "due_at": run.due_at, "accept_until": run.accept_until}
