"""Measures: writing them, correcting them by superseding, adding them up over months, and who may look at which.

A measure is never changed. The one in force is the one that nothing supersedes; one without a value says that there is
nothing to measure (any more). Everything that writes goes through ``write_measures``, ``correct_measure`` or
``take_back``; each call is one event on the chain ``measures`` with the ids that were written and a digest of them,
so that ``manage.py verify_events`` finds a measure that was edited, deleted or slipped in.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import IntegrityError, models, transaction
from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum
from django.http import Http404
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from core.batches import batches
from core.events import record_event, sealed
from core.models import Event
from core.periods import Month
from kpi.domain.scoring import half_up
from kpi.models import Indicator, Measure, RuleVersion
from people.domain.access import Actor, require, visible_employees, visible_units
from people.models import OrgUnit, User

PLACES = 4
_CHAIN = "measures"
_BATCH = 2000

# Reasons that the platform gives itself are kept in English and said in the language of whoever reads them.
DUTIES_CHANGED = gettext_noop("After the first count a duty was done late, excused, moved or corrected.")
RESULTS_CHANGED = gettext_noop("After the first count a quiz was taken again, or a result was corrected or voided.")
FIGURES_ADJUSTED = gettext_noop("The closed month was adjusted: duties changed after it was closed.")
IMPORT_UNDONE = gettext_noop("The file that wrote it was taken back.")
_OWN_REASONS = {DUTIES_CHANGED, RESULTS_CHANGED, FIGURES_ADJUSTED, IMPORT_UNDONE}


class ReasonMissing(Exception):
    """A value that stands already is to become another one, and nobody said why."""


class MeasuredTwice(Exception):
    """The same subject, indicator and month stand twice in what is to be written."""


class MeasuredMeanwhile(Exception):
    """Somebody else measured or corrected the same at this very moment; look again."""


class NotInForce(Exception):
    """The measure was superseded already; the one in force is the one to correct."""


class NothingChanged(Exception):
    """The correction says what stands there already."""


class IndicatorInUse(Exception):
    """The code, the unit of measurement or the source of an indicator was to change after its first use."""


class CodeTaken(Exception):
    """Another indicator has this code."""


# --- writing ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class NewMeasure:
    """One value to write: of an employee or of a unit (ids), in one month.

    ``value`` None: there is nothing to measure; what was measured before is taken back. ``reason`` is needed where a
    value that stands is corrected. ``source`` is that of the indicator unless given.
    """

    indicator: Indicator
    month: Month
    value: Decimal | None
    employee: int | None = None
    unit: int | None = None
    numerator: Decimal | None = None
    denominator: Decimal | None = None
    n: int | None = None
    spread: Decimal | None = None
    source: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    @property
    def key(self) -> tuple[int, str, int | None, int | None]:
        return self.indicator.pk, str(self.month), self.employee, self.unit

    @property
    def figures(self) -> tuple:
        return _figures(self.value, self.numerator, self.denominator, self.n, self.spread)


@dataclass(frozen=True)
class Written:
    """What writing did: how many subjects got their first value, another one, or kept theirs; and the new ids."""

    new: int = 0
    corrected: int = 0
    unchanged: int = 0
    ids: tuple[int, ...] = ()

    def __add__(self, other: Written) -> Written:
        return Written(
            self.new + other.new,
            self.corrected + other.corrected,
            self.unchanged + other.unchanged,
            self.ids + other.ids,
        )


def _figures(value, numerator, denominator, n, spread) -> tuple:
    """What makes two measures the same, whatever they rest on."""
    numbers = (None if one is None else half_up(one, PLACES) for one in (value, numerator, denominator, spread))
    return (*numbers, n)


def figures_of(measure: Measure) -> tuple:
    """This function will return what makes two measures the same: value, share, spread and number of observations."""
    return _figures(measure.value, measure.numerator, measure.denominator, measure.n, measure.spread)


def write_measures(
    *,
    rows: Iterable[NewMeasure],
    by: User | None,
    at: dt.datetime,
    about: models.Model | None = None,
    action: str = "measures written",
) -> Written:
    """This function will write values as first measures, or as superseding ones where another value stands.

    What stands with the same figures stays as it is, so writing twice changes nothing. One event for all of them, about
    ``about`` (default: the first one written). Raises ReasonMissing for a correction without a reason, MeasuredTwice, or
    MeasuredMeanwhile when another writer was at the same subjects at the same moment.
    """
    rows = list(rows)
    keys = [row.key for row in rows]
    if len(set(keys)) < len(keys):
        raise MeasuredTwice
    with transaction.atomic():
        there = standing(rows)
        made: list[Measure] = []
        new = corrected = 0
        for row in rows:
            before = there.get(row.key)
            if (row.value is None) if before is None else figures_of(before) == row.figures:
                continue
            if before is not None and not row.reason.strip():
                raise ReasonMissing
            made.append(_measure(row, before, by=by, at=at))
            new, corrected = new + (before is None), corrected + (before is not None)
        if made:
            _keep(made, about=about, action=action, by=by, at=at, after={"new": new, "corrected": corrected})
    return Written(new, corrected, len(rows) - len(made), tuple(one.pk for one in made))


def standing(rows: list[NewMeasure]) -> dict[tuple, Measure]:
    """This function will return {key of a row: the newest measure of its subject} of those rows that have one.

    A query for each indicator and month, of people and of units.
    """
    wanted: dict[tuple[int, str], list[NewMeasure]] = defaultdict(list)
    for row in rows:
        wanted[row.indicator.pk, str(row.month)].append(row)
    found = {}
    for (indicator, month), some in wanted.items():
        for name in ("employee", "org_unit"):
            ids = [row.unit if name == "org_unit" else row.employee for row in some]
            for batch in batches((pk for pk in ids if pk is not None), _BATCH):
                newest = Measure.objects.filter(
                    indicator=indicator, month=month, superseded_by=None, **{f"{name}__in": batch}
                )
                for one in newest.order_by():
                    found[indicator, month, one.employee_id, one.org_unit_id] = one
    return found


def _measure(row: NewMeasure, before: Measure | None, *, by: User | None, at: dt.datetime) -> Measure:
    value, numerator, denominator, spread, n = row.figures
    return Measure(
        indicator=row.indicator,
        employee_id=row.employee,
        org_unit_id=row.unit,
        month=row.month,
        value=value,
        numerator=numerator,
        denominator=denominator,
        n=n,
        spread=spread,
        source=row.source or row.indicator.source,
        evidence=dict(row.evidence),
        captured_at=at,
        captured_by=by,
        supersedes=before,
        reason=row.reason.strip()[:300] if before else "",
    )


def _keep(
    made: list[Measure],
    *,
    about: models.Model | None,
    action: str,
    by: User | None,
    at: dt.datetime,
    after: dict,
    before: dict | None = None,
    reason: str = "",
) -> None:
    """Insert the measures and tell the chain, which keeps their digest."""
    try:
        with transaction.atomic():
            Measure.objects.bulk_create(made, batch_size=1000)
    except IntegrityError as error:
        raise MeasuredMeanwhile from error
    ids = [one.pk for one in made]
    months = sorted({str(one.month) for one in made})
    record_event(
        chain=_CHAIN,
        action=action,
        subject=about or made[0],
        actor=by,
        at=at,
        before=before,
        after={**after, "months": months, "count": len(ids), "ids": ranges(ids), "digest": _digest(made)},
        reason=reason,
    )


def ranges(ids: Iterable[int]) -> list[list[int]]:
    """This function will write ids as ranges, both ends included: 1, 2, 3, 7 are [[1, 3], [7, 7]]."""
    found: list[list[int]] = []
    for pk in sorted(ids):
        if found and found[-1][1] == pk - 1:
            found[-1][1] = pk
        else:
            found.append([pk, pk])
    return found


def of_ranges(spans: Iterable[list[int]]) -> Iterator[Measure]:
    """This function will go through the measures of some ranges in the order of their ids."""
    for first, last in spans:
        rows = Measure.objects.filter(pk__gte=first, pk__lte=last).order_by("pk")
        yield from rows.iterator(chunk_size=_BATCH)


def _digest(measures: Iterable[Measure]) -> str:
    seal = hashlib.sha256()
    for one in measures:
        *numbers, n = figures_of(one)
        line = [
            one.pk,
            one.indicator_id,
            one.employee_id,
            one.org_unit_id,
            str(one.month),
            *(None if number is None else str(number) for number in numbers),
            n,
            one.source,
            one.evidence,
            one.captured_at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
            one.captured_by_id,
            one.supersedes_id,
            one.reason,
        ]
        text = json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        seal.update(text.encode() + b"\n")
    return seal.hexdigest()


@sealed
def check_measures() -> Iterator[tuple[str, bool]]:
    """For manage.py verify_events: each batch of measures and whether it is what was sealed; and that there are no others."""
    told = 0
    events = Event.objects.filter(chain=_CHAIN).order_by("sequence")
    for event in events.iterator(chunk_size=_BATCH):
        after = event.after or {}
        if "digest" not in after:
            continue
        told += after["count"]
        yield f"measures of event {event.sequence}", _digest(of_ranges(after["ids"])) == after["digest"]
    if told:
        yield "number of measures", Measure.objects.count() == told


# --- correcting -------------------------------------------------------------------------------------------------------
def correct_measure(
    *,
    measure: Measure,
    value: Decimal | None,
    reason: str,
    by: User | None,
    at: dt.datetime,
    numerator: Decimal | None = None,
    denominator: Decimal | None = None,
    n: int | None = None,
    spread: Decimal | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Measure:
    """This function will supersede a measure by what a person says is right, with the reason; None takes it back.

    What it rested on stays written, with ``evidence`` added; a share is given anew or dropped, number and spread of the
    observations stay unless given. Collecting a month leaves such a value alone. One event on the chain ``measures``.
    Raises ReasonMissing, NotInForce, NothingChanged or MeasuredMeanwhile.
    """
    reason = reason.strip()[:300]
    if not reason:
        raise ReasonMissing
    with transaction.atomic():
        if Measure.objects.filter(supersedes=measure).exists():
            raise NotInForce
        row = NewMeasure(
            indicator=measure.indicator,
            month=measure.month,
            employee=measure.employee_id,
            unit=measure.org_unit_id,
            value=value,
            numerator=numerator,
            denominator=denominator,
            n=None if value is None else measure.n if n is None else n,
            spread=None if value is None else measure.spread if spread is None else spread,
            source=measure.source,
            evidence={**measure.evidence, **(evidence or {}), "by_hand": True},
            reason=reason,
        )
        if value == measure.value and (numerator is None or row.figures == figures_of(measure)):
            raise NothingChanged
        made = _measure(row, measure, by=by, at=at)
        _keep(
            [made],
            about=None,
            action="measure corrected",
            by=by,
            at=at,
            before={"measure": measure.pk, "value": _text(measure.value)},
            after={"value": _text(made.value)},
            reason=reason,
        )
    return made


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def take_back(
    *, measures: Iterable[Measure], reason: str, by: User | None, at: dt.datetime, about: models.Model | None = None
) -> Written:
    """This function will give the subjects of some measures back what stood before, by superseding measures.

    A measure that was corrected since is left alone (it counts as unchanged). One event. Raises MeasuredMeanwhile.
    """
    found = list(measures)
    with transaction.atomic():
        over = set(
            Measure.objects.filter(supersedes__in=[one.pk for one in found]).values_list("supersedes", flat=True)
        )
        earlier = Measure.objects.in_bulk({one.supersedes_id for one in found if one.supersedes_id})
        indicators = Indicator.objects.in_bulk({one.indicator_id for one in found})
        made = []
        for one in found:
            if one.pk in over:
                continue
            before = earlier.get(one.supersedes_id) if one.supersedes_id else None
            row = NewMeasure(
                indicator=indicators[one.indicator_id],
                month=one.month,
                employee=one.employee_id,
                unit=one.org_unit_id,
                value=before.value if before else None,
                numerator=before.numerator if before else None,
                denominator=before.denominator if before else None,
                n=before.n if before else None,
                spread=before.spread if before else None,
                source=before.source if before else one.source,
                evidence=before.evidence if before else {},
                reason=reason,
            )
            made.append(_measure(row, one, by=by, at=at))
        if made:
            _keep(made, about=about, action="measures taken back", by=by, at=at, after={}, reason=reason)
    return Written(corrected=len(made), unchanged=len(found) - len(made), ids=tuple(one.pk for one in made))


# --- reading ----------------------------------------------------------------------------------------------------------
def in_force() -> QuerySet[Measure]:
    """This function will return the measures that count: superseded by nothing, and not taken back."""
    return Measure.objects.filter(superseded_by=None, value__isnull=False)


def reason_words(measure: Measure) -> str:
    """This function will return why a measure superseded another one, in the active language where the words are ours."""
    return _(measure.reason) if measure.reason in _OWN_REASONS else measure.reason


def history_of(measure: Measure) -> list[Measure]:
    """This function will return all measures of the same subject, indicator and month, from the first to the newest."""
    found = Measure.objects.filter(
        indicator=measure.indicator_id,
        month=measure.month,
        employee=measure.employee_id,
        org_unit=measure.org_unit_id,
    )
    return list(found.select_related("captured_by__employee", "indicator").order_by("pk"))


@dataclass(frozen=True)
class Aggregate:
    """What several months of one indicator come to: the value, the measures it is made of, the observations in all."""

    value: Decimal
    measures: tuple[int, ...]
    n: int | None = None


def aggregated(
    *,
    indicators: Iterable[str],
    first_month: Month,
    last_month: Month,
    employees: Iterable[int] | None = None,
    units: Iterable[int] | None = None,
) -> dict[int, dict[str, Aggregate]]:
    """This function will return {subject id: {code of an indicator: what its months come to}} of people or of units.

    Give ids of ``employees`` or of ``units`` (neither: everybody measured). One month is its value. Of several: per cent
    is the sum of the numerators over that of the denominators where all months have them, else the mean; points and
    ratings are the mean weighted by n where all months have it, else the plain mean; counts are added. Shares are
    floored, means rounded half-up, both to four places. Subjects and indicators of which nothing was measured are
    absent. A query for every two thousand subjects.
    """
    if employees is not None and units is not None:
        raise ValueError("people or units, not both")
    name = "org_unit" if units is not None else "employee"
    wanted = units if units is not None else employees
    rows = in_force().filter(
        indicator__code__in=list(indicators),
        month__gte=first_month,
        month__lte=last_month,
        **{f"{name}__isnull": False},
    )
    columns = (f"{name}_id", "indicator__code", "indicator__unit", "pk", "value", "numerator", "denominator", "n")
    found: dict[tuple[int, str], list[tuple]] = defaultdict(list)
    units_of: dict[str, str] = {}
    queries = [rows] if wanted is None else (rows.filter(**{f"{name}__in": some}) for some in batches(wanted, _BATCH))
    for query in queries:
        ordered = query.order_by(f"{name}_id", "indicator", "month").values_list(*columns)
        for subject, code, unit, *values in ordered.iterator(chunk_size=_BATCH):
            found[subject, code].append(tuple(values))
            units_of[code] = unit
    answer: dict[int, dict[str, Aggregate]] = defaultdict(dict)
    for (subject, code), months in found.items():
        answer[subject][code] = _together(units_of[code], months)
    return dict(answer)


def _together(unit: str, months: list[tuple]) -> Aggregate:
    ids = tuple(pk for pk, *_rest in months)
    counts = [n for *_rest, n in months]
    n = None if None in counts else sum(counts)
    return Aggregate(combined(unit=unit, parts=[tuple(values) for _pk, *values in months]), ids, n)


def combined(*, unit: str, parts: list[tuple]) -> Decimal:
    """This function will combine (value, numerator, denominator, n) of several months or subjects as ``aggregated`` does."""
    if len(parts) == 1:
        return parts[0][0]
    values = [value for value, *_rest in parts]
    if unit == Indicator.Unit.COUNT:
        return sum(values, Decimal(0))
    if unit == Indicator.Unit.PERCENT:
        if all(top is not None and bottom is not None for _value, top, bottom, _n in parts):
            top = sum((Fraction(one[1]) for one in parts), Fraction(0))
            return share(top, sum((Fraction(one[2]) for one in parts), Fraction(0)))
    elif all(n for *_rest, n in parts):
        weighted = sum((Fraction(value) * n for value, _top, _bottom, n in parts), Fraction(0))
        return half_up(weighted / sum(n for *_rest, n in parts), PLACES)
    return half_up(sum((Fraction(value) for value in values), Fraction(0)) / len(values), PLACES)


def share(done, total) -> Decimal:
    """This function will return a share in per cent, floored to four places: 100 means all."""
    return Decimal(Fraction(done) * 100 * 10**PLACES // Fraction(total)).scaleb(-PLACES)


# --- who may look -----------------------------------------------------------------------------------------------------
def visible_measures(actor: Actor, row: str, units_row: str = "PM-F07") -> QuerySet[Measure]:
    """This function will return the measures of the people (``row``) and of the units (``units_row``) in the actor's scope."""
    subjects = Q(pk__in=[])
    if actor.may(row):
        subjects |= Q(employee__in=visible_employees(actor, row).order_by().values("pk"))
    if actor.may(units_row):
        subjects |= Q(org_unit__in=visible_units(actor, units_row).order_by().values("pk"))
    return Measure.objects.filter(subjects)


