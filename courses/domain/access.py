"""The door to duties, audiences and programmes: everything follows the people and units one may see."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.http import Http404

from courses.models import Audience, CourseRun, Enrolment, PeopleList, PlanLine, Programme
from people.domain.access import RULES, Actor, require, visible_employees
from people.models import OrgUnit


def visible_enrolments(actor: Actor, row: str) -> QuerySet[Enrolment]:
    """This function will return the duties of the people to whom the actor may do what the row names.

    What was enrolled ahead of a run that is not open yet is nobody's duty, and nobody sees it.
    """
    opened = Enrolment.objects.exclude(run__state=CourseRun.State.PLANNED)
    return opened.filter(employee__in=visible_employees(actor, row).order_by().values("pk"))


def enrolment_or_404(actor: Actor, row: str, enrolment_id: int) -> Enrolment:
    """This function will return one duty through the door, or raise Http404 as for a missing id (403: no role ever)."""
    require(actor, row)
    return _one(visible_enrolments(actor, row), enrolment_id)


def own_enrolment_or_404(actor: Actor, enrolment_id: int) -> Enrolment:
    """This function will return one of the actor's own duties: nobody does another person's lessons (PM-T06)."""
    if actor.employee is None:
        raise Http404
    opened = Enrolment.objects.exclude(run__state=CourseRun.State.PLANNED)
    return _one(opened.filter(employee=actor.employee), enrolment_id)


def _one(enrolments: QuerySet[Enrolment], enrolment_id: int) -> Enrolment:
    found = enrolments.select_related("run__course", "employee", "unit", "certificate").filter(pk=enrolment_id).first()
    if found is None:
        raise Http404
    return found


def own_enrolment_of_course(actor: Actor, translation_key) -> Enrolment | None:
    """This function will return the actor's newest duty in a course (the pages of one translation key)."""
    if actor.employee is None:
        return None
    return (
        Enrolment.objects.filter(employee=actor.employee, run__course__translation_key=translation_key)
        .exclude(run__state=CourseRun.State.PLANNED)
        .exclude(state=Enrolment.State.WITHDRAWN)
        .select_related("run__course")
        .order_by("-run__month", "-pk")
        .first()
    )


def own_enrolments_of_courses(actor: Actor, translation_keys) -> dict:
    """This function will return {translation key: the actor's newest duty in that course}."""
    if actor.employee is None:
        return {}
    rows = (
        Enrolment.objects.filter(employee=actor.employee, run__course__translation_key__in=translation_keys)
        .exclude(run__state=CourseRun.State.PLANNED)
        .exclude(state=Enrolment.State.WITHDRAWN)
        .select_related("run__course")
        .order_by("run__month", "pk")
    )
    return {enrolment.run.course.translation_key: enrolment for enrolment in rows}


def sees_people(actor: Actor, row: str) -> bool:
    """This function will say whether the actor sees names under a row, not only counts."""
    letters = frozenset().union(*(RULES[row][role] for role in actor.roles))
    return bool(letters & {"T", "U", "A", "D"})


def sees_units(actor: Actor, row: str) -> bool:
    """This function will say whether the actor sees the figures of units under a row (a manager sees people only)."""
    letters = frozenset().union(*(RULES[row][role] for role in actor.roles))
    return bool(letters & {"U", "A", "M", "G"})


def hr_units(actor: Actor) -> list[OrgUnit]:
    """This function will return the units whose audiences and months the actor runs as HR, the topmost only."""
    return actor.units("HRU")


def runs_the_company(actor: Actor) -> bool:
    """This function will say whether the actor is HR of a root unit: for them is what is about everybody at once."""
    return any(unit.is_root() for unit in hr_units(actor))


def _within(actor: Actor, field: str) -> Q:
    found = Q(pk__in=[])
    for unit in hr_units(actor):
        found |= Q(**{f"{field}__path__startswith": unit.path})
    return found


def own_audiences(actor: Actor) -> QuerySet[Audience]:
    """This function will return the audiences the actor may manage: those whose scope lies in the units of the role."""
    return Audience.objects.filter(_within(actor, "scope")).select_related("scope")


def own_lists(actor: Actor) -> QuerySet[PeopleList]:
    """This function will return the lists of people the actor may manage: those for the units of the role."""
    return PeopleList.objects.filter(_within(actor, "scope")).select_related("scope")


def own_programmes(actor: Actor) -> QuerySet[Programme]:
    """This function will return the programmes whose audience the actor may manage."""
    return Programme.objects.filter(_within(actor, "audience__scope")).select_related("audience__scope")


def own_plan_lines(actor: Actor) -> QuerySet[PlanLine]:
    """This function will return the plan lines of the actor's programmes."""
    return PlanLine.objects.filter(_within(actor, "programme__audience__scope")).select_related("course", "programme")
