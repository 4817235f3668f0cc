"""How the month will end: the on-time rate of a unit or a team at the due time, with an interval from its own history.

The question: m duties are open so long before the due time; how many of them will be finished in time? The answer
comes from the same point of earlier months. In month j, n_j duties were open then and k_j of those were finished in
time. With p the unit's own rate and rho how much more alike the duties of one month are than chance makes them:

- p has a Beta prior: its mean is the rate of the unit above (without this one), its weight PRIOR duties; without a
  unit above it is uniform (Gelman et al., Bayesian Data Analysis, 3rd edition, sections 2.4 and 5.3). So five people
  who always finished are not taken for certain.
- rho is estimated from the months by analysis of variance (Ridout, Demétrio & Firth 1999, Biometrics 55:137-148) and
  never below ALIKE. A month of n duties is worth n / (1 + (n - 1) rho) independent ones (Kish 1965, the design effect).
- The number that finishes is beta-binomial. Its Beta carries both doubts, about p and about the month to come:
  1 / (strength + 1) = 1 / (weight of prior and history + 1) + rho.

The interval is the middle 80 % of that distribution: in about one month of ten it ends below, in one of ten above.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.core.cache import cache
from django.db.models import Count, Q, QuerySet, Sum

from core.periods import Month
from courses.models import CourseRun, Enrolment, Tally
from people.models import Employee, OrgUnit

PRIOR = 10  # duties of one's own that weigh as much as what is known from the unit above
ALIKE = 0.01  # the least by which the duties of one month go the same way
LEVEL = 0.8
MONTHS = 12  # as many months back, at most
ENOUGH = 3  # months with duties; with fewer no number is given
FINE = 4000  # more open duties are taken in so many equal portions: the answer is a share anyway
LARGE = 20_000  # the history of a unit with more duties a month is read once an hour


# --- the arithmetic -----------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Past:
    """One earlier month: duties owed, those open at the same point before the due time, and of these in time after it."""

    month: Month
    assigned: int
    open: int
    finished: int


@dataclass(frozen=True)
class Prediction:
    """How many of the open duties will be finished in time. ``months``: how many earlier months it rests on."""

    expected: float
    low: int
    high: int
    months: int


def distribution(*, number: int, a: float, b: float) -> list[float]:
    """This function will return the beta-binomial probabilities of 0 … ``number`` finished."""
    fixed = math.lgamma(number + 1) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) - math.lgamma(number + a + b)
    return [
        math.exp(
            fixed + math.lgamma(k + a) + math.lgamma(number - k + b) - math.lgamma(k + 1) - math.lgamma(number - k + 1)
        )
        for k in range(number + 1)
    ]


def interval(probabilities: Sequence[float], level: float = LEVEL) -> tuple[int, int]:
    """This function will return the smallest counts up to which the lower and the upper tail are reached.

    At least ``level`` of the probability lies from the first to the second, both included.
    """
    tail = (1 - level) / 2
    low = high = len(probabilities) - 1
    sum_so_far, found_low = 0.0, False
    for k, probability in enumerate(probabilities):
        sum_so_far += probability
        if not found_low and sum_so_far > tail + 1e-12:
            low, found_low = k, True
        if sum_so_far >= 1 - tail - 1e-12:
            high = k
            break
    return low, high


def alikeness(past: Iterable[Past]) -> float:
    """This function will return the intraclass correlation within months (the ANOVA estimator), from ALIKE to 1/2."""
    months = [one for one in past if one.open]
    total, finished = sum(one.open for one in months), sum(one.finished for one in months)
    if len(months) < 2 or total <= len(months):
        return ALIKE
    squares = sum(one.finished**2 / one.open for one in months)
    between = (squares - finished**2 / total) / (len(months) - 1)
    within = (finished - squares) / (total - len(months))
    size = (total - sum(one.open**2 for one in months) / total) / (len(months) - 1)
    whole = between + (size - 1) * within
    return min(0.5, max(ALIKE, (between - within) / whole)) if whole > 0 else ALIKE


def beta_of(*, past: Iterable[Past], above: Iterable[Past] = ()) -> tuple[float, float]:
    """This function will return the two parameters of the Beta behind the prediction (see the head of the module)."""
    past, above = list(past), list(above)
    open_above, finished_above = sum(one.open for one in above), sum(one.finished for one in above)
    prior = PRIOR if open_above else 2
    weight, success = float(prior), prior * (finished_above + 1) / (open_above + 2)
    rho = alikeness(past)
    for one in past:
        if one.open:
            worth = 1 / (1 + (one.open - 1) * rho)
            weight += one.open * worth
            success += one.finished * worth
    mean = success / weight
    strength = 1 / (1 / (weight + 1) + rho) - 1
    return mean * strength, (1 - mean) * strength


def predict(*, number: int, past: Iterable[Past], above: Iterable[Past] = ()) -> Prediction | None:
    """This function will say how many of ``number`` open duties will be finished in time; None with too little history.

    Months in which nobody owed anything do not count as history. Where nothing is open there is nothing to guess.
    """
    past = [one for one in past if one.assigned]
    if not number:
        return Prediction(0.0, 0, 0, len(past))
    if len(past) < ENOUGH:
        return None
    a, b = beta_of(past=past, above=above)
    portions = min(number, FINE)
    low, high = interval(distribution(number=portions, a=a, b=b))
    return Prediction(
        expected=number * a / (a + b),
        low=low * number // portions,
        high=-(-high * number // portions),
        months=len(past),
    )


# --- what is there to count ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Runs:
    """The runs of a month and of the year before it: [(id, month, due)]."""

    month: Month
    rows: list[tuple[int, Month, dt.datetime]]

    @property
    def current(self) -> list[int]:
        return [pk for pk, month, _due in self.rows if month == self.month]

    @property
    def due_at(self) -> dt.datetime | None:
        """When the month is due: its last run."""
        return max((due for _pk, month, due in self.rows if month == self.month), default=None)

    def earlier(self, at: dt.datetime) -> list[tuple[int, Month, dt.datetime]]:
        return [row for row in self.rows if row[1] < self.month and row[2] <= at]


def _runs(month: Month, back: int = MONTHS) -> _Runs:
    found = CourseRun.objects.filter(month__gte=month.plus(-back), month__lte=month)
    found = found.exclude(state=CourseRun.State.PLANNED).order_by("month", "pk")
    return _Runs(month, list(found.values_list("pk", "month", "due_at")))


def _before(due_at: dt.datetime, at: dt.datetime) -> dt.timedelta:
    """How long before the due time it is, in whole hours (the last one counts as one)."""
    return dt.timedelta(hours=max(0, math.ceil((due_at - at) / dt.timedelta(hours=1))))


def _history(
    duties: QuerySet[Enrolment], rows: list[tuple[int, Month, dt.datetime]], before: dt.timedelta
) -> list[Past]:
    """The earlier months of some duties, oldest first. One query."""
    if not rows:
        return []
    cuts: dict[dt.datetime, list[int]] = {}
    for pk, _month, due in rows:
        cuts.setdefault(due - before, []).append(pk)
    waiting = Q(pk__in=[])
    for cut, runs in cuts.items():
        waiting |= Q(run__in=runs, assigned_at__lte=cut) & (Q(completed_at=None) | Q(completed_at__gt=cut))
    counted = duties.filter(run__in=[pk for pk, _month, _due in rows], voluntary=False).exclude(
        state__in=[Enrolment.State.EXEMPT, Enrolment.State.WITHDRAWN]
    )
    by_run = (
        counted.order_by()
        .values("run_id")
        .annotate(
            assigned=Count("pk"),
            waiting=Count("pk", filter=waiting),
            finished=Count("pk", filter=waiting & Q(on_time=True)),
        )
    )
    found: dict[int, tuple[int, int, int]] = {
        row["run_id"]: (row["assigned"], row["waiting"], row["finished"]) for row in by_run
    }
    months: dict[Month, list[int]] = {}
    for pk, month, _due in rows:
        sums = months.setdefault(month, [0, 0, 0])
        for place, number in enumerate(found.get(pk, (0, 0, 0))):
            sums[place] += number
    return [Past(month, *sums) for month, sums in sorted(months.items())]


def _in_unit(unit: OrgUnit) -> QuerySet[Enrolment]:
    return Enrolment.objects.filter(unit__in=OrgUnit.objects.under(unit).order_by().values("pk"))


def _history_of_unit(unit: OrgUnit, runs: _Runs, at: dt.datetime, before: dt.timedelta, *, large: bool) -> list[Past]:
    rows = runs.earlier(at)
    if not large:
        return _history(_in_unit(unit), rows, before)
    # What is counted changes with the hour only: a group is not counted through for every reader.
    key = f"forecast:{unit.pk}:{unit.path}:{runs.month}:{before.total_seconds():.0f}"
    past = cache.get(key)
    if past is None:
        past = _history(_in_unit(unit), rows, before)
        cache.set(key, past, timeout=3600)
    return past


def _without(whole: list[Past], part: list[Past]) -> list[Past]:
    """The months of the unit above without what this unit is in them."""
    own = {one.month: one for one in part}
    nothing = Past(Month(1, 1), 0, 0, 0)
    return [
        Past(
            one.month,
            one.assigned - own.get(one.month, nothing).assigned,
            one.open - own.get(one.month, nothing).open,
            one.finished - own.get(one.month, nothing).finished,
        )
        for one in whole
    ]


# --- the forecast ---------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Forecast:
    """How many of the duties owed will have been done in time when the month is due.

    ``open`` are those that still can be. ``low``, ``high`` and ``expected`` are counts of all duties and hold what is
    done in time already; None where there is too little history. ``months``: how many earlier months with duties there
    are. Once the month is due and nothing can be in time any more, low and high are what it is (``is_final``).
    """

    due_at: dt.datetime
    assigned: int
    in_time: int
    open: int
    months: int
    low: int | None = None
    high: int | None = None
    expected: float | None = None

    @property
    def known(self) -> bool:
        return self.low is not None

    @property
    def spread(self) -> int:
        return (self.high or 0) - (self.low or 0)

    @property
    def is_final(self) -> bool:
        return not self.open

    @property
    def at_most(self) -> int:
        """What is in time if everybody finishes who still can."""
        return self.in_time + self.open


def _forecast(
    due_at: dt.datetime, assigned: int, in_time: int, still_open: int, past: list[Past], above: list[Past]
) -> Forecast:
    found = predict(number=still_open, past=past, above=above)
    if found is None:
        return Forecast(due_at, assigned, in_time, still_open, sum(1 for one in past if one.assigned))
    return Forecast(
        due_at=due_at,
        assigned=assigned,
        in_time=in_time,
        open=still_open,
        months=found.months,
        low=in_time + found.low,
        high=in_time + found.high,
        expected=in_time + found.expected,
    )


def unit_forecast(*, unit: OrgUnit, month: Month, at: dt.datetime) -> Forecast | None:
    """This function will say how a unit's month ends at its due time; None where nothing is owed. Six queries at most.

    Small units lean on the unit above (see the head of the module). Nothing is guessed once the month is due.
    """
    runs = _runs(month)
    due_at = runs.due_at
    if due_at is None:
        return None
    parent = unit.get_parent()
    sums = {
        row["unit_id"]: (row["sum_assigned"], row["sum_on_time"])
        for row in Tally.objects.filter(run__in=runs.current, unit__in=[one.pk for one in (unit, parent) if one])
        .values("unit_id")
        .annotate(sum_assigned=Sum("assigned"), sum_on_time=Sum("on_time"))
    }
    assigned, in_time = sums.get(unit.pk, (0, 0))
    if not assigned:
        return None
    unfinished = Enrolment.objects.unfinished().filter(run__in=runs.current, voluntary=False, due_at__gt=at)
    still = unfinished.filter(unit__in=OrgUnit.objects.under(unit).order_by().values("pk")).count()
    if not still:
        return _forecast(due_at, assigned, in_time, 0, [], [])
    before = _before(due_at, at)
    past = _history_of_unit(unit, runs, at, before, large=assigned > LARGE)
    above: list[Past] = []
    if parent is not None:
        whole = _history_of_unit(parent, runs, at, before, large=sums.get(parent.pk, (0, 0))[0] > LARGE)
        above = _without(whole, past)
    return _forecast(due_at, assigned, in_time, still, past, above)


def people_forecast(
    *, people: QuerySet[Employee], month: Month, at: dt.datetime, above: OrgUnit | None = None
) -> Forecast | None:
    """This function will say how the month of these people ends at its due time. A team is no unit: it is counted.

    ``people`` comes through the door. ``above`` is a unit to lean on (that of their manager). None where nothing is
    owed. Five queries at most.
    """
    runs = _runs(month)
    due_at = runs.due_at
    if due_at is None:
        return None
    duties = Enrolment.objects.filter(employee__in=people.order_by().values("pk"))
    unfinished = Q(state__in=[Enrolment.State.ASSIGNED, Enrolment.State.IN_PROGRESS])
    now = (
        duties.filter(run__in=runs.current)
        .counted()
        .aggregate(
            assigned=Count("pk"),
            in_time=Count("pk", filter=Q(on_time=True)),
            still=Count("pk", filter=unfinished & Q(due_at__gt=at)),
        )
    )
    if not now["assigned"]:
        return None
    if not now["still"]:
        return _forecast(due_at, now["assigned"], now["in_time"], 0, [], [])
    before = _before(due_at, at)
    past = _history(duties, runs.earlier(at), before)
    around: list[Past] = []
    if above is not None:
        owed = Tally.objects.filter(run__in=runs.current, unit=above).aggregate(number=Sum("assigned"))["number"] or 0
        around = _history_of_unit(above, runs, at, before, large=owed > LARGE)
    return _forecast(due_at, now["assigned"], now["in_time"], now["still"], past, around)


# --- is it honest? ------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Trial:
    """What would have been said in an earlier month, and what came of it (counts of the duties open then)."""

    month: Month
    prediction: Prediction
    open: int
    finished: int

    @property
    def held(self) -> bool:
        return self.prediction.low <= self.finished <= self.prediction.high


def backtest(*, unit: OrgUnit, last: Month, before: dt.timedelta, at: dt.datetime, months: int = MONTHS) -> list[Trial]:
    """This function will foretell each of the months up to ``last`` from those before it, so long before its due time.

    ``at``: only months due by then. Months without enough history, or with nothing open at that point, are left out.
    """
    rows = _runs(last.next, back=2 * months).earlier(at)
    past = _history(_in_unit(unit), rows, before)
    parent = unit.get_parent()
    above = _without(_history(_in_unit(parent), rows, before), past) if parent else []
    trials = []
    for one in past:
        earlier = [other for other in past if one.month.plus(-MONTHS) <= other.month < one.month]
        around = [other for other in above if one.month.plus(-MONTHS) <= other.month < one.month]
        found = predict(number=one.open, past=earlier, above=around)
        if found is not None and one.open and one.month > last.plus(-months):
            trials.append(Trial(month=one.month, prediction=found, open=one.open, finished=one.finished))
    return trials
