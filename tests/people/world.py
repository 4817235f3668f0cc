"""One company in which every relation of TRUST 2.2 has somebody, and the table of scopes recomputed naively."""

import datetime as dt
from dataclasses import dataclass

from people.domain.access import RULES, WRITES, WRITES_TO_LEAVERS, Actor
from people.models import Employee, RoleGrant, User
from tests.factories.people import grant, make_employee, make_unit

TODAY = dt.date(2026, 11, 18)
LEFT_ON = dt.date(2026, 9, 30)


def make_world() -> dict[str, Employee]:
    """Four levels of units, managers who follow them and managers who do not.

    group > province > city > branch; sibling city; other province. ``lead`` manages across the units. Everybody has a
    sign-in, so that everybody can be the actor.
    """
    group = make_unit(code="G")
    province, other_province = make_unit(group, "P1"), make_unit(group, "P2")
    city, other_city = make_unit(province, "C1"), make_unit(province, "C2")
    branch, far_branch = make_unit(city, "B1"), make_unit(make_unit(other_province, "C3"), "B3")
    people = {}

    def person(key, unit, manager=None, **fields):
        people[key] = make_employee(
            unit, people[manager] if manager else None, with_user=True, employee_no=f"N-{key}", password=None, **fields
        )

    person("chief", group)
    person("province_head", province, "chief")
    person("lead", city, "province_head")  # the actor in most tests: HR of the city, or manager
    person("peer", city, "province_head")
    person("report", city, "lead")
    person("report_of_report", branch, "report")
    person("third_level", branch, "report_of_report")
    person("report_elsewhere", far_branch, "lead")  # the two trees disagree: reports to lead, sits in another province
    person("guest_in_unit", branch, "chief")  # sits in lead's unit, reports to somebody outside
    person("sibling", other_city, "province_head")
    person("far", far_branch, "chief")
    person("leaver", branch, "report", state="left", left_on=LEFT_ON)
    person("far_leaver", far_branch, "far", state="left", left_on=LEFT_ON)
    person("leaving_soon", branch, "report", state="left", left_on=TODAY + dt.timedelta(days=5))
    person("suspended", branch, "report", state="suspended")
    person("orphan", None)
    person("unitless_report", None, "lead")
    return people


def actor_for(employee_or_user, on: dt.date = TODAY) -> Actor:
    """An actor freshly read, as at the start of a request."""
    pk = employee_or_user.user_id if isinstance(employee_or_user, Employee) else employee_or_user.pk
    return Actor(user=User.objects.get(pk=pk), on=on)


NAMES = {"hr": "HRU", "pay_maker": "PMK", "pay_checker": "PCK", "auditor": "AUD", "admin": "ADM"}
NAMES |= {"author": "AUTH", "moderator": "AUTH"}


@dataclass(frozen=True)
class Row:
    """A person, flat: what the naive recomputation needs."""

    pk: int
    user_id: int | None
    unit_path: str | None
    manager_id: int | None
    left_on: dt.date | None


class NaiveReading:
    """TRUST 2.3 read aloud: go through every person, every role, every letter."""

    def __init__(self, actor: Actor):
        self.actor = actor
        self.everybody = {
            e.pk: Row(e.pk, e.user_id, e.unit.path if e.unit else None, e.manager_id, e.left_on)
            for e in Employee.objects.select_related("unit")
        }
        self.me = next((person for person in self.everybody.values() if person.user_id == actor.user.pk), None)
        self.grants = [
            g
            for g in RoleGrant.objects.filter(user=actor.user).select_related("unit")
            if g.starts_on <= actor.on and (g.until is None or g.until >= actor.on)
        ]
        self.roles = {"EMP"} | {NAMES[g.role] for g in self.grants}
        if self.me and any(person.manager_id == self.me.pk for person in self.everybody.values()):
            self.roles.add("MGR")

    def visible(self, row: str) -> set[int]:
        return {person.pk for person in self.everybody.values() if self.reaches(person, row)}

    def reaches(self, person: Row, row: str) -> bool:
        me = self.me
        gone = person.left_on is not None and person.left_on < self.actor.on
        closed = gone and row in WRITES and row not in WRITES_TO_LEAVERS
        myself = me is not None and person.pk == me.pk
        for role in self.roles:
            for letter in RULES[row][role]:
                if letter == "A" or (letter == "S" and myself):
                    return True
                if myself or closed:
                    continue
                if letter == "D" and me and person.manager_id == me.pk:
                    return True
                if letter == "T" and me and _is_below(person, me, self.everybody):
                    return True
                if letter == "U" and any(
                    NAMES[g.role] == role and g.unit and _is_in(person, g.unit) for g in self.grants
                ):
                    return True
        return False


def _is_below(person, me, everybody) -> bool:
    seen, above = set(), person.manager_id
    while above is not None and above not in seen:
        if above == me.pk:
            return True
        seen.add(above)
        above = everybody[above].manager_id if above in everybody else None
    return False


def _is_in(person, unit) -> bool:
    if person.unit_path is None:
        return unit.depth == 1
    return person.unit_path.startswith(unit.path)


def give(employee, role, unit=None, **dates) -> None:
    grant(employee.user, role, unit, **dates)
