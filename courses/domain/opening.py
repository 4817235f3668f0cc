"""Preparing and opening a month: planning runs, enrolling the people of the plan, keeping up with who joins and leaves.

A run may be prepared ahead: its people are enrolled while it is only planned, which nobody sees and nobody owes. Opening
it is then a change of its state, plus what changed on the roster in between.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

from django.db import transaction
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Coalesce
from django.utils import timezone

from certificates.models import DesignVersion
from core.events import record_event
from core.periods import Month, end_of, start_of
from courses.domain import tallies
from courses.domain.audiences import select_people
from courses.domain.enrolling import (
    away_all_the_time,
    back_from_leave,
    enrol,
    exempt_for_leave,
    return_from_leave,
    starts_too_late,
    taken_by_choice,
    unfinished_again,
)
from courses.models import Course, CourseRun, Enrolment, MonthClose, PlanLine, RunStep, Step
from people.models import Employee, OrgUnit, Placement

_State, _Reason = Enrolment.State, Enrolment.Reason


class NothingToLearn(Exception):
    """The course has no published step that is required, so a run of it could never be completed."""


class DesignNotPublished(Exception):
    """The course promises a certificate whose design was never published."""


class RunClosed(Exception):
    """The run is closed: nobody is enrolled any more."""


class RunBegun(Exception):
    """The run is open or its first day has come: it is opened, not prepared."""


class RunNotOpen(Exception):
    """The run has not been opened, so there is nothing to catch up with."""


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
class Refusal:
    """A course of the plan that could not be opened, and why (an exception of this module)."""

    course: Course
    problem: Exception


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


@dataclass(frozen=True)
class CatchUpReport:
    """What changed since the run was opened or last caught up. ``waiting`` people are not enrolled now."""

    run: CourseRun
    joined: int = 0
    waiting: int = 0
    exempted: int = 0
    moved: int = 0
    withdrawn: int = 0
    returned: int = 0

    @property
    def changed(self) -> int:
        return self.joined + self.exempted + self.moved + self.withdrawn + self.returned


# --- planning -------------------------------------------------------------------------------------------------------
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
        record_event(chain="months", action="planned", subject=run, actor=by, at=at, after=_named(run))
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
        every |= {line.pk: line for line in _prepared_lines(run)}
    people = planned_people(lines=every.values(), on=on)
    have_it = Enrolment.objects.filter(run_id=run.pk or 0).exclude(taken_by_choice())
    if planned:
        have_it = have_it.exclude(_taken_out_ahead())
    new = people.exclude(Exists(have_it.filter(employee=OuterRef("pk"))))
    number, new_number = people.count(), new.count()
    waits = new.filter(starts_too_late(run)).count()
    away = sum(1 for _id in away_all_the_time(run=run, people=new.exclude(starts_too_late(run))))
    leaves = have_it.exclude(employee__in=people.order_by().values("pk")).count() if planned else 0
    return Preview(
        enters=new_number - waits - away, exempt=away, waits=waits, enrolled=number - new_number, leaves=leaves
    )


def people_to_enrol(*, course: Course, month: Month, lines: Iterable[PlanLine], on: dt.date) -> QuerySet[Employee]:
    """This function will return whom these lines select who has no place in the course's run yet."""
    duties = Enrolment.objects.filter(run__course=course, run__month=month).exclude(taken_by_choice())
    return planned_people(lines=lines, on=on).exclude(Exists(duties.filter(employee=OuterRef("pk"))))


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


# --- preparing ------------------------------------------------------------------------------------------------------
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
        _refuse_unready(Course.objects.select_related("certificate_design").get(pk=run.course_id))
        new = list(
            plan_lines(month=run.month, scope=scope).filter(
                course_id=run.course_id, opened_at=None, prepared_at__isnull=True
            )
        )
        marked = PlanLine.objects.filter(pk__in=[line.pk for line in new], opened_at=None, prepared_at=None)
        number = marked.update(prepared_at=at)
        lines = list(_prepared_lines(run))
        day = timezone.localdate(run.opens_at)
        changed = _keep_ahead(run=run, lines=lines, on=day, at=at, limit=limit)
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
                    **_named(run),
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
        return _withdraw_unselected(run=run, people=planned_people(lines=_prepared_lines(run), on=day), on=day, at=at)


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


