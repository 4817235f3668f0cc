"""Units and positions as a roster writes them: finding them, planning those that are missing, making them."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from functools import lru_cache

from django.db import transaction
from django.db.models import F

from people.domain.roster_sql import reserve_ids
from people.domain.roster_words import Fault
from people.models import OrgUnit, Position

DEPTH_LIMIT = 12
NEW_UNITS_LIMIT = 20_000
_PARTS = re.compile(r"[/>／＞›»]")
_KINDS = (OrgUnit.Kind.GROUP, OrgUnit.Kind.PROVINCE, OrgUnit.Kind.CITY, OrgUnit.Kind.BRANCH)


@lru_cache(maxsize=50_000)
def folded(name: str) -> str:
    """A name for comparing: without case, full-width forms and repeated spaces."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


class UnitBook:
    """The unit tree, read once, in which paths of a file are looked up; what is missing is planned, not made.

    A planned unit has a negative number until ``reserve`` gives out the real ids.
    """

    def __init__(self, scope: OrgUnit | None):
        self.scope = scope
        self.planned: dict[int, dict] = {}  # -1, -2, … -> {parent, name, depth, path (of names)}
        self._answers: dict[str, tuple[int | None, Fault | None]] = {}
        self._below: dict[int | None, dict[str, int | None]] = defaultdict(dict)  # None as a value: several so called
        self._codes: dict[str, int] = {}
        self._names: dict[int | None, tuple[str, ...]] = {}  # nothing is above a root: no names for None
        by_path: dict[str, int] = {}
        inside: set[int] = set()
        # path order: every unit comes after the one above it
        for pk, path, name, name_en, code in OrgUnit.objects.order_by("path").values_list(
            "pk", "path", "name", "name_en", "code"
        ):
            by_path[path] = pk
            parent = by_path.get(path[: -OrgUnit.steplen])
            self._names[pk] = (*self._names.get(parent, ()), name)
            for called in {folded(name), folded(name_en)} - {""}:
                self._below[parent][called] = None if called in self._below[parent] else pk
            self._codes[code] = pk
            if scope is not None and path.startswith(scope.path):
                inside.add(pk)
        self.inside = None if scope is None else inside
        # the scope and everything above it, from the root down
        self._way = [by_path[scope.path[:end]] for end in _steps(scope.path)] if scope else []

    def find(self, text: str) -> tuple[int | None, Fault | None]:
        """This function will return the unit a cell means: (its id, negative if still to be made, or None; the fault).

        The path may start at the root, at any unit on the way down to the scope, or right below the scope. A single
        code of a unit will do as well.
        """
        answer = self._answers.get(text)
        if answer is None:
            answer = self._answers[text] = self._found(text)
        return answer

    def _found(self, text: str) -> tuple[int | None, Fault | None]:
        parts = [" ".join(part.split()) for part in _PARTS.split(text)]
        while parts and not parts[0]:
            parts = parts[1:]
        while parts and not parts[-1]:
            parts = parts[:-1]
        if not parts or not all(parts):
            return None, Fault("unit", text, "unit_gap")
        if len(parts) > DEPTH_LIMIT:
            return None, Fault("unit", text, "unit_too_deep", {"limit": DEPTH_LIMIT})
        limit = OrgUnit._meta.get_field("name").max_length
        if any(len(part) > limit for part in parts):
            return None, Fault("unit", text, "too_long", {"limit": limit})
        above, parts = self._anchored(parts)
        unit: int | None = above
        for part in parts:
            called = folded(part)
            below = self._below[unit]
            if called not in below:
                if not self._within(unit):
                    return None, self._outside(text)
                if len(self.planned) >= NEW_UNITS_LIMIT:
                    return None, Fault("unit", text, "too_many_units", {"limit": NEW_UNITS_LIMIT})
                below[called] = self._plan(unit, part)
            elif below[called] is None:
                return None, Fault("unit", text, "unit_twice")
            unit = below[called]
        if not self._within(unit):
            return None, self._outside(text)
        return unit, None

    def _anchored(self, parts: list[str]) -> tuple[int | None, list[str]]:
        """Where the path starts: (the unit above its first part, the parts still to follow)."""
        first = folded(parts[0])
        if len(parts) == 1 and parts[0] in self._codes:
            return self._codes[parts[0]], []
        if self.scope is None:
            return None, parts
        # 1. it starts with a unit on the way from the root down to the scope, the scope included
        for place, unit in enumerate(self._way):
            parent = self._way[place - 1] if place else None
            if self._below[parent].get(first) == unit:
                return unit, parts[1:]
        # 2. it starts right below the scope
        if first in self._below[self.scope.pk]:
            return self.scope.pk, parts
        # 3. it starts with a neighbour of the scope or of a unit above it: meant is that one, not a new one of its name
        for parent in [None, *self._way[:-1]]:
            if first in self._below[parent]:
                return parent, parts
        return self.scope.pk, parts

    def _within(self, unit: int | None) -> bool:
        """Is the unit the scope or below it? A planned unit is where its nearest real unit is."""
        if self.inside is None:
            return True
        while unit is not None and unit < 0:
            unit = self.planned[unit]["parent"]
        return unit in self.inside

    def _outside(self, text: str) -> Fault:
        assert self.scope is not None  # without a scope nothing is outside
        return Fault("unit", text, "unit_outside", {"scope": self.scope.name})

    def _plan(self, parent: int | None, name: str) -> int:
        number = -1 - len(self.planned)
        names = (*self._names.get(parent, ()), name)
        self._names[number] = names
        self.planned[number] = {"parent": parent, "name": name, "depth": len(names), "path": "/".join(names)}
        return number

    def reserve(self, used: set[int]) -> dict[int, int]:
        """This function will give out real ids to the planned units that are used, and to those above them."""
        wanted = set()
        for unit in used:
            while unit is not None and unit < 0 and unit not in wanted:
                wanted.add(unit)
                unit = self.planned[unit]["parent"]
        order = sorted(wanted, reverse=True)  # a unit is planned after the one above it
        ids = dict(zip(order, reserve_ids(OrgUnit, len(order)), strict=True))
        self.plan = [
            {**self.planned[number], "id": ids[number], "parent": ids.get(parent, parent)}
            for number in order
            for parent in [self.planned[number]["parent"]]
        ]
        return ids


