"""Money: read strictly, kept as whole fen, written with two places."""

from decimal import Decimal
from fractions import Fraction

import pytest
from django.template import Context, Template
from hypothesis import given
from hypothesis import strategies as st

from core.money import NotMoney, exact_text, format_yuan, half_up, parse_yuan, read_exact


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        ("28,117.00", 2_811_700),
        ("6000", 600_000),
        ("6000.5", 600_050),
        (" 0.01 ", 1),
        ("-3.50", -350),
        ("1,234,567.89", 123_456_789),
        (6000, 600_000),
        (6000.0, 600_000),
        (7528.54, 752_854),
        (0.1, 10),
    ],
)
def test_mc_23_yuan_is_read_as_whole_fen(text, fen):
    assert parse_yuan(text) == fen


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "inf",
        "1_000",
        "１２",  # noqa: RUF001 - full-width digits are the point
        "1e3",
        "0.005",
        "2.675",
        "+5",
        "1,00",
        "12,3456",
        "¥5",
        "5 yuan",
        "5\n6",
        "٣",
        "--5",
        "5.",
        ".5",
        "99999999999999999",
        1e22,
        2.675,
        float("nan"),
        float("inf"),
        True,
        None,
        Decimal("5"),
    ],
)
def test_mc_23_what_is_not_an_amount_is_refused(text):
    with pytest.raises(NotMoney):
        parse_yuan(text)


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_mc_23_what_is_written_reads_back(fen):
    assert parse_yuan(format_yuan(fen)) == fen
    assert parse_yuan(format_yuan(fen, grouped=False)) == fen


@pytest.mark.parametrize(
    ("fen", "signed", "text"),
    [(2_811_700, False, "28,117.00"), (100_381, True, "+1,003.81"), (-1, True, "-0.01"), (0, True, "0.00")],
)
def test_yuan_is_written_with_two_places(fen, signed, text):
    assert format_yuan(fen, signed=signed) == text


def test_yuan_is_written_of_whole_fen_only():
    with pytest.raises(TypeError):
        format_yuan(1.5)


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=1000))
def test_half_up_is_decimals_rounding(value):
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    if Decimal(value.denominator) * exact == value.numerator:  # only what Decimal can hold exactly
        assert half_up(value) == int(exact.quantize(Decimal(1), rounding="ROUND_HALF_UP"))
    assert read_exact(exact_text(value)) == value


def test_half_up_goes_away_from_zero():
    assert [half_up(Fraction(n, 2)) for n in (1, -1, 3, -3)] == [1, -1, 2, -2]


@pytest.mark.parametrize("text", ["1", "1/0", "1.5/2", "١/2", "1/-2"])
def test_an_exact_number_is_read_strictly(text):
    with pytest.raises(ValueError, match=r".*"):
        read_exact(text)


def test_templates_write_yuan():
    page = Template("{{ fen|yuan }} {{ none|yuan }} {{ fen|yuan_change }}")
    assert page.render(Context({"fen": 100381, "none": None})) == "1,003.81 – +1,003.81"
