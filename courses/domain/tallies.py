"""The running counts: kept in the transaction that changes an enrolment, recounted after work in bulk.

On every database a writer changes the enrolment first and the tallies after it, so two writers never wait for each
other in a circle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Count, F

from courses.models import CourseRun, Enrolment, Tally
from people.models import OrgUnit

COLUMNS = ("assigned", "started", "completed", "on_time", "exempt", "withdrawn", "voluntary", "voluntary_done")

_State = Enrolment.State


def counted_as(state: str, on_time: bool | None, voluntary: bool = False) -> dict[str, int]:
    """This function will return what one enrolment in this state adds to each column of a tally (zeros left out).

    What was taken by choice is beside the denominator; given up (withdrawn), it counts nowhere.
    """
    if voluntary:
        if state == _State.WITHDRAWN:
            return {}
        return {"voluntary": 1, "voluntary_done": 1} if state == _State.COMPLETED else {"voluntary": 1}
    if state == _State.EXEMPT:
        return {"exempt": 1}
    if state == _State.WITHDRAWN:
        return {"withdrawn": 1}
    counts = {"assigned": 1}
    if state != _State.ASSIGNED:
        counts["started"] = 1
    if state == _State.COMPLETED:
        counts["completed"] = 1
        if on_time:
            counts["on_time"] = 1
    return counts


def move(*, enrolment: Enrolment, before: str | None, on_time: bool | None = None) -> None:
    """This function will move one enrolment to its present state in the tallies of its unit and all units above.

    ``before`` and ``on_time`` are the state that it had (None: it is new). One UPDATE for all levels, in the caller's
    transaction, after the enrolment itself was changed. Where a level has no row yet (a unit that was moved in the
    tree, the first duty of a unit) the run is recounted.
    """
    old = counted_as(before, on_time, enrolment.voluntary) if before else {}
    new = counted_as(enrolment.state, enrolment.on_time, enrolment.voluntary)
    change = {column: new.get(column, 0) - old.get(column, 0) for column in COLUMNS}
    change = {column: by for column, by in change.items() if by}
    if not change:
        return
    units = OrgUnit.objects.above(enrolment.unit).order_by()
    _lock(enrolment.run_id, [enrolment.unit.path])
    moved = Tally.objects.filter(run_id=enrolment.run_id, unit__in=units).update(
        **{column: F(column) + by for column, by in change.items()}
    )
    if moved != enrolment.unit.depth:
        recount(run=enrolment.run)


def _lock(run_id: int, paths: Iterable[str] | None) -> None:
    """Writers of a run queue on the tally of the root unit, so that they cannot wait for each other in a circle.

    Only PostgreSQL needs it: on SQLite the whole transaction is the lock. ``None`` means every root.
    """
    if not connection.features.has_select_for_update:
        return
    roots = Tally.objects.select_for_update(of=("self",)).filter(run_id=run_id, unit__depth=1).order_by("unit__path")
    if paths is not None:
        roots = roots.filter(unit__path__in={path[: OrgUnit.steplen] for path in paths})
    list(roots.values_list("pk", flat=True))


@dataclass(frozen=True)
class Difference:
    """A tally that did not say what the enrolments say. ``kept`` is what it said, ``counted`` what is true."""

    run_id: int
    unit_id: int
    kept: dict[str, int]
    counted: dict[str, int]


def count(*, run: CourseRun) -> dict[int, dict[str, int]]:
    """This function will count the enrolments of a run and return {unit id: counts} for every level of the tree.

    What was enrolled ahead of a run that is not open yet counts nowhere.
    """
    by_unit: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    rows = (
        Enrolment.objects.filter(run=run)
        .exclude(run__state=CourseRun.State.PLANNED)
        .order_by()
        .values("unit_id", "state", "on_time", "voluntary")
    )
    for row in rows.annotate(number=Count("pk")):
        for column, one in counted_as(row["state"], row["on_time"], row["voluntary"]).items():
            by_unit[row["unit_id"]][column] += one * row["number"]
    if not by_unit:
        return {}
    tree = list(OrgUnit.objects.order_by().values_list("pk", "path"))
    id_of = {path: pk for pk, path in tree}
    path_of = dict(tree)
    totals: dict[int, dict[str, int]] = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    for unit_id, counts in by_unit.items():
        path = path_of[unit_id]
        for end in range(OrgUnit.steplen, len(path) + 1, OrgUnit.steplen):
            total = totals[id_of[path[:end]]]
            for column, number in counts.items():
                total[column] += number
    return dict(totals)


def recount(*, run: CourseRun) -> list[Difference]:
    """This function will make the tallies of a run equal to its enrolments and return what was different.

    Exact while others work: it holds the tallies of the roots while it counts, so a change is either counted here or
    added afterwards.
    """
    with transaction.atomic():
        _lock(run.pk, None)
        counted = count(run=run)
        kept = {
            row["unit_id"]: {column: row[column] for column in COLUMNS}
            for row in Tally.objects.filter(run=run).values("unit_id", *COLUMNS)
        }
        nothing = dict.fromkeys(COLUMNS, 0)
        differences = [
            Difference(run.pk, unit_id, kept.get(unit_id, nothing), counted.get(unit_id, nothing))
            for unit_id in sorted(counted.keys() | kept.keys())
            if counted.get(unit_id, nothing) != kept.get(unit_id, nothing)
        ]
        Tally.objects.bulk_create(
            [Tally(run=run, unit_id=difference.unit_id, **difference.counted) for difference in differences],
            batch_size=2000,
            update_conflicts=True,
            unique_fields=["run", "unit"],
            update_fields=list(COLUMNS),
        )
    return differences
