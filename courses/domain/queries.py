"""What pages ask about courses: figures of units, lists of names, a person's month, a team's month."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from django.db.models import Count, Exists, Max, OuterRef, Prefetch, Q, QuerySet, Sum

from core.periods import Month
from courses.domain.tallies import COLUMNS
from courses.models import Course, CourseRun, Enrolment, RunStep, Step, StepCompletion, Tally
from people.models import Employee, OrgUnit

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

_State = Enrolment.State


# --- figures of units ---------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Figures:
    """The counts of a unit for a month or run.

    ``assigned`` is the denominator; exempt, withdrawn and voluntary (courses taken by choice) are beside it.
    """

    assigned: int = 0
    started: int = 0
    completed: int = 0
    on_time: int = 0
    exempt: int = 0
    withdrawn: int = 0
    voluntary: int = 0
    voluntary_done: int = 0

    @property
    def owes(self) -> bool:
        """Was anything owed here, or excused? What was taken by choice is no duty."""
        return bool(self.assigned or self.exempt or self.withdrawn)

    @property
    def late(self) -> int:
        return self.completed - self.on_time

    @property
    def open(self) -> int:
        return self.assigned - self.completed

    @property
    def rate(self) -> str | None:
        """Final rate in percent with one decimal, floored, as text; None when nothing is owed."""
        return _floored(self.completed, self.assigned)

    @property
    def on_time_rate(self) -> str | None:
        return _floored(self.on_time, self.assigned)

    @property
    def permille(self) -> int | None:
        return self.completed * 1000 // self.assigned if self.assigned else None

    def __add__(self, other: Figures) -> Figures:
        return Figures(**{column: getattr(self, column) + getattr(other, column) for column in COLUMNS})

    def __sub__(self, other: Figures) -> Figures:
        return Figures(**{column: getattr(self, column) - getattr(other, column) for column in COLUMNS})

    def __bool__(self) -> bool:
        return any(getattr(self, column) for column in COLUMNS)


def _floored(part: int, whole: int) -> str | None:
    """A share in percent, floored to one decimal: 2,999 of 3,000 is 99.9."""
    if not whole:
        return None
    permille = part * 1000 // whole
    return f"{permille // 10}.{permille % 10}"


@dataclass(frozen=True)
class UnitFigures:
    """A unit's figures beside those of the month before. ``change`` is in percentage points, as text with a sign."""

    unit: OrgUnit
    now: Figures
    before: Figures

    @property
    def change(self) -> str | None:
        if self.now.permille is None or self.before.permille is None:
            return None
        by = self.now.permille - self.before.permille
        return f"{'−' if by < 0 else '+'}{abs(by) // 10}.{abs(by) % 10}"  # noqa: RUF001 (a minus sign, not a hyphen)


def _tallies(*, months: Iterable[Month], course: Course | None, run: CourseRun | None) -> QuerySet[Tally]:
    if run is not None:
        return Tally.objects.filter(run=run)
    found = Tally.objects.filter(run__month__in=list(months))
    return found.filter(run__course=course) if course else found


_SUMS = {column: Sum(column) for column in COLUMNS}
_NAMED_SUMS = {f"sum_{column}": total for column, total in _SUMS.items()}  # beside the columns they sum up


def _figures(row: Mapping[str, Any]) -> Figures:
    return Figures(**{column: row[f"sum_{column}"] for column in COLUMNS})


def unit_figures(*, unit: OrgUnit, month: Month, course: Course | None = None, run: CourseRun | None = None) -> Figures:
    """This function will return the counts of a unit (with everything below) for a month, a course in it, or a run."""
    sums = _tallies(months=[month], course=course, run=run).filter(unit=unit).aggregate(**_SUMS)
    return Figures(**{column: sums[column] or 0 for column in COLUMNS})


def figures_of_units(*, units: Iterable[OrgUnit], month: Month, course: Course | None = None) -> list[UnitFigures]:
    """This function will return the figures of several units, beside those of the month before, in one query."""
    units = list(units)
    rows = (
        _tallies(months=[month, month.previous], course=course, run=None)
        .filter(unit__in=[unit.pk for unit in units])
        .values("unit_id", "run__month")
        .annotate(**_NAMED_SUMS)
    )
    found = {(row["unit_id"], row["run__month"]): _figures(row) for row in rows}
    nothing = Figures()
    return [
        UnitFigures(
            unit=unit,
            now=found.get((unit.pk, month), nothing),
            before=found.get((unit.pk, month.previous), nothing),
        )
        for unit in units
    ]


