"""Rules that select people, in data: checked, applied, described and compared.

A rule is a set of conditions that must all hold. ``{}`` selects everybody in the scope. What it may ask for:

* ``{"units": [codes, each with everything below it]}``, ``{"positions": [titles]}``, ``{"job_families": [...]}``
* ``{"hired_from": "2026-01-01"}``, ``{"hired_until": "2026-12-31"}``: the day of hire, both included
* ``{"tenure_from": 6}``, ``{"tenure_until": 12}``: at least, and less than, so many whole months of service
* ``{"completed": {"course": code, "since": month, "until": month, "on_time": true}}``: all but the course may be absent
* ``{"list": id}``: is on a PeopleList
* ``{"all": [rules]}``, ``{"any": [rules]}``, ``{"not": rule}``: and, or, not

The values of one key are joined by "or". Somebody of whom a thing is not known (no position, no day of hire) does not
meet a condition that asks for it, so "not" of that condition selects the person.
"""

from __future__ import annotations

import calendar
import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Window
from django.db.models.functions import RowNumber, Substr
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from core.events import record_event
from core.periods import Month
from core.templatetags import interface
from courses.models import Audience, Course, Enrolment, PeopleList
from people.models import Employee, OrgUnit, Position

LISTS = ("units", "positions", "job_families")
DATES = ("hired_from", "hired_until")
TENURE = ("tenure_from", "tenure_until")
CONDITIONS = (*LISTS, *DATES, *TENURE, "completed", "list")
GROUPS = ("all", "any")

MAX_DEPTH = 8  # rules within rules
MAX_CONDITIONS = 60
MAX_VALUES = 2000  # units, positions and job families named in one rule
MAX_TENURE = 600  # months

_NOBODY = Q(pk__in=[])
_EVERYBODY = ~_NOBODY


class RuleRefused(Exception):
    """The rule cannot be read, or names what does not exist.

    ``problems`` maps places to sentences. A place is the way to a condition: ``units`` at the top, ``any.0.units`` in
    the first part of a group.
    """

    def __init__(self, problems: dict[str, str]):
        super().__init__("; ".join(f"{place}: {problem}" for place, problem in problems.items()))
        self.problems = problems


class AudienceChanged(Exception):
    """Somebody changed the audience since it was looked at."""


# --- reading --------------------------------------------------------------------------------------------------------
def validate_rule(*, rule: dict, scope: OrgUnit) -> dict:
    """This function will return the rule in its plain form: known keys, sorted lists, empty ones left out.

    Raises RuleRefused, naming every fault with its place and what to do: an unknown key, a group or a part of a group
    without conditions, a unit or list outside the scope, a position, job family or course nobody has heard of, a day or
    month that is none, an end before its beginning, more levels or conditions than the limits allow.
    """
    reader = _Reader()
    clean = reader.read(rule, place="", depth=0)
    if reader.conditions > MAX_CONDITIONS:
        reader.fault("rule", _("A rule has at most %(number)d conditions.") % {"number": MAX_CONDITIONS})
    if sum(len(values) for _place, key, values in reader.named if key in LISTS) > MAX_VALUES:
        reader.fault(
            "rule",
            _("A rule names at most %(number)d units, positions and job families. Choose units further up.")
            % {"number": MAX_VALUES},
        )
    if "rule" not in reader.problems:
        _look_up(reader, scope)
    if reader.problems:
        raise RuleRefused(reader.problems)
    return clean