class PositionBook:
    """The positions by title, and those a file needs made. Numbers as in UnitBook."""

    def __init__(self):
        self._known: dict[str, int] = {}
        self._family: dict[int, str] = {}
        self.planned: dict[int, dict] = {}
        self.differing: dict[str, None] = {}  # titles whose family in the file is another one, in order
        for pk, title, title_en, family in Position.objects.order_by("pk").values_list(
            "pk", "title", "title_en", "job_family"
        ):
            self._family[pk] = family
            if title_en:
                self._known.setdefault(folded(title_en), pk)
            self._known[folded(title)] = pk

    def find(self, title: str, family: str | None) -> int:
        """This function will return the position of a title, negative if it is still to be made."""
        known = self._known.get(folded(title))
        if known is None:
            known = -1 - len(self.planned)
            self._known[folded(title)] = known
            self.planned[known] = {"title": title, "job_family": family or ""}
        elif family:
            kept = self.planned[known]["job_family"] if known < 0 else self._family[known]
            if known < 0 and not kept:
                self.planned[known]["job_family"] = family
            elif family != kept:
                self.differing[title] = None
        return known

    def reserve(self, used: set[int]) -> dict[int, int]:
        """This function will give out real ids to the planned positions that are used."""
        order = sorted((number for number in used if number < 0), reverse=True)
        ids = dict(zip(order, reserve_ids(Position, len(order)), strict=True))
        self.plan = [{**self.planned[number], "id": ids[number]} for number in order]
        return ids


def _steps(path: str) -> range:
    return range(OrgUnit.steplen, len(path) + 1, OrgUnit.steplen)