def month_series(*, unit: OrgUnit, last: Month, months: int = 12, course: Course | None = None) -> list[tuple]:
    """This function will return [(month, figures)] of a unit for so many months up to ``last``, oldest first."""
    wanted = [last.plus(-back) for back in range(months - 1, -1, -1)]
    rows = (
        _tallies(months=wanted, course=course, run=None).filter(unit=unit).values("run__month").annotate(**_NAMED_SUMS)
    )
    found = {row["run__month"]: _figures(row) for row in rows}
    return [(month, found.get(month, Figures())) for month in wanted]


def run_figures(*, runs: Iterable[CourseRun], units: Iterable[OrgUnit] | None = None) -> dict[int, Figures]:
    """This function will return {run id: figures} over units that do not contain each other (None: the roots)."""
    tallies = Tally.objects.filter(run__in=[run.pk for run in runs])
    tallies = tallies.filter(unit__depth=1) if units is None else tallies.filter(unit__in=[unit.pk for unit in units])
    return {row["run_id"]: _figures(row) for row in tallies.values("run_id").annotate(**_NAMED_SUMS)}


def months_with_runs() -> list[Month]:
    """This function will return every month that has a run, the newest first.

    A run that is only planned is none yet, and one that people only took by choice makes no month.
    """
    runs = CourseRun.objects.exclude(state=CourseRun.State.PLANNED).exclude(only_by_choice())
    return list(runs.order_by("-month").values_list("month", flat=True).distinct())


def only_by_choice() -> Q:
    """This function will return the condition on runs that hold nobody but people who took the course by choice."""
    theirs = Enrolment.objects.filter(run=OuterRef("pk"))
    return Q(Exists(theirs.filter(voluntary=True)), ~Exists(theirs.filter(voluntary=False)))


def courses_of_month(month: Month) -> list[Course]:
    """This function will return the courses that run in a month, those not opened yet left out."""
    opened = CourseRun.objects.filter(month=month).exclude(state=CourseRun.State.PLANNED)
    return list(Course.objects.filter(runs__in=opened).order_by("code"))


# --- lists of names -----------------------------------------------------------------------------------------------
class ListState:
    """The states by which a list of names can be filtered: those of an enrolment as a reader sees them."""

    MISSING, OVERDUE, ASSIGNED, STARTED, ON_TIME, LATE, EXEMPT, WITHDRAWN, CHOICE = CHOICES = (
        "missing",
        "overdue",
        "assigned",
        "started",
        "on_time",
        "late",
        "exempt",
        "withdrawn",
        "choice",
    )


def in_state(enrolments: QuerySet[Enrolment], state: str, at: dt.datetime) -> QuerySet[Enrolment]:
    """This function will keep the enrolments in one of the ListState states; an unknown one keeps none.

    What was taken by choice is in the state CHOICE and in no other.
    """
    unfinished = Q(state__in=[_State.ASSIGNED, _State.IN_PROGRESS])
    conditions = {
        ListState.MISSING: unfinished,
        ListState.OVERDUE: unfinished & Q(due_at__lt=at),
        ListState.ASSIGNED: Q(state=_State.ASSIGNED),
        ListState.STARTED: Q(state=_State.IN_PROGRESS),
        ListState.ON_TIME: Q(state=_State.COMPLETED, on_time=True),
        ListState.LATE: Q(state=_State.COMPLETED, on_time=False),
        ListState.EXEMPT: Q(state=_State.EXEMPT),
        ListState.WITHDRAWN: Q(state=_State.WITHDRAWN),
        ListState.CHOICE: ~Q(state=_State.WITHDRAWN),
    }
    if state not in conditions:
        return enrolments.none()
    return enrolments.filter(conditions[state], voluntary=state == ListState.CHOICE)


def month_enrolments(
    *, people: QuerySet[Employee], month: Month, unit: OrgUnit | None = None, course: Course | None = None
) -> QuerySet[Enrolment]:
    """This function will return the duties of a month that belong to these people, in a unit and for a course if given.

    With them what was taken by choice (``voluntary``), unless it was given up again. Ordered by employee number and
    row; with what lists show. ``people`` comes through the door (visible_employees). What was enrolled ahead of a run
    that is not open yet is nobody's duty.
    """
    runs = CourseRun.objects.filter(month=month).exclude(state=CourseRun.State.PLANNED)
    if course is not None:
        runs = runs.filter(course=course)
    found = Enrolment.objects.filter(run__in=list(runs.values_list("pk", flat=True)))
    found = found.exclude(voluntary=True, state=_State.WITHDRAWN)
    if not _is_everybody(people):
        found = found.filter(employee__in=people.order_by().values("pk"))
    if unit is not None:
        found = found.filter(unit__in=OrgUnit.objects.under(unit).order_by().values("pk"))
    return found.select_related("employee", "run__course", "unit", "position_set").order_by(
        "employee__employee_no", "pk"
    )


