"""What a rate is compared with: the month before at the same point, and the units beside.

In the middle of a month a rate says little against that of a finished month. So the month before is read as it stood as
long before (or after) its due time: its duties from the tallies, what was done by then from the duties themselves.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, replace

from django.core.cache import cache
from django.db.models import Count, Q, QuerySet

from core.periods import Month
from courses.domain.queries import Figures, UnitFigures, figures_of_units
from courses.models import Course, CourseRun, Enrolment
from people.models import OrgUnit

RANKED = 30  # with fewer duties one person moves the share too far: counts are shown, and nobody is ranked
LARGE = 5000  # what a unit with more duties had done by then is read once an hour


@dataclass(frozen=True)
class LiveFigures(UnitFigures):
    """A unit's figures beside the month before at the same point (``before``) and as it ended (``ended``).

    ``same_point`` is False where both are the same, because no work is accepted any more at that point.
    """

    ended: Figures
    same_point: bool

    @property
    def is_small(self) -> bool:
        return self.now.assigned < RANKED


def live_figures(
    *, unit: OrgUnit, units: Iterable[OrgUnit], month: Month, at: dt.datetime, course: Course | None = None
) -> list[LiveFigures]:
    """This function will return the figures of units that are ``unit`` or lie below it, beside the month before.

    Three queries; two where the month before is at its end at the same point, and one where nothing ran in it.
    """
    found = figures_of_units(units=units, month=month, course=course)
    if not any(one.before for one in found):
        return [LiveFigures(one.unit, one.now, one.before, one.before, False) for one in found]
    cuts = _cuts(month, at, course)
    if not cuts:
        return [LiveFigures(one.unit, one.now, one.before, one.before, False) for one in found]
    done = _done_by(unit, cuts, large=max(one.before.assigned for one in found) > LARGE)
    return [LiveFigures(one.unit, one.now, _as_of(one, done), one.before, True) for one in found]


def _cuts(month: Month, at: dt.datetime, course: Course | None) -> dict[dt.datetime, list[int]]:
    """{the moment that is as far from its due time as ``at`` from this month's: runs of the month before}.

    Empty where all of them had ended by then, or where this month has no run to measure by. One query.
    """
    runs = CourseRun.objects.filter(month__in=[month, month.previous]).exclude(state=CourseRun.State.PLANNED)
    rows = list(runs.values_list("pk", "month", "due_at", "accept_until", "course_id"))
    due_at = max((due for _pk, one, due, _end, _course in rows if one == month), default=None)
    if due_at is None:
        return {}
    cuts: dict[dt.datetime, list[int]] = {}
    is_over = True
    for pk, one, due, accept_until, course_id in rows:
        if one == month or (course is not None and course_id != course.pk):
            continue
        cut = due + (at - due_at)
        is_over = is_over and cut >= accept_until
        cuts.setdefault(cut, []).append(pk)
    return {} if is_over else cuts


def _done_by(unit: OrgUnit, cuts: dict[dt.datetime, list[int]], *, large: bool) -> dict[str, tuple[int, int]]:
    """{path of a unit: (completed, on time)} of what counts there, by these moments. One query."""
    if large:  # by the hour, so that a group is not counted through for every reader
        cuts = {cut.replace(minute=0, second=0, microsecond=0): runs for cut, runs in cuts.items()}
        key = f"done-by:{unit.pk}:{unit.path}:{sorted((cut.timestamp(), runs) for cut, runs in cuts.items())}"
        key = key.replace(" ", "")[:240]
        found = cache.get(key)
        if found is None:
            found = _done_by(unit, cuts, large=False)
            cache.set(key, found, timeout=3600)
        return found
    by_then = Q(pk__in=[])
    for cut, runs in cuts.items():
        by_then |= Q(run__in=runs, completed_at__lte=cut)
    rows = (
        Enrolment.objects.filter(by_then, voluntary=False)
        .filter(unit__in=OrgUnit.objects.under(unit).order_by().values("pk"))
        .order_by()
        .values("unit__path")
        .annotate(completed=Count("pk"), in_time=Count("pk", filter=Q(on_time=True)))
    )
    return {row["unit__path"]: (row["completed"], row["in_time"]) for row in rows}


def _as_of(figures: UnitFigures, done: dict[str, tuple[int, int]]) -> Figures:
    """The month before of a unit, with what was done by then in it and below it."""
    path, ended = figures.unit.path, figures.before
    below = [counts for where, counts in done.items() if where.startswith(path)]
    # Tallies of a closed run stay with the tree of its time: never more than came of it in the end.
    completed = min(ended.completed, sum(one for one, _two in below))
    on_time = min(ended.on_time, completed, sum(two for _one, two in below))
    return replace(ended, completed=completed, on_time=on_time, started=completed)


# --- the units beside -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Beside:
    """A unit among those beside it, in tree order. Ranked only among units of RANKED duties and more.

    ``further``: how many of the ``ranked`` others are further on; None where it is not ranked itself.
    """

    units: list[UnitFigures]
    ranked: int
    further: int | None

    @property
    def equal_or_behind(self) -> int | None:
        return None if self.further is None else self.ranked - self.further


def units_beside(
    *, unit: OrgUnit, month: Month, visible: QuerySet[OrgUnit], course: Course | None = None
) -> Beside | None:
    """This function will return a unit among its sisters, as far as they may be seen. Two queries; none for a root.

    None where there is nothing to compare with.
    """
    if unit.is_root():
        return None
    sisters = visible.filter(path__startswith=unit.path[: -OrgUnit.steplen], depth=unit.depth).order_by("path")
    found = [one for one in figures_of_units(units=sisters, month=month, course=course) if one.now.assigned]
    own = next((one for one in found if one.unit.pk == unit.pk), None)
    if own is None or len(found) < 2:
        return None
    ranked = [one for one in found if one.now.assigned >= RANKED and one is not own]
    further = None
    if own.now.assigned >= RANKED and ranked:
        further = sum(one.now.completed * own.now.assigned > own.now.completed * one.now.assigned for one in ranked)
    return Beside(units=found, ranked=len(ranked), further=further)
