"""What a card says in words, from rows that are not even saved (DOMAIN T-21)."""

from decimal import Decimal
from fractions import Fraction

import pytest
from django.utils import translation

from kpi.domain.explaining import explain
from kpi.domain.parameters import scorecard_rule
from kpi.domain.scoring import half_up, rated, score_card
from kpi.models import Indicator, Scorecard, ScorecardLine
from tests.factories.kpi import INDICATORS, T01

RULE = scorecard_rule(T01)
UNITS = {
    code: Indicator(code=code, name=zh, name_en=en, unit=unit, better=better, source=source)
    for code, (zh, en, unit, better, source) in INDICATORS.items()
}
E4 = {"training": "80", "exam": "74", "satisfaction": "76.5", "complaints_liable": "1", "complaints_late": "0"}
GATE = {"quiz": 7, "name": "结课测验", "reasons": [{"code": "people", "values": {"n": 40, "wanted": 100}}]}


def explained(values, stars=None, *, rule=RULE, advisory=(), units=UNITS):
    """A card as it is kept, explained."""
    values = {code: Decimal(value) for code, value in values.items()}
    ratings = {} if stars is None else {"manager": rated(Fraction(stars))}
    result = score_card(rule, values=values, ratings=ratings, advisory=advisory)
    beside = {*rule.bonus_indicators, *(veto.indicator for veto in rule.vetoes)}
    card = Scorecard(
        bonus=result.bonus,
        earned=result.earned,
        total=result.total,
        veto=result.veto.code if result.veto else "",
        grade=result.band.grade,
        coefficient=result.band.coefficient,
        inputs={"values": {code: str(values[code]) for code in beside if code in values}},
    )
    lines = []
    for position, found in enumerate(result.lines, start=1):
        reads = {*found.line.indicators, *(code for code, _points in found.line.counts)}
        inputs = {"values": {code: str(values[code]) for code in reads if code in values}}
        if found.line.kind == "rating" and found.score is not None:
            inputs["rating"] = str(found.score)
        if found.state == "advisory":
            inputs["advisory"] = [GATE]
        lines.append(
            ScorecardLine(
                position=position,
                code=found.line.code,
                name_zh=found.line.name_zh,
                name_en=found.line.name_en,
                kind=found.line.kind,
                state=found.state,
                weight=found.line.weight,
                weight_counted=half_up(found.weight_counted, 6),
                value=found.value,
                score=None if found.score is None else half_up(found.score, 4),
                points=found.points,
                inputs=inputs,
            )
        )
    return explain(card=card, lines=lines, rule=rule, indicators=units)


def said(found):
    """The sentences in English, as a person reads them."""
    with translation.override("en"):
        sentences = [found.result, found.sum, found.below, found.vetoed, found.without_veto, found.largest_loss]
        return [
            words for words in (*sentences, *found.set_aside, *(way.text for way in found.ways), found.no_way) if words
        ]


def test_t_21_the_explanation_of_e4():
    found = explained(E4, 3)
    assert said(found) == [
        "The total is 69.70 points: grade D, coefficient 0.80.",
        "69.70 = 10.00 + 17.50 + 17.20 + 16.00 + 9.00",
        "That is 0.30 below C, which begins at 70.00.",
        "The largest loss is “Training completion”: −10.00 of 20.",
        "With 85\u00a0% instead of 80\u00a0% for “Training completion” the total would have been 72.20 and the grade C. "
        "81\u00a0% would have been enough.",
        "With 4 of 5 instead of 3 for “Manager” the total would have been 72.70 and the grade C.",
        "With 0 instead of 1 for “Liable complaints” the total would have been 73.70 and the grade C.",
        "With 77 instead of 76.5 for “Customer satisfaction” the total would have been 70.10 and the grade C.",
        "With 80 instead of 74 for “Exam” the total would have been 73.45 and the grade C.",
    ]
    assert [way.line.code for way in found.easiest] == ["training", "manager", "complaints", "satisfaction"]
    assert found.missing == Decimal("0.30")


