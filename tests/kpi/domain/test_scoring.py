from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpi.domain.parameters import Raters, scorecard_rule
from kpi.domain.scoring import NothingMeasured, combined_rating, curve, half_up, rated, score_card
from tests.factories.kpi import T01

RULE = scorecard_rule(T01)


def _card(training, exam, satisfaction, liable, late, stars, bonus="0", regulator=0):
    values = {
        "training": Decimal(training),
        "exam": Decimal(exam),
        "satisfaction": Decimal(satisfaction),
        "complaints_liable": Decimal(liable),
        "complaints_late": Decimal(late),
        "bonus": Decimal(bonus),
        "regulator": Decimal(regulator),
    }
    return score_card(RULE, values=values, ratings={"manager": rated(Fraction(stars))})


@pytest.mark.parametrize(
    ("who", "values", "lines", "bonus", "earned", "total", "grade", "coefficient"),
    [
        ("E1", (100, 96, "84.0", 0, 0, 5, "2"), "20.00 25.00 21.60 20.00 15.00", "2.00", "103.60", "103.60", "A", "1.20"),
        ("E2", (100, 88, "81.5", 0, 1, 4), "20.00 21.25 20.60 19.00 12.00", "0.00", "92.85", "92.85", "B", "1.10"),
        ("E3", (95, 82, "79.0", 0, 0, 4), "17.50 21.25 19.20 20.00 12.00", "0.00", "89.95", "89.95", "B", "1.10"),
        ("E4", (80, 74, "76.5", 1, 0, 3), "10.00 17.50 17.20 16.00 9.00", "0.00", "69.70", "69.70", "D", "0.80"),
        ("E5", (100, 91, "83.0", 1, 1, 4, "0", 1), "20.00 25.00 21.20 15.00 12.00", "0.00", "93.20", "69.99", "D", "0.80"),
        ("E6", (60, 65, "72.0", 0, 2, 3), "0.00 12.50 13.60 18.00 9.00", "0.00", "53.10", "53.10", "E", "0.50"),
    ],
)  # fmt: skip
def test_t01_the_card_of_one_branch(who, values, lines, bonus, earned, total, grade, coefficient):
    card = _card(*values)
    assert " ".join(str(line.points) for line in card.lines) == lines
    assert (str(card.bonus), str(card.earned), str(card.total)) == (bonus, earned, total)
    assert (card.band.grade, card.band.coefficient) == (grade, Decimal(coefficient))
    assert (card.veto.code if card.veto else None) == ("regulator" if who == "E5" else None)


@pytest.mark.parametrize(
    ("peers", "expected"),
    [([88, 88, 88], "85.80"), ([80, 90, 94], "85.80"), ([88, 88], "84.86"), ([], "84.86")],
)
def test_t08_a_missing_part_is_dropped_and_not_a_zero(peers, expected):
    raters = Raters(self_weight=Decimal(10), manager=Decimal(60), peers=Decimal(30), min_peers=3)
    score = combined_rating(
        raters=raters, own=Fraction(90), manager=Fraction(84), peers=[Fraction(each) for each in peers]
    )
    assert str(half_up(score)) == expected


def test_a_line_without_a_value_gives_its_weight_to_the_others():
    card = score_card(RULE, values={"training": Decimal(100), "exam": Decimal(74)})
    assert [(line.line.code, line.state, line.weight_counted, str(line.points)) for line in card.lines] == [
        ("training", "counted", Fraction(2000, 45), "44.44"),
        ("exam", "counted", Fraction(2500, 45), "38.89"),
        ("satisfaction", "missing", 0, "0.00"),
        ("complaints", "missing", 0, "0.00"),
        ("manager", "missing", 0, "0.00"),
    ]
    assert (str(card.total), card.band.grade) == ("83.33", "C")


def test_an_advisory_line_is_scored_and_carries_nothing():
    values = {"training": Decimal(80), "exam": Decimal(96)}
    card = score_card(RULE, values=values, advisory={"exam"})
    exam = card.lines[1]
    assert (exam.state, exam.score, exam.weight_counted, str(exam.points)) == ("advisory", 100, 0, "0.00")
    assert str(card.total) == "50.00"


def test_nothing_measured_is_no_card():
    with pytest.raises(NothingMeasured):
        score_card(RULE, values={"exam": Decimal(96)}, advisory={"exam"})


def test_a_veto_above_the_total_changes_nothing():
    card = _card(60, 65, "72.0", 0, 2, 3, "0", 1)
    assert (card.veto, str(card.total)) == (None, "53.10")


@pytest.mark.parametrize(
    ("value", "rounded"), [("2.675", "2.68"), ("2.665", "2.67"), ("-2.675", "-2.68"), ("2.6749", "2.67"), ("0", "0.00")]
)
def test_half_up_rounds_halves_away_from_zero(value, rounded):
    assert str(half_up(Decimal(value))) == rounded


@given(st.lists(st.integers(0, 1200), min_size=2, max_size=8, unique=True), st.integers(0, 1300), st.integers(0, 100))
def test_a_rising_curve_never_falls(values, at, further):
    values = sorted(values)
    points = tuple((Decimal(value), Decimal(position * 10)) for position, value in enumerate(values, start=1))
    low, high = curve(points, Decimal(0), Decimal(at)), curve(points, Decimal(0), Decimal(at + further))
    assert 0 <= low <= high <= 10 * len(values)


@given(st.integers(0, 10000), st.integers(0, 10000), st.integers(0, 5), st.integers(0, 9), st.integers(1, 5))
def test_the_total_is_the_sum_of_the_rounded_lines(training, exam, liable, late, stars):
    card = _card(Decimal(training) / 100, Decimal(exam) / 100, "80", liable, late, stars)
    assert card.total == sum(line.points for line in card.lines)