@dataclass
class _Reader:
    """Reads a rule without asking the database, and keeps what it names to be looked up at once."""

    problems: dict[str, str] = field(default_factory=dict)
    named: list[tuple[str, str, list]] = field(default_factory=list)  # place, key, values
    conditions: int = 0

    def fault(self, place: str, problem: str) -> None:
        self.problems.setdefault(place, problem)

    def read(self, rule: Any, *, place: str, depth: int) -> dict:
        if not isinstance(rule, dict):
            self.fault(place or "rule", _("A rule is a set of names and values."))
            return {}
        if depth > MAX_DEPTH:
            self.fault(
                place or "rule",
                _("Groups lie at most %(number)d deep. Move the inner conditions one group up.")
                % {"number": MAX_DEPTH},
            )
            return {}
        inside = f"{place}." if place else ""
        for key in sorted(map(str, rule.keys() - {*CONDITIONS, *GROUPS, "not"})):
            self.fault(f"{inside}{key}", _("“%(key)s” is not something a rule can ask for.") % {"key": key})
        clean: dict = {}
        for key in LISTS:
            self._list(rule, key, clean, f"{inside}{key}")
        self._days(rule, clean, inside)
        self._tenure(rule, clean, inside)
        if rule.get("completed"):
            self._completed(rule["completed"], clean, f"{inside}completed")
        if rule.get("list") not in (None, ""):
            self._people_list(rule["list"], clean, f"{inside}list")
        self.conditions += len(clean)
        for key in GROUPS:
            if key in rule:
                clean[key] = self._parts(rule[key], place=f"{inside}{key}", depth=depth)
        if "not" in rule:
            clean["not"] = self._part(rule["not"], place=f"{inside}not", depth=depth)
        return clean

    def _parts(self, parts: Any, *, place: str, depth: int) -> list[dict]:
        if not isinstance(parts, list | tuple):
            self.fault(place, _("A group is a list of rules."))
            return []
        if not parts:
            self.fault(place, _("This group has no condition. Add one, or remove the group."))
        if len(parts) > MAX_CONDITIONS:
            self.fault("rule", _("A rule has at most %(number)d conditions.") % {"number": MAX_CONDITIONS})
            return []
        return [self._part(part, place=f"{place}.{number}", depth=depth) for number, part in enumerate(parts)]

    def _part(self, part: Any, *, place: str, depth: int) -> dict:
        faults = len(self.problems)
        clean = self.read(part, place=place, depth=depth + 1)
        if not clean and len(self.problems) == faults:
            self.fault(place, _("This condition is empty. Fill it in, or remove it."))
        return clean

    def _list(self, rule: dict, key: str, clean: dict, place: str) -> None:
        values = rule.get(key) or []
        if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
            self.fault(place, _("This must be a list of texts."))
        elif values:
            clean[key] = sorted(set(values))
            self.named.append((place, key, clean[key]))

    def _days(self, rule: dict, clean: dict, inside: str) -> None:
        days: dict[str, dt.date] = {}
        for key in DATES:
            value = rule.get(key)
            if value in (None, ""):
                continue
            try:
                days[key] = value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value))
            except ValueError:
                self.fault(f"{inside}{key}", _("“%(value)s” is not a date.") % {"value": value})
            else:
                clean[key] = days[key].isoformat()
        if len(days) == 2 and days["hired_until"] < days["hired_from"]:
            self.fault(f"{inside}hired_until", _("The last day is before the first."))

    def _tenure(self, rule: dict, clean: dict, inside: str) -> None:
        for key in TENURE:
            value = rule.get(key)
            if value in (None, ""):
                continue
            text = "" if isinstance(value, bool) else str(value).strip()
            if not text.isdecimal() or len(text) > 4 or not 1 <= int(text) <= MAX_TENURE:
                self.fault(
                    f"{inside}{key}",
                    _("Write the months of service as a whole number from 1 to %(most)d.") % {"most": MAX_TENURE},
                )
            else:
                clean[key] = int(text)
        if set(TENURE) <= clean.keys() and clean["tenure_until"] <= clean["tenure_from"]:
            self.fault(
                f"{inside}tenure_until", _("“Less than” must be more months than “at least”; nobody could be both.")
            )

    def _completed(self, value: Any, clean: dict, place: str) -> None:
        if not isinstance(value, dict) or not isinstance(value.get("course"), str) or not value["course"]:
            self.fault(place, _("Choose a course."))
            return
        for key in sorted(map(str, value.keys() - {"course", "since", "until", "on_time"})):
            self.fault(place, _("“%(key)s” is not something a rule can ask for.") % {"key": key})
        found: dict = {"course": value["course"]}
        for key in ("since", "until"):
            month = value.get(key)
            if month in (None, ""):
                continue
            try:
                found[key] = str(Month.parse(str(month)))
            except ValueError:
                self.fault(place, _("“%(value)s” is not a month. Write it like 2026-11.") % {"value": month})
        if found.get("until", "9") < found.get("since", ""):
            self.fault(place, _("The last month is before the first."))
        if value.get("on_time"):
            found["on_time"] = True
        clean["completed"] = found
        self.named.append((place, "completed", [value["course"]]))

    def _people_list(self, value: Any, clean: dict, place: str) -> None:
        text = "" if isinstance(value, bool) else str(value).strip()
        if not text.isdecimal() or len(text) > 12:
            self.fault(place, _("Choose a list of people."))
            return
        clean["list"] = int(text)
        self.named.append((place, "list", [clean["list"]]))


