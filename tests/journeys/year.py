"""A company told twice: through the domain functions, and by an oracle that knows nothing but the rules in words.

The oracle keeps plain Python objects and looks at one person at a time, day by day. It shares no code with the domain:
what it says about a month is a second opinion, and the two must agree in every figure of every unit.

The rules it knows (DOMAIN section 2, docs/decisions/0009):
- who works here on the opening day owes the course; who joins later owes it while seven days are left, both ends counted;
- who is away on every day from the start (or the hire day) to the due day is exempt, unless begun or decided by hand;
- who left by the due day is withdrawn, unless it was done; a decision by hand is never overruled by a rule;
- the duty counts where the person works until it is due, and from then on where the person worked on the due day;
- done by the due time is on time, done later but accepted is late; the month's frozen figures never move.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import pytest
from django.db import connection

from core.periods import Month
from courses.domain import closing, exceptions, opening, progress, tallies
from courses.domain.history import figures_as_of
from courses.models import ClosedFigure, CourseRun, Enrolment, MonthClose, PlanLine, Tally
from people.domain.leave import add_leave, remove_leave
from people.domain.moves import mark_left, move_employee
from people.domain.units import move_unit
from people.models import Employee, Leave, OrgUnit
from tests.factories.courses import PUBLISHED, make_audience, make_course, make_programme
from tests.factories.people import make_employee, make_unit, make_user

ZONE = ZoneInfo("Asia/Shanghai")
DAY = dt.timedelta(days=1)
COLUMNS = ("assigned", "started", "completed", "on_time", "exempt", "withdrawn")
OPEN_STATES = ("assigned", "in_progress")


def moment(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE)


def end_of(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=ZONE)


# --- the oracle -------------------------------------------------------------------------------------------------------
@dataclass
class Person:
    """What is known of one person: hired, left, posts as (first day, unit), days away."""

    hired: dt.date
    posts: list[tuple[dt.date, str]]
    left: dt.date | None = None
    leaves: list[tuple[dt.date, dt.date]] = field(default_factory=list)

    def here_on(self, day: dt.date) -> bool:
        return self.hired <= day and (self.left is None or day <= self.left)

    @property
    def unit(self) -> str:
        return self.posts[-1][1]

    def unit_on(self, day: dt.date) -> str | None:
        if self.left is not None and day > self.left:
            return None
        return next((unit for start, unit in reversed(self.posts) if start <= day), None)

    def away_from(self, first: dt.date, last: dt.date) -> bool:
        day = max(first, self.hired)
        while day <= last:
            if not any(start <= day <= end for start, end in self.leaves):
                return False
            day += DAY
        return True


@dataclass
class Duty:
    """One person's duty of one month as the rules have it."""

    unit: str
    due: dt.datetime
    state: str = "assigned"
    on_time: bool = False
    by_hand: bool = False
    why: str = "plan"

    def counts(self) -> dict[str, int]:
        if self.state in ("exempt", "withdrawn"):
            return {self.state: 1}
        found = {"assigned": 1}
        if self.state != "assigned":
            found["started"] = 1
        if self.state == "completed":
            found["completed"] = 1
            found["on_time"] = int(self.on_time)
        return found


@dataclass
class MonthDuties:
    """Everybody's duty of one month; ``first`` and ``due`` are its first and its due day."""

    month: Month
    duties: dict[str, Duty] = field(default_factory=dict)

    @property
    def first(self) -> dt.date:
        return self.month.first_day

    @property
    def due(self) -> dt.date:
        return self.month.last_day

    @property
    def accepted_until(self) -> dt.date:
        return self.month.next.last_day