def measure_or_404(actor: Actor, row: str, measure_id: int, units_row: str = "PM-F07") -> Measure:
    """This function will return one measure through the door of its person or unit, or raise Http404 (403: no role)."""
    require(actor, row)
    if measure_id > 2**63 - 1:
        raise Http404
    found = visible_measures(actor, row, units_row).filter(pk=measure_id)
    measure = found.select_related("indicator", "employee__unit", "employee__position", "org_unit").first()
    if measure is None:
        raise Http404
    return measure


def person_months(employee_id: int) -> list[Month]:
    """This function will return the months in which anything was measured of a person, the newest first."""
    return list(in_force().filter(employee=employee_id).order_by("-month").values_list("month", flat=True).distinct())


def measures_of(employee_id: int, months: Iterable[Month]) -> list[Measure]:
    """This function will return what is in force of a person in some months, newest month first. One query."""
    found = in_force().filter(employee=employee_id, month__in=[str(month) for month in months])
    return list(found.select_related("indicator", "supersedes").order_by("-month", "indicator__code"))


@dataclass(frozen=True)
class Filled:
    """How many people and units have a value of one indicator in one month."""

    people: int = 0
    units: int = 0

    @property
    def total(self) -> int:
        return self.people + self.units


def filled(*, actor: Actor, first_month: Month, last_month: Month) -> dict[tuple[int, Month], Filled]:
    """This function will return {(indicator id, month): how many have a value} of what the actor may see. One query."""
    rows = (
        visible_measures(actor, "PM-F07")
        .filter(superseded_by=None, value__isnull=False, month__gte=first_month, month__lte=last_month)
        .order_by()
        .values("indicator", "month")
        .annotate(people=Count("employee"), units=Count("org_unit"))
    )
    return {(row["indicator"], row["month"]): Filled(row["people"], row["units"]) for row in rows}