def _look_up(reader: _Reader, scope: OrgUnit) -> None:
    """Say of every name that does not exist where it stands; one query for each kind of name."""
    wanted: dict[str, set] = {}
    for _place, key, values in reader.named:
        wanted.setdefault(key, set()).update(values)
    known = {key: set(_known(key, values, scope)) for key, values in wanted.items()}
    for place, key, values in reader.named:
        missing = [value for value in values if value not in known[key]]
        if not missing:
            continue
        if key == "units":
            problem = _("Not found in %(scope)s: %(names)s. Choose this unit or units below it.")
        elif key == "list":
            problem = _("This list is not there, or does not belong to %(scope)s. Choose another one.")
        elif key == "completed":
            problem = _("There is no course “%(names)s”. Choose another one.")
        else:
            problem = _("Not found here: %(names)s")
        names = _(", ").join(str(value) for value in missing[:10])
        reader.fault(place, problem % {"names": names, "scope": scope.label})


def _known(key: str, values: set, scope: OrgUnit) -> Iterable:
    if key == "units":
        return OrgUnit.objects.under(scope).filter(code__in=values).values_list("code", flat=True)
    if key == "positions":
        return Position.objects.filter(title__in=values).values_list("title", flat=True)
    if key == "job_families":
        return Position.objects.filter(job_family__in=values).values_list("job_family", flat=True)
    if key == "completed":
        return Course.objects.filter(code__in=values).values_list("code", flat=True)
    return PeopleList.objects.filter(pk__in=values, scope__path__startswith=scope.path).values_list("pk", flat=True)


def conditions_of(rule: dict) -> Iterator[tuple[str, Any]]:
    """This function will yield every condition of a rule, at any depth, as (key, value)."""
    for key, value in rule.items():
        if key in GROUPS:
            for part in value:
                yield from conditions_of(part)
        elif key == "not":
            yield from conditions_of(value)
        else:
            yield key, value


def tidy_rule(rule: dict) -> dict:
    """This function will return the same rule without an "all" that only repeats what a set of conditions is anyway."""
    clean: dict = {}
    for key, value in rule.items():
        if key == "not":
            clean[key] = tidy_rule(value)
        elif key in GROUPS:
            clean[key] = [tidy_rule(part) for part in value]
        else:
            clean[key] = value
    parts = clean.get("all")
    if parts is None:
        return clean
    rest = {key: value for key, value in clean.items() if key != "all"}
    # The two ends of a span stay together or apart: joined here, they might be refused as one that ends before it begins.
    named = [{key.partition("_")[0] if key in (*DATES, *TENURE) else key for key in one} for one in (rest, *parts)]
    if sum(map(len, named)) != len(set().union(*named)):
        return clean
    for part in parts:
        rest |= part
    return rest


# --- selecting ------------------------------------------------------------------------------------------------------
def select_people(*, rule: dict, scope: OrgUnit, on: dt.date) -> QuerySet[Employee]:
    """This function will return the people whom the rule selects among those who work in the scope on that day.

    One query set, however the rule is built. Nobody outside the scope is ever selected, and nobody who has no unit.
    """
    return _here(scope, on).filter(_condition(rule, _unit_ids(rules=[rule], scope=scope), on))


def _here(scope: OrgUnit, on: dt.date) -> QuerySet[Employee]:
    return Employee.objects.active_on(on).in_unit(scope)


def _condition(rule: dict, units: dict[str, list[int]], on: dt.date) -> Q:
    """A rule as one condition that is true or false and never unknown, so that it can be negated."""
    found = _EVERYBODY
    for key, value in rule.items():
        if key == "all":
            for part in value:
                found &= _condition(part, units, on)
        elif key == "any":
            some = _NOBODY
            for part in value:
                some |= _condition(part, units, on)
            found &= some
        elif key == "not":
            found &= ~_condition(value, units, on)
        elif key in CONDITIONS:
            found &= _leaf(key, value, units, on)
    return found


