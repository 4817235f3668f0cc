"""Against values computed by other means: exact fractions, sums by hand, published tables."""

import math
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bulletins.domain.statistics import (
    INNER,
    OUTER,
    binomial,
    discoveries,
    limits,
    ranks,
    sizes_to_draw,
    unlikeliness,
)

rates = st.fractions(min_value=0, max_value=1, max_denominator=3000)
inside = rates.filter(lambda rate: 0 < rate < 1)


def exact(n, rate):
    """Every probability as a fraction."""
    return [math.comb(n, count) * rate**count * (1 - rate) ** (n - count) for count in range(n + 1)]


def exact_limits(n, rate, alpha):
    chances = exact(n, rate)
    low = next(count for count in range(n + 1) if sum(chances[: count + 1]) > alpha / 2)
    high = next(count for count in range(n, -1, -1) if sum(chances[count:]) > alpha / 2)
    return low, high


# --- the distribution -------------------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), inside)
def test_binomial_agrees_with_exact_fractions(n, rate):
    made, wanted = binomial(n, rate), exact(n, rate)

    for count in range(n + 1):
        assert math.isclose(made.at_most(count), float(sum(wanted[: count + 1])), rel_tol=1e-11, abs_tol=1e-35)
        assert math.isclose(made.at_least(count), float(sum(wanted[count:])), rel_tol=1e-11, abs_tol=1e-35)


def test_binomial_of_a_province_agrees_with_exact_integers():
    n, rate = 20_000, Fraction(19_000, 20_000)
    # the tail P(X <= 18,900) as one integer over 20^n
    term = 1
    total = 1  # count 0 has weight 1, count k has C(n, k) 19^k
    for count in range(18_900):
        term = term * (n - count) * 19 // (count + 1)
        total += term
    wanted = Fraction(total, 20**n)

    made = binomial(n, rate).at_most(18_900)

    assert abs(Fraction(made) / wanted - 1) < Fraction(1, 10**10)


@pytest.mark.parametrize(("rate", "done"), [(Fraction(0), 0), (Fraction(1), 40)])
def test_binomial_without_chance_is_certain(rate, done):
    made = binomial(40, rate)

    assert (made.at_most(done), made.at_least(done), made.first, made.last) == (1.0, 1.0, done, done)


@pytest.mark.parametrize(("n", "rate"), [(-1, Fraction(1, 2)), (3, Fraction(-1, 2)), (3, Fraction(3, 2))])
def test_binomial_refuses_what_is_none(n, rate):
    with pytest.raises(ValueError, match="no binomial"):
        binomial(n, rate)


# --- limits -----------------------------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 150), inside, st.sampled_from([INNER, OUTER]))
def test_limits_agree_with_exact_fractions(n, rate, alpha):
    found = limits(n, rate, alpha)

    assert (found.low, found.high) == exact_limits(n, rate, alpha)


def test_limits_of_a_fair_coin_are_those_of_the_tables():
    """n = 100, p = 1/2: P(X <= 39) = 0.0176 and P(X <= 40) = 0.0284; n = 20: P(X <= 5) = 0.0207, P(X <= 6) = 0.0577."""
    assert (limits(100, Fraction(1, 2), INNER).low, limits(100, Fraction(1, 2), INNER).high) == (40, 60)
    assert (limits(20, Fraction(1, 2), INNER).low, limits(20, Fraction(1, 2), INNER).high) == (6, 14)


def test_a_limit_line_lies_where_the_tail_reaches_half_of_alpha():
    """n = 1, rate 1/2, alpha 1/5: P(X <= 0) = 1/2, of which a fifth is wanted: the line is at 0 - (0.5 - 0.1) / 0.5."""
    found = limits(1, Fraction(1, 2), Fraction(1, 5))

    assert (found.low, found.high) == (0, 1)
    assert math.isclose(found.low_line, -0.8)
    assert math.isclose(found.high_line, 1.8)


def test_a_tail_of_exactly_half_of_alpha_lies_beyond():
    """One person at a rate of 1/40 finishes with probability 0.025: half of 5 %, no more."""
    found = limits(1, Fraction(1, 40), INNER)

    assert (found.low, found.high) == exact_limits(1, Fraction(1, 40), INNER) == (0, 0)


@settings(deadline=None)
@given(st.integers(1, 3000), inside, st.sampled_from([INNER, OUTER]))
def test_limits_hold_the_rate_of_the_whole(n, rate, alpha):
    found = limits(n, rate, alpha)

    assert found.low <= found.high
    assert found.low - 1 < n * rate < found.high + 1
    assert found.low - 1 <= found.low_line * n <= found.low
    assert found.high <= found.high_line * n <= found.high + 1 + 1e-6


