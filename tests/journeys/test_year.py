"""A year of months through the domain functions gives, month by month, what an independent recount gives.

HISTORIES=5000 tells more histories than the sixty of an ordinary run.
"""

import datetime as dt
import os
import random

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from core.periods import Month
from tests.journeys.oracle import DAY, FAMILIES
from tests.journeys.year import EXTRA, MAIN, Company, moment

HISTORIES = int(os.environ.get("HISTORIES", "60"))
FIRST = Month(2026, 1)
PREPARED_BEFORE = 7 * DAY  # every other month is made ahead
CLOSED_AFTER = 5 * DAY  # a month is closed so long after its due day

DECISIONS = ("exempt", "withdraw", "reinstate", "extend", "past")
ANSWERS = ("grant", "grant", "refuse", "take back")
POSITIONS = (None, *FAMILIES)
HIRED = tuple(dt.date.fromisoformat(day) for day in ("2025-06-01", "2025-08-31", "2025-12-15", "2026-01-01"))


def any_of(values, most=2):
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)


def fields(**fields):
    """One of these conditions alone."""
    return st.one_of(st.fixed_dictionaries({key: values}) for key, values in fields.items())


MONTH = st.sampled_from(tuple(str(FIRST.plus(number)) for number in range(3)))
DATE = st.sampled_from(tuple((day + DAY * number).isoformat() for day in HIRED for number in (0, 1)) + ("2026-02-01",))
OF_PEOPLE = fields(
    positions=any_of(tuple(FAMILIES)),
    job_families=any_of(tuple(set(FAMILIES.values())), most=1),
    hired_from=DATE,
    hired_until=DATE,
    tenure_from=st.integers(1, 8),
    tenure_until=st.integers(1, 8),
    list=st.just(True),
    completed=st.fixed_dictionaries(
        {"course": st.sampled_from((MAIN, EXTRA))}, optional={"since": MONTH, "on_time": st.booleans()}
    )
    | st.fixed_dictionaries({"course": st.sampled_from((MAIN, EXTRA)), "until": MONTH}),
)
OF_UNITS = fields(units=any_of(("G", "P0", "P1", "B000", "B001", "B100", "B101")))


def grouped(parts):
    some = st.lists(parts, min_size=1, max_size=3)
    both = st.tuples(OF_PEOPLE, fields(all=some, any=some)).map(lambda two: two[0] | two[1])
    return fields(**{"all": some, "any": some, "not": parts}) | both


RULES = (
    st.just({}) | st.recursive(OF_PEOPLE | OF_UNITS, grouped, max_leaves=4),  # of the whole company
    st.recursive(OF_PEOPLE, grouped, max_leaves=3),  # of one province
)
PERSON, BRANCH = st.integers(0, 9), st.integers(0, 5)
COURSE, MONTHS_AGO = st.sampled_from((MAIN, MAIN, EXTRA)), st.integers(0, 2)
DAYS_MORE = st.none() | st.integers(0, 32)  # asked for after the due day, or to be excused
ANSWER = st.tuples(st.sampled_from(ANSWERS), st.integers(0, 3))  # granted so many days sooner than asked
ACTIONS = st.one_of(
    st.tuples(st.just("hire"), BRANCH, st.integers(0, 12), st.sampled_from(POSITIONS)),  # entered so many days later
    st.tuples(st.just("quit"), PERSON, st.integers(-8, 8)),
    st.tuples(st.just("move"), PERSON, BRANCH, st.integers(0, 12), st.sampled_from(POSITIONS)),
    st.tuples(st.just("away"), PERSON, st.integers(-40, 5), st.integers(0, 75)),
    st.tuples(st.just("back"), PERSON),
    st.tuples(st.just("study"), PERSON, COURSE, MONTHS_AGO, st.booleans()),
    st.tuples(st.just("study"), PERSON, COURSE, st.integers(0, 1), st.just(True)),
    st.tuples(st.just("decide"), PERSON, COURSE, MONTHS_AGO, st.sampled_from(DECISIONS), st.integers(0, 20)),
    st.tuples(st.just("branch"), BRANCH, st.integers(0, 1)),
    st.tuples(st.just("take"), PERSON, st.sampled_from((MAIN, EXTRA))),
    st.tuples(st.just("give up"), PERSON, st.sampled_from((MAIN, EXTRA)), MONTHS_AGO),
    st.tuples(st.just("rule"), st.just(0), RULES[0]),
    st.tuples(st.just("rule"), st.just(1), RULES[1]),
    st.tuples(st.just("list"), PERSON, st.booleans()),
    st.tuples(st.just("ask"), PERSON, COURSE, st.integers(0, 1), DAYS_MORE, st.none() | ANSWER),
    st.tuples(st.just("answer"), st.integers(0, 2), ANSWER),
)
DAYS = st.tuples(st.integers(0, 119), st.lists(ACTIONS, min_size=2, max_size=6))
HISTORY = st.lists(DAYS, min_size=3, max_size=9).map(
    lambda days: [(offset, action) for offset, actions in days for action in actions]
)


