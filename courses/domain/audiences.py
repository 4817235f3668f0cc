"""Rules that select people, in data: checked, applied, described and compared."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from django.db.models import QuerySet
from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from people.models import Employee, OrgUnit, Position

LISTS = ("units", "positions", "job_families")
DATES = ("hired_from", "hired_until")


class RuleRefused(Exception):
    """The rule cannot be read, or names what does not exist. ``problems`` maps its keys to sentences."""

    def __init__(self, problems: dict[str, str]):
        super().__init__("; ".join(problems.values()))
        self.problems = problems


def validate_rule(*, rule: dict, scope: OrgUnit) -> dict:
    """This function will return the rule in its plain form: known keys, sorted lists, empty ones left out.

    Raises RuleRefused, naming every fault: an unknown key, a unit outside the scope, a position or job family nobody
    has heard of, a date that is none, an end before its beginning.
    """
    problems: dict[str, str] = {}
    if not isinstance(rule, dict):
        raise RuleRefused({"rule": _("A rule is a set of names and values.")})
    clean: dict = {}
    for key in sorted(rule.keys() - set(LISTS) - set(DATES)):
        problems[str(key)] = _("“%(key)s” is not something a rule can ask for.") % {"key": key}
    for key in LISTS:
        values = rule.get(key) or []
        if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
            problems[key] = _("This must be a list of texts.")
        elif values:
            clean[key] = sorted(set(values))
    known = {
        "units": lambda: OrgUnit.objects.under(scope).filter(code__in=clean["units"]).values_list("code", flat=True),
        "positions": lambda: Position.objects.filter(title__in=clean["positions"]).values_list("title", flat=True),
        "job_families": lambda: Position.objects.filter(job_family__in=clean["job_families"]).values_list(
            "job_family", flat=True
        ),
    }
    for key in LISTS:
        if key in clean:
            missing = sorted(set(clean[key]) - set(known[key]()))
            if missing:
                problems[key] = _("Not found here: %(names)s") % {"names": ", ".join(missing[:10])}
    days: dict[str, dt.date] = {}
    for key in DATES:
        value = rule.get(key)
        if value in (None, ""):
            continue
        try:
            days[key] = value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value))
        except ValueError:
            problems[key] = _("“%(value)s” is not a date.") % {"value": value}
        else:
            clean[key] = days[key].isoformat()
    if len(days) == 2 and days["hired_until"] < days["hired_from"]:
        problems["hired_until"] = _("The last day is before the first.")
    if problems:
        raise RuleRefused(problems)
    return clean


def select_people(*, rule: dict, scope: OrgUnit, on: dt.date) -> QuerySet[Employee]:
    """This function will return the people whom the rule selects among those who work in the scope on that day.

    Keys are joined by "and", the values of one key by "or"; a key that is absent does not restrict; nobody outside the
    scope is ever selected, and nobody who has no unit.
    """
    people = Employee.objects.active_on(on).in_unit(scope)
    if rule.get("units"):
        people = people.filter(unit__in=_units_under(codes=rule["units"], scope=scope))
    if rule.get("positions"):
        people = people.filter(position__title__in=rule["positions"])
    if rule.get("job_families"):
        people = people.filter(position__job_family__in=rule["job_families"])
    if rule.get("hired_from"):
        people = people.filter(hired_on__gte=dt.date.fromisoformat(rule["hired_from"]))
    if rule.get("hired_until"):
        people = people.filter(hired_on__lte=dt.date.fromisoformat(rule["hired_until"]))
    return people


def _units_under(*, codes: list[str], scope: OrgUnit) -> list[int]:
    """The ids of the named units within the scope and of everything below them."""
    tree = list(OrgUnit.objects.under(scope).order_by("path").values_list("pk", "path", "code"))
    wanted, found, top = set(codes), [], None
    for pk, path, code in tree:  # in path order a unit comes right before everything below it
        if top is not None and path.startswith(top):
            found.append(pk)
        elif code in wanted:
            top = path
            found.append(pk)
    return found


@dataclass(frozen=True)
class Change:
    """What a changed rule does: who is selected now and was not, and the other way round."""

    now: QuerySet[Employee]
    enters: QuerySet[Employee]
    leaves: QuerySet[Employee]


def compare_rules(*, before: dict | None, after: dict, scope: OrgUnit, on: dt.date) -> Change:
    """This function will return who enters and leaves when ``after`` replaces ``before`` (None: nothing)."""
    now = select_people(rule=after, scope=scope, on=on)
    if before is None:
        return Change(now=now, enters=now, leaves=Employee.objects.none())
    was = select_people(rule=before, scope=scope, on=on)
    return Change(
        now=now,
        enters=now.exclude(pk__in=was.order_by().values("pk")),
        leaves=was.exclude(pk__in=now.order_by().values("pk")),
    )


def describe_rule(*, rule: dict, scope: OrgUnit) -> str:
    """This function will say in one sentence of the active language whom the rule selects."""
    parts = []
    if rule.get("units"):
        units = {unit.code: unit.label for unit in OrgUnit.objects.filter(code__in=rule["units"])}
        parts.append(_("in %(units)s") % {"units": _any_of([units.get(code, code) for code in rule["units"]])})
    else:
        parts.append(_("in %(units)s") % {"units": scope.label})
    if rule.get("positions"):
        found = Position.objects.filter(title__in=rule["positions"])
        labels = {position.title: position.label for position in found}
        titles = [labels.get(title, title) for title in rule["positions"]]
        parts.append(_("with the position %(titles)s") % {"titles": _any_of(titles)})
    if rule.get("job_families"):
        parts.append(_("of the job family %(families)s") % {"families": _any_of(rule["job_families"])})
    first, last = (_day(rule[key]) if rule.get(key) else "" for key in DATES)
    if first and last:
        parts.append(_("hired from %(first)s to %(last)s") % {"first": first, "last": last})
    elif first:
        parts.append(_("hired on %(first)s or later") % {"first": first})
    elif last:
        parts.append(_("hired on %(last)s or earlier") % {"last": last})
    return _("Everybody %(parts)s.") % {"parts": _(", ").join(parts)}


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
    return formats.date_format(dt.date.fromisoformat(text), "DATE_FORMAT")