def _is_everybody(people: QuerySet) -> bool:
    return not people.query.where and not people.query.is_sliced


def search_enrolments(enrolments: QuerySet[Enrolment], text: str) -> QuerySet[Enrolment]:
    """This function will keep the enrolments of people whose name, pinyin or number begins with (or holds) the text."""
    text = text.strip()
    if not text:
        return enrolments
    return enrolments.filter(
        Q(employee__name__icontains=text)
        | Q(employee__pinyin__icontains=text.lower().replace(" ", ""))
        | Q(employee__employee_no__startswith=text)
    )


@dataclass(frozen=True)
class KeyPage:
    """One page of a list, found by the row after which it starts; after row ``next`` comes the next page."""

    rows: list[Enrolment]
    next: int | None


def rows_in_state(figures: Figures, state: str) -> int:
    """This function will return how many rows a list in a ListState (empty: in any) has at most, from its figures."""
    return {
        ListState.MISSING: figures.open,
        ListState.OVERDUE: figures.open,
        ListState.ASSIGNED: figures.assigned - figures.started,
        ListState.STARTED: figures.started - figures.completed,
        ListState.ON_TIME: figures.on_time,
        ListState.LATE: figures.late,
        ListState.EXEMPT: figures.exempt,
        ListState.WITHDRAWN: figures.withdrawn,
        ListState.CHOICE: figures.voluntary,
    }.get(state, figures.assigned + figures.exempt + figures.withdrawn + figures.voluntary)


def page_after(enrolments: QuerySet[Enrolment], *, after: int | None, size: int = 50, many: bool = False) -> KeyPage:
    """This function will return the rows after the given enrolment id: any page is as quick as the first.

    ``enrolments`` is ordered by employee number and id. An id that is not there begins at the front. A list of ``many``
    rows is not sorted: the people are taken one after the other in the order of their numbers until the page is full,
    and each brings all duties (so such a page may have a few more rows). A short list is cheaper to sort.
    """
    people = Employee.objects.all()
    if after:
        place = Enrolment.objects.filter(pk=after).values_list("employee__employee_no", "pk").first()
        if place:
            number, pk = place
            enrolments = enrolments.filter(
                Q(employee__employee_no__gt=number) | Q(employee__employee_no=number, pk__gt=pk)
            )
            people = people.filter(employee_no__gte=number)
    if many:
        theirs = enrolments.order_by().filter(employee=OuterRef("pk"))
        found = list(people.filter(Exists(theirs)).order_by("employee_no").values_list("pk", flat=True)[: size + 1])
        rows = list(enrolments.filter(employee__in=found[:size]))
        return KeyPage(rows=rows, next=rows[-1].pk if len(found) > size else None)
    rows = list(enrolments[: size + 1])
    return KeyPage(rows=rows[:size], next=rows[size - 1].pk if len(rows) > size else None)


class LastActivity(TypedDict):
    """What with_last_activity adds to an enrolment."""

    last_done_at: dt.datetime | None


def with_last_activity(enrolments: QuerySet[Enrolment]) -> QuerySet[WithAnnotations[Enrolment, LastActivity]]:
    """This function will add ``last_done_at``: when the newest step was done."""
    return enrolments.annotate(last_done_at=Max("completions__at"))


# --- one person -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Duty:
    """One enrolment as its owner sees it."""

    enrolment: Enrolment
    steps_total: int  # required ones
    minutes_left: int
    next_step: Step | None
    is_overdue: bool
    is_open: bool  # work is accepted now
    is_upcoming: bool
    tested_out: bool = False  # its tests proved it, without the lessons

    @property
    def course(self) -> Course:
        return self.enrolment.run.course

    @property
    def steps_done(self) -> int:
        return self.enrolment.steps_done

    @property
    def is_done(self) -> bool:
        return self.enrolment.state == _State.COMPLETED

    @property
    def is_unfinished(self) -> bool:
        return self.enrolment.state in {_State.ASSIGNED, _State.IN_PROGRESS}

    @property
    def is_owed(self) -> bool:
        return self.is_unfinished and not self.enrolment.voluntary


