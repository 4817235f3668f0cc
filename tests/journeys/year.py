"""A company told twice: through the domain functions, and to an oracle that knows nothing but the rules in words.

What the rules are is written in tests/journeys/oracle.py.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable

import pytest
from django.db.models import Sum
from django.utils import translation

from core.periods import Month
from core.statistics import gather_statistics
from courses.domain import (
    audiences,
    catching_up,
    choice,
    closing,
    exceptions,
    opening,
    people_lists,
    preparing,
    progress,
    requests,
    tallies,
)
from courses.domain.history import Stand as HistoryStand
from courses.domain.history import changes_since, figures_as_of
from courses.models import Audience, ClosedFigure, CourseRun, DutyRequest, Enrolment, MonthClose, PeopleList, Tally
from people.domain.leave import add_leave, remove_leave
from people.domain.moves import mark_left, move_employee
from people.domain.units import move_unit
from people.models import Employee, Leave, OrgUnit, Position
from tests.factories.courses import PUBLISHED, make_audience, make_course, make_programme
from tests.factories.people import make_employee, make_position, make_unit, make_user
from tests.journeys.oracle import COLUMNS, DAY, DECIDED, FAMILIES, ZONE, Adjustment, Oracle, Person, Request, Stand

MAIN, EXTRA = "MAIN", "EXTRA"  # the course of the plan, and one that is taken by choice alone


def moment(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZONE)


class Company:
    """Does everything twice: by the domain functions and in the oracle. Refused is refused in both.

    ``rules`` are those of the plan's audiences: the first of the whole company, a second one of the province P1.
    """

    def __init__(self, *, branches: int, months: list[Month], steps: int, rules: Iterable[dict] = ({},)):
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
        self.oracle = Oracle(parents=parents, planned=MAIN)
        self.hr = make_user(username="hr")
        self.courses = {code: make_course(code=code, steps=steps) for code in (MAIN, EXTRA)}
        self.steps = {code: list(course.steps.all()) for code, course in self.courses.items()}
        for title, family in FAMILIES.items():
            make_position(title, job_family=family)
        self.lists: dict[str, PeopleList] = {}  # one for each audience, by the code of its unit
        self.audiences: list[Audience] = []
        for scope, rule in zip(("G", "P1"), rules, strict=False):
            unit = self._unit(scope)
            audience = make_audience(unit)
            self.lists[scope] = people_lists.make_list(name="Chosen", scope=unit, by=self.hr, at=PUBLISHED)
            self.oracle.on_list[scope] = set()
            self.audiences.append(audience)
            self.oracle.audiences.append((scope, {}))
            self.change_rule(len(self.audiences) - 1, rule, at=PUBLISHED)
            plan = [(self.courses[MAIN], month) for month in months]
            make_programme(audience, plan=plan)
        self.reasons = (f"as agreed, file {number}" for number in itertools.count(1))
        self.requests: list[tuple[int, Request]] = []  # the id of each, and what the oracle knows of it
        self.frozen: dict[Month, tuple[dt.datetime, dict[str, dict[str, int]]]] = {}

    def _add(self, unit: OrgUnit, parent: str | None, parents: dict[str, str | None]) -> None:
        self.units[unit.code] = unit.pk
        parents[unit.code] = parent

    def _unit(self, code: str) -> OrgUnit:
        return OrgUnit.objects.get(pk=self.units[code])

    def _employee(self, number: str) -> Employee:
        return Employee.objects.select_related("unit", "position", "manager").get(employee_no=number)

    def _enrolment(self, number: str, course: str, month: Month) -> Enrolment:
        return Enrolment.objects.select_related("run").get(
            run__course=self.courses[course], run__month=month, employee__employee_no=number
        )

    def _position(self, title: str | None) -> Position | None:
        return Position.objects.get(title=title) if title else None

    # --- audiences
    def change_rule(self, place: int, rule: dict, *, at: dt.datetime) -> None:
        """Give an audience another rule; {"list": true} in it is the list of its unit."""
        place %= len(self.audiences)
        audience = self.audiences[place]
        self.audiences[place] = audiences.save_audience(
            audience=audience,
            name=audience.name,
            name_en=audience.name_en,
            scope=audience.scope,
            rule=self._with_list(rule, audience.scope.code),
            by=self.hr,
            at=at,
        )
        self.oracle.audiences[place] = (audience.scope.code, rule)

    def _with_list(self, rule: dict, scope: str) -> dict:
        named = dict(rule)
        for key, value in rule.items():
            if key == "list":
                named[key] = self.lists[scope].pk
            elif key == "not":
                named[key] = self._with_list(value, scope)
            elif key in ("all", "any"):
                named[key] = [self._with_list(part, scope) for part in value]
        return named

    def change_lists(self, number: str, *, on_it: bool, at: dt.datetime) -> None:
        """Put a person on the lists of the units above, which is refused for who has left, or take the person off all."""
        person, everybody = self.oracle.people[number], Employee.objects.all()
        for scope, people_list in self.lists.items():
            values = {"people_list": people_list, "by": self.hr, "at": at}
            if on_it:
                people_lists.add_by_number(text=number, people=everybody, **values)
                if person.left is None and scope in self.oracle.upwards(person.unit):
                    self.oracle.on_list[scope].add(number)
            else:
                people_lists.remove_from_list(employees=everybody.filter(employee_no=number), **values)
                self.oracle.on_list[scope].discard(number)

    # --- people
    def hire(self, number: str, *, unit: str, on: dt.date, position: str | None = None) -> None:
        make_employee(
            self._unit(unit),
            position=self._position(position),
            employee_no=number,
            hired_on=on,
            with_user=True,
            password=None,
        )
        self.oracle.people[number] = Person(hired=on, posts=[(on, unit)], position=position)

    def quit(self, number: str, *, on: dt.date, at: dt.datetime) -> None:
        person = self.oracle.people[number]
        if person.left is not None or on < person.posts[-1][0] or on < person.hired:
            return
        mark_left(employee=self._employee(number), on=on, by=self.hr, at=at)
        person.left = on

    def move(self, number: str, *, unit: str, position: str | None, on: dt.date, at: dt.datetime) -> None:
        person = self.oracle.people[number]
        same = (unit, position) == (person.unit, person.position)
        if person.left is not None or on <= person.posts[-1][0] or same or on > at.date():
            return
        move_employee(
            employee=self._employee(number),
            unit=self._unit(unit),
            position=self._position(position),
            manager=None,
            on=on,
            by=self.hr,
            at=at,
        )
        person.posts.append((on, unit))
        person.position = position

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
    def study(self, number: str, course: str, month: Month, *, whole: bool, at: dt.datetime) -> None:
        """Open the first step of the course, or do all of it."""
        duty = self.oracle.duty(number, course, month)
        if duty is None:
            return
        done = duty.state == "completed"
        accepted = self.oracle.study(number, course, month, whole=whole, at=at)
        enrolment, steps = self._enrolment(number, course, month), self.steps[course]
        if not whole:
            progress.visit_step(enrolment=enrolment, step=steps[0], at=at)
        elif accepted or done:
            for step in steps:
                progress.complete_step(enrolment=enrolment, step=step, at=at)
        else:
            with pytest.raises((progress.TooLate, progress.NotOwed)):
                progress.complete_step(enrolment=enrolment, step=steps[0], at=at)

    def decide(self, number: str, course: str, month: Month, what: str, *, days: int, at: dt.datetime) -> None:
        """Exempt, withdraw, reinstate, extend by ``days``, or record training that was done so many ``days`` ago."""
        duty = self.oracle.duty(number, course, month)
        if duty is None:
            return
        enrolment = self._enrolment(number, course, month)
        reason = next(self.reasons)
        values = {"enrolment": enrolment, "by": self.hr, "at": at, "reason": reason}
        until, on = duty.due.date() + days * DAY, at.date() - days * DAY
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
        run = self.oracle.runs[course, month]
        assert accepted == self.oracle.decide(number, run, what, until=until, on=on, at=at, text=reason), (
            what,
            duty,
            at,
        )

    def take(self, number: str, course: str, at: dt.datetime) -> None:
        """Take a course by choice; twice changes nothing."""
        for _time in range(2):
            employee = self._employee(number)
            try:
                choice.take_course(employee=employee, course=self.courses[course], by=self.hr, at=at)
                taken = True
            except choice.ChoiceRefused:
                taken = False
            assert taken == self.oracle.take(number, course, at), (number, course, at)

    def give_up(self, number: str, course: str, month: Month, at: dt.datetime) -> None:
        duty = self.oracle.duty(number, course, month)
        if duty is None:
            return
        try:
            choice.give_up(enrolment=self._enrolment(number, course, month), by=self.hr, at=at)
            given_up = True
        except choice.NotGivenUp:
            given_up = False
        assert given_up == self.oracle.give_up(number, course, month, at), (duty, at)

    # --- requests
    def ask(self, number: str, course: str, month: Month, *, days: int | None, at: dt.datetime) -> bool:
        """Ask for so many ``days`` more from the due day, or (None) to be excused."""
        duty = self.oracle.duty(number, course, month)
        if duty is None:
            return False
        until = None if days is None else duty.due.date() + days * DAY
        kind = DutyRequest.Kind.EXEMPTION if until is None else DutyRequest.Kind.EXTENSION
        enrolment = self._enrolment(number, course, month)
        text = next(self.reasons)
        values = {"enrolment": enrolment, "kind": kind, "code": DutyRequest.Code.SICK, "text": text, "at": at}
        with pytest.raises(requests.NotOwnDuty):
            requests.ask(**values, until=until, by=self.hr)
        try:
            asked = requests.ask(**values, until=until, by=self._employee(number).user)
        except (requests.NothingToAsk, requests.AlreadyAsked, exceptions.DueRefused):
            asked = None
        known = self.oracle.ask(number, self.oracle.runs[course, month], until=until, text=text, at=at)
        assert (asked is None) == (known is None), (duty, until, at)
        if asked is not None and known is not None:
            self.requests.append((asked.pk, known))
        return asked is not None

    def answer(self, place: int, what: str, *, sooner: int, at: dt.datetime) -> None:
        """Grant, refuse or take back one of what was asked lately; nobody answers what he asked himself."""
        if not self.requests:
            return
        pk, known = self.requests[-1 - place % len(self.requests)]
        request = DutyRequest.objects.select_related("enrolment__employee__user").get(pk=pk)
        own = request.enrolment.employee.user
        until = known.until - sooner * DAY if known.until else None
        with pytest.raises(requests.OwnRequest):
            requests.grant(request=request, by=own, at=at)
        try:
            match what:
                case "grant":
                    requests.grant(request=request, by=self.hr, at=at, until=until)
                case "refuse":
                    requests.refuse(request=request, by=self.hr, at=at, answer="not this month")
                case "take back":
                    requests.take_back(request=request, by=own, at=at)
            done = True
        except (requests.NotWaiting, exceptions.NotPossibleNow, exceptions.DueRefused):
            done = False
        assert done == self.oracle.answer(known, what, sooner=sooner, at=at), (what, known, at)

    # --- the calendar
    def prepare_month(self, month: Month, day: dt.date) -> None:
        """Make the duties ahead."""
        preparing.prepare_month(month=month, by=self.hr, at=moment(day, 21))
        self.oracle.prepare_month(month)

    def open_month(self, month: Month) -> None:
        at = moment(month.first_day, 8)
        opening.open_month(month=month, by=self.hr, at=at)
        gather_statistics()
        self.oracle.open_month(month, at)

    def evening(self, day: dt.date) -> None:
        """Runs that take no late work any more are closed; the others keep up with the roster."""
        at = moment(day, 22)
        for run in CourseRun.objects.filter(state=CourseRun.State.OPEN).order_by("month"):
            if at > run.accept_until:
                opening.close_run(run=run, by=self.hr, at=at)
            else:
                report = catching_up.catch_up(run=run, by=self.hr, at=at)
                assert not report.changed or not catching_up.catch_up(run=run, by=self.hr, at=at).changed
        self.oracle.keep_up(at)
        requests.lapse_requests(at=at)
        self.oracle.lapse(at)

    def close_month(self, month: Month, day: dt.date) -> None:
        """Sign every unit from the branches up and close; the oracle keeps a copy of what it counts at this moment."""
        counted = self.oracle.figures(self.oracle.runs_of(month))
        if not any(counted.get("G", {}).get(column) for column in ("assigned", "exempt", "withdrawn")):
            return  # nothing was owed
        at = moment(day, 23)
        group = OrgUnit.objects.get(depth=1)
        close = closing.begin_close(month=month, by=self.hr, at=at)
        closing.sign_below(close=close, unit=group, by=self.hr, at=at)
        closing.sign_off(close=close, unit=group, by=self.hr, at=at)
        assert closing.close_month(close=close, by=self.hr, at=at)
        assert not closing.close_month(close=close, by=self.hr, at=at)
        self.oracle.close_month(month)
        self.frozen[month] = (at, counted)

    def check(self) -> None:
        """The live figures of every course that takes late work are what the oracle counts."""
        for run in CourseRun.objects.filter(state=CourseRun.State.OPEN).select_related("course"):
            found = self._by_code(Tally.objects.filter(run=run).values("unit", *COLUMNS))
            assert found == self.oracle.figures([self.oracle.runs[run.course.code, run.month]]), run

        states = dict(DutyRequest.objects.values_list("pk", "state"))
        assert states == {pk: request.state for pk, request in self.requests}

    def check_closed(self) -> None:
        """Whatever happened since: the figures of a closed month, and those of its moment, are what they were."""
        for month, (at, counted) in self.frozen.items():
            close = MonthClose.objects.get(month=month)
            sums = {column: Sum(column) for column in COLUMNS}
            frozen = ClosedFigure.objects.filter(close=close).order_by().values("unit").annotate(**sums)
            assert self._by_code(frozen) == counted, month
            assert closing.digest_of(close)[0] == close.digest, month
            then = [
                {"unit": unit, **{column: getattr(figures, column) for column in COLUMNS}}
                for unit, figures in figures_as_of(at=at, month=month).items()
            ]
            assert self._by_code(then) == counted, month
            assert self._adjustments(close) == self.oracle.adjustments(month), month
            group = closing.closed_units(close=close)[self.units["G"]]
            now = self.oracle.figures(self.oracle.runs_of(month))["G"]
            assert {column: getattr(group.adjusted, column) for column in COLUMNS} == now, month

    def _adjustments(self, close: MonthClose) -> dict[tuple[str, str], Adjustment]:
        """What the history says moved since a month was closed, who moved it and why; in the form of the oracle's."""
        found = {}
        with translation.override("en"):
            for change in changes_since(month=close.month, at=close.closed_at, newest=close.newest_change):
                assert change.by == (self.hr if change.how == DECIDED else None), change
                key = change.enrolment.run.course.code, change.employee.employee_no
                before = self._stand(change.before) if change.before else None
                found[key] = Adjustment(before, self._stand(change.now), change.at, change.how, change.why)
        return found

    def _stand(self, stand: HistoryStand) -> Stand:
        on_time = stand.on_time if stand.state == Enrolment.State.COMPLETED else None
        return Stand(stand.state, on_time, stand.voluntary, stand.unit.code)

    def _by_code(self, rows: Iterable[dict]) -> dict[str, dict[str, int]]:
        """Rows of figures in the form of the oracle's: units with nothing are left out."""
        codes = {pk: code for code, pk in self.units.items()}
        found = {codes[row["unit"]]: {column: row[column] for column in COLUMNS} for row in rows}
        return {unit: counts for unit, counts in found.items() if any(counts.values())}