@settings(deadline=None)
@given(st.integers(1, 2000), inside)
def test_limits_move_with_the_size_by_at_most_one_and_never_back(n, rate):
    now, then = limits(n, rate, INNER), limits(n + 1, rate, INNER)

    assert then.low - now.low in (0, 1)
    assert then.high - now.high in (0, 1)


@settings(deadline=None)
@given(st.integers(30, 500), st.fractions(min_value=Fraction(1, 5), max_value=Fraction(4, 5), max_denominator=50))
def test_a_funnel_narrows_with_the_size(n, rate):
    small, large = limits(n, rate, INNER), limits(4 * n, rate, INNER)

    assert large.high_line - large.low_line < small.high_line - small.low_line


@settings(deadline=None)
@given(st.integers(1, 800), inside)
def test_the_outer_limits_lie_around_the_inner_ones(n, rate):
    inner, outer = limits(n, rate, INNER), limits(n, rate, OUTER)

    assert outer.low <= inner.low <= inner.high <= outer.high
    assert outer.low_line <= inner.low_line
    assert inner.high_line <= outer.high_line


# --- one unit against the whole -----------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=60)
@given(st.integers(1, 100).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), inside)
def test_unlikeliness_is_twice_the_smaller_tail(pair, rate):
    n, done = pair
    chances = exact(n, rate)
    wanted = min(1, 2 * min(sum(chances[: done + 1]), sum(chances[done:])))

    assert math.isclose(unlikeliness(n, Fraction(done), rate), float(wanted), rel_tol=1e-11, abs_tol=1e-35)


@settings(deadline=None)
@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))), inside)
def test_a_unit_beyond_its_limits_is_as_unlikely_as_the_limits_say(pair, rate):
    n, done = pair
    found, p_value = limits(n, rate, INNER), unlikeliness(n, Fraction(done), rate)
    assume(abs(p_value - float(INNER)) > 1e-9)

    assert (p_value <= float(INNER)) == (not found.low <= done <= found.high)


def test_a_count_between_two_whole_ones_speaks_for_the_unit():
    rate = Fraction(9, 10)

    assert unlikeliness(40, Fraction(61, 2), rate) == unlikeliness(40, Fraction(31), rate)
    assert unlikeliness(40, Fraction(79, 2), rate) == unlikeliness(40, Fraction(39), rate)


# --- many at once -----------------------------------------------------------------------------------------------------
def test_discoveries_of_the_example_of_benjamini_and_hochberg():
    """The fifteen p-values of section 3.2 of their paper: at 5 % the four smallest are rejected, Bonferroni has three."""
    p_values = [
        0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528, 0.7590,
        1.0000,
    ]  # fmt: skip

    assert discoveries(p_values) == {0, 1, 2, 3}
    assert sum(p <= 0.05 / 15 for p in p_values) == 3


def test_discoveries_take_along_what_lies_below_the_last_that_passes():
    """0.04 > 0.05 / 3 and 0.045 > 2 * 0.05 / 3, but 0.05 <= 3 * 0.05 / 3: all three."""
    assert discoveries([0.045, 0.05, 0.04]) == {0, 1, 2}


@given(st.lists(st.floats(0, 1), max_size=40))
def test_discoveries_are_the_smallest_and_fewer_than_without_the_correction(p_values):
    found = discoveries(p_values)

    assert found <= {place for place, p in enumerate(p_values) if p <= 0.05}
    assert all(
        p_values[one] <= p_values[other] for one in found for other in range(len(p_values)) if other not in found
    )


def test_discoveries_of_nothing():
    assert discoveries([]) == set()
    assert discoveries([0.06]) == set()
    assert discoveries([0.05]) == {0}


# --- ranks ------------------------------------------------------------------------------------------------------------
def test_ranks_share_a_place_when_the_rates_are_equal():
    """49 of 50 is 98 of 100; the one after three firsts is fourth."""
    found = ranks([Fraction(49, 50), Fraction(97, 100), Fraction(98, 100), Fraction(196, 200), Fraction(1, 2)])

    assert found == [1, 4, 1, 1, 5]


@settings(deadline=None, max_examples=40)
@given(st.lists(rates, max_size=12))
def test_ranks_count_those_who_are_better(several):
    assert ranks(several) == [1 + sum(other > rate for other in several) for rate in several]


def test_sizes_to_draw_begin_and_end_at_the_ends():
    found = sizes_to_draw(largest=20_000, smallest=12)

    assert (found[0], found[-1], found) == (12, 20_000, sorted(set(found)))
    assert sizes_to_draw(largest=40, smallest=40) == [40]
