"""The figures of a bulletin: read once from a closed month, compared honestly, and frozen as plain values."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from django.db.models import QuerySet

from bulletins.domain import statistics
from courses.models import ClosedFigure, MonthClose
from people.models import OrgUnit

COLUMNS = ("assigned", "completed", "on_time", "exempt", "withdrawn", "voluntary", "voluntary_done")
FORM = 1  # of the stored values; raised when their shape or the way they are computed changes


class MonthNotClosed(Exception):
    """Bulletins are made of closed months only: figures that still move are no news."""


class NothingOwed(Exception):
    """At the close nobody in this unit owed anything, so there is nothing to tell."""


class NoSuchLevel(Exception):
    """No unit of this kind lay below the unit at the close."""


@dataclass(frozen=True)
class Level:
    """A kind of unit that can be compared: how many there are below the scope, and how many are large enough."""

    kind: str
    units: int
    ranked: int


def levels(*, close: MonthClose, unit: OrgUnit) -> list[Level]:
    """This function will return the kinds of units below a unit at the close, the topmost first. Two queries."""
    rows = _below(close, unit)
    counts: Counter[str] = Counter()
    large: Counter[str] = Counter()
    order: dict[str, int] = {}
    for kind in dict.fromkeys(row["kind"] for row in rows):
        for one in _topmost(row for row in rows if row["kind"] == kind):
            counts[kind] += 1
            large[kind] += one["people"] >= statistics.SMALLEST
            order[kind] = min(order.get(kind, one["depth"]), one["depth"])
    kinds = sorted(counts, key=lambda kind: (order[kind], kind))
    return [Level(kind=kind, units=counts[kind], ranked=large[kind]) for kind in kinds]


def usual_level(found: Iterable[Level]) -> str | None:
    """This function will choose what to compare unless somebody chose: the kind with most units that can be ranked."""
    best = max(found, key=lambda level: (level.ranked, level.units), default=None)
    return best.kind if best else None


def gather(*, close: MonthClose, unit: OrgUnit, level: str) -> dict:
    """This function will return the figures of a bulletin as plain values (text and whole numbers, lists and dicts).

    ``unit`` is what the bulletin is about, ``level`` the kind of the units below it that are compared. Rates are
    completed of assigned at the close. ``people`` is the size of a unit: the most who owed one same course, so that
    who owes two courses is not two people (duties of one person do not vary independently; counting them twice would
    draw the limits too narrow). Ranks, limits and judgements are those of bulletins.domain.statistics; units with fewer
    than 30 people have none. A unit of the kind within another of the same kind counts as part of it.
    Five queries. Raises MonthNotClosed, NothingOwed, NoSuchLevel.
    """
    if close.state != MonthClose.State.CLOSED:
        raise MonthNotClosed(str(close.month))
    own = list(close.figures.filter(unit=unit).select_related("run__course").order_by("run__course__code"))
    total = _sum(own)
    if not total["assigned"]:
        raise NothingOwed(str(close.month))
    below = _below(close, unit)
    compared = _topmost(row for row in below if row["kind"] == level)
    if not compared:
        raise NoSuchLevel(level)
    previous = (
        MonthClose.objects.filter(state=MonthClose.State.CLOSED, month__lt=close.month).order_by("-month").first()
    )
    before = _before(previous, [unit.pk, *(row["unit"] for row in compared)]) if previous else {}
    then = before.get(unit.pk)
    return {
        "form": FORM,
        "month": str(close.month),
        "scope": {"code": own[0].unit_code, "zh": own[0].unit_zh, "en": own[0].unit_en or own[0].unit_zh},
        "level": level,
        "total": total,
        "courses": [
            {
                "code": row.run.course.code,
                "zh": row.run.course.title_zh or row.run.course.title_en,
                "en": row.run.course.title_en or row.run.course.title_zh,
                "assigned": row.assigned,
                "completed": row.completed,
                "on_time": row.on_time,
            }
            for row in own
            if row.assigned
        ],
        "units": _judged([row for row in compared if row["assigned"]], total, before),
        "perfect": [
            {"code": row["code"], "zh": row["zh"], "en": row["en"], "people": row["people"]}
            for row in _topmost(row for row in below if row["assigned"] and row["completed"] == row["assigned"])
        ],
        "before": {"month": str(previous.month), **then} if previous and then and then["assigned"] else None,
        "lines": _lines(compared, total),
    }


def digest_of(figures: dict) -> str:
    """This function will return the SHA-256 of the canonical form of figures: keys sorted, no white space."""
    text = json.dumps(figures, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


# --- reading the close ----------------------------------------------------------------------------------------------
def _sum(rows: Iterable[ClosedFigure]) -> dict[str, int]:
    rows = list(rows)
    counts = {column: sum(getattr(row, column) for row in rows) for column in COLUMNS}
    return {**counts, "people": max((row.assigned for row in rows), default=0)}


def _below(close: MonthClose, unit: OrgUnit) -> list[dict]:
    """Every unit that lay below at the close, in tree order, with its counts over all courses of the month."""
    place = close.figures.filter(unit=unit).values_list("path", flat=True).first()
    if place is None:
        return []
    rows: QuerySet[ClosedFigure] = (
        close.figures.filter(path__startswith=place).exclude(unit=unit).order_by("path", "run")
    )
    names = ("unit_id", "unit__kind", "path", "depth", "unit_code", "unit_zh", "unit_en", *COLUMNS)
    found: dict[int, dict] = {}
    for row in rows.values(*names):
        one = found.setdefault(
            row["unit_id"],
            {
                "unit": row["unit_id"],
                "kind": row["unit__kind"],
                "path": row["path"],
                "depth": row["depth"],
                "code": row["unit_code"],
                "zh": row["unit_zh"],
                "en": row["unit_en"] or row["unit_zh"],
                "people": 0,
                **dict.fromkeys(COLUMNS, 0),
            },
        )
        one["people"] = max(one["people"], row["assigned"])
        for column in COLUMNS:
            one[column] += row[column]
    return list(found.values())


def _topmost(rows: Iterable[dict]) -> list[dict]:
    """Of units in tree order those that lie under no other of them."""
    found: list[dict] = []
    for row in rows:
        if not (found and row["path"].startswith(found[-1]["path"])):
            found.append(row)
    return found


def _before(close: MonthClose, unit_ids: list[int]) -> dict[int, dict[str, int]]:
    """The counts of units in an earlier close."""
    found: dict[int, list[ClosedFigure]] = {}
    for row in close.figures.filter(unit__in=unit_ids).order_by("path", "run"):
        found.setdefault(row.unit_id, []).append(row)
    return {pk: _sum(rows) for pk, rows in found.items()}


# --- comparing ------------------------------------------------------------------------------------------------------
def _judged(rows: list[dict], total: dict[str, int], before: dict[int, dict[str, int]]) -> list[dict]:
    """The compared units in the order in which they are shown: ranked ones by rank, then the small ones in tree order."""
    whole = Fraction(total["completed"], total["assigned"])
    ranked = [row for row in rows if row["people"] >= statistics.SMALLEST]
    small = [row for row in rows if row["people"] < statistics.SMALLEST]
    rates = [Fraction(row["completed"], row["assigned"]) for row in ranked]
    p_values = [
        statistics.unlikeliness(row["people"], rate * row["people"], whole)
        for row, rate in zip(ranked, rates, strict=True)
    ]
    different = statistics.discoveries(p_values)
    places = statistics.ranks(rates)
    judged = []
    for number, (row, rate) in enumerate(zip(ranked, rates, strict=True)):
        inner = statistics.limits(row["people"], whole, statistics.INNER)
        outer = statistics.limits(row["people"], whole, statistics.OUTER)
        differs = ("below" if rate < whole else "above") if number in different else ""
        judged.append(
            {
                **_plain(row, before),
                "rank": places[number],
                "inner": [inner.low, inner.high],
                "outer": [outer.low, outer.high],
                "differs": differs,
            }
        )
    judged.sort(key=lambda one: one["rank"])  # stable: equal ranks stay in tree order
    return [*judged, *({**_plain(row, before), "rank": None, "differs": ""} for row in small)]


def _plain(row: dict, before: dict[int, dict[str, int]]) -> dict:
    then = before.get(row["unit"])
    names = ("code", "zh", "en", "people", "assigned", "completed", "on_time", "exempt")
    return {
        **{name: row[name] for name in names},
        "before": {"assigned": then["assigned"], "completed": then["completed"]} if then else None,
    }


def _lines(compared: list[dict], total: dict[str, int]) -> list[dict]:
    """The lines of the funnel: at each size the four limits in hundred-thousandths, as whole numbers."""
    whole = Fraction(total["completed"], total["assigned"])
    sizes = [row["people"] for row in compared if row["people"]]
    if not sizes or whole in (0, 1):
        return []
    found = []
    # a little beyond the smallest and the largest unit, so that even a few units of one size stand in a funnel
    largest, smallest = max(*sizes, statistics.SMALLEST) * 3 // 2, max(1, min(sizes) * 2 // 3)
    for size in statistics.sizes_to_draw(largest=largest, smallest=smallest):
        inner = statistics.limits(size, whole, statistics.INNER)
        outer = statistics.limits(size, whole, statistics.OUTER)
        shares = (outer.low_line, inner.low_line, inner.high_line, outer.high_line)
        found.append({"people": size, "shares": [round(share * 100_000) for share in shares]})
    return found
