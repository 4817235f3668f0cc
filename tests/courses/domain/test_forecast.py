"""The forecast of the due time: its arithmetic against exact fractions, its counting, and whether its interval is honest."""

import datetime as dt
import random
from fractions import Fraction
from math import comb, factorial
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.periods import Month
from courses.domain import forecast
from courses.domain.forecast import (
    Forecast,
    Past,
    Prediction,
    alikeness,
    backtest,
    beta_of,
    distribution,
    interval,
    people_forecast,
    predict,
    unit_forecast,
)
from people.models import Employee
from tests.factories.courses import NOVEMBER, local, make_course, make_enrolment, make_run
from tests.factories.people import make_employee, make_unit

AT = local(2026, 11, 20, 23, 59, 59)  # ten days before the due time
TEN_DAYS = dt.timedelta(days=10)


def _past(*months, assigned=None):
    """Months before November: (open, finished) each, the oldest first."""
    first = NOVEMBER.plus(-len(months))
    return [Past(first.plus(n), assigned or max(1, open_), open_, done) for n, (open_, done) in enumerate(months)]


# --- the arithmetic against fractions ---------------------------------------------------------------------------------
def _exact(number: int, a: int, b: int) -> list[Fraction]:
    """Beta-binomial probabilities for whole parameters, with factorials only."""

    def beta(x, y):
        return Fraction(factorial(x - 1) * factorial(y - 1), factorial(x + y - 1))

    return [comb(number, k) * beta(k + a, number - k + b) / beta(a, b) for k in range(number + 1)]


@pytest.mark.parametrize(("number", "a", "b"), [(1, 1, 1), (4, 1, 1), (5, 3, 2), (12, 9, 1), (30, 20, 7)])
def test_distribution_equals_the_exact_one(number, a, b):
    exact = _exact(number, a, b)
    assert sum(exact) == 1
    assert distribution(number=number, a=a, b=b) == pytest.approx([float(one) for one in exact], rel=1e-12)


def test_interval_of_a_small_case_by_hand():
    # Beta(1, 1): every count from 0 to 4 has one fifth. A tenth is passed at 0, nine tenths at 4.
    assert interval([0.2] * 5) == (0, 4)
    # Ten counts of one tenth each: exactly a tenth lies at 0, so 0 is outside; nine tenths are reached at 8.
    assert interval([0.1] * 10) == (1, 8)
    assert interval([0.0, 0.05, 0.05, 0.9]) == (3, 3)
    assert interval([1.0]) == (0, 0)


def test_alikeness_is_the_anova_estimator():
    past = _past((10, 9), (10, 5), (20, 19), (8, 2))
    sizes, done = [10, 10, 20, 8], [9, 5, 19, 2]
    n, groups = sum(sizes), len(sizes)
    squares = sum(Fraction(k * k, m) for k, m in zip(done, sizes, strict=True))
    between = (squares - Fraction(sum(done) ** 2, n)) / (groups - 1)
    within = (sum(done) - squares) / (n - groups)
    size = (n - Fraction(sum(m * m for m in sizes), n)) / (groups - 1)
    assert alikeness(past) == pytest.approx(float((between - within) / (between + (size - 1) * within)))
    assert alikeness(_past((10, 8), (10, 8), (10, 8))) == forecast.ALIKE
    assert alikeness(_past((10, 8))) == alikeness(_past((1, 1), (1, 0))) == alikeness([]) == forecast.ALIKE
    assert alikeness(_past((10, 10), (10, 0))) == 0.5


def test_prediction_equals_the_formula_worked_in_fractions():
    past, above = _past((10, 8), (10, 8), (10, 8)), _past((50, 45), (50, 44))
    rho = Fraction(1, 100)  # the months are as alike as can be
    prior = Fraction(45 + 44 + 1, 100 + 2)
    worth = 1 / (1 + 9 * rho)
    weight = 10 + 30 * worth
    mean = (10 * prior + 24 * worth) / weight
    strength = 1 / (1 / (weight + 1) + rho) - 1
    assert beta_of(past=past, above=above) == pytest.approx((float(mean * strength), float((1 - mean) * strength)))
    found = predict(number=7, past=past, above=above)
    assert found.expected == pytest.approx(float(7 * mean))
    assert (found.low, found.high, found.months) == (4, 7, 3)


def test_without_a_unit_above_the_prior_is_uniform():
    a, b = beta_of(past=_past((0, 0), (0, 0), (0, 0), assigned=5))
    assert a == pytest.approx(b)


def test_five_people_who_always_finished_are_not_certain():
    past, above = _past(*[(5, 5)] * 4), _past((100, 70), (100, 72), (100, 68), (100, 70))
    found = predict(number=5, past=past, above=above)
    assert found.low < 5
    assert 4 < found.expected < 5