class Oracle:
    def __init__(self, parents: dict[str, str | None]):
        self.parents = dict(parents)
        self.people: dict[str, Person] = {}
        self.months: dict[Month, MonthDuties] = {}
        self.ahead: dict[Month, set[str]] = {}  # who had the duty before the month began

    def prepare_month(self, month: Month) -> None:
        """Whom the first day of the month would find here, as far as is known now."""
        self.ahead[month] = {number for number, person in self.people.items() if person.here_on(month.first_day)}

    def open_month(self, month: Month, today: dt.date) -> None:
        """Who was prepared ahead and is gone by now shows as withdrawn: the record of a duty is never deleted."""
        opened = self.months[month] = MonthDuties(month)
        for number, person in self.people.items():
            self._enrol(opened, number, today)
            if number in self.ahead.get(month, ()) and number not in opened.duties:
                gone = Duty(unit=person.unit, due=end_of(opened.due), state="withdrawn", why="left")
                opened.duties[number] = gone

    def _enrol(self, month: MonthDuties, number: str, today: dt.date) -> None:
        person, day = self.people[number], max(today, month.first)
        joined_in_month = person.hired > month.first
        too_late = joined_in_month and (month.due - person.hired).days + 1 < 7
        if number in month.duties or not person.here_on(day) or too_late:
            return
        duty = month.duties[number] = Duty(unit=person.unit, due=end_of(month.due))
        if person.away_from(month.first, month.due):
            duty.state, duty.why = "exempt", "leave"

    def keep_up(self, today: dt.date, at: dt.datetime) -> None:
        """What the rules say of every month whose late work is still accepted, on this evening."""
        for month in self.months.values():
            if today > month.accepted_until:
                continue
            for number, duty in month.duties.items():
                self._settle(month, self.people[number], duty, today, at)
            if (month.due - max(today, month.first)).days + 1 >= 7:
                for number in self.people:
                    self._enrol(month, number, today)

    def _settle(self, month: MonthDuties, person: Person, duty: Duty, today: dt.date, at: dt.datetime) -> None:
        gone = person.left is not None and person.left <= min(month.due, today)
        away = person.away_from(month.first, month.due)
        if gone and duty.state not in ("completed", "withdrawn") and not (duty.by_hand and duty.state == "exempt"):
            duty.state, duty.why, duty.by_hand = (
                "withdrawn",
                "left",
                False,
            )  # the rule's withdrawal, whoever decided before
        if duty.state == "assigned" and away and not duty.by_hand:
            duty.state, duty.why = "exempt", "leave"
        elif duty.state == "exempt" and duty.why == "leave" and not duty.by_hand and not away and at <= duty.due:
            duty.state, duty.why = "assigned", "plan"
        if at <= duty.due:
            duty.unit = person.unit
        else:
            duty.unit = person.unit_on(duty.due.date()) or duty.unit

    def figures(self, month: Month) -> dict[str, dict[str, int]]:
        """{unit code: counts} over the unit and everything below it; units with nothing are left out."""
        found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
        for duty in self.months[month].duties.values():
            unit: str | None = duty.unit
            while unit is not None:
                for column, number in duty.counts().items():
                    found[unit][column] += number
                unit = self.parents[unit]
        return {unit: counts for unit, counts in found.items() if any(counts.values())}


