"""Lists of people chosen one by one, for audiences that no rule describes."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from core.batches import batches
from core.events import record_event
from courses.domain.audiences import conditions_of
from courses.models import Audience, PeopleList
from people.models import Employee, OrgUnit

MOST_AT_ONCE = 5000  # numbers in one paste
_CHUNK = 500
_BETWEEN = re.compile(r"[\s,，;；、]+")


class ListInUse(Exception):
    """The rules of these audiences ask for the list, so it is not deleted."""

    def __init__(self, audiences: list[Audience]):
        super().__init__(", ".join(audience.name for audience in audiences))
        self.audiences = audiences


class TooManyNumbers(Exception):
    """More numbers than are taken at once."""


@dataclass(frozen=True)
class LineFault:
    """A line of what was pasted that could not be taken: its number, its text, and why."""

    line: int
    text: str
    problem: str


@dataclass(frozen=True)
class Added:
    """What became of a paste: who is new, how many were there before, and the lines that could not be taken."""

    employees: list[int] = field(default_factory=list)  # their ids
    already: int = 0
    faults: list[LineFault] = field(default_factory=list)

    @property
    def left_over(self) -> str:
        """The lines that could not be taken, to be put right and sent again."""
        return "\n".join(dict.fromkeys(fault.text for fault in self.faults))


def make_list(*, name: str, scope: OrgUnit, by, at: dt.datetime) -> PeopleList:
    """This function will make an empty list for the people of a unit and of everything below it."""
    with transaction.atomic():
        made = PeopleList.objects.create(name=name, scope=scope)
        after = {"name": name, "scope": scope.code}
        record_event(chain="months", action="list made", subject=made, actor=by, at=at, after=after)
    return made


def rename_list(*, people_list: PeopleList, name: str, by, at: dt.datetime) -> bool:
    """This function will give a list another name; False when it is called so already."""
    before = people_list.name
    with transaction.atomic():
        if not PeopleList.objects.filter(pk=people_list.pk, name=before).exclude(name=name).update(name=name):
            return False
        record_event(
            chain="months",
            action="list renamed",
            subject=people_list,
            actor=by,
            at=at,
            before={"name": before},
            after={"name": name},
        )
    people_list.name = name
    return True


def add_by_number(*, people_list: PeopleList, text: str, people: QuerySet[Employee], by, at: dt.datetime) -> Added:
    """This function will put people on a list by their employee numbers, as pasted: one or more in a line.

    ``people`` are those whom the acting person may see. Words without a digit beside a number (the name) are passed
    over. The good ones are added and every line that is none is named with its reason; somebody outside the unit of the
    list is refused in the same words as somebody who does not exist. One event. Raises TooManyNumbers.
    """
    wanted = list(_numbers(text))
    if len(wanted) > MOST_AT_ONCE:
        raise TooManyNumbers
    inside = people.filter(unit__path__startswith=people_list.scope.path)
    found: dict[str, tuple[int, str]] = {}
    for some in batches(sorted({number for _line, _text, number in wanted if number}), _CHUNK):
        for number, pk, state in inside.filter(employee_no__in=some).values_list("employee_no", "pk", "state"):
            found[number] = (pk, state)
    faults, chosen = [], {}
    for line, words, number in wanted:
        if not number:
            faults.append(LineFault(line, words, _("There is no employee number in this line.")))
        elif number not in found:
            problem = _("No employee %(number)s in %(unit)s among the people you look after. Check the number.")
            faults.append(LineFault(line, words, problem % {"number": number, "unit": people_list.scope.label}))
        elif found[number][1] == Employee.State.LEFT:
            problem = _("Employee %(number)s has left. Take the line out.")
            faults.append(LineFault(line, words, problem % {"number": number}))
        else:
            chosen[number] = found[number][0]
    with transaction.atomic():
        there = _members_among(people_list, chosen.values())
        new = {number: pk for number, pk in chosen.items() if pk not in there}
        people_list.members.add(*new.values())
        if new:
            after = {"added": sorted(new)}
            record_event(chain="months", action="list grew", subject=people_list, actor=by, at=at, after=after)
    return Added(employees=sorted(new.values()), already=len(there), faults=faults)


def add_again(*, people_list: PeopleList, employees: QuerySet[Employee], by, at: dt.datetime) -> int:
    """This function will put people back on a list from which they were just taken; returns how many."""
    with transaction.atomic():
        back = employees.exclude(people_lists=people_list).filter(unit__path__startswith=people_list.scope.path)
        chosen = dict(back.values_list("employee_no", "pk"))
        people_list.members.add(*chosen.values())
        if chosen:
            after = {"added": sorted(chosen)}
            record_event(chain="months", action="list grew", subject=people_list, actor=by, at=at, after=after)
    return len(chosen)


def remove_from_list(*, people_list: PeopleList, employees: QuerySet[Employee], by, at: dt.datetime) -> list[int]:
    """This function will take people off a list and return their ids; who is not on it is passed over."""
    with transaction.atomic():
        chosen = dict(employees.filter(people_lists=people_list).values_list("employee_no", "pk"))
        people_list.members.remove(*chosen.values())
        if chosen:
            before = {"removed": sorted(chosen)}
            record_event(chain="months", action="list shrank", subject=people_list, actor=by, at=at, before=before)
    return sorted(chosen.values())


def delete_list(*, people_list: PeopleList, by, at: dt.datetime) -> None:
    """This function will delete a list that no audience asks for. Raises ListInUse."""
    if using := audiences_using([people_list]).get(people_list.pk):
        raise ListInUse(using)
    with transaction.atomic():
        before = {
            "name": people_list.name,
            "scope": people_list.scope.code,
            "members": sorted(people_list.members.values_list("employee_no", flat=True)),
        }
        record_event(chain="months", action="list deleted", subject=people_list, actor=by, at=at, before=before)
        people_list.delete()


def audiences_using(lists: Iterable[PeopleList]) -> dict[int, list[Audience]]:
    """This function will return {list id: the audiences whose rules ask for it}. One query: audiences are few."""
    found: dict[int, list[Audience]] = {one.pk: [] for one in lists}
    for audience in Audience.objects.select_related("scope").order_by("name", "pk"):
        for pk in {value for key, value in conditions_of(audience.rule) if key == "list"}:
            if pk in found:
                found[pk].append(audience)
    return found


def members_of(*, people_list: PeopleList, people: QuerySet[Employee]) -> QuerySet[Employee]:
    """This function will return those of some people who are on a list, by employee number."""
    members = PeopleList.members.through.objects.filter(peoplelist_id=people_list.pk, employee_id=OuterRef("pk"))
    return people.filter(Exists(members)).select_related("unit", "position").order_by("employee_no")


def search_members(*, members: QuerySet[Employee], text: str) -> QuerySet[Employee]:
    """This function will narrow the people of a list to those whose name, pinyin or number fits."""
    joined = text.lower().replace(" ", "")
    wanted = Q(employee_no__istartswith=text) | Q(name__icontains=text) | Q(name_latin__icontains=text)
    if joined.isascii():
        wanted |= Q(pinyin__startswith=joined) | Q(pinyin__endswith=f" {joined}")
    return members.filter(wanted)


def members_by_list(*, lists: Iterable[PeopleList], people: QuerySet[Employee]) -> dict[int, int]:
    """This function will count, for each list, those of some people who are on it. One query."""
    rows = (
        PeopleList.members.through.objects.filter(peoplelist_id__in=[one.pk for one in lists])
        .filter(employee_id__in=people.order_by().values("pk"))
        .order_by()
        .values("peoplelist_id")
        .annotate(number=Count("pk"))
    )
    return {row["peoplelist_id"]: row["number"] for row in rows}


def _numbers(text: str) -> Iterator[tuple[int, str, str]]:
    """(line, its text, employee number) of everything that looks like one; the number is empty for a line without."""
    for number, line in enumerate(unicodedata.normalize("NFKC", text).splitlines(), start=1):
        words = [word for word in _BETWEEN.split(line.strip()) if word]
        if not words:
            continue
        like_numbers = [word[:40] for word in words if any(letter.isdigit() for letter in word)]
        shown = line.strip()[:100]
        if not like_numbers:
            yield number, shown, ""
        for word in like_numbers:
            yield number, shown, word


def _members_among(people_list: PeopleList, ids: Iterable[int]) -> set[int]:
    there: set[int] = set()
    for some in batches(sorted(ids), _CHUNK):
        there |= set(people_list.members.filter(pk__in=some).values_list("pk", flat=True))
    return there