def test_too_little_history_gives_no_number():
    assert predict(number=3, past=_past((5, 5), (5, 4)), above=_past((90, 80), (90, 80), (90, 80))) is None
    without_duties = [Past(NOVEMBER.plus(-9), 0, 0, 0)]
    assert predict(number=3, past=[*without_duties, *_past((5, 5), (5, 4))]) is None
    assert predict(number=3, past=_past((5, 5), (5, 4), (5, 5))).months == 3


def test_nothing_open_is_nothing_to_guess():
    assert predict(number=0, past=[]) == Prediction(0.0, 0, 0, 0)


# --- properties ---------------------------------------------------------------------------------------------------------
_months = st.lists(
    st.integers(0, 60).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), min_size=3, max_size=12
)


@settings(deadline=None)  # a busy machine is no fault
@given(_months, _months, st.integers(0, 200))
def test_prediction_lies_within_what_is_possible(own, above, number):
    found = predict(number=number, past=_past(*own), above=_past(*above))
    assert 0 <= found.low <= found.high <= number
    assert 0 <= found.expected <= number


@settings(deadline=None)  # a busy machine is no fault
@given(_months, st.integers(1, 100))
def test_more_open_duties_never_mean_fewer_finished(own, number):
    past = _past(*own)
    less, more = predict(number=number, past=past), predict(number=number + 1, past=past)
    assert (less.low, less.high) <= (more.low, more.high)
    assert less.low <= more.low
    assert less.high <= more.high
    assert less.expected < more.expected


@settings(deadline=None)  # a busy machine is no fault
@given(st.integers(1, 60), st.data(), st.integers(3, 12), st.integers(1, 60))
def test_a_better_history_never_promises_less(open_, data, months, number):
    """Months alike: only the rate differs, so nothing else can move the interval."""
    worse = data.draw(st.integers(0, open_ - 1))
    first = predict(number=number, past=_past(*[(open_, worse)] * months))
    second = predict(number=number, past=_past(*[(open_, worse + 1)] * months))
    assert first.low <= second.low
    assert first.high <= second.high
    assert first.expected < second.expected


@settings(deadline=None)  # a busy machine is no fault
@given(st.integers(0, 60), st.floats(0.05, 60), st.floats(0.05, 60))
def test_distribution_adds_up_and_its_interval_holds_four_fifths(number, a, b):
    found = distribution(number=number, a=a, b=b)
    assert sum(found) == pytest.approx(1)
    low, high = interval(found)
    assert sum(found[low : high + 1]) >= 0.8 - 1e-9


def test_a_very_large_number_is_taken_in_portions():
    past = _past(*[(50_000, 45_000 + n) for n in range(6)])
    exact, coarse = predict(number=forecast.FINE, past=past), predict(number=50 * forecast.FINE, past=past)
    assert (coarse.low, coarse.high) == (50 * exact.low, 50 * exact.high)
    assert coarse.expected == pytest.approx(50 * exact.expected)
    odd = predict(number=50 * forecast.FINE + 7, past=past)
    assert exact.low * 50 <= odd.low < odd.high <= 50 * forecast.FINE + 7


def test_the_interval_holds_about_four_fifths_of_months_that_really_differ():
    """Months drawn from a world with a spread between months: the interval is neither bold nor empty."""
    rng = random.Random(5)
    held = trials = 0
    for _unit in range(250):
        mean = rng.uniform(0.5, 0.9)
        months = []
        for _month in range(12):
            chance, open_ = rng.betavariate(mean * 25, (1 - mean) * 25), rng.randint(30, 60)
            months.append((open_, sum(rng.random() < chance for _ in range(open_))))
        *earlier, (open_, finished) = months
        found = predict(number=open_, past=_past(*earlier))
        held += found.low <= finished <= found.high
        trials += 1
    assert 0.74 <= held / trials <= 0.88


# --- what is counted ------------------------------------------------------------------------------------------------------
@pytest.fixture
def world(db):
    """A branch of four with three months behind it: two of them are done early; one finishes at the end; one never."""

    city = make_unit(make_unit())
    branch, beside = make_unit(city), make_unit(city)
    manager = make_employee(city)
    world = SimpleNamespace(
        city=city,
        branch=branch,
        manager=manager,
        people=[make_employee(branch, manager) for _ in range(4)],
        neighbours=[make_employee(beside) for _ in range(3)],
        course=make_course(),
    )
    for back in (3, 2, 1):
        run = make_run(world.course, NOVEMBER.plus(-back))
        for place, person in enumerate(world.people):
            done = [run.due_at - dt.timedelta(days=20), run.due_at - dt.timedelta(days=15)]
            done += [run.due_at - dt.timedelta(days=2)]
            if place < 3:
                make_enrolment(person, run, state="completed", completed_at=done[place])
            else:
                make_enrolment(person, run, state="completed", completed_at=run.due_at + dt.timedelta(days=2))
        for person in world.neighbours:
            make_enrolment(person, run, state="completed", completed_at=run.due_at - dt.timedelta(days=1))
        make_enrolment(make_employee(world.branch), run, state="exempt")
        make_enrolment(make_employee(world.branch), run, state="completed", voluntary=True)
    world.run = make_run(world.course)
    for place, person in enumerate(world.people):
        state = "completed" if place == 0 else "in_progress"
        make_enrolment(person, world.run, state=state, **({"completed_at": AT - TEN_DAYS} if place == 0 else {}))
    return world


