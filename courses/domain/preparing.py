"""Preparing a month: the people of a planned run are enrolled ahead, which nobody sees and nobody owes.

Until the run opens (``opening``) its duties are kept those of the people whom the prepared lines select.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Subquery, Value, When
from django.utils import timezone

from core.events import record_event
from core.periods import Month
from courses.domain.enrolling import enrol, exempt_for_leave, return_from_leave, starts_too_late
from courses.domain.month_plan import (
    DesignNotPublished,
    NothingToLearn,
    Refusal,
    default_times,
    named,
    plan_lines,
    plan_run,
    planned_people,
    refuse_unready,
)
from courses.models import Course, CourseRun, Enrolment, PlanLine
from people.models import Employee, OrgUnit

_State, _Reason = Enrolment.State, Enrolment.Reason


class RunBegun(Exception):
    """The run is open or its first day has come: it is opened, not prepared."""


@dataclass(frozen=True)
class AheadReport:
    """What preparing one run changed, and who is enrolled in it now (``people``, the ``exempt`` among them)."""

    run: CourseRun
    lines: int = 0  # of the plan, prepared for the first time
    enrolled: int = 0
    withdrawn: int = 0
    returned: int = 0
    moved: int = 0
    people: int = 0
    exempt: int = 0
    waiting: int = 0

    @property
    def changed(self) -> int:
        return self.lines + self.enrolled + self.withdrawn + self.returned + self.moved


@dataclass(frozen=True)
class MonthAhead:
    """What preparing a month did, run by run, and what could not be prepared."""

    month: Month
    runs: list[AheadReport] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    @property
    def people(self) -> int:
        return sum(run.people for run in self.runs)

    @property
    def exempt(self) -> int:
        return sum(run.exempt for run in self.runs)

    @property
    def enrolled(self) -> int:
        return sum(run.enrolled + run.returned for run in self.runs)

    @property
    def withdrawn(self) -> int:
        return sum(run.withdrawn for run in self.runs)

    @property
    def changed(self) -> int:
        return sum(run.changed for run in self.runs)


def prepare_run(
    *, run: CourseRun, by, at: dt.datetime, scope: Iterable[OrgUnit] | None = None, limit: int | None = None
) -> AheadReport:
    """This function will enrol the people of a planned run ahead of its month; a second call changes nothing.

    People are those whom the published lines (with ``scope`` only those of audiences in these units, and every line
    prepared before) select on the run's first day, as far as the roster knows today. Who is known to be away for the
    whole window is exempt; who was enrolled ahead and is selected no longer is withdrawn (MOVED, or LEFT for a leaver),
    and returns if selected again; duties follow their people to their units. Nobody owes or sees any of it before
    open_run. ``limit``: enrol at most so many people now; call again until fewer are ``enrolled``.

    One event on the chain ``months`` if anything changed. Raises RunBegun, NothingToLearn, DesignNotPublished.
    """
    with transaction.atomic():
        _hold_planned(run)
        if at >= run.opens_at:
            raise RunBegun
        refuse_unready(Course.objects.select_related("certificate_design").get(pk=run.course_id))
        new = list(
            plan_lines(month=run.month, scope=scope).filter(
                course_id=run.course_id, opened_at=None, prepared_at__isnull=True
            )
        )
        marked = PlanLine.objects.filter(pk__in=[line.pk for line in new], opened_at=None, prepared_at=None)
        number = marked.update(prepared_at=at)
        lines = list(prepared_lines(run))
        day = timezone.localdate(run.opens_at)
        changed = keep_ahead(run=run, lines=lines, on=day, at=at, limit=limit)
        held = Enrolment.objects.filter(run=run, voluntary=False).exclude(state=_State.WITHDRAWN)
        report = AheadReport(
            run=run,
            lines=number,
            **changed,
            people=held.count(),
            exempt=held.filter(state=_State.EXEMPT).count(),
            waiting=planned_people(lines=lines, on=day).filter(starts_too_late(run)).count(),
        )
        if report.changed:
            record_event(
                chain="months",
                action="prepared",
                subject=run,
                actor=by,
                at=at,
                after={
                    **named(run),
                    "programmes": sorted({line.programme_id for line in lines}),
                    **changed,
                    "people": report.people,
                    "exempt": report.exempt,
                },
            )
    return report


def prepare_month(
    *, month: Month, by, at: dt.datetime, scope: Iterable[OrgUnit] | None = None, batch: int | None = None
) -> MonthAhead:
    """This function will plan every run of a month's published plan and enrol its people ahead; safe to call twice.

    Runs that are open already are left alone (open_run opens what was added to them). Each run is one transaction, or
    with ``batch`` one for so many people, so that nobody waits long for the database. A course that cannot be prepared
    is reported and does not stop the others. Raises RunBegun when the first day of the month has come.
    """
    if at >= default_times(month)["opens_at"]:
        raise RunBegun
    courses = {line.course_id: line.course for line in plan_lines(month=month, scope=scope).filter(opened_at=None)}
    report = MonthAhead(month=month)
    for course in courses.values():
        try:
            with transaction.atomic():
                run = plan_run(course=course, month=month, by=by, at=at)
                if run.state != CourseRun.State.PLANNED:
                    continue
                one = prepare_run(run=run, by=by, at=at, scope=scope, limit=batch)
            while batch is not None and one.enrolled >= batch:
                report.runs.append(one)
                one = prepare_run(run=run, by=by, at=at, scope=scope, limit=batch)
            report.runs.append(one)
        except (NothingToLearn, DesignNotPublished, RunBegun) as problem:
            report.refused.append(Refusal(course, problem))
    return report


@dataclass(frozen=True)
class Ahead:
    """Who stands in a run that is not open yet: ``assigned`` will owe it, ``exempt`` are away all through."""

    assigned: int = 0
    exempt: int = 0


def people_ahead(*, runs: Iterable[CourseRun], units: Iterable[OrgUnit]) -> dict[int, Ahead]:
    """This function will count who was enrolled ahead, by run: {run id: Ahead} of the planned runs, in these units.

    Counted from the duties: a run that is only planned has no tallies, because nobody owes anything yet.
    """
    within = Q(pk__in=[])
    for unit in units:
        within |= Q(unit__path__startswith=unit.path)
    planned = [run.pk for run in runs if run.state == CourseRun.State.PLANNED]
    if not planned:
        return {}
    rows = (
        Enrolment.objects.filter(within, run__in=planned, voluntary=False)
        .order_by()
        .values("run_id")
        .annotate(
            assigned=Count("pk", filter=Q(state=_State.ASSIGNED)), exempt=Count("pk", filter=Q(state=_State.EXEMPT))
        )
    )
    return {row["run_id"]: Ahead(row["assigned"], row["exempt"]) for row in rows if row["assigned"] or row["exempt"]}


def withdraw_unplanned(*, course: Course, month: Month, at: dt.datetime) -> int:
    """This function will withdraw (MOVED) from a planned run whoever no prepared line selects any more; how many.

    For a line that leaves the plan after it was prepared: people whom another line of the run selects keep their place,
    and whoever is withdrawn comes back with the next preparing that selects them. Nothing is deleted, because the
    record of a duty is never: a run that never opens shows none of it to anybody. A run that is open is left alone.
    """
    run = CourseRun.objects.filter(course=course, month=month).first()
    if run is None:
        return 0
    with transaction.atomic():
        try:
            _hold_planned(run)
        except RunBegun:
            return 0
        day = max(timezone.localdate(at), timezone.localdate(run.opens_at))
        return _withdraw_unselected(run=run, people=planned_people(lines=prepared_lines(run), on=day), on=day, at=at)


# --- holding a run --------------------------------------------------------------------------------------------------
def hold_run(*, course: Course, month: Month) -> None:
    """This function will keep the run of a course in a month, if there is one, as it is until the transaction ends.

    Whoever changes a line and its run takes the run first, as open_run does, so that nobody waits in a circle.
    """
    CourseRun.objects.filter(course=course, month=month).update(state=F("state"))


def _hold_planned(run: CourseRun) -> None:
    """Nobody opens the run before this transaction ends (the row is written, so it is locked on every database)."""
    if not CourseRun.objects.filter(pk=run.pk, state=CourseRun.State.PLANNED).update(state=CourseRun.State.PLANNED):
        raise RunBegun
    run.refresh_from_db()


# --- the duties ahead -----------------------------------------------------------------------------------------------
def prepared_lines(run: CourseRun) -> QuerySet[PlanLine]:
    """This function will return the lines of a run that were prepared and are not open yet."""
    return plan_lines(month=run.month).filter(course_id=run.course_id, opened_at=None, prepared_at__isnull=False)


def taken_out_ahead() -> Q:
    """This function will return which duties preparing, or keeping up, withdrew by itself; no decision of HR is among them."""
    return Q(state=_State.WITHDRAWN, reason__in=[_Reason.MOVED, _Reason.LEFT], decided_by=None)


def keep_ahead(
    *, run: CourseRun, lines: Iterable[PlanLine], on: dt.date, at: dt.datetime, limit: int | None = None
) -> dict[str, int]:
    """This function will make the duties of a run that nobody has begun those of the people whom the lines select on a day.

    Returns what changed.
    """
    selected = planned_people(lines=lines, on=on)
    people = selected.exclude(starts_too_late(run))
    withdrawn = _withdraw_unselected(run=run, people=people, on=on, at=at)
    returned = (
        Enrolment.objects.filter(taken_out_ahead(), run=run, voluntary=False)
        .filter(employee__in=people.order_by().values("pk"))
        .update(state=_State.ASSIGNED, reason=_reason_of_plan(run), changed_at=at)
    )
    enrolled = enrol(run=run, people=people, at=at, limit=limit)
    moved = _restamp(run=run, at=at)
    exempt_for_leave(run=run, at=at)
    return_from_leave(run=run, at=at)
    return {"enrolled": enrolled, "withdrawn": withdrawn, "returned": returned, "moved": moved}


def _withdraw_unselected(*, run: CourseRun, people: QuerySet[Employee], on: dt.date, at: dt.datetime) -> int:
    left = Exists(Employee.objects.filter(pk=OuterRef("employee"), left_on__lt=on))
    return (
        Enrolment.objects.filter(run=run, voluntary=False, decided_by=None, state__in=[_State.ASSIGNED, _State.EXEMPT])
        .exclude(employee__in=people.order_by().values("pk"))
        .update(
            state=_State.WITHDRAWN,
            reason=Case(When(left, then=Value(_Reason.LEFT.value)), default=Value(_Reason.MOVED.value)),
            changed_at=at,
        )
    )


def _reason_of_plan(run: CourseRun) -> Case:
    """Whoever was hired after the run began joined; everybody else was planned."""
    joined = Employee.objects.filter(pk=OuterRef("employee"), hired_on__gt=timezone.localdate(run.opens_at))
    return Case(When(Exists(joined), then=Value(_Reason.JOINED.value)), default=Value(_Reason.PLAN.value))


def _restamp(*, run: CourseRun, at: dt.datetime) -> int:
    """Before a duty begins it stands where its person works now: unit and post are those of the opening."""
    post = Employee.objects.filter(pk=OuterRef("employee"))
    duties = Enrolment.objects.filter(run=run, voluntary=False).exclude(state=_State.WITHDRAWN)
    elsewhere = Exists(post.filter(unit__isnull=False).exclude(unit=OuterRef("unit")))
    unit = Subquery(post.values("unit")[:1])
    moved = duties.filter(elsewhere).update(unit=unit, unit_set=unit, changed_at=at)
    same = Exists(post.filter(position=OuterRef("position_set")))
    neither = Q(position_set=None) & Exists(post.filter(position=None))
    duties.filter(~same).exclude(neither).update(position_set=Subquery(post.values("position")[:1]))
    return moved
