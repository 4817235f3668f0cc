"""Sharing money out: exact, to the fen, whatever the order of the list."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.money import half_up
from kpi.domain.distribution import (
    CannotBeShared,
    Claim,
    Group,
    number_order,
    pay_at,
    pay_at_most,
    share_in_two_steps,
    share_out,
)

# DOMAIN T-02: bases, coefficients of the grades of T-01, days; unit coefficient 1.05.
BASES = [600_000, 500_000, 500_000, 480_000, 500_000, 420_000]
COEFFICIENTS = ["1.20", "1.10", "1.10", "0.80", "0.80", "0.50"]
DAYS = [21, 21, 20, 21, 21, 10]
PAID = [752_854, 575_097, 547_712, 401_522, 418_252, 104_563]


def t02() -> list[Claim]:
    return [
        Claim(f"{number:06d}", base * Fraction(coefficient) * Fraction("1.05") * Fraction(days, 21))
        for number, (base, coefficient, days) in enumerate(zip(BASES, COEFFICIENTS, DAYS, strict=True), start=1)
    ]


def paid(shared) -> list[int]:
    return [part.paid for part in shared.parts]


def test_t_02_the_raw_sum_is_exact():
    assert sum(claim.raw for claim in t02()) == 2_811_700


def test_t_02_a_closed_pool_is_shared_to_the_fen():
    shared = share_out(2_800_000, t02())

    assert paid(shared) == PAID
    assert shared.paid == 2_800_000
    assert shared.ratio == Fraction(28_000, 28_117)


def test_t_02_plain_rounding_loses_a_fen():
    """What must never stand in for the largest remainders."""
    ratio = Fraction(28_000, 28_117)
    assert sum(half_up(claim.raw * ratio) for claim in t02()) == 2_799_999
    assert paid(share_out(2_800_000, t02())) != [half_up(claim.raw * ratio) for claim in t02()]


@given(st.permutations(range(3)))
def test_t_02_equal_remainders_go_to_the_lowest_number(order):
    claims = [Claim(number_order(f"00{number + 1}"), Fraction(1)) for number in order]

    result = dict(zip(order, paid(share_out(10_000, claims)), strict=True))

    assert result == {0: 3_334, 1: 3_333, 2: 3_333}


@given(st.permutations(range(6)))
def test_t_02_does_not_depend_on_the_order_of_the_list(order):
    claims = t02()
    result = paid(share_out(2_800_000, [claims[i] for i in order]))
    assert [result[order.index(i)] for i in range(6)] == PAID


def test_t_06_the_frozen_ratio_pays_an_adjustment():
    more = 480_000 * Fraction("0.20") * Fraction("1.05")
    assert half_up(more * share_out(2_800_000, t02()).ratio) == 100_381


def test_numbers_of_people_are_put_in_order():
    numbers = ["100", "99", "7", "007", "A12", "A9", "A", "B1"]
    assert sorted(numbers, key=number_order) == ["007", "7", "99", "100", "A", "A9", "A12", "B1"]


# --- limits -----------------------------------------------------------------------------------------------------------
def test_caps_and_floors_move_money_until_nobody_is_beyond():
    claims = [
        Claim("1", Fraction(100), cap=300),
        Claim("2", Fraction(100)),
        Claim("3", Fraction(100)),
        Claim("4", Fraction(1), floor=50),
    ]
    shared = share_out(1_050, claims)

    assert [(part.share, part.extra, part.bound) for part in shared.parts] == [
        (300, 0, "cap"),
        (350, 0, ""),
        (350, 0, ""),
        (50, 0, "floor"),
    ]
    assert shared.ratio == Fraction(7, 2)


def test_a_cap_that_is_reached_by_redistribution_holds_too():
    claims = [Claim("1", Fraction(10), cap=10), Claim("2", Fraction(10), cap=45), Claim("3", Fraction(10))]
    assert paid(share_out(120, claims)) == [10, 45, 65]


def test_more_than_all_caps_together_is_refused_with_the_limits():
    with pytest.raises(CannotBeShared) as refused:
        share_out(101, [Claim("1", Fraction(5), cap=60), Claim("2", Fraction(5), floor=10, cap=40)])
    assert (refused.value.amount, refused.value.least, refused.value.most) == (101, 10, 100)


def test_less_than_all_floors_together_is_refused():
    with pytest.raises(CannotBeShared):
        share_out(9, [Claim("1", Fraction(5), floor=10)])


def test_money_for_nobody_is_refused():
    with pytest.raises(CannotBeShared):
        share_out(1, [])
    with pytest.raises(CannotBeShared):
        share_out(1, [Claim("1", Fraction(0))])
    assert share_out(0, []).parts == []


def test_who_is_owed_nothing_still_gets_the_floor():
    assert paid(share_out(10, [Claim("1", Fraction(0), floor=10), Claim("2", Fraction(0))])) == [10, 0]


@pytest.mark.parametrize("claim", [Claim("1", Fraction(-1)), Claim("1", Fraction(1), floor=5, cap=4)])
def test_a_claim_that_makes_no_sense_is_a_fault(claim):
    with pytest.raises(ValueError, match="Claim"):
        share_out(0, [claim])


claims_of_people = st.lists(
    st.tuples(
        st.fractions(min_value=0, max_value=10_000, max_denominator=60),
        st.integers(0, 200),
        st.none() | st.integers(0, 5_000),
    ),
    min_size=1,
    max_size=12,
).map(
    lambda rows: [
        Claim(i, raw, floor, None if above is None else floor + above) for i, (raw, floor, above) in enumerate(rows)
    ]
)


@settings(max_examples=300)
@given(claims_of_people, st.integers(0, 100_000))
def test_shares_add_up_and_keep_their_limits(claims, amount):
    try:
        shared = share_out(amount, claims)
    except CannotBeShared as refused:
        assert amount < refused.least or amount > refused.most
        return

    assert shared.paid == amount
    for claim, part in zip(claims, shared.parts, strict=True):
        assert part.paid >= claim.floor
        assert claim.cap is None or part.paid <= claim.cap
        assert part.extra in (0, 1)
        if part.bound == "" and claim.raw:
            # Between the limits everybody is paid at one ratio, to less than a fen.
            assert abs(part.paid - claim.raw * shared.ratio) < 1
        if part.bound == "cap":
            assert claim.raw * shared.ratio >= claim.cap
        if part.bound == "floor" and claim.raw:
            assert claim.raw * shared.ratio <= claim.floor


@settings(max_examples=100)
@given(claims_of_people, st.integers(0, 50_000), st.randoms(use_true_random=False))
def test_shares_do_not_depend_on_the_order(claims, amount, random):
    mixed = list(claims)
    random.shuffle(mixed)
    try:
        expected = {claim.key: part for claim, part in zip(claims, share_out(amount, claims).parts, strict=True)}
    except CannotBeShared:
        with pytest.raises(CannotBeShared):
            share_out(amount, mixed)
        return
    assert {claim.key: part for claim, part in zip(mixed, share_out(amount, mixed).parts, strict=True)} == expected


# --- open, ceiling, two steps -----------------------------------------------------------------------------------------
@settings(max_examples=100)
@given(claims_of_people)
def test_an_open_pool_pays_the_exact_sum_rounded_once(claims):
    shared = pay_at(Fraction(1), claims)

    exact = sum(
        max(claim.raw if claim.cap is None else min(claim.raw, claim.cap), Fraction(claim.floor)) for claim in claims
    )
    assert shared.paid == half_up(exact)
    assert shared.ratio == 1
    for claim, part in zip(claims, shared.parts, strict=True):
        assert claim.floor <= part.paid
        assert claim.cap is None or part.paid <= claim.cap


def test_mc_23_the_open_pool_shows_its_remainder():
    claims = [Claim(i, Fraction("0.5")) for i in range(3)]
    assert paid(pay_at(Fraction(1), claims)) == [1, 1, 0]


def test_a_ceiling_pays_in_full_below_it_and_shares_at_it():
    claims = [Claim("1", Fraction(100)), Claim("2", Fraction(300))]
    assert paid(pay_at_most(500, claims)) == [100, 300]
    assert paid(pay_at_most(400, claims)) == [100, 300]
    assert paid(pay_at_most(200, claims)) == [50, 150]


def test_two_steps_share_among_units_first():
    groups = [
        Group("B", Fraction(3), [Claim("1", Fraction(1)), Claim("2", Fraction(2))]),
        Group("A", Fraction(1), [Claim("3", Fraction(50))]),
    ]
    units, people = share_in_two_steps(1_000, groups)

    assert [part.paid for part in units] == [750, 250]
    assert [paid(shared) for shared in people] == [[250, 500], [250]]
    assert [shared.ratio for shared in people] == [250, 5]


def test_what_a_unit_cannot_take_goes_to_the_others():
    groups = [
        Group("A", Fraction(1), [Claim("1", Fraction(1), cap=100)]),
        Group("B", Fraction(1), [Claim("2", Fraction(1))]),
    ]
    units, _people = share_in_two_steps(1_000, groups)
    assert [(part.paid, part.bound) for part in units] == [(100, "cap"), (900, "")]


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.fractions(min_value=0, max_value=100, max_denominator=12), claims_of_people), max_size=4),
    st.integers(0, 50_000),
)
def test_two_steps_lose_nothing(rows, amount):
    groups = [Group(i, weight, claims) for i, (weight, claims) in enumerate(rows)]
    try:
        units, people = share_in_two_steps(amount, groups)
    except CannotBeShared as refused:
        # Only the whole can be refused: a unit never gets what its own people cannot take.
        least = sum(claim.floor for _weight, claims in rows for claim in claims)
        assert amount < least or refused.amount == amount
        return
    assert sum(part.paid for part in units) == amount
    assert [shared.paid for shared in people] == [part.paid for part in units]
