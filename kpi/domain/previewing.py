"""What a scorecard that is not published yet would have meant in months that are over, beside the one in force."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db.models import Max, Min, QuerySet

from core.batches import batches
from core.periods import Month
from kpi.domain import rules, scorecards
from kpi.domain.measures import in_force
from kpi.domain.parameters import ScorecardRule, scorecard_rule
from kpi.domain.ratings import line_ratings
from kpi.domain.scoring import CardResult
from kpi.models import Rating, Rule, RuleVersion
from people.domain.access import Actor, visible_employees, visible_units
from people.models import Employee, OrgUnit

MOST = 5000  # subjects looked at in one request
_AT_ONCE = 1000


class TooMany(Exception):
    """More people than can be looked at in one go; ``number`` of them. A unit below is smaller."""

    def __init__(self, number: int):
        super().__init__(number)
        self.number = number


@dataclass(frozen=True)
class Outcome:
    """What one subject would have: before under the version in force, after under the draft; None: no card."""

    subject: int
    before: CardResult | None
    after: CardResult | None

    @property
    def difference(self) -> Decimal | None:
        return None if self.before is None or self.after is None else self.after.total - self.before.total

    @property
    def step(self) -> Decimal:
        """Above 0: a higher coefficient under the draft; below 0: a lower one; 0: the same, or nothing to compare."""
        if self.before is None or self.after is None:
            return Decimal(0)
        return self.after.band.coefficient - self.before.band.coefficient


@dataclass(frozen=True)
class Comparison:
    """All outcomes, who loses most first, with what they come to."""

    outcomes: list[Outcome]
    base: RuleVersion | None
    subjects: int  # those looked at, with or without a card
    rated: bool  # are there published ratings of these months

    @property
    def gain(self) -> list[Outcome]:
        return [one for one in reversed(self.outcomes) if one.step > 0]

    @property
    def lose(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.step < 0]

    @property
    def measured(self) -> int:
        return sum(one.after is not None for one in self.outcomes)

    def grades(self) -> list[tuple[str, int, int]]:
        """(grade, how many before, how many after), the best first."""
        before = Counter(one.before.band for one in self.outcomes if one.before)
        after = Counter(one.after.band for one in self.outcomes if one.after)
        names: dict[str, Decimal] = {}
        for band in [*before, *after]:
            names[band.grade] = max(names.get(band.grade, band.at_least), band.at_least)
        counts = {name: [0, 0] for name in sorted(names, key=lambda name: -names[name])}
        for place, counter in enumerate((before, after)):
            for band, number in counter.items():
                counts[band.grade][place] += number
        return [(name, first, second) for name, (first, second) in counts.items()]


# --- whom and when ----------------------------------------------------------------------------------------------------------
def months_with_figures(rule: ScorecardRule) -> list[Month]:
    """This function will return the months of which something a card reads is measured, the newest first; at most twelve."""
    found = in_force().filter(indicator__code__in=rule.indicators).aggregate(first=Min("month"), last=Max("month"))
    if found["last"] is None:
        return []
    first, last = Month.parse(str(found["first"])), Month.parse(str(found["last"]))
    months = [last.plus(-back) for back in range(12)]
    return [month for month in months if month >= first]


def units_to_choose(actor: Actor, rule: Rule, row: str) -> list[OrgUnit]:
    """This function will return the unit of a rule and those two levels below it, as far as the actor sees them."""
    below = visible_units(actor, row).filter(path__startswith=rule.scope.path, depth__lte=rule.scope.depth + 2)
    return list(below.order_by("path")[:500])


def people_in(actor: Actor, rule: Rule, unit: OrgUnit, on: dt.date) -> QuerySet[Employee]:
    """This function will return those whom the rule was for on a day, in a unit, of the people the actor sees."""
    visible = visible_employees(actor, "PM-V01").order_by().values("pk")
    return rules.people_of(rule, on).in_unit(unit).filter(pk__in=visible)  # type: ignore[attr-defined]


# --- comparing --------------------------------------------------------------------------------------------------------------
def compare(
    *,
    draft: RuleVersion,
    base: RuleVersion | None,
    first_month: Month,
    last_month: Month,
    employees: QuerySet[Employee] | None = None,
    units: QuerySet[OrgUnit] | None = None,
    at: dt.datetime,
) -> Comparison:
    """This function will compute the cards of these subjects under a draft and under the version in force; it writes nothing.

    Rated lines use the ratings of reviews of these months that are published. Raises TooMany, ParametersWrong.
    """
    subjects = list((employees if units is None else units).order_by("pk").only("pk")[: MOST + 1])  # type: ignore[union-attr]
    if len(subjects) > MOST:
        raise TooMany((employees if units is None else units).count())  # type: ignore[union-attr]
    rule = scorecard_rule(draft.parameters)
    ids = [one.pk for one in subjects]
    given = _ratings(ids, first_month, last_month) if units is None else {}
    asked: dict[str, Any] = {"employees" if units is None else "units": subjects}
    asked |= {"first_month": first_month, "last_month": last_month, "at": at}
    after = scorecards.preview(version=draft, ratings=_scores(rule, given), **asked)
    before: dict[int, CardResult] = {}
    if base is not None:
        old = scorecard_rule(base.parameters)
        before = scorecards.preview(version=base, ratings=_scores(old, given), **asked)
    outcomes = [Outcome(pk, before.get(pk), after.get(pk)) for pk in ids if pk in before or pk in after]
    none = Decimal(0)
    outcomes.sort(key=lambda one: (one.difference if one.difference is not None else none, one.subject))
    return Comparison(outcomes, base, len(ids), bool(given))


def _ratings(ids: Iterable[int], first: Month, last: Month) -> dict[int, dict[int, list[Rating]]]:
    """What was handed in about people in published reviews of these months: {person: {review: ratings}}."""
    found: dict[int, dict[int, list[Rating]]] = defaultdict(lambda: defaultdict(list))
    for some in batches(ids, _AT_ONCE):
        rows = Rating.objects.filter(
            review__employee__in=some,
            review__published_at__isnull=False,
            review__cycle__first_month__gte=first,
            review__cycle__last_month__lte=last,
            submitted_at__isnull=False,
        ).select_related("review")
        for row in rows.order_by("pk"):
            found[row.review.employee_id][row.review_id].append(row)
    return found


def _scores(rule: ScorecardRule, given: Mapping[int, Mapping[int, list[Rating]]]) -> dict[int, dict[str, Fraction]]:
    """The scores of rated lines under a rule; of several reviews the mean."""
    scores: dict[int, dict[str, Fraction]] = {}
    for employee, reviews in given.items():
        of_line: dict[str, list[Fraction]] = defaultdict(list)
        for ratings in reviews.values():
            for one in line_ratings(rule, ratings):
                if one.combined is not None:
                    of_line[one.line.code].append(one.combined)
        scores[employee] = {code: sum(some, Fraction(0)) / len(some) for code, some in of_line.items()}
    return scores
