import copy

import pytest
from django.utils import translation

from kpi.domain.parameters import ParametersWrong, number, scorecard_rule
from tests.factories.kpi import T01


@pytest.mark.parametrize(
    "text", ["NaN", "1_000", "１２", "1e3", "", None, True, 1.5, " 1", "+1", "1.23456", "9999999999"]
)
def test_mc23_numbers_that_are_not_plain_are_refused(text):
    with pytest.raises(ValueError):
        number(text)


def _faults(change):
    parameters = copy.deepcopy(T01)
    change(parameters)
    with translation.override("en"), pytest.raises(ParametersWrong) as refusal:
        scorecard_rule(parameters, known=frozenset({"training", "exam", "satisfaction", "complaints_liable",
                                                    "complaints_late", "bonus", "regulator"}))  # fmt: skip
    return refusal.value.faults


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda p: p["lines"][0].update(weight="30"), ("lines", "The weights add up to 110; they must be exactly 100.")),
        (lambda p: p["lines"][1].update(code="training"), ("lines", "Every line needs a code of its own.")),
        (lambda p: p["lines"][0].update(kind="python"), ("lines.1.kind", "Choose how the line is scored.")),
        (lambda p: p["lines"][0].update(points=[["60", "x"], ["70", "1"]]),
         ("lines.1.points.1", "Write a number like 12.5 (at most four places).")),
        (lambda p: p["lines"][0].update(points=[["60", "0"], ["60", "1"]]),
         ("lines.1.points", "Two points stand at the same value.")),
        (lambda p: p["lines"][0].update(indicators=["sales"]), ("lines.1", "No indicator has the code sales.")),
        (lambda p: p["lines"][3].update(counts=[]),
         ("lines.4.counts", "Choose at least one indicator to count.")),
        (lambda p: p["bands"].pop(), ("bands", "The lowest grade must begin at 0, so that every total has a grade.")),
        (lambda p: p["bands"][4].update(coefficient="2"), ("bands", "A lower grade cannot have a higher coefficient.")),
        (lambda p: p["raters"].update(peers="30"),
         ("raters", "The parts of self, manager and colleagues must add up to exactly 100.")),
        (lambda p: p["vetoes"][0].update(cap="lots"),
         ("vetoes.1.cap", "Write a number like 12.5 (at most four places).")),
    ],
)  # fmt: skip
def test_mc06_a_card_that_breaks_its_shape_is_refused_with_the_place(change, fault):
    assert _faults(change) == [fault]


def test_points_and_bands_are_put_in_order():
    parameters = copy.deepcopy(T01)
    parameters["lines"][0]["points"].reverse()
    parameters["bands"].reverse()
    assert scorecard_rule(parameters) == scorecard_rule(T01)
    assert [band.grade for band in scorecard_rule(T01).bands] == ["A", "B", "C", "D", "E"]