def _leaf(key: str, value: Any, units: dict[str, list[int]], on: dt.date) -> Q:
    if key == "units":
        ids = sorted({pk for code in value for pk in units.get(code, ())})
        return Q(unit__isnull=False, unit__in=ids)
    if key == "positions":
        return Q(position__isnull=False, position__in=Position.objects.order_by().filter(title__in=value).values("pk"))
    if key == "job_families":
        found = Position.objects.order_by().filter(job_family__in=value).values("pk")
        return Q(position__isnull=False, position__in=found)
    if key == "hired_from":
        return Q(hired_on__isnull=False, hired_on__gte=dt.date.fromisoformat(value))
    if key == "hired_until":
        return Q(hired_on__isnull=False, hired_on__lte=dt.date.fromisoformat(value))
    if key == "tenure_from":
        return Q(hired_on__isnull=False, hired_on__lte=hired_by(on=on, months=value))
    if key == "tenure_until":
        return Q(hired_on__isnull=False, hired_on__gt=hired_by(on=on, months=value))
    if key == "completed":
        return Q(Exists(_done(value)))
    on_list = PeopleList.members.through.objects.filter(peoplelist_id=value, employee_id=OuterRef("pk"))
    return Q(Exists(on_list))


def _done(value: dict) -> QuerySet[Enrolment]:
    done = Enrolment.objects.filter(
        employee=OuterRef("pk"), run__course__code=value["course"], state=Enrolment.State.COMPLETED
    )
    if value.get("since"):
        done = done.filter(run__month__gte=Month.parse(value["since"]))
    if value.get("until"):
        done = done.filter(run__month__lte=Month.parse(value["until"]))
    return done.filter(on_time=True) if value.get("on_time") else done


def hired_by(*, on: dt.date, months: int) -> dt.date:
    """This function will return the last day of hire with which somebody has so many whole months of service on a day.

    A month is complete on the same day of a later month, or on its last day when it has no such day: hired on
    31 January, one month of service on 28 February.
    """
    month = Month.of(on).plus(-months)
    last = month.last_day
    if on.day == calendar.monthrange(on.year, on.month)[1]:
        return last
    return dt.date(month.year, month.month, min(on.day, last.day))


def _unit_ids(*, rules: Iterable[dict], scope: OrgUnit) -> dict[str, list[int]]:
    """{code: ids of that unit and of everything below it} of the units these rules name within the scope."""
    wanted = {code for rule in rules for key, value in conditions_of(rule) if key == "units" for code in value}
    found: dict[str, list[int]] = {}
    if not wanted:
        return found
    open_tops: list[tuple[str, list[int]]] = []  # the named units above the present one, from the top down
    for pk, path, code in OrgUnit.objects.under(scope).order_by("path").values_list("pk", "path", "code"):
        while open_tops and not path.startswith(open_tops[-1][0]):
            open_tops.pop()
        if code in wanted:
            found[code] = []
            open_tops.append((path, found[code]))
        for _path, ids in open_tops:
            ids.append(pk)
    return found


@dataclass(frozen=True)
class Change:
    """What a changed rule does: who is selected now and was not, and the other way round."""

    now: QuerySet[Employee]
    enters: QuerySet[Employee]
    leaves: QuerySet[Employee]


def compare_rules(*, before: dict | None, after: dict, scope: OrgUnit, on: dt.date) -> Change:
    """This function will return who enters and leaves when ``after`` replaces ``before`` (None: nothing)."""
    here, units = _here(scope, on), _unit_ids(rules=[after, before or {}], scope=scope)
    now = _condition(after, units, on)
    if before is None:
        return Change(now=here.filter(now), enters=here.filter(now), leaves=Employee.objects.none())
    was = _condition(before, units, on)
    return Change(now=here.filter(now), enters=here.filter(now & ~was), leaves=here.filter(was & ~now))


@dataclass(frozen=True)
class UnitPeople:
    """How many of some people work in a unit or below it, and the first of them by employee number."""

    unit: OrgUnit
    number: int
    first: list[Employee]


def people_by_unit(*, people: QuerySet[Employee], scope: OrgUnit, first: int = 3) -> list[UnitPeople]:
    """This function will count people by the units right below the scope, with the first few of each. Three queries.

    Those who work in the scope itself come first, under the scope.
    """
    top = Substr("unit__path", 1, len(scope.path) + OrgUnit.steplen)
    counted = people.order_by().annotate(top=top).values("top").annotate(number=Count("pk"))
    numbers = {row["top"]: row["number"] for row in counted}
    place = Window(RowNumber(), partition_by=[F("top")], order_by=[F("employee_no").asc()])
    named = people.order_by().annotate(top=top).annotate(place=place).filter(place__lte=first)
    names: dict[str, list[Employee]] = {}
    for person in named.select_related("unit", "position").order_by("top", "employee_no"):
        names.setdefault(person.top, []).append(person)
    units = OrgUnit.objects.filter(path__in=numbers).order_by("path")
    return [UnitPeople(unit=unit, number=numbers[unit.path], first=names.get(unit.path, [])) for unit in units]