def test_t_21_in_chinese():
    found = explained(E4, 3)
    with translation.override("zh-hans"):
        assert [found.result, found.below, found.largest_loss, found.ways[0].text] == [
            "总分69.70分：等级D，系数0.80。",
            "距离等级C（70.00分起）还差0.30分。",
            "失分最多的是“培训完成率”：−10.00（满分20）。",
            "如果“培训完成率”是85%，而不是80%，总分就是72.20，等级为C。达到81%就够了。",
        ]


def test_the_best_grade_has_nothing_above_it():
    found = explained(
        {**E4, "training": "100", "exam": "96", "satisfaction": "84", "complaints_liable": "0", "bonus": "2"}, 5
    )
    assert said(found) == [
        "The total is 103.60 points: grade A, coefficient 1.20.",
        "103.60 = 20.00 + 25.00 + 21.60 + 20.00 + 15.00 + 2.00",
        "A is the best grade there is.",
        "No line lost anything.",
    ]


def test_a_veto_is_said_with_what_was_earned():
    values = {"training": "100", "exam": "91", "satisfaction": "83.0", "complaints_liable": "1", "complaints_late": "1"}
    assert said(explained({**values, "regulator": "1"}, 4)) == [
        "The total is 69.99 points: grade D, coefficient 0.80.",
        "93.20 = 20.00 + 25.00 + 21.20 + 15.00 + 12.00",
        "That is 0.01 below C, which begins at 70.00.",
        "“Upheld complaint to the regulator” holds the total at 69.99; 93.20 points were earned and stay visible.",
        "Without it the total would have been 93.20 and the grade B.",
        "The largest loss is “Complaints”: −5.00 of 20.",
    ]


def test_lines_that_did_not_count_are_said_in_words():
    found = explained({"training": "80", "exam": "96", "complaints_liable": "0"}, 3, advisory={"exam"})
    with translation.override("en"):
        assert found.sum == "70.90 = 18.18 + 36.36 + 16.36"
        assert found.largest_loss == "The largest loss is “Training completion”: −18.18 of 36.36."
        assert found.set_aside == [
            "“Exam” is for information: its weight of 25 went to the other lines. The quiz “结课测验” may not carry pay yet: "
            "40 people have answered it as it now is; 100 are needed.",
            "Nothing was measured for “Customer satisfaction”. That is not a zero: its weight of 20 went to the other lines.",
        ]
    assert [(way.line.code, way.value, way.band.grade) for way in found.ways] == [("training", 100, "B")]


def test_when_no_line_alone_is_enough_it_is_said():
    found = explained({"training": "60", "exam": "50", "satisfaction": "60", "complaints_liable": "9"}, 1)
    assert said(found)[-1] == "No single line would have been enough for D: several would have had to be better."


@pytest.mark.parametrize(
    ("points", "unit", "before", "value", "enough"),
    [
        ([["0", "100"], ["10", "0"]], "count", "9", "3", None),  # fewer is better
        ([["0", "0"], ["50", "100"], ["100", "0"]], "percent", "90", "65", None),  # nearest to a target, from above
        ([["0", "0"], ["50", "100"], ["100", "0"]], "percent", "10", "35", None),
        ([["1", "0"], ["2", "100"]], "points", "1.2", "1.7", None),  # a short scale: in tenths
        ([["0", "0"], ["400000", "100"]], "points", "100000", "280000", None),  # a long one: in hundreds
        ([["50", "0"], ["97", "100"]], "percent", "60", "85", "83"),  # a round step and the least that was enough
        ([["1", "0"], ["5", "100"]], "rating", "2", "4", None),
    ],
)
def test_the_nearest_value_that_is_enough(points, unit, before, value, enough):
    rule = scorecard_rule(
        {
            "lines": [
                {"code": "one", "name_zh": "一", "name_en": "One", "kind": "curve", "weight": "100", "indicators": ["x"],
                 "points": points}
            ],
            "bands": [{"grade": "A", "from": "70", "coefficient": "1"}, {"grade": "B", "from": "0", "coefficient": "1"}],
        }
    )  # fmt: skip
    (way,) = explained({"x": before}, rule=rule, units={"x": Indicator(code="x", name="x", unit=unit)}).ways
    assert (way.value, way.enough) == (Decimal(value), Decimal(enough) if enough else None)
    assert way.total >= 70