def _prepared_lines(run: CourseRun) -> QuerySet[PlanLine]:
    return plan_lines(month=run.month).filter(course_id=run.course_id, opened_at=None, prepared_at__isnull=False)


def _taken_out_ahead() -> Q:
    """Duties that preparing, or keeping up, withdrew by itself; a decision of HR is not among them."""
    return Q(state=_State.WITHDRAWN, reason__in=[_Reason.MOVED, _Reason.LEFT], decided_by=None)


def _keep_ahead(
    *, run: CourseRun, lines: Iterable[PlanLine], on: dt.date, at: dt.datetime, limit: int | None = None
) -> dict[str, int]:
    """Make the duties of a run that nobody has begun those of the people whom the lines select on a day; what changed."""
    selected = planned_people(lines=lines, on=on)
    people = selected.exclude(starts_too_late(run))
    withdrawn = _withdraw_unselected(run=run, people=people, on=on, at=at)
    returned = (
        Enrolment.objects.filter(_taken_out_ahead(), run=run, voluntary=False)
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
            lines += [line for line in _prepared_lines(run) if line.pk not in known]
        lines = [line for line in lines if PlanLine.objects.filter(pk=line.pk, opened_at=None).update(opened_at=at)]
        if not lines and not prepared:
            if opened:
                record_event(chain="months", action="opened", subject=run, actor=by, at=at, after=_named(run))
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
                **_named(run),
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
    changed = _keep_ahead(run=run, lines=lines, on=on, at=at, limit=limit)
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
            known, prepared = {line.pk for line in lines}, list(_prepared_lines(run))
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
            after = {**_named(run), **counts}
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
            record_event(chain="months", action="opened by choice", subject=run, actor=by, at=at, after=_named(run))
    return run


def close_run(*, run: CourseRun, by, at: dt.datetime) -> bool:
    """This function will close a run whose last acceptance has passed; False when it was closed before.

    Raises StillAccepting.
    """
    if at <= run.accept_until:
        raise StillAccepting
    with transaction.atomic():
        closed = CourseRun.objects.filter(pk=run.pk, state=CourseRun.State.OPEN).update(state=CourseRun.State.CLOSED)
        if closed:
            record_event(chain="months", action="closed", subject=run, actor=by, at=at, after=_named(run))
    run.refresh_from_db()
    return bool(closed)


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
    _refuse_unready(course)
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


def _refuse_unready(course: Course) -> None:
    """A course that nobody could complete, or whose certificate could not be issued, is neither prepared nor opened."""
    if not Step.objects.filter(course=course, live=True, required=True).exists():
        raise NothingToLearn
    if course.certificate_design and not DesignVersion.objects.filter(design=course.certificate_design).exists():
        raise DesignNotPublished


def _named(run: CourseRun) -> dict:
    return {"course": run.course.code, "month": str(run.month), "due_at": run.due_at, "accept_until": run.accept_until}


# --- keeping up -----------------------------------------------------------------------------------------------------
def catch_up(*, run: CourseRun, by, at: dt.datetime) -> CatchUpReport:
    """This function will bring an open run up to date with the roster; a second call changes nothing.

    Joiners and people moved into an audience are enrolled while at least ``joiner_days`` days are left (today and the
    due day counted), and are reported as waiting otherwise. Whoever is away for the whole window is exempt (LEAVE) and
    comes back if the leave is taken back before the due time. A duty follows its person to the unit where it is due.
    Whoever left by the due day is withdrawn (LEFT) unless it was done, and returns if the record does. Whoever moved out
    of the audience keeps the duty; a duty withdrawn before the opening (MOVED) returns with a person who is selected
    again. An exemption that somebody decided (``decided_by``) is never touched. At most one event on the chain ``months``. Raises
    RunNotOpen or RunClosed.
    """
    with transaction.atomic():
        held = CourseRun.objects.filter(pk=run.pk, state=CourseRun.State.OPEN).update(state=CourseRun.State.OPEN)
        run = CourseRun.objects.select_related("course").get(pk=run.pk)
        if not held:  # nobody closes it before this transaction ends
            raise RunNotOpen if run.state == CourseRun.State.PLANNED else RunClosed
        withdrawn = _withdraw_leavers(run=run, at=at)
        returned = _return_people(run=run, at=at)
        exempted = exempt_for_leave(run=run, at=at)
        joined, waiting = _enrol_joiners(run=run, at=at)
        away = exempt_for_leave(run=run, at=at) if joined else 0  # joined, and on leave all the time
        returned += return_from_leave(run=run, at=at)
        moved = _follow_movers(run=run, at=at)
        report = CatchUpReport(
            run=run,
            joined=joined - away,
            waiting=waiting,
            exempted=exempted + away,
            moved=moved,
            withdrawn=withdrawn,
            returned=returned,
        )
        if report.changed:
            tallies.recount(run=run)
            names = ("joined", "waiting", "exempted", "moved", "withdrawn", "returned")
            counts = {name: getattr(report, name) for name in names}
            record_event(
                chain="months", action="caught up", subject=run, actor=by, at=at, after={**_named(run), **counts}
            )
    return report


def _opened_lines(run: CourseRun) -> QuerySet[PlanLine]:
    return plan_lines(month=run.month).filter(course_id=run.course_id, opened_at__isnull=False)


def _selected_now(*, run: CourseRun, at: dt.datetime) -> QuerySet[Employee]:
    """Whom the opened lines select today, without those on their last day: what they got would be withdrawn again."""
    people = planned_people(lines=_opened_lines(run), on=timezone.localdate(at))
    return people.exclude(pk__in=_leavers(run=run, at=at).order_by().values("pk"))


def waiting_people(*, run: CourseRun, at: dt.datetime) -> QuerySet[Employee]:
    """This function will return the people of the run's audiences who have no duty in it (too late for this month)."""
    duties = Enrolment.objects.filter(run=run).exclude(taken_by_choice())
    return _selected_now(run=run, at=at).exclude(Exists(duties.filter(employee=OuterRef("pk"))))


def _takes_joiners(run: CourseRun, at: dt.datetime) -> bool:
    today = max(timezone.localdate(at), timezone.localdate(run.opens_at))
    return (timezone.localdate(run.due_at) - today).days + 1 >= run.joiner_days


def _joiners(*, run: CourseRun, at: dt.datetime) -> tuple[QuerySet[Employee], QuerySet[Employee]]:
    """Who gets the duty now, and who waits for next month."""
    new = waiting_people(run=run, at=at)
    if not _takes_joiners(run, at):
        return new.none(), new
    return new.exclude(starts_too_late(run)), new.filter(starts_too_late(run))


def waiting_for_next_month(*, run: CourseRun, at: dt.datetime) -> QuerySet[Employee]:
    """This function will return those of the waiting whom catching up would leave for next month."""
    return _joiners(run=run, at=at)[1]


def _enrol_joiners(*, run: CourseRun, at: dt.datetime) -> tuple[int, int]:
    joiners, waiting = _joiners(run=run, at=at)
    number = waiting.count()
    return enrol(run=run, people=joiners, at=at, late=True), number


def _leavers(*, run: CourseRun, at: dt.datetime) -> QuerySet[Employee]:
    last_day = min(timezone.localdate(run.due_at), timezone.localdate(at))
    return Employee.objects.filter(state=Employee.State.LEFT, left_on__lte=last_day)


def _duties_of_leavers(*, run: CourseRun, at: dt.datetime) -> QuerySet[Enrolment]:
    return (
        Enrolment.objects.filter(run=run, employee__in=_leavers(run=run, at=at).order_by().values("pk"))
        .exclude(state__in=[_State.COMPLETED, _State.WITHDRAWN])
        .filter(Q(decided_by=None) | ~Q(state=_State.EXEMPT))
    )


def _withdraw_leavers(*, run: CourseRun, at: dt.datetime) -> int:
    gone = _duties_of_leavers(run=run, at=at)
    return gone.update(
        state=_State.WITHDRAWN, reason=_Reason.LEFT, reason_text="", decided_by=None, changed_at=at
    )  # the rule decided, not who extended or reinstated the duty before


def _duties_of_returners(*, run: CourseRun, at: dt.datetime) -> QuerySet[Enrolment]:
    """Withdrawn duties of people who work here again, or are in the audience again while joiners are taken."""
    here = Employee.objects.active_on(timezone.localdate(at)).exclude(state=Employee.State.LEFT)
    again = Q(reason=_Reason.LEFT, employee__in=here.order_by().values("pk"))
    if _takes_joiners(run, at):
        people = _selected_now(run=run, at=at).exclude(starts_too_late(run))
        again |= Q(reason=_Reason.MOVED, employee__in=people.order_by().values("pk"))
    return Enrolment.objects.filter(again, run=run, state=_State.WITHDRAWN, decided_by=None, due_at__gte=at)


def _return_people(*, run: CourseRun, at: dt.datetime) -> int:
    return _duties_of_returners(run=run, at=at).update(**unfinished_again(at))


def _duties_elsewhere(*, run: CourseRun, at: dt.datetime) -> Iterator[tuple[QuerySet[Enrolment], Coalesce]]:
    """Duties that count in another unit than they should, with the unit where they should; a set for each due time.

    They count where the person works now, or worked on the day they were due if that has passed.
    """
    for due_at in Enrolment.objects.filter(run=run).order_by().values_list("due_at", flat=True).distinct():
        duties = Enrolment.objects.filter(run=run, due_at=due_at)
        if at <= due_at:
            post = Employee.objects.filter(pk=OuterRef("employee"))
        else:
            post = Placement.objects.on(timezone.localdate(due_at)).filter(employee=OuterRef("employee"))
        there = Coalesce(Subquery(post.order_by().values("unit")[:1]), F("unit"))
        elsewhere = Exists(post.filter(unit__isnull=False).exclude(unit=OuterRef("unit")))
        yield duties.filter(elsewhere), there


def _follow_movers(*, run: CourseRun, at: dt.datetime) -> int:
    moving = list(_duties_elsewhere(run=run, at=at))  # read to the end first: the rows are about to change
    return sum(duties.update(unit=there, changed_at=at) for duties, there in moving)


@dataclass(frozen=True)
class CatchUpPreview:
    """Whom catching up would change now. ``stay`` are no longer in any audience of the run and keep their duty."""

    run: CourseRun
    joined: QuerySet[Employee]
    waiting: QuerySet[Employee]
    exempted: QuerySet[Employee]
    moved: QuerySet[Employee]
    withdrawn: QuerySet[Employee]
    returned: QuerySet[Employee]
    stay: QuerySet[Employee]


def preview_catch_up(*, run: CourseRun, at: dt.datetime) -> CatchUpPreview:
    """This function will say whom catching up with an open run would change, set by set, and change nothing.

    Who moved out of the audiences keeps the duty: it goes with the person and stays owed, until somebody decides.
    """
    joiners, waiting = _joiners(run=run, at=at)
    leavers, returners = _duties_of_leavers(run=run, at=at), _duties_of_returners(run=run, at=at)
    not_begun = Q(state=_State.ASSIGNED) | Q(pk__in=returners.filter(started_at=None).order_by().values("pk"))
    open_duties = Enrolment.objects.filter(not_begun, run=run, voluntary=False, decided_by=None).exclude(
        pk__in=leavers.order_by().values("pk")
    )
    may_be_away = Employee.objects.filter(
        Q(pk__in=open_duties.order_by().values("employee")) | Q(pk__in=joiners.order_by().values("pk"))
    )
    away = list(away_all_the_time(run=run, people=may_be_away))
    _exempt, back = back_from_leave(run=run, at=at)
    elsewhere = Q(pk__in=[])
    for duties, _there in _duties_elsewhere(run=run, at=at):
        elsewhere |= Q(pk__in=duties.order_by().values("employee"))
    here = Employee.objects.active_on(timezone.localdate(at)).exclude(state=Employee.State.LEFT)
    owed = Enrolment.objects.filter(run=run, voluntary=False, state__in=[_State.ASSIGNED, _State.IN_PROGRESS])
    planned = planned_people(lines=_opened_lines(run), on=timezone.localdate(at))
    return CatchUpPreview(
        run=run,
        joined=joiners.exclude(pk__in=away),
        waiting=waiting,
        exempted=Employee.objects.filter(pk__in=away),
        moved=Employee.objects.filter(elsewhere),
        withdrawn=Employee.objects.filter(pk__in=leavers.order_by().values("employee")),
        returned=Employee.objects.filter(Q(pk__in=returners.order_by().values("employee")) | Q(pk__in=back)),
        stay=here.filter(pk__in=owed.order_by().values("employee")).exclude(pk__in=planned.order_by().values("pk")),
    )