# --- saying ---------------------------------------------------------------------------------------------------------
@dataclass
class Names:
    """What the things named in rules are called in the active language; four queries for any number of rules."""

    units: dict[str, str] = field(default_factory=dict)
    positions: dict[str, str] = field(default_factory=dict)
    courses: dict[str, str] = field(default_factory=dict)
    lists: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Iterable[dict]) -> Names:
        named: dict[str, set] = {"units": set(), "positions": set(), "completed": set(), "list": set()}
        for rule in rules:
            for key, value in conditions_of(rule):
                if key in LISTS:
                    named.get(key, set()).update(value)
                elif key == "completed":
                    named[key].add(value["course"])
                elif key == "list":
                    named[key].add(value)
        names = cls()
        if named["units"]:
            names.units = {unit.code: unit.label for unit in OrgUnit.objects.filter(code__in=named["units"])}
        if named["positions"]:
            names.positions = {one.title: one.label for one in Position.objects.filter(title__in=named["positions"])}
        if named["completed"]:
            names.courses = {one.code: one.title for one in Course.objects.filter(code__in=named["completed"])}
        if named["list"]:
            names.lists = dict(PeopleList.objects.filter(pk__in=named["list"]).values_list("pk", "name"))
        return names


def describe_rule(*, rule: dict, scope: OrgUnit, names: Names | None = None) -> str:
    """This function will say in one sentence of the active language whom the rule selects.

    "Not" is said beside what it negates, never before a bracket. ``names``: of several rules, looked up at once.
    """
    names = names or Names.of([rule])
    said = _said(rule, False, names)
    parts = said.parts if said.joined_by == "all" else [said]
    if not (said.joined_by == "all" and "units" in rule):
        parts = [_("in %(units)s") % {"units": scope.label}, *parts]
    return _("Everybody %(parts)s.") % {"parts": _(", ").join(_spoken(part) for part in parts)}


@dataclass
class _Said:
    """Phrases joined by and ("all") or or ("any"); a phrase may be such a group itself."""

    joined_by: str
    parts: list


def _said(rule: dict, negated: bool, names: Names) -> _Said:
    """The rule as phrases, with "not" moved inwards to them: not (a and b) is not a or not b."""
    found = _Said("any" if negated else "all", [])
    keys = sorted(rule, key=lambda key: (*CONDITIONS, *GROUPS, "not").index(key))
    if not negated and set(DATES) <= rule.keys():
        keys.remove("hired_until")
    for key in keys:
        value = rule[key]
        if key in GROUPS:
            joined_by = key if not negated else {"all": "any", "any": "all"}[key]
            part: Any = _simple(_Said(joined_by, [_said(one, negated, names) for one in value]))
        elif key == "not":
            part = _said(value, not negated, names)
        elif key == "hired_from" and not negated and "hired_until" in rule:
            part = _("hired from %(first)s to %(last)s") % {"first": _day(value), "last": _day(rule["hired_until"])}
        else:
            part = _phrase(key, value, negated, names)
        found.parts.append(part)
    return _simple(found)


def _simple(said: _Said) -> _Said:
    """The same without groups of one, and without an "and" in an "and"."""
    parts: list = []
    for part in said.parts:
        if isinstance(part, _Said) and (part.joined_by == said.joined_by or len(part.parts) == 1):
            parts += part.parts
        else:
            parts.append(part)
    if len(parts) == 1 and isinstance(parts[0], _Said):
        return parts[0]
    return _Said(said.joined_by, parts)


def _spoken(part: str | _Said) -> str:
    if isinstance(part, str):
        return part
    spoken = [_spoken(one) for one in part.parts]
    if not spoken:
        return _("nobody")
    if len(spoken) == 1:
        return spoken[0]
    if part.joined_by == "any":
        text = _("either %(first)s, or %(last)s")
        return text % {"first": _(", or ").join(spoken[:-1]), "last": spoken[-1]}
    return _("(%(first)s, and %(last)s)") % {"first": _(", ").join(spoken[:-1]), "last": spoken[-1]}