@transaction.atomic
def make_units(plan: list[dict]) -> None:
    """This function will make the planned units, each below its parent, in one insert for each level.

    The code is made from the path of names, so the same unit gets the same code wherever it is made.
    """
    if not plan:
        return
    parents = {step["parent"] for step in plan} - {step["id"] for step in plan}
    places = dict(OrgUnit.objects.filter(pk__in=parents - {None}).values_list("pk", "path"))
    taken = set(OrgUnit.objects.order_by().values_list("code", flat=True))
    last: dict[int | None, str] = {}
    for parent in parents:
        if parent is None:
            root = OrgUnit.get_last_root_node()
            if root:
                last[None] = root.path
        else:
            children = OrgUnit.objects.filter(path__startswith=places[parent], depth=_depth(places[parent]) + 1)
            newest = children.order_by("-path").values_list("path", flat=True).first()
            if newest:
                last[parent] = newest
    made: dict[int, OrgUnit] = {}
    added: dict[int | None, int] = defaultdict(int)
    for step in plan:  # parents before children
        parent = step["parent"]
        above = places[parent] if parent is not None else ""
        place = (
            OrgUnit(path=last[parent])._inc_path() if parent in last else OrgUnit._get_path(above, _depth(above) + 1, 1)
        )
        last[parent] = places[step["id"]] = place
        depth = _depth(place)
        added[parent] += 1
        made[step["id"]] = OrgUnit(
            pk=step["id"],
            path=place,
            depth=depth,
            code=_code(step["path"], taken),
            name=step["name"],
            kind=_KINDS[depth - 1] if depth <= len(_KINDS) else OrgUnit.Kind.DEPARTMENT,
        )
    for pk, count in added.items():
        if pk in made:
            made[pk].numchild = count
        elif pk is not None:
            OrgUnit.objects.filter(pk=pk).update(numchild=F("numchild") + count)
    OrgUnit.objects.bulk_create(made.values(), batch_size=500)


def _depth(path: str) -> int:
    return len(path) // OrgUnit.steplen


def _code(path: str, taken: set[str]) -> str:
    digest = hashlib.sha256(folded(path).encode()).hexdigest().upper()
    for length in range(8, 38, 2):
        code = f"U-{digest[:length]}"
        if code not in taken:
            taken.add(code)
            return code
    raise ValueError(path)


@transaction.atomic
def make_positions(plan: list[dict]) -> None:
    """This function will make the planned positions."""
    Position.objects.bulk_create(
        [Position(pk=step["id"], title=step["title"], job_family=step["job_family"]) for step in plan], batch_size=500
    )


def remove_unused_units(ids: list[int]) -> list[str]:
    """This function will remove those of the units in which nothing is left; returns the names of those that stay.

    What is in a unit is asked of every model that points at one, whichever app it belongs to, and whether or not units
    know of it by a name.
    """
    left = set(ids)
    for relation in OrgUnit._meta.get_fields(include_hidden=True):
        if not (relation.auto_created and relation.is_relation) or relation.concrete:
            continue
        model, name = relation.related_model, relation.field.attname
        if model._meta.proxy or not relation.field.concrete:
            continue
        for start in range(0, len(ids), 500):
            left -= set(
                model._base_manager.filter(**{f"{name}__in": ids[start : start + 500]}).values_list(name, flat=True)
            )
    below: dict[str, int] = defaultdict(int)  # path -> units directly below
    made: dict[int, tuple[str, str]] = {}
    asked = set(ids)
    for pk, path, name in OrgUnit.objects.order_by().values_list("pk", "path", "name"):
        below[path[: -OrgUnit.steplen]] += 1
        if pk in asked:
            made[pk] = (path, name)
    gone: list[int] = []
    shrunk: set[str] = set()
    for pk, (path, _name) in sorted(made.items(), key=lambda item: -len(item[1][0])):  # leaves first
        if pk in left and not below[path]:
            gone.append(pk)
            below[path[: -OrgUnit.steplen]] -= 1
            shrunk.add(path[: -OrgUnit.steplen])
    for start in range(0, len(gone), 500):
        OrgUnit.objects.filter(pk__in=gone[start : start + 500])._raw_delete("default")
    for unit in (
        OrgUnit.objects.filter(path__in=shrunk - {""}).only("path") if len(shrunk) < 500 else OrgUnit.objects.all()
    ):
        if unit.path in shrunk:
            OrgUnit.objects.filter(pk=unit.pk).update(numchild=below[unit.path])
    stays = set(made) - set(gone)
    return [name for pk, (_path, name) in made.items() if pk in stays]


def remove_unused_positions(ids: list[int]) -> None:
    """This function will remove those of the positions that nobody holds or held."""
    left = set(ids)
    for relation in Position._meta.related_objects:
        model, name = relation.related_model, relation.field.attname
        left -= set(model._base_manager.filter(**{f"{name}__in": ids}).values_list(name, flat=True))
    Position.objects.filter(pk__in=left).delete()
