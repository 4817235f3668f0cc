"""Opening a month: the runs of its plan begin, their steps are frozen and their people enrolled; and closing a run.

A run that was prepared ahead (``preparing``) changes its state, and takes what changed on the roster in between.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from core.events import record_event
from core.periods import Month
from courses.domain import tallies
from courses.domain.enrolling import away_all_the_time, enrol, exempt_for_leave, starts_too_late, taken_by_choice
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
from courses.domain.preparing import keep_ahead, prepared_lines, taken_out_ahead
from courses.models import Course, CourseRun, Enrolment, MonthClose, PlanLine, RunStep, Step
from people.models import Employee, OrgUnit

_State = Enrolment.State


class RunClosed(Exception):
    """The run is closed: nobody is enrolled any more."""


class ClosedForGood(Exception):
    """The month is closed and its figures are sealed: no course of it is opened any more."""


class NotOpenYet(Exception):
    """HR has planned the run and has not opened it: nobody takes it by choice before."""


class StillAccepting(Exception):
    """Late work is still accepted, so the run cannot be closed."""


@dataclass(frozen=True)
class RunReport:
    """What opening one run did. ``opened`` is False when it was open before; ``waiting`` people start next month.

    ``assigned`` and ``exempt`` are duties that began with this opening; ``ahead`` of them had been prepared.
    """

    run: CourseRun
    opened: bool
    assigned: int = 0
    exempt: int = 0
    waiting: int = 0
    ahead: int = 0


@dataclass(frozen=True)
class MonthReport:
    """What opening a month did, run by run, and what it could not open."""

    month: Month
    runs: list[RunReport] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)

    @property
    def assigned(self) -> int:
        return sum(run.assigned for run in self.runs)

    @property
    def exempt(self) -> int:
        return sum(run.exempt for run in self.runs)

    @property
    def waiting(self) -> int:
        return sum(run.waiting for run in self.runs)

    @property
    def ahead(self) -> int:
        return sum(run.ahead for run in self.runs)


# --- what opening would do ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Preview:
    """Who would be enrolled: ``enters`` owe the course, ``exempt`` are away all through, ``waits`` start next month.

    ``leaves`` were enrolled ahead and are no longer selected.
    """

    enters: int
    exempt: int
    waits: int
    enrolled: int = 0  # already have the duty
    leaves: int = 0


def preview_run(
    *, course: Course, month: Month, run: CourseRun | None, lines: Iterable[PlanLine], on: dt.date
) -> Preview:
    """This function will count what opening these lines of a run (planned yet or not) would do, and change nothing.

    Lines of the run that others have prepared open with it, so their people are among the ``enrolled``.
    """
    run = run or CourseRun(course=course, month=month, **default_times(month))
    planned = run.pk is not None and run.state == CourseRun.State.PLANNED
    every = {line.pk: line for line in lines}
    if planned:
        every |= {line.pk: line for line in prepared_lines(run)}
    people = planned_people(lines=every.values(), on=on)
    have_it = Enrolment.objects.filter(run_id=run.pk or 0).exclude(taken_by_choice())
    if planned:
        have_it = have_it.exclude(taken_out_ahead())
    new = people.exclude(Exists(have_it.filter(employee=OuterRef("pk"))))
    number, new_number = people.count(), new.count()
    waits = new.filter(starts_too_late(run)).count()
    away = sum(1 for _id in away_all_the_time(run=run, people=new.exclude(starts_too_late(run))))
    leaves = have_it.exclude(employee__in=people.order_by().values("pk")).count() if planned else 0
    return Preview(
        enters=new_number - waits - away, exempt=away, waits=waits, enrolled=number - new_number, leaves=leaves
    )


def runs_to_open(*, at: dt.datetime) -> list[CourseRun]:
    """This function will return the runs that the clock opens now, in the order of month and course.

    Their first day has come, their due time has not passed, and a line of theirs that was published before that day
    (published_before) is not opened: nobody prepared it, it came after somebody had opened the run early, or it was
    prepared and waits. A run that nobody has planned yet is among them, as it would be planned, and not saved.
    """
    this_month = Month.of(timezone.localdate(at))
    begun = CourseRun.objects.filter(opens_at__lte=at, due_at__gte=at).exclude(state=CourseRun.State.CLOSED)
    its_run = begun.filter(course=OuterRef("course"), month=OuterRef("month"))
    lines = (
        PlanLine.objects.filter(Q(month=this_month) | Exists(its_run))
        .filter(programme__active=True, published_at__isnull=False, opened_at=None)
        .select_related("course")
    )
    waiting: dict[tuple[Month, int], tuple[Course, dt.datetime]] = {}
    for line in lines.order_by("month", "course__code", "-published_at"):  # the last one kept is the first published
        waiting[line.month, line.course_id] = line.course, cast("dt.datetime", line.published_at)
    planned = CourseRun.objects.filter(
        month__in={month for month, _course in waiting}, course__in={course for _month, course in waiting}
    )
    runs = {(run.month, run.course_id): run for run in planned.select_related("course")}
    found = []
    for (month, course_id), (course, published_at) in waiting.items():
        run = runs.get((month, course_id)) or CourseRun(course=course, month=month, **default_times(month))
        may_open = run.state != CourseRun.State.CLOSED and run.opens_at <= at <= run.due_at
        if may_open and published_at < published_before(run):
            found.append(run)
    return found


def published_before(run: CourseRun) -> dt.datetime:
    """This function will return the moment before which a line has to be published for the clock to open it.

    The start of the run or of its month, whichever is later. What is published afterwards waits for a person.
    """
    return max(run.opens_at, default_times(run.month)["opens_at"])


# --- opening --------------------------------------------------------------------------------------------------------
def open_run(
    *,
    run: CourseRun,
    by,
    at: dt.datetime,
    scope: Iterable[OrgUnit] | None = None,
    on: dt.date | None = None,
    published_until: dt.datetime | None = None,
) -> RunReport:
    """This function will open a run and enrol the people of its plan; a second call does nothing more.

    The steps are frozen at the first opening. Every plan line (with ``scope`` only those of audiences in these units)
    is opened once; a line added later is opened by the next call. People are those selected on the day of opening, or
    on the first day of the run if that is later (``on`` overrules it). ``published_until``: lines that were published at
    that moment or later stay as they are.

    A run that was prepared ahead changes its state, and its duties are brought up to date with that day: who came into
    the audience is enrolled, who dropped out is withdrawn, leave and moves are followed. A run opens for everybody at
    once, so the lines prepared by others open with it, whatever the ``scope``. One event on the chain ``months``.
    Raises RunClosed, ClosedForGood, NothingToLearn, DesignNotPublished.
    """
    day = on or max(timezone.localdate(at), timezone.localdate(run.opens_at))
    with transaction.atomic():
        _refuse_closed_month(run)
        opened, prepared = _open(run=run, at=at), False
        lines = _lines_to_open(run=run, scope=scope, published_until=published_until)
        if opened:
            prepared = Enrolment.objects.filter(run=run, voluntary=False).exists()
            known = {line.pk for line in lines}
            lines += [line for line in prepared_lines(run) if line.pk not in known]
        lines = [line for line in lines if PlanLine.objects.filter(pk=line.pk, opened_at=None).update(opened_at=at)]
        if not lines and not prepared:
            if opened:
                record_event(chain="months", action="opened", subject=run, actor=by, at=at, after=named(run))
            return RunReport(run=run, opened=opened)
        people = planned_people(lines=lines, on=day)
        if prepared:
            report, counts = _go_live(run=run, lines=lines, on=day, at=at)
        else:
            report, counts = _enrol_at_opening(run=run, people=people, opened=opened, at=at)
        tallies.recount(run=run)
        record_event(
            chain="months",
            action="opened" if opened else "extended",
            subject=run,
            actor=by,
            at=at,
            after={
                **named(run),
                "programmes": sorted({line.programme_id for line in lines}),
                "assigned": report.assigned,
                "exempt": report.exempt,
                "waiting": report.waiting,
                **counts,
            },
        )
    return report


def _lines_to_open(
    *, run: CourseRun, scope: Iterable[OrgUnit] | None, published_until: dt.datetime | None
) -> list[PlanLine]:
    lines = plan_lines(month=run.month, scope=scope).filter(course_id=run.course_id, opened_at=None)
    if published_until is not None:
        lines = lines.filter(published_at__lt=published_until)
    return list(lines)


def _enrol_at_opening(
    *, run: CourseRun, people: QuerySet[Employee], opened: bool, at: dt.datetime
) -> tuple[RunReport, dict[str, int]]:
    duties = Enrolment.objects.filter(run=run).exclude(taken_by_choice())
    before = duties.filter(employee__in=people.order_by().values("pk")).count()
    waiting = people.filter(starts_too_late(run)).exclude(Exists(duties.filter(employee=OuterRef("pk")))).count()
    assigned = enrol(run=run, people=people.exclude(starts_too_late(run)), at=at)
    exempt = exempt_for_leave(run=run, at=at, only_new=True) if assigned else 0
    report = RunReport(run=run, opened=opened, assigned=assigned - exempt, exempt=exempt, waiting=waiting)
    return report, {"before": before}


def _go_live(
    *, run: CourseRun, lines: Iterable[PlanLine], on: dt.date, at: dt.datetime, limit: int | None = None
) -> tuple[RunReport, dict[str, int]]:
    """The differences since a run was prepared; its duties take the version of the course that was just frozen."""
    changed = keep_ahead(run=run, lines=lines, on=on, at=at, limit=limit)
    duties = Enrolment.objects.filter(run=run, voluntary=False)
    duties.exclude(course_version=run.course_version).update(course_version=run.course_version)
    exempt, assigned = duties.filter(state=_State.EXEMPT).count(), duties.filter(state=_State.ASSIGNED).count()
    report = RunReport(
        run=run,
        opened=True,
        assigned=assigned,
        exempt=exempt,
        waiting=planned_people(lines=lines, on=on).filter(starts_too_late(run)).count(),
        ahead=assigned + exempt - changed["enrolled"] - changed["returned"],
    )
    return report, {"ahead": report.ahead, **changed}


def enrol_some(
    *,
    run: CourseRun,
    by,
    at: dt.datetime,
    limit: int,
    scope: Iterable[OrgUnit] | None = None,
    on: dt.date | None = None,
    published_until: dt.datetime | None = None,
) -> int:
    """This function will do a part of what open_run does: enrol at most ``limit`` people, and return how many it did.

    For a large company, so that no transaction takes long. The plan lines stay to be opened until open_run is called,
    which enrols whoever is left; stopped in between, the rest is done then. Raises as open_run does.
    """
    day = on or max(timezone.localdate(at), timezone.localdate(run.opens_at))
    with transaction.atomic():
        _refuse_closed_month(run)
        opened = _open(run=run, at=at)
        lines = _lines_to_open(run=run, scope=scope, published_until=published_until)
        counts: dict[str, int] = {}
        if opened and Enrolment.objects.filter(run=run, voluntary=False).exists():
            known, prepared = {line.pk for line in lines}, list(prepared_lines(run))
            every = lines + [line for line in prepared if line.pk not in known]
            _report, counts = _go_live(run=run, lines=every, on=day, at=at, limit=limit)
            PlanLine.objects.filter(pk__in=[line.pk for line in prepared if line.pk not in known]).update(opened_at=at)
            number = counts["enrolled"]
            tallies.recount(run=run)
        else:
            people = planned_people(lines=lines, on=day).exclude(starts_too_late(run))
            number = enrol(run=run, people=people, at=at, limit=limit)
            if number:
                exempt_for_leave(run=run, at=at, only_new=True)
                tallies.recount(run=run)
        if opened:
            after = {**named(run), **counts}
            record_event(chain="months", action="opened", subject=run, actor=by, at=at, after=after)
    return number


def open_month(*, month: Month, by, at: dt.datetime, scope: Iterable[OrgUnit] | None = None) -> MonthReport:
    """This function will plan and open every run of a month's plan; safe to call twice.

    Each run is one transaction. A course that cannot be opened is reported and does not stop the others.
    """
    courses = {line.course_id: line.course for line in plan_lines(month=month, scope=scope)}
    report = MonthReport(month=month)
    for course in courses.values():
        try:
            with transaction.atomic():
                run = plan_run(course=course, month=month, by=by, at=at)
                report.runs.append(open_run(run=run, by=by, at=at, scope=scope))
        except (NothingToLearn, DesignNotPublished, RunClosed, ClosedForGood) as problem:
            report.refused.append(Refusal(course, problem))
    return report


def open_for_choice(*, course: Course, month: Month, by, at: dt.datetime) -> CourseRun:
    """This function will return the run of a course in a month, open, for somebody who takes it by choice.

    Where there is none yet it is made with the default times and its steps are frozen; nobody is enrolled, and the plan
    of the month does not know it (a line added later opens with open_run as ever). A run that HR has planned for later,
    or prepared, is not opened early. Raises NotOpenYet, RunClosed, NothingToLearn, DesignNotPublished.
    """
    with transaction.atomic():
        run = plan_run(course=course, month=month, by=by, at=at)
        if run.state == CourseRun.State.PLANNED and (at < run.opens_at or Enrolment.objects.filter(run=run).exists()):
            raise NotOpenYet
        if _open(run=run, at=at):
            record_event(chain="months", action="opened by choice", subject=run, actor=by, at=at, after=named(run))
    return run


def _open(*, run: CourseRun, at: dt.datetime) -> bool:
    """Move a planned run to open and freeze its steps; False when it is open already."""
    course = Course.objects.select_related("certificate_design").get(pk=run.course_id)
    opened = CourseRun.objects.filter(pk=run.pk, state=CourseRun.State.PLANNED).update(
        state=CourseRun.State.OPEN, opened_at=at, course_version=course.version
    )
    run.refresh_from_db()
    if not opened:
        if run.state == CourseRun.State.CLOSED:
            raise RunClosed
        return False
    refuse_unready(course)
    steps = list(Step.objects.filter(course=course, live=True).order_by("position", "pk"))
    RunStep.objects.bulk_create(
        RunStep(run=run, step=step, position=number, required=step.required)
        for number, step in enumerate(steps, start=1)
    )
    return True


def _refuse_closed_month(run: CourseRun) -> None:
    """A month whose figures are sealed gets no new duties; one that is being signed is not closed while this works."""
    close = MonthClose.objects.filter(month=run.month)
    if not close.filter(state=MonthClose.State.SIGNING).update(state=MonthClose.State.SIGNING) and close.exists():
        raise ClosedForGood


# --- closing --------------------------------------------------------------------------------------------------------
def close_run(*, run: CourseRun, by, at: dt.datetime) -> bool:
    """This function will close a run whose last acceptance has passed; False when it was closed before.

    Raises StillAccepting.
    """
    if at <= run.accept_until:
        raise StillAccepting
    with transaction.atomic():
        closed = CourseRun.objects.filter(pk=run.pk, state=CourseRun.State.OPEN).update(state=CourseRun.State.CLOSED)
        if closed:
            record_event(chain="months", action="closed", subject=run, actor=by, at=at, after=named(run))
    run.refresh_from_db()
    return bool(closed)
