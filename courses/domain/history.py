"""What was true at any moment: figures from the history of every duty, in the unit tree of any day.

The database keeps each change of each duty (EnrolmentChange). Of several rows of one duty the one with the greatest id
is the newest: rows of one duty are written one after the other, whatever time they are for.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet, Subquery
from django.utils.translation import gettext as _

from core.batches import batches
from core.periods import Month
from courses.domain.queries import Figures
from courses.domain.tallies import COLUMNS, counted_as
from courses.models import CourseRun, Enrolment, EnrolmentChange
from people.domain.units import Tree, tree_as_of
from people.models import Employee, OrgUnit, User

if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

_State, _Reason = Enrolment.State, Enrolment.Reason
_BATCH = 500
Counts = dict[int, dict[str, int]]  # {unit id: {column of a tally: number}}


@dataclass(frozen=True)
class Point:
    """A moment in the history: everything up to a time or, exactly, up to a row (MonthClose.newest_change)."""

    at: dt.datetime
    newest: int | None = None

    @property
    def before(self) -> Q:
        """The rows up to the point. A duty made ahead was owed by nobody before its run was opened."""
        rows = Q(at__lte=self.at) if self.newest is None else Q(pk__lte=self.newest)
        return rows & Q(run__opened_at__lte=self.at)

    @property
    def after(self) -> Q:
        """The rows that came afterwards."""
        rows = Q(at__gt=self.at) if self.newest is None else Q(pk__gt=self.newest)
        return rows | Q(run__opened_at__gt=self.at)


# --- figures ----------------------------------------------------------------------------------------------------------
def figures_as_of(
    *,
    at: dt.datetime,
    month: Month | None = None,
    run: CourseRun | None = None,
    layout_at: dt.datetime | None = None,
    units: Iterable[int] | None = None,
    tree: Tree | None = None,
    newest: int | None = None,
) -> dict[int, Figures]:
    """This function will return {unit id: figures} of a month or a run as they were true at a moment.

    Counted from the newest change of each duty up to ``at``, each added to its unit and to every unit above it in the
    tree as it was at ``layout_at`` (default: at that moment); give ``tree`` to read the tree once for several moments.
    ``units``: only these are returned. ``newest``: up to that row of the history instead of up to a time. A unit
    without a duty is left out. One query, and two for the tree.
    """
    tree = tree or tree_as_of(layout_at or at)
    counts = count_at(month=month, run=run, point=Point(at, newest))
    wanted = None if units is None else set(units)
    return {
        unit: Figures(**one)
        for unit, one in fold(counts, tree.above).items()
        if (wanted is None or unit in wanted) and any(one.values())
    }


def people_as_of(*, people: QuerySet[Employee], month: Month, at: dt.datetime, newest: int | None = None) -> Figures:
    """This function will count the duties of these people in a month as they were at a moment. One query.

    For a manager: a team is no unit. ``people`` comes through the door (visible_employees).
    """
    rows = _newest_rows(_runs(month, None), Point(at, newest))
    rows = rows.filter(enrolment__employee__in=people.order_by().values("pk"))
    total = dict.fromkeys(COLUMNS, 0)
    for one in _count(rows).values():
        for column, number in one.items():
            total[column] += number
    return Figures(**total)


def count_at(*, point: Point, month: Month | None = None, run: CourseRun | None = None) -> Counts:
    """This function will return {unit id: counts} of the duties set in a unit itself, as they were at a point."""
    return _count(_newest_rows(_runs(month, run), point))


def _runs(month: Month | None, run: CourseRun | None) -> list[int]:
    if run is not None:
        return [run.pk]
    return list(
        CourseRun.objects.filter(month=month).exclude(state=CourseRun.State.PLANNED).values_list("pk", flat=True)
    )


def _newest_rows(runs: list[int], point: Point, only: QuerySet | None = None) -> QuerySet[EnrolmentChange]:
    """The row of each duty of these runs that was its newest at the point (of the duties ``only``)."""
    rows = EnrolmentChange.objects.filter(point.before, run__in=runs).order_by()
    if only is not None:
        rows = rows.filter(enrolment__in=only)
    newest = rows.values("enrolment").annotate(newest=Max("pk")).values("newest")
    return EnrolmentChange.objects.filter(pk__in=newest).order_by()


def _count(rows: QuerySet[Any]) -> Counts:
    counts: Counts = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    kinds = rows.values("unit_id", "state", "on_time", "voluntary").annotate(number=Count("pk"))
    for row in kinds:
        for column, one in counted_as(row["state"], row["on_time"], row["voluntary"]).items():
            counts[row["unit_id"]][column] += one * row["number"]
    return counts


def fold(counts: Mapping[int, Mapping[str, int]], above: Callable[[int], Iterable[int]]) -> Counts:
    """This function will add the counts of each unit to itself and to every unit above it (``above``)."""
    totals: Counts = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    for unit, one in counts.items():
        for upper in above(unit):
            total = totals[upper]
            for column, number in one.items():
                total[column] += number
    return totals


# --- what changed since -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Stand:
    """How a duty stood: its state, and the unit in which it counted."""

    state: str
    on_time: bool | None
    voluntary: bool
    unit: OrgUnit

    def is_overdue(self, at: dt.datetime) -> bool:
        """Not a question here: after the close everything unfinished is."""
        return False

    @property
    def counts(self) -> dict[str, int]:
        """What it adds to each column of a tally."""
        return counted_as(self.state, self.on_time, self.voluntary)


class How:
    """Who made a change: the person by learning, somebody who decided it, or the roster (catch-up, no person)."""

    OWN, DECIDED, ROSTER = "own", "decided", "roster"


@dataclass(frozen=True)
class Change:
    """One duty that counts otherwise now than at a moment: before (None: it was not there yet) and now."""

    enrolment: Enrolment
    before: Stand | None
    now: Stand
    at: dt.datetime  # of the newest change
    how: str  # one of How
    by: User | None  # who decided it

    @property
    def employee(self) -> Employee:
        return self.enrolment.employee

    @property
    def why(self) -> str:
        """The reason in words, in the active language where it is one of ours."""
        enrolment = self.enrolment
        if self.how == How.OWN:
            return ""
        if self.before and self.before.unit != self.now.unit and self.before.counts == self.now.counts:
            return _("the duty went with the person to another unit")
        return enrolment.reason_text or str(enrolment.get_reason_display())


class Then(TypedDict):
    """What changed_since adds to a duty: the row of the history that was its newest, and the unit in it."""

    then: int | None
    then_unit: int | None


def changed_since(
    *, month: Month, point: Point, run: CourseRun | None = None, people: QuerySet[Employee] | None = None
) -> QuerySet[WithAnnotations[Enrolment, Then]]:
    """This function will return the duties of a month that count otherwise now than at a point of the history.

    In another state, punctuality, kind or unit, or not there yet. With ``then`` (id of the row that was the newest, or
    None) and ``then_unit``. Ordered by employee number and row. ``people``: only theirs.
    """
    runs = _runs(month, run)
    touched = EnrolmentChange.objects.filter(point.after, run__in=runs).order_by().values("enrolment")
    then = EnrolmentChange.objects.filter(point.before, enrolment=OuterRef("pk")).order_by("-pk")
    same = EnrolmentChange.objects.filter(
        Q(on_time=OuterRef("on_time")) | ~Q(state=_State.COMPLETED),
        pk=OuterRef("then"),
        state=OuterRef("state"),
        voluntary=OuterRef("voluntary"),
        unit=OuterRef("unit"),
    )
    found = (
        Enrolment.objects.filter(pk__in=touched)
        .annotate(then=Subquery(then.values("pk")[:1]), then_unit=Subquery(then.values("unit")[:1]))
        .filter(~Exists(same))
    )
    if people is not None and people.query.where:
        found = found.filter(employee__in=people.order_by().values("pk"))
    return found.select_related("employee", "run__course", "unit", "decided_by__employee").order_by(
        "employee__employee_no", "pk"
    )


def describe(enrolments: Iterable[WithAnnotations[Enrolment, Then]]) -> list[Change]:
    """This function will say of duties from ``changed_since`` how they stood, who changed them and why. One query."""
    found = list(enrolments)
    then = {
        row.pk: row
        for some in batches(found, _BATCH)
        for row in EnrolmentChange.objects.filter(pk__in=[one.then for one in some if one.then]).select_related("unit")
    }
    return [_change(one, then[one.then] if one.then else None) for one in found]


def _stand(row: Enrolment | EnrolmentChange) -> Stand:
    return Stand(state=row.state, on_time=row.on_time, voluntary=row.voluntary, unit=row.unit)


def _change(enrolment: Enrolment, before: EnrolmentChange | None) -> Change:
    how, by = _who(enrolment, before)
    return Change(
        enrolment=enrolment,
        before=_stand(before) if before else None,
        now=_stand(enrolment),
        at=enrolment.changed_at,
        how=how,
        by=by,
    )


def _who(enrolment: Enrolment, before: EnrolmentChange | None) -> tuple[str, User | None]:
    """Whose change it was. A decision stays written on a duty, so it counts only if it is newer than the row before."""
    state = before.state if before else None
    if enrolment.state != state and enrolment.state in {_State.IN_PROGRESS, _State.COMPLETED}:
        begun = state in {None, _State.ASSIGNED, _State.IN_PROGRESS}
        if enrolment.reason != _Reason.PAST and (begun or enrolment.state == _State.COMPLETED):
            return How.OWN, None
    decided = (enrolment.decided_by_id, enrolment.reason, enrolment.reason_text)
    known = (before.decided_by_id, before.reason, before.reason_text) if before else None
    # Catching up changes the state of what was decided only where it takes the decision off, so another state is a new one.
    if enrolment.decided_by_id and (decided != known or enrolment.state != state):
        return How.DECIDED, enrolment.decided_by
    if enrolment.voluntary and enrolment.reason == _Reason.CHOICE and enrolment.state != state:
        return How.OWN, None
    return How.ROSTER, None


def changes_since(
    *,
    month: Month,
    at: dt.datetime,
    newest: int | None = None,
    run: CourseRun | None = None,
    people: QuerySet[Employee] | None = None,
) -> Iterator[Change]:
    """This function will go through every duty of a month that counts otherwise now than at a moment.

    In batches, ordered by employee number. For a closed month give its ``closed_at`` and ``newest_change``: these are
    its adjustments.
    """
    found = changed_since(month=month, point=Point(at, newest), run=run, people=people)
    for some in batches(found.iterator(chunk_size=_BATCH), _BATCH):
        yield from describe(some)


def count_changes(*, month: Month, point: Point, run: CourseRun | None = None) -> Counts:
    """This function will return {unit id: what was added to (or taken from) its counts since a point}. Not folded.

    Two queries, over the duties that were touched since.
    """
    runs = _runs(month, run)
    touched = EnrolmentChange.objects.filter(point.after, run__in=runs).order_by().values("enrolment")
    counts: Counts = defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    then = _count(_newest_rows(runs, point, touched))
    now = _count(Enrolment.objects.filter(pk__in=touched).order_by())
    for found, sign in ((then, -1), (now, 1)):
        for unit, one in found.items():
            for column, number in one.items():
                counts[unit][column] += sign * number
    return {unit: one for unit, one in counts.items() if any(one.values())}
