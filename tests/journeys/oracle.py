"""The oracle of the simulated year: plain Python over its own facts, told to it as they happen. It asks no database.

It looks at one person at a time, day by day, and shares no code with the domain but what a month is: what it says is a
second opinion, and the two must agree in every figure of every unit.

The rules it knows (DOMAIN section 2, docs/decisions/0009):
- who works here on the opening day and is in an audience of the plan owes the course; who joins the company or an
  audience later owes it while seven days are left, both ends counted; who leaves an audience later keeps the duty;
- a month is prepared ahead for whom its first day would find; who is not found when it opens is withdrawn, and owes it
  again when found while joiners are taken;
- who is away on every day from the start (or the hire day) to the due day is exempt, unless begun or decided by hand;
- who left by the due day is withdrawn, unless it was done; a decision by hand is never overruled by a rule;
- the duty counts where the person works until it is due, and from then on where the person worked on the due day;
- done by the due time is on time, done later but accepted is late; the month's frozen figures never move;
- what is taken by choice is owed by nobody and counts beside the denominator; given up it counts nowhere and may be
  taken again; it becomes owed, as far as it is done, when the plan comes to the person while joiners are taken;
- a person asks for more time or to be excused, once at a time, about what is owed and unfinished while its course is
  open; nothing moves until it is granted, by somebody else, and what is granted is a decision like any other; a request
  with nothing left to answer lapses;
- what counts otherwise than when its month was closed is an adjustment: the person's own when begun or done by learning
  or given up, else decided by who decided it since, else the roster's; with the words of the newest decision.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from core.periods import Month

ZONE = ZoneInfo("Asia/Shanghai")
DAY = dt.timedelta(days=1)
COLUMNS = ("assigned", "started", "completed", "on_time", "exempt", "withdrawn", "voluntary", "voluntary_done")
UNFINISHED = ("assigned", "in_progress")
FAMILIES = {"Teller": "Counter", "Adviser": "Counter", "Auditor": "Inspection"}  # position: job family
ROSTER_SAYS = {"left": "left the company", "leave": "on leave for the whole window"}
OWN, DECIDED, ROSTER = "own", "decided", "roster"  # who made a change


def end_of(day: dt.date) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=ZONE)


@dataclass
class Person:
    """What is known of one person: hired, left, posts as (first day, unit), the present position, days away."""

    hired: dt.date
    posts: list[tuple[dt.date, str]]
    position: str | None = None
    left: dt.date | None = None
    leaves: list[tuple[dt.date, dt.date]] = field(default_factory=list)

    def here_on(self, day: dt.date) -> bool:
        return self.hired <= day and (self.left is None or day <= self.left)

    @property
    def unit(self) -> str:
        return self.posts[-1][1]

    def months_of_service(self, day: dt.date) -> int:
        """Whole months: one is complete on the same day of a later month, or on its last when it has no such day."""
        months = -1
        while True:
            year, month = divmod(self.hired.year * 12 + self.hired.month - 1 + months + 1, 12)
            last = Month(year, month + 1).last_day.day
            if dt.date(year, month + 1, min(self.hired.day, last)) > day:
                return months
            months += 1

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


@dataclass(frozen=True)
class Change:
    """One change of a duty: who made it, with which words, and whether its state is another one since."""

    at: dt.datetime
    who: str
    text: str
    of_state: bool


@dataclass(frozen=True)
class Stand:
    """How a duty counts, and where."""

    state: str
    on_time: bool | None
    voluntary: bool
    unit: str

    def counts(self) -> dict[str, int]:
        if self.voluntary:
            if self.state == "withdrawn":
                return {}
            return {"voluntary": 1, "voluntary_done": int(self.state == "completed")}
        if self.state in ("exempt", "withdrawn"):
            return {self.state: 1}
        found = {"assigned": 1}
        if self.state != "assigned":
            found["started"] = 1
        if self.state == "completed":
            found["completed"] = 1
            found["on_time"] = int(self.on_time)
        return found


@dataclass(frozen=True)
class Adjustment:
    """What moved since the close, who moved it last, and why."""

    before: Stand | None
    now: Stand
    at: dt.datetime
    who: str
    why: str


@dataclass
class Duty:
    """One person's course of one month as the rules have it, and the journal of who changed it when."""

    unit: str
    due: dt.datetime
    state: str = "assigned"
    on_time: bool = False
    voluntary: bool = False
    by_hand: bool = False
    why: str = "plan"
    begun: bool = False
    journal: list[Change] = field(default_factory=list)

    def change(self, at: dt.datetime, who: str, text: str = "", **values: Any) -> None:
        state = self.state
        if any(getattr(self, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(self, name, value)
            self.journal.append(Change(at, who, text, state != self.state))

    @property
    def stand(self) -> Stand:
        return Stand(self.state, self.on_time if self.state == "completed" else None, self.voluntary, self.unit)

    @property
    def as_far_as_it_is(self) -> str:
        return "in_progress" if self.begun else "assigned"


@dataclass
class Run:
    """Everybody's duty of one course in one month; ``first`` and ``due`` are its first and its due day."""

    course: str
    month: Month
    duties: dict[str, Duty] = field(default_factory=dict)
    planned: bool = True  # somebody owes it; otherwise it is there because somebody took it by choice
    closed: bool = False

    @property
    def first(self) -> dt.date:
        return self.month.first_day

    @property
    def due(self) -> dt.date:
        return self.month.last_day

    @property
    def accepted_until(self) -> dt.date:
        return self.month.next.last_day

    def accepts(self, at: dt.datetime) -> bool:
        return not self.closed and at.date() <= self.accepted_until


@dataclass
class Request:
    """What a person asked about a duty; ``until`` is the day asked for (None: to be excused)."""

    number: str
    run: Run
    until: dt.date | None
    text: str
    state: str = "asked"

    @property
    def duty(self) -> Duty:
        return self.run.duties[self.number]


class Oracle:
    def __init__(self, *, parents: dict[str, str | None], planned: str):
        self.parents = dict(parents)
        self.planned = planned  # the course of the plan
        self.people: dict[str, Person] = {}
        self.runs: dict[tuple[str, Month], Run] = {}
        self.ahead: dict[Month, set[str]] = {}  # who had the duty before the month began
        self.requests: list[Request] = []
        self.audiences: list[tuple[str, dict]] = []  # of the plan: the unit, and the rule for the people in it
        self.closed: dict[Month, dict[tuple[str, str], tuple[Stand, int]]] = {}  # how each duty stood at the close
        self.on_list: dict[str, set[str]] = {}  # {the unit that an audience and its list are of: who is on it}

    def duty(self, number: str, course: str, month: Month) -> Duty | None:
        run = self.runs.get((course, month))
        return run.duties.get(number) if run else None

    # --- audiences
    def found(self, number: str, day: dt.date) -> bool:
        """Is the person in an audience of the plan on a day, as far as is known now?"""
        person = self.people[number]
        return person.here_on(day) and any(
            scope in self.upwards(person.unit) and self._meets(rule, scope, number, day)
            for scope, rule in self.audiences
        )

    def _meets(self, rule: dict, scope: str, number: str, day: dt.date) -> bool:
        return all(self._holds(key, value, scope, number, day) for key, value in rule.items())

    def _holds(self, key: str, value: Any, scope: str, number: str, day: dt.date) -> bool:
        person = self.people[number]
        match key:
            case "all":
                return all(self._meets(part, scope, number, day) for part in value)
            case "any":
                return any(self._meets(part, scope, number, day) for part in value)
            case "not":
                return not self._meets(value, scope, number, day)
            case "units":
                return any(unit in value for unit in self.upwards(person.unit))
            case "positions":
                return person.position in value
            case "job_families":
                return person.position is not None and FAMILIES[person.position] in value
            case "hired_from":
                return person.hired >= dt.date.fromisoformat(value)
            case "hired_until":
                return person.hired <= dt.date.fromisoformat(value)
            case "tenure_from":
                return person.months_of_service(day) >= value
            case "tenure_until":
                return person.months_of_service(day) < value
            case "list":
                return number in self.on_list[scope]
            case "completed":
                return any(self._completed(run, number, value) for run in self.runs.values())
        raise ValueError(key)

    def _completed(self, run: Run, number: str, wanted: dict) -> bool:
        duty = run.duties.get(number)
        if run.course != wanted["course"] or duty is None or duty.state != "completed":
            return False
        early, late = str(run.month) < wanted.get("since", ""), str(run.month) > wanted.get("until", "9")
        return not early and not late and (duty.on_time or not wanted.get("on_time"))

    # --- the plan
    def prepare_month(self, month: Month) -> None:
        """Whom the first day of the month would find, as far as is known now."""
        self.ahead[month] = {number for number in self.people if self.found(number, month.first_day)}

    def open_month(self, month: Month, at: dt.datetime) -> None:
        """Who was prepared ahead and is not found now shows as withdrawn: the record of a duty is never deleted."""
        run = self.runs[self.planned, month] = Run(self.planned, month)
        for number, person in self.people.items():
            self._enrol(run, number, at)
            if number in self.ahead.get(month, ()) and number not in run.duties:
                left = person.left is not None and person.left < run.first
                why = "left" if left else "moved"
                run.duties[number] = Duty(unit=person.unit, due=end_of(run.due), state="withdrawn", why=why)

    def _enrol(self, run: Run, number: str, at: dt.datetime) -> None:
        """Give the duty to whom the plan finds; who took the course by choice owes it from now on, as far as it is."""
        person, duty = self.people[number], run.duties.get(number)
        if not self._finds(run, number, at):
            return
        if duty is None:
            duty = run.duties[number] = Duty(unit=person.unit, due=end_of(run.due))
        elif duty.voluntary and not (duty.state == "withdrawn" and duty.by_hand):
            state = duty.as_far_as_it_is if duty.state == "withdrawn" else duty.state
            duty.change(at, ROSTER, voluntary=False, state=state, why="plan")
        else:
            return
        self._excuse(run, person, duty, at)

    def _finds(self, run: Run, number: str, at: dt.datetime) -> bool:
        """Does the plan find the person today, and was the person hired early enough for this month?"""
        hired = self.people[number].hired
        too_late = hired > run.first and (run.due - hired).days + 1 < 7
        return self.found(number, max(at.date(), run.first)) and not too_late

    def _excuse(self, run: Run, person: Person, duty: Duty, at: dt.datetime) -> None:
        ruled = duty.state == "assigned" and not duty.voluntary and not duty.by_hand
        if ruled and person.away_from(run.first, run.due):
            duty.change(at, ROSTER, state="exempt", why="leave")

    # --- the evening
    def keep_up(self, at: dt.datetime) -> None:
        """What the rules say of every course whose late work is still accepted, on this evening."""
        today = at.date()
        for run in self.runs.values():
            if today > run.accepted_until:
                run.closed = True
                continue
            for number, duty in run.duties.items():
                self._settle(run, number, duty, at)
            if run.planned and self._takes_joiners(run, at):
                for number, person in self.people.items():
                    if not self._gone(run, person, at):
                        self._enrol(run, number, at)

    def _gone(self, run: Run, person: Person, at: dt.datetime) -> bool:
        return person.left is not None and person.left <= min(run.due, at.date())

    def _takes_joiners(self, run: Run, at: dt.datetime) -> bool:
        return (run.due - max(at.date(), run.first)).days + 1 >= 7

    def _settle(self, run: Run, number: str, duty: Duty, at: dt.datetime) -> None:
        person = self.people[number]
        gone = self._gone(run, person, at)
        away = person.away_from(run.first, run.due)
        if gone and duty.state not in ("completed", "withdrawn") and not (duty.by_hand and duty.state == "exempt"):
            # the rule's withdrawal, whoever decided before
            duty.change(at, ROSTER, state="withdrawn", why="left", by_hand=False)
        moved_out = duty.state == "withdrawn" and duty.why == "moved" and not duty.by_hand
        if moved_out and not gone and self._takes_joiners(run, at) and self._finds(run, number, at):
            duty.change(at, ROSTER, state="assigned", why="plan")
        self._excuse(run, person, duty, at)
        if duty.state == "exempt" and duty.why == "leave" and not duty.by_hand and not away and at <= duty.due:
            duty.change(at, ROSTER, state="assigned", why="plan")
        there = person.unit if at <= duty.due else person.unit_on(duty.due.date()) or duty.unit
        duty.change(at, ROSTER, unit=there)

    # --- learning
    def study(self, number: str, course: str, month: Month, *, whole: bool, at: dt.datetime) -> bool:
        """Begin, or do, all of a course; False when nothing of it is accepted (any more)."""
        run = self.runs[course, month]
        duty = run.duties[number]
        if not run.accepts(at) or duty.state not in UNFINISHED:
            return False
        state = "completed" if whole else "in_progress"
        duty.change(at, OWN, state=state, on_time=whole and at <= duty.due, begun=True)
        return True

    # --- choice
    def take(self, number: str, course: str, at: dt.datetime) -> bool:
        """Take a course by choice this month, or go on with it; False when it is refused.

        Refused to who left, and to who has it on record: owed and still accepted from any month, or of this month and
        not given up.
        """
        person, this = self.people[number], Month.of(at.date())
        if person.left is not None:
            return False
        for run in sorted(self.runs.values(), key=lambda run: run.month, reverse=True):
            duty = run.duties.get(number)
            if run.course != course or duty is None:
                continue
            usable = duty.state in UNFINISHED and run.accepts(at)
            if usable and duty.voluntary:
                return True
            given_up = duty.voluntary and duty.state == "withdrawn" and not duty.by_hand
            if usable or (run.month == this and not given_up):
                return False
        run = self.runs.setdefault((course, this), Run(course, this, planned=False))
        duty = run.duties.get(number)
        if duty is None:
            run.duties[number] = Duty(unit=person.unit, due=end_of(run.due), voluntary=True, why="choice")
        else:
            duty.change(at, OWN, state=duty.as_far_as_it_is, unit=person.unit, why="choice")
        return True

    def give_up(self, number: str, course: str, month: Month, at: dt.datetime) -> bool:
        """Give up what one took by choice and has not finished, at any time; False for a duty, or what is finished."""
        duty = self.runs[course, month].duties[number]
        if not duty.voluntary or duty.state not in (*UNFINISHED, "withdrawn"):
            return False
        if duty.state != "withdrawn":
            duty.change(at, OWN, state="withdrawn", why="choice", by_hand=False)
        return True

    # --- decisions
    def decide(
        self, number: str, run: Run, what: str, *, until: dt.date, on: dt.date, at: dt.datetime, text: str
    ) -> bool:
        """Exempt, withdraw, reinstate, extend, or record training done elsewhere on a day; False when it is refused."""
        duty = run.duties[number]
        unfinished = duty.state in UNFINISHED
        due_on = duty.due.date()
        may = {
            "exempt": unfinished and not duty.voluntary,
            "withdraw": unfinished,
            "past": unfinished,
            "reinstate": duty.state in ("exempt", "withdrawn"),
            "extend": unfinished and not duty.voluntary and not run.closed and due_on < until <= run.accepted_until,
        }[what]
        if not may:
            return False
        values: dict[str, Any] = {
            "exempt": {"state": "exempt"},
            "withdraw": {"state": "withdrawn"},
            "reinstate": {"state": duty.as_far_as_it_is},
            "extend": {"due": end_of(until)},
            "past": {"state": "completed", "on_time": min(end_of(on), at) <= duty.due},
        }[what]
        why = duty.why if what == "extend" else "hand"
        duty.change(at, DECIDED, text, **values, why=why, by_hand=True)
        return True

    # --- requests
    def ask(self, number: str, run: Run, *, until: dt.date | None, text: str, at: dt.datetime) -> Request | None:
        """Ask for time until a day, or (None) to be excused; None when there is nothing to ask, or it was asked."""
        duty = run.duties[number]
        if duty.voluntary or duty.state not in UNFINISHED or run.closed:
            return None
        if until is not None and not max(duty.due.date() + DAY, at.date()) <= until <= run.accepted_until:
            return None
        if any(one.state == "asked" and one.duty is duty for one in self.requests):
            return None
        self.requests.append(Request(number, run, until, text))
        return self.requests[-1]

    def answer(self, request: Request, what: str, *, sooner: int, at: dt.datetime) -> bool:
        """Grant a request (so many days ``sooner`` than asked), refuse it, or take it back; False when it cannot be."""
        if request.state != "asked":
            return False
        if what == "grant":
            kind = "extend" if request.until else "exempt"
            until = request.until - sooner * DAY if request.until else at.date()
            values = {"until": until, "on": at.date(), "at": at, "text": request.text}
            if not self.decide(request.number, request.run, kind, **values):
                return False
        request.state = {"grant": "granted", "refuse": "refused", "take back": "taken_back"}[what]
        return True

    def lapse(self, at: dt.datetime) -> None:
        for request in self.requests:
            more_time = request.until is not None and request.until > request.duty.due.date()
            useful = request.until is None or (more_time and request.run.accepts(at))
            if request.state == "asked" and not (useful and request.duty.state in UNFINISHED):
                request.state = "lapsed"

    # --- the close
    def close_month(self, month: Month) -> None:
        self.closed[month] = {
            (run.course, number): (duty.stand, len(duty.journal))
            for run in self.runs_of(month)
            for number, duty in run.duties.items()
        }

    def adjustments(self, month: Month) -> dict[tuple[str, str], Adjustment]:
        """{(course, number): what moved since the month was closed}."""
        found = {}
        for run in self.runs_of(month):
            for number, duty in run.duties.items():
                before, known = self.closed[month].get((run.course, number), (None, 0))
                if before != duty.stand:
                    found[run.course, number] = self._adjustment(before, duty, duty.journal[known:])
        return found

    def _adjustment(self, before: Stand | None, duty: Duty, since: list[Change]) -> Adjustment:
        now, was = duty.stand, before.state if before else None
        decisions = [one for one in since if one.who == DECIDED]
        if was != now.state:
            newest = [one for one in since if one.of_state][-1]
            # Whoever brought a duty back has moved it, though the person has gone on with it since.
            brought_back = was in ("exempt", "withdrawn") and now.state == "in_progress"
            who = DECIDED if brought_back and decisions else newest.who
        else:
            who = DECIDED if decisions else ROSTER
        if who == OWN:
            why = ""
        elif before and before.unit != now.unit and before.counts() == now.counts():
            why = "the duty went with the person to another unit"
        else:
            why = decisions[-1].text if who == DECIDED else ROSTER_SAYS[duty.why]
        return Adjustment(before, now, duty.journal[-1].at, who, why)

    # --- figures
    def figures(self, runs: Iterable[Run]) -> dict[str, dict[str, int]]:
        """{unit code: counts} over the unit and everything below it; units with nothing are left out."""
        found: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
        for run in runs:
            for duty in run.duties.values():
                for unit in self.upwards(duty.unit):
                    for column, number in duty.stand.counts().items():
                        found[unit][column] += number
        return {unit: counts for unit, counts in found.items() if any(counts.values())}

    def runs_of(self, month: Month) -> list[Run]:
        return [run for run in self.runs.values() if run.month == month]

    def upwards(self, unit: str | None) -> Iterable[str]:
        while unit is not None:
            yield unit
            unit = self.parents[unit]