def months_measured() -> tuple[Month | None, Month | None]:
    """This function will return the first and the last month of which anything is measured."""
    ends = Measure.objects.aggregate(first=Min("month"), last=Max("month"))
    return ends["first"], ends["last"]


# --- a row of months for a chart --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Point:
    """One month of a unit or a group of people: its value, the share behind it, and of how many subjects it is made."""

    month: Month
    value: Decimal
    numerator: Decimal | None
    denominator: Decimal | None
    people: int | None  # None: measured of the unit itself
    measure: int | None = None  # the unit's own measure


def unit_points(*, indicator: Indicator, unit: OrgUnit, first_month: Month, last_month: Month) -> list[Point]:
    """This function will return the months of an indicator in a unit, the oldest first.

    The unit's own measure where there is one; else what those of its people come to who were in the unit or below it on
    the 28th of the month. A query for the unit, and one for each month that it has no measure of.
    """
    own = in_force().filter(indicator=indicator, org_unit=unit, month__gte=first_month, month__lte=last_month)
    found = {
        one.month: Point(one.month, _value(one), one.numerator, one.denominator, None, one.pk) for one in own.order_by()
    }
    people = in_force().filter(indicator=indicator, employee__isnull=False)
    below = OrgUnit.objects.under(unit).order_by().values("pk")
    measured = set(
        people.filter(month__gte=first_month, month__lte=last_month)
        .order_by()
        .values_list("month", flat=True)
        .distinct()
    )
    for month in sorted(measured - found.keys()):
        day = month.first_day.replace(day=28)
        there = Q(employee__placements__starts_on__lte=day) & (
            Q(employee__placements__ends_on=None) | Q(employee__placements__ends_on__gte=day)
        )
        some = people.filter(there & Q(employee__placements__unit__in=below), month=month)
        sums = some.aggregate(**_SUMS)
        if sums["number"]:
            found[month] = _point_of(indicator, month, sums)
    return [found[month] for month in sorted(found)]


