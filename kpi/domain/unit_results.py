"""Results of units: the cards of a scorecard of units over closed months. Their grade is the unit coefficient in pay (DOMAIN section 2).

Nobody rates or calibrates a unit: its card follows from the measures alone, so computing it is all there is to do. What was
computed last holds, until a pay run rests on it.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Count, Exists, Max, OuterRef, QuerySet

from core.periods import Month, span
from courses.models import MonthClose
from kpi.domain import pay_looks, rules, scorecards
from kpi.domain.pay_steps import SETTLED
from kpi.domain.review_states import actor_for, holds_unit
from kpi.models import PayLine, PayRun, Rule, RuleVersion, Scorecard
from people.domain.access import Actor, visible_units
from people.models import OrgUnit

ROW = "PM-F07"
_Card = TypeVar("_Card")


class NotYourUnit(Exception):
    """Results of units are computed by HR of the whole unit."""


class NotOfTheRule(Exception):
    """The version is no scorecard of units, or the unit is not one of the rule's."""


class MonthsOutOfOrder(Exception):
    """The last month lies before the first."""


class NotClosed(Exception):
    """Some of the months are not closed (``months``): their figures can still change."""

    def __init__(self, months: Sequence[Month]):
        super().__init__(months)
        self.months = list(months)


class RestsOn(Exception):
    """A pay run (``run``) that was handed in or approved rests on the results there are."""

    def __init__(self, run: PayRun):
        super().__init__(run.code)
        self.run = run


# --- computing ------------------------------------------------------------------------------------------------------------
def require_ready(
    *, version: RuleVersion, scope: OrgUnit, first_month: Month, last_month: Month, by, at: dt.datetime
) -> None:
    """This function will refuse what keeps results of units from being computed over these months.

    The version must be in force on the first and on the last day of the months, as for reviews. Raises NotYourUnit,
    NotOfTheRule, MonthsOutOfOrder, NotClosed, RestsOn and rules.InForceMissing.
    """
    actor = actor_for(by, at)
    if actor is not None and not holds_unit(actor, scope):
        raise NotYourUnit
    rule = version.rule
    if (rule.family, rule.subject) != (Rule.Family.SCORECARD, Rule.Subject.UNIT) or not rule.scope.contains(scope):
        raise NotOfTheRule
    if last_month < first_month:
        raise MonthsOutOfOrder
    for day in (first_month.first_day, last_month.last_day):
        rules.require_in_force(version=version, on=day)
    closed = set(MonthClose.objects.filter(state=MonthClose.State.CLOSED).values_list("month", flat=True))
    still_open = [month for month in first_month.through(last_month) if month not in closed]
    if still_open:
        raise NotClosed(still_open)
    run = _resting(scope, first_month, last_month)
    if run is not None:
        raise RestsOn(run)


def _resting(scope: OrgUnit, first_month: Month, last_month: Month) -> PayRun | None:
    """The first run of these months, past the hands of who prepares it, that pays people of these units by unit results."""
    runs = PayRun.objects.filter(
        kind=PayRun.Kind.REGULAR,
        state__in=(PayRun.State.SUBMITTED, *SETTLED),
        cycle__first_month=first_month,
        cycle__last_month=last_month,
    ).select_related("scope", "version")
    for run in runs.order_by("pk"):
        if _counts_units(run) and (run.scope.contains(scope) or scope.contains(run.scope)):
            return run
    return None


def _counts_units(run: PayRun) -> bool:
    """Has the rule of the run unit coefficients?"""
    return bool(run.version.parameters.get("unit_bands"))


def units_of(scope: OrgUnit) -> list[int]:
    """This function will return the ids of a unit and all below it, from the top down: what there is to compute."""
    return list(OrgUnit.objects.under(scope).order_by("path").values_list("pk", flat=True))


def compute_units(
    *,
    version: RuleVersion,
    scope: OrgUnit,
    units: Iterable[int],
    first_month: Month,
    last_month: Month,
    by,
    at: dt.datetime,
) -> int:
    """This function will compute the cards of these units (ids, inside ``scope``) and return how many had anything measured.

    One transaction; a card there is stays as it is and the new one holds. Raises as ``require_ready`` does.
    """
    require_ready(version=version, scope=scope, first_month=first_month, last_month=last_month, by=by, at=at)
    chosen = OrgUnit.objects.under(scope).filter(pk__in=list(units)).order_by("path")
    cards = scorecards.compute_cards(
        version=version, units=chosen, first_month=first_month, last_month=last_month, by=by, at=at
    )
    return len(cards)


# --- reading --------------------------------------------------------------------------------------------------------------
def standing(first_month: Month, last_month: Month, *, at: dt.datetime | None = None) -> QuerySet[Scorecard]:
    """This function will return the card that holds of every unit over these months, now or as it was at a moment."""
    cards = Scorecard.objects.filter(org_unit__isnull=False, first_month=first_month, last_month=last_month)
    if at is not None:
        cards = cards.filter(computed_at__lte=at)
    newer = cards.order_by().filter(org_unit=OuterRef("org_unit"), pk__gt=OuterRef("pk"))
    return cards.filter(~Exists(newer))