def live(company: Company, history: list, months: list[Month]) -> None:
    """Let the days pass; each day's happenings are followed by the evening's work and a comparison of every figure."""
    by_day: dict[dt.date, list] = {}
    last = months[-1].next.last_day + DAY
    for offset, action in history:
        offset %= (last - months[0].first_day).days
        by_day.setdefault(months[0].first_day + offset * DAY, []).append(action)
    due = {month.last_day for month in months}
    to_prepare = {month.first_day - PREPARED_BEFORE: month for month in months[1::2]}
    to_close = {month.last_day + CLOSED_AFTER: month for month in months}
    day = months[0].first_day
    while day <= last:
        opened = day in {month.first_day for month in months}
        if opened:
            company.open_month(Month.of(day))
        for number, action in enumerate(by_day.get(day, [])):
            act(company, action, day, moment(day, 9, number))
        if opened or day in by_day or day in due or day == day.replace(day=1):
            company.evening(day)
            company.check()
        if day in to_prepare:
            company.prepare_month(to_prepare[day], day)
        if day in to_close:
            company.close_month(to_close[day], day)
        day += DAY
    company.check_closed()


def act(company: Company, action: tuple, day: dt.date, at: dt.datetime) -> None:
    kind, *rest = action
    numbers = list(company.oracle.people)
    number = numbers[rest[0] % len(numbers)]  # of most actions the first value is the person
    match kind:
        case "hire":
            branch, late, position = rest
            unit = company.branches[branch % len(company.branches)]
            company.hire(f"N{len(numbers):04d}", unit=unit, on=day - late * DAY, position=position)
        case "branch":
            branch, province = rest
            company.move_branch(company.branches[branch % len(company.branches)], under=f"P{province}", at=at)
        case "quit":
            company.quit(number, on=day + rest[1] * DAY, at=at)
        case "move":
            unit = company.branches[rest[1] % len(company.branches)]
            company.move(number, unit=unit, position=rest[3], on=day - rest[2] * DAY, at=at)
        case "away":
            first = day + rest[1] * DAY
            company.go_away(number, first=first, last=first + rest[2] * DAY, at=at)
        case "back":
            company.come_back(number, at=at)
        case "study":
            company.study(*aim(company, *rest[:3]), whole=rest[3], at=at)
        case "decide":
            company.decide(*aim(company, *rest[:3]), rest[3], days=rest[4], at=at)
        case "take":
            company.take(number, rest[1], at)
        case "give up":
            company.give_up(*aim(company, *rest), at)
        case "rule":
            company.change_rule(rest[0], rest[1], at=at)
        case "list":
            company.change_lists(number, on_it=rest[1], at=at)
        case "ask":
            asked = company.ask(*aim(company, *rest[:3]), days=rest[3], at=at)
            if asked and rest[4] is not None:
                company.answer(0, rest[4][0], sooner=rest[4][1], at=at)
        case "answer":
            company.answer(rest[0], rest[1][0], sooner=rest[1][1], at=at)