def people_points(*, indicator: Indicator, people: QuerySet, first_month: Month, last_month: Month) -> list[Point]:
    """This function will return the months of an indicator over some people (of a manager: the team), the oldest first."""
    rows = in_force().filter(
        indicator=indicator,
        month__gte=first_month,
        month__lte=last_month,
        employee__in=people.order_by().values("pk"),
    )
    sums = rows.order_by("month").values("month").annotate(**_SUMS)
    return [_point_of(indicator, one["month"], one) for one in sums]


def _value(measure: Measure) -> Decimal:
    assert measure.value is not None  # in_force
    return measure.value


_WEIGHTED = models.ExpressionWrapper(
    F("value") * F("n"), output_field=models.DecimalField(max_digits=24, decimal_places=4)
)
_SUMS: dict[str, Any] = {
    "number": Count("pk"),
    "total": Sum("value"),
    "top": Sum("numerator"),
    "bottom": Sum("denominator"),
    "shares": Count("pk", filter=Q(numerator__isnull=False, denominator__isnull=False)),
    "weighted": Sum(_WEIGHTED),
    "weights": Sum("n"),
    "counted": Count("pk", filter=Q(n__gt=0)),
}


def _point_of(indicator: Indicator, month: Month, sums: Mapping[str, Any]) -> Point:
    """What many people's values of a month come to, from the sums that the database made; as ``combined`` does it."""
    number, total = sums["number"], sums["total"]
    top = bottom = None
    if sums["shares"] == number:
        top, bottom = half_up(sums["top"], PLACES), half_up(sums["bottom"], PLACES)
    if indicator.unit == Indicator.Unit.COUNT:
        value = half_up(total, PLACES)
    elif indicator.unit == Indicator.Unit.PERCENT and top is not None:
        value = share(top, bottom)
    elif indicator.unit != Indicator.Unit.PERCENT and sums["counted"] == number:
        value = half_up(Fraction(sums["weighted"]) / sums["weights"], PLACES)
    else:
        value = half_up(Fraction(total) / number, PLACES)
    return Point(month, value, top, bottom, number)