@dataclass(frozen=True)
class Period:
    """Months over which units have results: of how many the reader sees, and when one was last computed."""

    first_month: Month
    last_month: Month
    units: int
    computed_at: dt.datetime

    @property
    def key(self) -> str:
        """As it stands in addresses: 2026-07_2026-09."""
        return f"{self.first_month}_{self.last_month}"

    @property
    def label(self) -> str:
        return span(self.first_month, self.last_month)


def periods(actor: Actor) -> list[Period]:
    """This function will return the months over which units in the actor's sight have results, the newest first."""
    rows = (
        Scorecard.objects.filter(org_unit__in=visible_units(actor, ROW).order_by().values("pk"))
        .order_by()
        .values_list("first_month", "last_month")
        .annotate(units=Count("org_unit", distinct=True), computed_at=Max("computed_at"))
    )
    return [Period(*row) for row in rows.order_by("-last_month", "-first_month")]


def results(actor: Actor, first_month: Month, last_month: Month) -> QuerySet[Scorecard]:
    """This function will return the results that hold of the units in the actor's sight, in the order of the tree."""
    cards = standing(first_month, last_month).filter(org_unit__in=visible_units(actor, ROW).order_by().values("pk"))
    return cards.select_related("org_unit", "version__rule").order_by("org_unit__path")


def by_path(first_month: Month, last_month: Month, *, at: dt.datetime | None) -> dict[str, tuple[int, str]]:
    """This function will return {path of a unit: (id of its card, grade)} of all that held at a moment (None: now), for ``nearest``."""
    rows = standing(first_month, last_month, at=at).order_by().values_list("org_unit__path", "pk", "grade")
    return {path: (pk, grade) for path, pk, grade in rows}


def nearest(cards: Mapping[str, _Card], path: str) -> _Card | None:
    """This function will return what belongs to the unit of this path, else to the nearest unit above that has something."""
    while path:
        if path in cards:
            return cards[path]
        path = path[: -OrgUnit.steplen]
    return None


def card_behind(line: PayLine) -> Scorecard | None:
    """This function will return the card of the unit whose grade a pay line was computed with, or None where none counted.

    Of the line's unit, else of the nearest one above it, as it stood when the run was computed.
    """
    run = line.adjusts.run if line.adjusts is not None else line.run
    if run.computed_at is None or not _counts_units(run):
        return None
    cards = standing(run.cycle.first_month, run.cycle.last_month, at=run.computed_at)
    above = OrgUnit.objects.above(line.pool.unit).order_by().values("pk")
    return cards.filter(org_unit__in=above).select_related("org_unit").order_by("-org_unit__depth").first()


def concern_of(run: PayRun) -> str:
    """This function will say what whoever prepares or checks a run should know of its unit coefficients: a word, or nothing.

    ``none``: the rule has unit coefficients and no unit has a result over these months; ``newer``: some were computed after
    the run was.
    """
    waits = run.state in (PayRun.State.DRAFT, PayRun.State.COMPUTED, PayRun.State.SUBMITTED)
    if not waits or run.kind != PayRun.Kind.REGULAR or not _counts_units(run):
        return ""
    cards = standing(run.cycle.first_month, run.cycle.last_month)
    if not cards.exists():
        return "none"
    return "newer" if run.computed_at and cards.filter(computed_at__gt=run.computed_at).exists() else ""


def sees_figures(actor: Actor, card: Scorecard) -> bool:
    """This function will say whether the figures of the unit of a card are in the actor's sight."""
    return actor.may(ROW) and visible_units(actor, ROW).filter(pk=card.org_unit_id).exists()


def may_read(actor: Actor, card: Scorecard) -> bool:
    """This function will say whether the actor may read the card of a unit: who sees the figures of the unit, and
    whoever may read a pay line that rests on it, the own one first of all.
    """
    if sees_figures(actor, card):
        return True
    assert card.org_unit is not None  # asked of cards of units
    readable = [pay_looks.visible_lines(actor)]
    if actor.employee is not None:
        readable.append(pay_looks.own_lines(actor.employee))
    paths: dict[int, set[str]] = defaultdict(set)
    for lines in readable:
        below = lines.filter(
            run__cycle__first_month=card.first_month,
            run__cycle__last_month=card.last_month,
            pool__unit__path__startswith=card.org_unit.path,
            adjusts=None,
        )
        for number, path in below.order_by().values_list("run", "pool__unit__path").distinct():
            paths[number].add(path)
    for run in PayRun.objects.filter(pk__in=paths, computed_at__isnull=False).select_related("version"):
        if _counts_units(run):
            cards = by_path(card.first_month, card.last_month, at=run.computed_at)
            if any((found := nearest(cards, path)) and found[0] == card.pk for path in paths[run.pk]):
                return True
    return False
