"""Changing the unit tree by hand, and counting heads in it."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from django.db import IntegrityError, transaction
from django.db.models import Count
from django.utils.translation import get_language

from core.events import record_event
from core.models import Event
from people.models import Employee, OrgUnit, User


class CodeTaken(Exception):
    """Another unit has this code."""


class UnitCircle(Exception):
    """A unit cannot be put under itself or under one of its own."""


class AlreadyThere(Exception):
    """The unit stands directly under that unit already."""


class TreeBusy(Exception):
    """Somebody else is rebuilding the same branch at this moment; try again."""


@dataclass(frozen=True)
class UnitLine:
    """One unit below another, with the people at work in it and below."""

    unit: OrgUnit
    people: int
    units: int  # directly below


def people_in(units: list[OrgUnit]) -> list[UnitLine]:
    """This function will count the people at work in each of some sibling units, with everything below them.

    Two queries for all of them: the heads of each unit, which an index alone answers, and where each unit stands.
    """
    if not units:
        return []
    length = len(units[0].path)
    parent_path = units[0].path[: length - OrgUnit.steplen]
    under = OrgUnit.objects.filter(path__startswith=parent_path) if parent_path else OrgUnit.objects.all()
    at_work = Employee.objects.filter(state=Employee.State.ACTIVE).order_by()
    if parent_path:
        at_work = at_work.filter(unit__in=under.order_by().values("pk"))
    heads = dict(at_work.values_list("unit").annotate(heads=Count("pk")))
    sums: dict[str, int] = {}
    for pk, path in under.order_by().values_list("pk", "path"):
        sums[path[:length]] = sums.get(path[:length], 0) + heads.get(pk, 0)
    return [UnitLine(unit=unit, people=sums.get(unit.path, 0), units=unit.numchild) for unit in units]


@transaction.atomic
def rename_unit(*, unit: OrgUnit, name: str, name_en: str, kind: str, by: User | None, at: dt.datetime) -> None:
    """This function will give a unit another name, English name or kind; the code stays. No change, no event."""
    values = {"name": name, "name_en": name_en, "kind": kind}
    changed = {field: value for field, value in values.items() if getattr(unit, field) != value}
    if not changed:
        return
    before = {field: getattr(unit, field) for field in changed}
    OrgUnit.objects.filter(pk=unit.pk).update(**changed)
    for field, value in changed.items():
        setattr(unit, field, value)
    record_event(chain="roster", action="unit renamed", subject=unit, actor=by, at=at, before=before, after=changed)


def add_unit(
    *, parent: OrgUnit, code: str, name: str, name_en: str, kind: str, by: User | None, at: dt.datetime
) -> OrgUnit:
    """This function will add a unit under another. Raises CodeTaken, TreeBusy."""
    if OrgUnit.objects.filter(code=code).exists():
        raise CodeTaken
    try:
        with transaction.atomic():
            fresh = OrgUnit.objects.get(pk=parent.pk)  # treebeard counts children on the row at hand
            unit = fresh.add_child(code=code, name=name, name_en=name_en, kind=kind)
            after = {"code": code, "name": name, "name_en": name_en, "kind": kind, "under": parent.code}
            record_event(chain="roster", action="unit added", subject=unit, actor=by, at=at, after=after)
            return unit
    except IntegrityError as error:  # two new units at once got the same place in the tree
        raise TreeBusy from error


def move_unit(*, unit: OrgUnit, under: OrgUnit, by: User | None, at: dt.datetime) -> OrgUnit:
    """This function will put a unit, with everything below it, under another unit. Returns it with its new place.

    Raises UnitCircle, AlreadyThere, TreeBusy.
    """
    try:
        with transaction.atomic():
            # the rows as they are now: treebeard moves by the path on the row at hand
            unit, under = OrgUnit.objects.get(pk=unit.pk), OrgUnit.objects.get(pk=under.pk)
            if unit.contains(under):
                raise UnitCircle
            parent = unit.get_parent()
            if parent and parent.pk == under.pk:
                raise AlreadyThere
            unit.move(under, pos="last-child")
            unit = OrgUnit.objects.get(pk=unit.pk)
            record_event(
                chain="roster",
                action="unit moved",
                subject=unit,
                actor=by,
                at=at,
                before={"under": parent.code if parent else None},
                after={"under": under.code},
            )
            return unit
    except IntegrityError as error:
        raise TreeBusy from error


# --- the tree of another day ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class PastUnit:
    """A unit as it was called and where it hung at a moment. ``parent`` is the id of the unit above it, None for a root."""

    pk: int
    code: str
    name: str
    name_en: str
    kind: str
    parent: int | None

    @property
    def label(self) -> str:
        """Its name at that moment, in the active language."""
        return self.name_en if self.name_en and (get_language() or "").startswith("en") else self.name


@dataclass(frozen=True)
class Tree:
    """The unit tree of one moment. ``walk`` goes through it from the roots down."""

    units: dict[int, PastUnit]
    paths: dict[int, str]  # where each stands today: the order of neighbours

    @cached_property
    def _below(self) -> dict[int | None, list[int]]:
        found: dict[int | None, list[int]] = defaultdict(list)
        for pk in sorted(self.units, key=lambda pk: self.paths[pk]):
            found[self.units[pk].parent].append(pk)
        return found

    @property
    def roots(self) -> list[int]:
        return self._below[None]

    def children(self, pk: int) -> list[int]:
        """The units right below one, in the order of today's tree."""
        return self._below.get(pk, [])

    def above(self, pk: int) -> list[int]:
        """The unit and every unit above it, from the unit up."""
        found: list[int] = []
        unit: int | None = pk
        while unit is not None:
            found.append(unit)
            unit = self.units[unit].parent
        return found

    def walk(self, pk: int | None = None) -> Iterator[tuple[int, int]]:
        """(unit, depth) of a unit (None: of every root) and everything below it, each before what is below it."""
        waiting = [(one, 1) for one in reversed(self.roots if pk is None else [pk])]
        while waiting:
            one, depth = waiting.pop()
            yield one, depth
            waiting += [(below, depth + 1) for below in reversed(self.children(one))]


_NAMES = ("name", "name_en", "kind")


def tree_as_of(at: dt.datetime) -> Tree:
    """This function will return the unit tree as it was at a moment: where each unit hung, and what it was called.

    Today's tree, from which every move and renaming after the moment is taken back, the newest first (events "unit
    moved" and "unit renamed" of the chain ``roster``: nothing else moves or renames a unit). A unit made after the
    moment is in it where it was first put, so that every figure has a place. Two queries.
    """
    units, order, by_path = {}, {}, {}
    rows = OrgUnit.objects.order_by("path").values_list("pk", "path", "code", *_NAMES)
    for pk, path, code, name, name_en, kind in rows:
        by_path[path], order[pk] = pk, path
        units[pk] = PastUnit(pk, code, name, name_en, kind, by_path.get(path[: -OrgUnit.steplen]))
    by_code = {unit.code: unit.pk for unit in units.values()}
    later = Event.objects.filter(
        chain="roster", action__in=["unit moved", "unit renamed"], subject_type=OrgUnit._meta.label_lower, at__gt=at
    )
    for event in later.order_by("-sequence"):
        unit = units.get(int(event.subject_id))
        if unit is None or event.before is None:  # the unit was removed since: it had nothing in it
            continue
        if event.action == "unit renamed":
            units[unit.pk] = replace(unit, **{key: event.before[key] for key in _NAMES if key in event.before})
            continue
        code = event.before["under"]
        if code is None or code in by_code:
            units[unit.pk] = replace(unit, parent=by_code[code] if code else None)
    return Tree(units, order)