def units_right_below(*, indicator: Indicator, unit: OrgUnit, month: Month) -> list[tuple[OrgUnit, Measure | None]]:
    """This function will return the units right below one in tree order, each with its own measure of a month. Two queries."""
    units = list(OrgUnit.objects.filter(path__startswith=unit.path, depth=unit.depth + 1))
    rows = in_force().filter(indicator=indicator, month=month, org_unit__in=[one.pk for one in units])
    own = {one.org_unit_id: one for one in rows}
    return [(one, own.get(one.pk)) for one in units]


# --- indicators -------------------------------------------------------------------------------------------------------
_KEPT = ("name", "name_en", "unit", "better", "source", "about", "about_en", "active")
FIXED = ("code", "unit", "source")  # after the first use


def is_used(indicator: Indicator) -> bool:
    """This function will say whether anything was measured by an indicator, or a rule reads it."""
    if Measure.objects.filter(indicator=indicator).exists():
        return True
    return any(
        f'"{indicator.code}"' in json.dumps(parameters, ensure_ascii=False)
        for parameters in RuleVersion.objects.values_list("parameters", flat=True).iterator(chunk_size=500)
    )


def save_indicator(
    *, indicator: Indicator | None, values: Mapping[str, Any], by: User | None, at: dt.datetime
) -> Indicator:
    """This function will make an indicator, or change one; code, unit and source stay after its first use.

    One event on the chain ``measures`` if anything changed. Raises CodeTaken or IndicatorInUse.
    """
    with transaction.atomic():
        if indicator is None:
            made = Indicator(**values)
            try:
                with transaction.atomic():
                    made.save()
            except IntegrityError as error:
                raise CodeTaken from error
            after = {name: getattr(made, name) for name in ("code", *_KEPT)}
            record_event(chain=_CHAIN, action="indicator made", subject=made, actor=by, at=at, after=after)
            return made
        changed = {name: value for name, value in values.items() if getattr(indicator, name) != value}
        if not changed:
            return indicator
        if changed.keys() & set(FIXED) and is_used(indicator):
            raise IndicatorInUse
        before = {name: getattr(indicator, name) for name in changed}
        try:
            with transaction.atomic():
                Indicator.objects.filter(pk=indicator.pk).update(**changed)
        except IntegrityError as error:
            raise CodeTaken from error
        indicator.refresh_from_db()
        record_event(
            chain=_CHAIN, action="indicator changed", subject=indicator, actor=by, at=at, before=before, after=changed
        )
    return indicator