@dataclass(frozen=True)
class MyMonth:
    """A person's month: what is owed (soonest first), what is done, what is excused, and debts of earlier months.

    ``chosen`` was taken by choice: what is unfinished, also of earlier months, and what was done this month.
    """

    month: Month
    owed: list[Duty] = field(default_factory=list)
    done: list[Duty] = field(default_factory=list)
    excused: list[Duty] = field(default_factory=list)
    debts: list[Duty] = field(default_factory=list)
    chosen: list[Duty] = field(default_factory=list)

    @property
    def first(self) -> Duty | None:
        """The one thing to do next."""
        return next((duty for duty in [*self.owed, *self.debts] if duty.is_open), None)

    @property
    def counted(self) -> int:
        return len(self.owed) + len(self.done)


def my_month(employee: Employee, month: Month, at: dt.datetime) -> MyMonth:
    """This function will return what a person has to do in a month and still owes from earlier ones. Three queries.

    Debts are unfinished duties of earlier months whose late work is still accepted.
    """
    earlier = Q(run__month__lt=month, state__in=[_State.ASSIGNED, _State.IN_PROGRESS], run__accept_until__gte=at)
    enrolments = (
        Enrolment.objects.filter(employee=employee)
        .filter(Q(run__month=month) | earlier)
        .exclude(run__state=CourseRun.State.PLANNED)
        .order_by("due_at", "run__course__code")
    )
    mine = MyMonth(month=month)
    for duty in duties_of(enrolments, at=at):
        state = duty.enrolment.state
        if duty.enrolment.voluntary:
            if state != _State.WITHDRAWN:
                mine.chosen.append(duty)
        elif duty.enrolment.run.month != month:
            mine.debts.append(duty)
        elif state == _State.COMPLETED:
            mine.done.append(duty)
        elif state in {_State.EXEMPT, _State.WITHDRAWN}:
            mine.excused.append(duty)
        else:
            mine.owed.append(duty)
    return mine


def duties_of(enrolments: QuerySet[Enrolment], *, at: dt.datetime) -> list[Duty]:
    """This function will return enrolments with what is left of each, in three queries."""
    enrolments = enrolments.select_related("run__course", "certificate", "unit").prefetch_related(
        Prefetch("run__steps", queryset=RunStep.objects.select_related("step").order_by("position")),
        Prefetch("completions", queryset=StepCompletion.objects.order_by("at")),
    )
    return [_duty(enrolment, at) for enrolment in enrolments]


def duty_of(enrolment: Enrolment, *, at: dt.datetime) -> Duty:
    """This function will return one enrolment with what is left of it."""
    return duties_of(Enrolment.objects.filter(pk=enrolment.pk), at=at)[0]


def _duty(enrolment: Enrolment, at: dt.datetime) -> Duty:
    run = enrolment.run
    done = {completion.step_id: completion.how for completion in enrolment.completions.all()}
    steps = list(run.steps.all())
    left = [run_step for run_step in steps if run_step.required and run_step.step_id not in done]
    finished = enrolment.state == _State.COMPLETED
    return Duty(
        enrolment=enrolment,
        steps_total=sum(1 for run_step in steps if run_step.required),
        minutes_left=0 if finished else sum(run_step.step.minutes for run_step in left),
        next_step=left[0].step if left and not finished else None,
        is_overdue=enrolment.is_overdue(at),
        is_open=run.state == CourseRun.State.OPEN and run.opens_at <= at <= run.accept_until,
        is_upcoming=at < run.opens_at,
        tested_out=StepCompletion.How.TESTED_OUT in done.values(),
    )


@dataclass(frozen=True)
class StepLine:
    """One line of the step list of an enrolment."""

    step: Step
    number: int
    required: bool
    done_at: dt.datetime | None
    is_current: bool = False
    how: str = ""  # it was done (StepCompletion.How)


def step_lines(*, enrolment: Enrolment, current: Step | None = None) -> list[StepLine]:
    """This function will return the frozen steps of an enrolment's run in order, with what is done. Two queries."""
    done = {one.step_id: one for one in StepCompletion.objects.filter(enrolment=enrolment)}
    run_steps = RunStep.objects.filter(run=enrolment.run_id).select_related("step").order_by("position")
    return [
        StepLine(
            step=run_step.step,
            number=number,
            required=run_step.required,
            done_at=done[run_step.step_id].at if run_step.step_id in done else None,
            is_current=current is not None and run_step.step_id == current.pk,
            how=done[run_step.step_id].how if run_step.step_id in done else "",
        )
        for number, run_step in enumerate(run_steps, start=1)
    ]


