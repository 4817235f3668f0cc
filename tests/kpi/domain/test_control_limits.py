"""Control limits, from worked examples."""

from decimal import Decimal as D

import pytest

from kpi.domain.control_limits import ControlChart, Limit, Observation, control_chart


def values(*numbers):
    return [Observation(D(number)) for number in numbers]


def shares(*pairs):
    return [Observation(D(top) * 100 / D(bottom), D(top), D(bottom)) for top, bottom in pairs]


def test_xmr_limits_are_the_mean_and_2_66_mean_moving_ranges():
    # mean 10; moving ranges 2 2 2 2 2 -> 2; 2.66 * 2 = 5.32
    chart = control_chart(values(9, 11, 9, 11, 9, 11))
    assert chart == ControlChart("xmr", D("10.0000"), (Limit(D("4.6800"), D("15.3200")),) * 6)


def test_xmr_finds_the_month_that_is_not_chance():
    chart = control_chart(values(10, 11, 10, 11, 10, 11, 10, 11, 10, 11, 10, 30))
    assert (chart.method, chart.outside) == ("xmr", (11,))


def test_limits_are_cut_at_the_ends_of_the_scale():
    chart = control_chart(values(0, 2, 0, 2, 0, 2), least=D(0))
    assert chart.limits[0] == Limit(D("0"), D("6.3200"))


def test_p_limits_follow_the_size_of_each_month():
    # together 540 of 600: 90 %; three standard errors of 100: 3 * sqrt(.09 / 100) = 9 points; of 25: 18, of 225: 6
    chart = control_chart(shares((90, 100), (90, 100), (22, 25), (203, 225), (68, 75), (67, 75)), most=D(100))
    assert (chart.method, chart.middle, chart.outside) == ("p", D("90.0000"), ())
    assert chart.limits[:4] == (
        Limit(D("81.0000"), D("99.0000")),
        Limit(D("81.0000"), D("99.0000")),
        Limit(D("72.0000"), D("100")),
        Limit(D("84.0000"), D("96.0000")),
    )


def test_p_finds_a_share_that_is_not_chance():
    chart = control_chart(shares(*[(95, 100)] * 11, (70, 100)), most=D(100))
    assert chart.outside == (11,)


def test_all_months_full_draw_limits_without_width_and_nothing_is_outside():
    chart = control_chart(shares(*[(20, 20)] * 8), most=D(100))
    assert (chart.middle, set(chart.limits), chart.outside) == (D("100"), {Limit(D("100"), D("100"))}, ())


def test_eight_months_on_one_side_are_told():
    chart = control_chart(values(*[10, 12] * 4, *[20, 21] * 4))
    assert (chart.run, chart.run_above) == (8, True)


@pytest.mark.parametrize("months", [0, 1, 5])
def test_few_months_draw_no_limits(months):
    assert control_chart(values(*range(months))) == ControlChart("", None)