def test_unit_forecast_rests_on_the_same_point_of_earlier_months(world):
    own = _past((2, 1), (2, 1), (2, 1), assigned=4)
    above = _past((3, 3), (3, 3), (3, 3))
    expected = predict(number=3, past=own, above=above)
    assert unit_forecast(unit=world.branch, month=NOVEMBER, at=AT) == Forecast(
        due_at=world.run.due_at,
        assigned=4,
        in_time=1,
        open=3,
        months=3,
        low=1 + expected.low,
        high=1 + expected.high,
        expected=1 + expected.expected,
    )


def test_people_forecast_counts_the_people_themselves(world):
    found = people_forecast(people=Employee.objects.filter(manager=world.manager), month=NOVEMBER, at=AT)
    alone = predict(number=3, past=_past((2, 1), (2, 1), (2, 1), assigned=4))
    assert (found.assigned, found.in_time, found.open, found.low, found.high, found.months) == (
        4,
        1,
        3,
        1 + alone.low,
        1 + alone.high,
        3,
    )


def test_forecast_says_when_there_is_not_enough_history(world):
    newcomer = make_unit(world.city)
    make_enrolment(make_employee(newcomer), world.run)
    found = unit_forecast(unit=newcomer, month=NOVEMBER, at=AT)
    assert (found.known, found.months, found.open, found.low, found.expected) == (False, 0, 1, None, None)


def test_after_the_due_time_nothing_is_guessed_but_what_is_extended(world):
    late = world.run.due_at + dt.timedelta(days=1)
    found = unit_forecast(unit=world.branch, month=NOVEMBER, at=late)
    assert (found.low, found.high, found.in_time, found.is_final) == (1, 1, 1, True)
    world.run.enrolments.filter(employee=world.people[1]).update(due_at=late + dt.timedelta(days=5), changed_at=late)
    found = unit_forecast(unit=world.branch, month=NOVEMBER, at=late)
    assert (found.open, found.is_final) == (1, False)


def test_where_nothing_is_owed_there_is_no_forecast(world):
    assert unit_forecast(unit=make_unit(), month=NOVEMBER, at=AT) is None
    assert unit_forecast(unit=world.branch, month=NOVEMBER.plus(4), at=AT) is None
    assert people_forecast(people=Employee.objects.none(), month=NOVEMBER, at=AT) is None
    assert people_forecast(people=Employee.objects.all(), month=NOVEMBER.plus(4), at=AT) is None


def test_forecast_takes_few_queries_whatever_the_size(world, django_assert_max_num_queries):
    with django_assert_max_num_queries(6):
        unit_forecast(unit=world.branch, month=NOVEMBER, at=AT)
    people = Employee.objects.filter(manager=world.manager)
    with django_assert_max_num_queries(5):
        people_forecast(people=people, month=NOVEMBER, at=AT, above=world.city)


def test_history_of_a_large_unit_is_read_once_an_hour(world, monkeypatch, django_assert_max_num_queries):
    monkeypatch.setattr(forecast, "LARGE", 1)
    first = unit_forecast(unit=world.branch, month=NOVEMBER, at=AT)
    with django_assert_max_num_queries(4):
        assert unit_forecast(unit=world.branch, month=NOVEMBER, at=AT + dt.timedelta(minutes=1)) == first


def test_backtest_foretells_each_month_from_those_before_it(world):
    trials = backtest(unit=world.branch, last=Month(2026, 10), before=TEN_DAYS, at=AT)
    assert trials == []  # three months: never three before one of them
    make_enrolment(world.people[0], make_run(world.course, NOVEMBER.plus(-4)), state="completed")
    (trial,) = backtest(unit=world.branch, last=Month(2026, 10), before=TEN_DAYS, at=AT)
    earlier = [
        Past(NOVEMBER.plus(-4), 1, 1, 1),
        Past(NOVEMBER.plus(-3), 4, 2, 1),
        Past(NOVEMBER.plus(-2), 4, 2, 1),
    ]
    above = [Past(NOVEMBER.plus(-4), 0, 0, 0), *(Past(NOVEMBER.plus(-back), 3, 3, 3) for back in (3, 2))]
    assert trial.prediction == predict(number=2, past=earlier, above=above)
    assert (trial.month, trial.open, trial.finished) == (Month(2026, 10), 2, 1)
    assert trial.held