def _phrase(key: str, value: Any, negated: bool, names: Names) -> str:
    if key == "units":
        text = _("not in %(units)s") if negated else _("in %(units)s")
        return text % {"units": _any_of([names.units.get(code, code) for code in value])}
    if key == "positions":
        text = _("not with the position %(titles)s") if negated else _("with the position %(titles)s")
        return text % {"titles": _any_of([names.positions.get(title, title) for title in value])}
    if key == "job_families":
        text = _("not of the job family %(families)s") if negated else _("of the job family %(families)s")
        return text % {"families": _any_of(value)}
    if key == "hired_from":
        text = _("not hired on %(first)s or later") if negated else _("hired on %(first)s or later")
        return text % {"first": _day(value)}
    if key == "hired_until":
        text = _("not hired on %(last)s or earlier") if negated else _("hired on %(last)s or earlier")
        return text % {"last": _day(value)}
    if key == "list":
        text = _("not on the list “%(name)s”") if negated else _("on the list “%(name)s”")
        return text % {"name": names.lists.get(value, value)}
    if key == "completed":
        return _completed_phrase(value, negated, names)
    number = {"number": value}
    if key == "tenure_from":
        if negated:
            return (
                ngettext("not here for at least %(number)d month", "not here for at least %(number)d months", value)
                % number
            )
        return ngettext("here for at least %(number)d month", "here for at least %(number)d months", value) % number
    if negated:
        return (
            ngettext("not here for less than %(number)d month", "not here for less than %(number)d months", value)
            % number
        )
    return ngettext("here for less than %(number)d month", "here for less than %(number)d months", value) % number


def _completed_phrase(value: dict, negated: bool, names: Names) -> str:
    title = names.courses.get(value["course"], value["course"])
    if value.get("on_time"):
        text = _("who did not complete “%(course)s” on time") if negated else _("who completed “%(course)s” on time")
    else:
        text = _("who did not complete “%(course)s”") if negated else _("who completed “%(course)s”")
    said = text % {"course": title}
    first, last = (Month.parse(value[key]).label if value.get(key) else "" for key in ("since", "until"))
    if first and last and first != last:
        return _("%(said)s in the months from %(first)s to %(last)s") % {"said": said, "first": first, "last": last}
    if first and last:
        return _("%(said)s in %(month)s") % {"said": said, "month": first}
    if first:
        return _("%(said)s since %(month)s") % {"said": said, "month": first}
    if last:
        return _("%(said)s by %(month)s") % {"said": said, "month": last}
    return said


def _any_of(names: list[str]) -> str:
    """ "a", "a or b", "a, b or c", and "a, b or 5 others" for long lists."""
    if len(names) > 6:
        rest = len(names) - 5
        others = ngettext("%(number)d other", "%(number)d others", rest) % {"number": rest}
        names = [*names[:5], others]
    if len(names) == 1:
        return names[0]
    return _("%(first)s or %(last)s") % {"first": _(", ").join(names[:-1]), "last": names[-1]}


def _day(text: str) -> str:
    return interface.day(dt.date.fromisoformat(text))


# --- keeping --------------------------------------------------------------------------------------------------------
def marker(audience: Audience) -> str:
    """This function will return a mark of what an audience says, for a page to say later what was seen on it."""
    said = [audience.name, audience.name_en, audience.rule]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def save_audience(
    *,
    audience: Audience | None,
    name: str,
    name_en: str,
    scope: OrgUnit,
    rule: dict,
    by,
    at: dt.datetime,
    seen: str | None = None,
) -> Audience:
    """This function will make an audience or change one, and keep the old and the new rule in the chain ``months``.

    An audience keeps the scope it was made with. Saving what is there already changes nothing and leaves no event.
    ``seen``: the marker of the page that the change was made on. Raises RuleRefused, or AudienceChanged when the
    audience is no longer as it was loaded, or seen.
    """
    after = {"name": name, "name_en": name_en, "rule": validate_rule(rule=rule, scope=scope)}
    with transaction.atomic():
        if audience is None:
            audience = Audience.objects.create(scope=scope, **after)
            after = {**after, "scope": scope.code}
            record_event(chain="months", action="audience made", subject=audience, actor=by, at=at, after=after)
            return audience
        now = Audience.objects.select_for_update(of=("self",)).get(pk=audience.pk)
        if marker(now) != marker(audience) or seen not in (None, marker(now)):
            raise AudienceChanged
        before = {key: getattr(now, key) for key in after}
        if before != after:
            Audience.objects.filter(pk=audience.pk).update(**after)
            audience.refresh_from_db()
            record_event(
                chain="months", action="audience changed", subject=audience, actor=by, at=at, before=before, after=after
            )
    return audience