@dataclass(frozen=True)
class MonthCell:
    """One month of a person as a cell of a strip: the counts that matter."""

    month: Month
    assigned: int = 0
    completed: int = 0
    on_time: int = 0
    overdue: int = 0
    exempt: int = 0
    by_choice: int = 0  # done by choice, beside what was owed

    @property
    def kind(self) -> str:
        """Which chip says it: done, late, overdue, progress, exempt or neutral."""
        if self.overdue:
            return "overdue"
        if self.assigned and self.completed == self.assigned:
            return "done" if self.on_time == self.assigned else "late"
        if self.assigned:
            return "progress"
        return "exempt" if self.exempt else "neutral"


def person_months(*, employee: Employee, last: Month, months: int, at: dt.datetime) -> list[MonthCell]:
    """This function will return a person's months up to ``last``, oldest first. One query."""
    wanted = [last.plus(-back) for back in range(months - 1, -1, -1)]
    unfinished = Q(state__in=[_State.ASSIGNED, _State.IN_PROGRESS])
    owed, done = Q(voluntary=False), Q(state=_State.COMPLETED)
    rows = (
        Enrolment.objects.filter(employee=employee, run__month__in=wanted)
        .exclude(run__state=CourseRun.State.PLANNED)
        .order_by()
        .values("run__month")
        .annotate(
            assigned=Count("pk", filter=owed & ~Q(state__in=[_State.EXEMPT, _State.WITHDRAWN])),
            completed=Count("pk", filter=owed & done),
            on_time=Count("pk", filter=owed & Q(on_time=True)),
            overdue=Count("pk", filter=owed & unfinished & Q(due_at__lt=at)),
            exempt=Count("pk", filter=owed & Q(state=_State.EXEMPT)),
            by_choice=Count("pk", filter=done & Q(voluntary=True)),
        )
    )
    cells = {
        row["run__month"]: MonthCell(
            month=row["run__month"],
            assigned=row["assigned"],
            completed=row["completed"],
            on_time=row["on_time"],
            overdue=row["overdue"],
            exempt=row["exempt"],
            by_choice=row["by_choice"],
        )
        for row in rows
    }
    return [cells.get(month) or MonthCell(month=month) for month in wanted]


def person_enrolments(*, employee: Employee) -> QuerySet[Enrolment]:
    """This function will return all duties of a person, the newest month first, with what a record shows.

    With them what was taken by choice and not given up again.
    """
    return (
        Enrolment.objects.filter(employee=employee)
        .exclude(run__state=CourseRun.State.PLANNED)
        .exclude(voluntary=True, state=_State.WITHDRAWN, decided_by=None)
        .select_related("run__course", "certificate", "unit", "decided_by")
        .order_by("-run__month", "run__course__code")
    )


# --- a team ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class TeamRow:
    """One duty of one person of a team. ``since`` is when a missing one was due, or was set while it is not due yet."""

    enrolment: Enrolment
    steps_total: int
    last_done_at: dt.datetime | None
    is_overdue: bool

    @property
    def employee(self) -> Employee:
        return self.enrolment.employee

    @property
    def course(self) -> Course:
        return self.enrolment.run.course

    @property
    def since(self) -> dt.datetime:
        if self.is_overdue:
            return self.enrolment.due_at
        return max(self.enrolment.assigned_at, self.enrolment.run.opens_at)  # it may have been made ahead


def people_figures(*, people: QuerySet[Employee], month: Month, course: Course | None = None) -> Figures:
    """This function will count the duties of these people in a month: a team is no unit and has no tally."""
    found = month_enrolments(people=people, month=month, course=course).order_by()
    owed, chosen, done = Q(voluntary=False), Q(voluntary=True), Q(state=_State.COMPLETED)
    counted = owed & ~Q(state__in=[_State.EXEMPT, _State.WITHDRAWN])
    counts = {
        "assigned": counted,
        "started": owed & Q(state__in=[_State.IN_PROGRESS, _State.COMPLETED]),
        "completed": owed & done,
        "on_time": owed & Q(on_time=True),
        "exempt": owed & Q(state=_State.EXEMPT),
        "withdrawn": owed & Q(state=_State.WITHDRAWN),
        "voluntary": chosen,
        "voluntary_done": chosen & done,
    }
    # Prefixed, because "voluntary" is a column as well.
    return _figures(found.aggregate(**{f"sum_{name}": Count("pk", filter=one) for name, one in counts.items()}))