def aim(company: Company, place: int, course: str, ago: int) -> tuple[str, str, Month]:
    """(person, course, month) of a duty that there is, of that course if it can be, so that few actions go wide."""
    runs = [run for run in company.oracle.runs.values() if run.duties]
    runs = [run for run in runs if run.course == course] or runs
    if not runs:
        return "nobody", course, FIRST
    run = sorted(runs, key=lambda run: run.month)[-1 - ago % len(runs)]
    return list(run.duties)[place % len(run.duties)], run.course, run.month


class TestHistories(TestCase):
    @settings(
        max_examples=HISTORIES, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=HISTORIES == 60
    )
    @given(history=HISTORY, number=st.sampled_from((2, 2, 2, 3)), first=RULES[0], second=st.none() | RULES[1])
    def test_any_history_of_some_months_counts_as_the_oracle_does(self, history, number, first, second):
        months = [FIRST.plus(place) for place in range(number)]
        company = Company(branches=2, months=months, steps=2, rules=[first] if second is None else [first, second])
        for place in range(6):
            position, hired = POSITIONS[place % 4], HIRED[place % 3]
            company.hire(f"N{place:04d}", unit=company.branches[place % 4], on=hired, position=position)
        live(company, history, months)


@pytest.mark.django_db
def test_t_00_a_year_of_four_hundred_people_counts_as_the_oracle_does():
    rng = random.Random(2026)
    # On PostgreSQL a quarter of it: one transaction without the server's own statistics is slow there.
    months = [FIRST.plus(number) for number in range(12 if connection.vendor == "sqlite" else 3)]
    company = Company(branches=10, months=months, steps=1)
    for number in range(400):
        company.hire(f"N{number:04d}", unit=rng.choice(company.branches), on=dt.date(2025, 1, 1))
    history = []
    for month in months:
        first = (month.first_day - FIRST.first_day).days
        history += [
            (first + rng.randrange(28), ("hire", rng.randrange(20), rng.randrange(10), rng.choice(POSITIONS)))
            for _one in range(4)
        ]
        history += [
            (first + rng.randrange(28), ("quit", rng.randrange(400), rng.randrange(-5, 5))) for _one in range(3)
        ]
        history += [
            (
                first + rng.randrange(28),
                ("move", rng.randrange(400), rng.randrange(20), rng.randrange(8), rng.choice(POSITIONS)),
            )
            for _one in range(4)
        ]
        history += [
            (first + rng.randrange(28), ("away", rng.randrange(400), rng.randrange(-30, 3), rng.randrange(5, 70)))
            for _one in range(6)
        ]
        history += [
            (
                first + rng.randrange(28),
                ("decide", rng.randrange(400), MAIN, 0, rng.choice(DECISIONS), rng.randrange(10)),
            )
            for _one in range(6)
        ]
        for kind in (("take", EXTRA), ("take", MAIN), ("give up", EXTRA, 0), ("study", EXTRA, 0, True)):
            number = 8 if kind == ("take", EXTRA) else 2
            history += [(first + rng.randrange(28), (kind[0], rng.randrange(400), *kind[1:])) for _one in range(number)]
        for _one in range(6):
            day, days = rng.randrange(24), rng.choice((None, 5, 12))
            history.append((first + day, ("ask", rng.randrange(400), MAIN, 0, days, None)))
            history.append((first + day + 2, ("answer", rng.randrange(3), (rng.choice(ANSWERS), rng.randrange(3)))))
        late_days = [rng.randrange(28) if rng.random() < 0.93 else rng.randrange(31, 50) for _one in range(400)]
        history += [
            (first + day, ("study", person, MAIN, 0 if day < 28 else 1, True))
            for person, day in enumerate(late_days)
            if rng.random() < 0.97
        ]
    live(company, [(offset, action) for offset, action in history if offset < 365 + 60], months)