# --- both at once ---------------------------------------------------------------------------------------------------
class Company:
    """Does everything twice: by the domain functions and in the oracle. Refused is refused in both."""

    def __init__(self, *, branches: int, months: list[Month], steps: int):
        self.units: dict[str, int] = {}
        parents: dict[str, str | None] = {}
        group = make_unit(code="G")
        self._add(group, None, parents)
        for province in range(2):
            above = make_unit(group, code=f"P{province}")
            self._add(above, "G", parents)
            for branch in range(branches):
                below = make_unit(above, code=f"B{province}{branch:02d}")
                self._add(below, above.code, parents)
        self.branches = [code for code in self.units if code.startswith("B")]
        self.oracle = Oracle(parents)
        self.hr = make_user(username="hr")
        self.course = make_course(steps=steps)
        self.steps = list(self.course.steps.all())
        programme = make_programme(make_audience(group))
        for month in months:
            PlanLine.objects.create(programme=programme, course=self.course, month=month, published_at=PUBLISHED)
        self.frozen: dict[Month, tuple[dt.datetime, dict[str, dict[str, int]]]] = {}

    def _add(self, unit: OrgUnit, parent: str | None, parents: dict[str, str | None]) -> None:
        self.units[unit.code] = unit.pk
        parents[unit.code] = parent

    def _unit(self, code: str) -> OrgUnit:
        return OrgUnit.objects.get(pk=self.units[code])

    def _employee(self, number: str) -> Employee:
        return Employee.objects.select_related("unit", "position", "manager").get(employee_no=number)

    def _run(self, month: Month) -> CourseRun:
        return CourseRun.objects.get(course=self.course, month=month)

    # --- people
    def hire(self, number: str, *, unit: str, on: dt.date) -> None:
        make_employee(self._unit(unit), employee_no=number, hired_on=on)
        self.oracle.people[number] = Person(hired=on, posts=[(on, unit)])

    def quit(self, number: str, *, on: dt.date, at: dt.datetime) -> None:
        person = self.oracle.people[number]
        if person.left is not None or on < person.posts[-1][0] or on < person.hired:
            return
        mark_left(employee=self._employee(number), on=on, by=self.hr, at=at)
        person.left = on

    def move(self, number: str, *, unit: str, on: dt.date, at: dt.datetime) -> None:
        person = self.oracle.people[number]
        if person.left is not None or on <= person.posts[-1][0] or unit == person.unit or on > at.date():
            return
        move_employee(
            employee=self._employee(number),
            unit=self._unit(unit),
            position=None,
            manager=None,
            on=on,
            by=self.hr,
            at=at,
        )
        person.posts.append((on, unit))

    def go_away(self, number: str, *, first: dt.date, last: dt.date, at: dt.datetime) -> None:
        person = self.oracle.people[number]
        if any(start <= last and first <= end for start, end in person.leaves):
            return
        add_leave(employee=self._employee(number), starts_on=first, ends_on=last, by=self.hr, at=at)
        person.leaves.append((first, last))

    def come_back(self, number: str, *, at: dt.datetime) -> None:
        person = self.oracle.people[number]
        if person.leaves:
            first, _last = person.leaves.pop()
            leave = Leave.objects.select_related("employee").get(employee__employee_no=number, starts_on=first)
            remove_leave(leave=leave, by=self.hr, at=at)

    def move_branch(self, code: str, *, under: str, at: dt.datetime) -> None:
        if self.oracle.parents[code] == under:
            return
        move_unit(unit=self._unit(code), under=self._unit(under), by=self.hr, at=at)
        self.oracle.parents[code] = under
        for run in CourseRun.objects.filter(state=CourseRun.State.OPEN):  # as courses.tasks does every minute
            tallies.recount(run=run)

    # --- duties
    def study(self, number: str, month: Month, *, whole: bool, at: dt.datetime) -> None:
        """Open the first step of the course, or do all of it."""
        duty = self.oracle.months[month].duties.get(number) if month in self.oracle.months else None
        if duty is None:
            return
        enrolment = Enrolment.objects.get(run=self._run(month), employee__employee_no=number)
        accepted = at.date() <= self.oracle.months[month].accepted_until and duty.state in OPEN_STATES
        if not whole:
            progress.visit_step(enrolment=enrolment, step=self.steps[0], at=at)
        elif accepted or duty.state == "completed":
            for step in self.steps:
                progress.complete_step(enrolment=enrolment, step=step, at=at)
        else:
            with pytest.raises((progress.TooLate, progress.NotOwed)):
                progress.complete_step(enrolment=enrolment, step=self.steps[0], at=at)
        if accepted:
            duty.state = "completed" if whole else "in_progress"
            duty.on_time = whole and at <= duty.due

    def decide(self, number: str, month: Month, what: str, *, days: int, at: dt.datetime) -> None:
        """Exempt, withdraw, reinstate, extend by ``days``, or record training that was done so many ``days`` ago."""
        duty = self.oracle.months[month].duties.get(number) if month in self.oracle.months else None
        if duty is None:
            return
        enrolment = Enrolment.objects.get(run=self._run(month), employee__employee_no=number)
        values = {"enrolment": enrolment, "by": self.hr, "at": at, "reason": "as agreed"}
        until = duty.due.date() + days * DAY
        on = at.date() - days * DAY
        begun = enrolment.started_at is not None
        try:
            match what:
                case "exempt":
                    exceptions.exempt_enrolment(**values)
                case "withdraw":
                    exceptions.withdraw_enrolment(**values)
                case "reinstate":
                    exceptions.reinstate_enrolment(**values)
                case "extend":
                    exceptions.extend_due(**values, until=until)
                case "past":
                    exceptions.record_past_completion(**values, on=on)
            accepted = True
        except (exceptions.NotPossibleNow, exceptions.DueRefused):
            accepted = False
        last = self.oracle.months[month].accepted_until
        may = {
            "exempt": duty.state in OPEN_STATES,
            "withdraw": duty.state in OPEN_STATES,
            "past": duty.state in OPEN_STATES,
            "reinstate": duty.state in ("exempt", "withdrawn"),
            "extend": duty.state in OPEN_STATES and days > 0 and until <= last and at.date() <= last,
        }[what]
        assert accepted == may, (what, duty, at)
        if not accepted:
            return
        duty.by_hand = True
        match what:
            case "exempt":
                duty.state, duty.why = "exempt", "hand"
            case "withdraw":
                duty.state, duty.why = "withdrawn", "hand"
            case "reinstate":
                duty.state, duty.why = "in_progress" if begun else "assigned", "hand"
            case "extend":
                duty.due = end_of(until)
            case "past":
                duty.state, duty.on_time = "completed", min(end_of(on), at) <= duty.due

    # --- the calendar
    def prepare_month(self, month: Month, day: dt.date) -> None:
        """Make the duties ahead."""
        opening.prepare_month(month=month, by=self.hr, at=moment(day, 21))
        self.oracle.prepare_month(month)

    def open_month(self, month: Month) -> None:
        opening.open_month(month=month, by=self.hr, at=moment(month.first_day, 8))
        if connection.vendor == "postgresql":
            # A server gathers these figures by itself; inside the one transaction of a test it would plan without them.
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
        self.oracle.open_month(month, month.first_day)

    def evening(self, day: dt.date) -> None:
        """Runs that take no late work any more are closed; the others keep up with the roster."""
        at = moment(day, 22)
        for run in CourseRun.objects.filter(state=CourseRun.State.OPEN).order_by("month"):
            if at > run.accept_until:
                opening.close_run(run=run, by=self.hr, at=at)
            else:
                opening.catch_up(run=run, by=self.hr, at=at)
        self.oracle.keep_up(day, at)

    def close_month(self, month: Month, day: dt.date) -> None:
        """Sign every unit from the branches up and close; the oracle keeps a copy of what it counts at this moment."""
        counted = self.oracle.figures(month)
        if not counted:
            return
        at = moment(day, 23)
        group = OrgUnit.objects.get(depth=1)
        close = closing.begin_close(month=month, by=self.hr, at=at)
        closing.sign_below(close=close, unit=group, by=self.hr, at=at)
        closing.sign_off(close=close, unit=group, by=self.hr, at=at)
        assert closing.close_month(close=close, by=self.hr, at=at)
        assert not closing.close_month(close=close, by=self.hr, at=at)
        self.frozen[month] = (at, counted)

    def check(self) -> None:
        """The live figures of every month that takes late work are what the oracle counts."""
        open_months = CourseRun.objects.filter(state=CourseRun.State.OPEN).values_list("month", flat=True)
        for month in open_months:
            rows = Tally.objects.filter(run__month=month).values("unit", *COLUMNS)
            assert self._by_code(rows) == self.oracle.figures(month), month

    def check_closed(self) -> None:
        """Whatever happened since: the figures of a closed month, and those of its moment, are what they were."""
        for month, (at, counted) in self.frozen.items():
            close = MonthClose.objects.get(month=month)
            assert self._by_code(ClosedFigure.objects.filter(close=close).values("unit", *COLUMNS)) == counted, month
            assert closing.digest_of(close)[0] == close.digest, month
            then = [
                {"unit": unit, **{column: getattr(figures, column) for column in COLUMNS}}
                for unit, figures in figures_as_of(at=at, month=month).items()
            ]
            assert self._by_code(then) == counted, month

    def _by_code(self, rows: Iterable[dict]) -> dict[str, dict[str, int]]:
        """Rows of figures in the form of the oracle's: units with nothing are left out."""
        codes = {pk: code for code, pk in self.units.items()}
        found = {codes[row["unit"]]: {column: row[column] for column in COLUMNS} for row in rows}
        return {unit: counts for unit, counts in found.items() if any(counts.values())}
