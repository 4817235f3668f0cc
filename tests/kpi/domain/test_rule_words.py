"""What a rule says in words, and that no change of it goes unsaid."""

import copy

import pytest
from django.utils import translation

from kpi.domain.rule_words import Change, changes_between, lines_of
from kpi.models import Rule, RuleVersion
from tests.factories.kpi import T01, make_indicators

PAY = {
    "pool": {"mode": "closed", "share": "units"},
    "cap_fen": 1_000_000,
    "cap_share": "150",
    "floor_fen": 0,
    "reserve_share": "5",
    "without_review": "1.00",
    "unit_bands": [{"grade": "A", "coefficient": "1.05"}],
}
AWARD = {
    "places": 10,
    "quorum": "66.67",
    "majority": "50",
    "publicity_days": 5,
    "conditions": [
        {"code": "training", "name_zh": "培训", "name_en": "Training", "indicator": "training", "at_least": "100"},
        {"code": "late", "name_zh": "迟复", "name_en": "Late", "indicator": "complaints_late", "at_most": "1"},
    ],
}


def version(parameters, family="scorecard", **values):
    return RuleVersion(rule=Rule(family=family, code="x"), number=1, parameters=copy.deepcopy(parameters), **values)


def said(parameters, family="scorecard"):
    return [(line.key, line.label, line.words) for line in lines_of(version(parameters, family))]


@pytest.fixture(autouse=True)
def english(db):
    make_indicators()
    with translation.override("en"):
        yield


def test_a_scorecard_is_said_line_by_line():
    assert said(T01) == [
        (
            "line.training",
            "Training completion",
            "Weight 20 of 100. Training completion: 60 gives 0, 100 gives 100, evenly in between; less gives 0.",
        ),
        (
            "line.exam",
            "Exam",
            "Weight 25 of 100. Exam in steps: from 90 on 100, from 80 on 85, from 70 on 70, from 60 on 50; less gives 0.",
        ),
        (
            "line.satisfaction",
            "Customer satisfaction",
            "Weight 20 of 100. Customer satisfaction: 70 gives 60, 80 gives 100, 90 gives 120, evenly in between; less gives 0.",
        ),
        (
            "line.complaints",
            "Complaints",
            "Weight 20 of 100. 100 to begin with; 20 off for each of “Liable complaints”, 5 off for each of"
            " “Late replies”; never below 0.",
        ),
        ("line.manager", "Manager", "Weight 15 of 100. What the raters say: 1 to 5, each step worth 20."),
        ("raters", "Who rates, and what it counts", "Manager 100\u00a0%."),
        ("bonus", "Bonus points", "Bonus, added on top: at most 5 points."),
        (
            "veto.regulator",
            "Veto: Upheld complaint to the regulator",
            "Upheld complaints to the regulator: from 1 on the total is at most 69.99, whatever was earned.",
        ),
        ("band.A", "Grade A", "From a total of 95 on; coefficient 1.20."),
        ("band.B", "Grade B", "From a total of 85 on; coefficient 1.10."),
        ("band.C", "Grade C", "From a total of 70 on; coefficient 1.00."),
        ("band.D", "Grade D", "From a total of 60 on; coefficient 0.80."),
        ("band.E", "Grade E", "From a total of 0 on; coefficient 0.50."),
    ]


def test_a_pay_rule_is_said_line_by_line():
    assert said(PAY, "pay") == [
        (
            "pool",
            "Pool",
            "The whole pool is paid, shared by what everybody earned."
            " It goes to the units first, by base, unit coefficient and attendance, and then to their people.",
        ),
        ("cap_fen", "Most that one person gets, for a full month at work", "10,000.00 yuan"),
        ("cap_share", "Most that one person gets, for a full month at work", "150\u00a0% of the own base."),
        (
            "reserve_share",
            "Reserve",
            "5\u00a0% of the pool, for upheld objections; colleagues never pay for them.",
        ),
        ("without_review", "Who has no review", "Coefficient 1.00."),
        ("unit_band.A", "Unit of grade A", "Coefficient 1.05."),
    ]


def test_an_award_rule_is_said_line_by_line():
    assert said(AWARD, "award") == [
        ("places", "Places", "10"),
        ("condition.training", "Condition: Training", "Training completion: at least 100."),
        ("condition.late", "Condition: Late", "Late replies: at most 1."),
        ("quorum", "Quorum", "66.67\u00a0% of the members who may vote must have voted."),
        ("majority", "Majority", "More than 50\u00a0% of the votes for and against must be for it."),
        ("publicity_days", "Names are public before anything is granted", "5 days"),
    ]


def test_what_has_no_words_is_shown_as_it_is_stored():
    assert said({"pool": {"mode": "open"}, "surprise": [1, "x"]}, "pay")[-1] == ("surprise", "surprise", '[1, "x"]')


def test_broken_parameters_do_not_break_the_page():
    for broken in ({}, {"lines": 3}, {"lines": [{"kind": "curve", "points": "x"}], "raters": 1, "bonus": []}, []):
        lines_of(version(broken))


def test_changes_are_said_line_by_line():
    new = copy.deepcopy(T01)
    new["lines"][3]["counts"][1]["points"] = "3"
    new["lines"].append({"code": "sales", "name_zh": "销售", "name_en": "Sales", "kind": "rating", "weight": "5"})
    new["vetoes"] = []
    before = version(T01, text_zh="旧", notice_days=7)
    after = version(new, text_zh="新", notice_days=14)
    assert changes_between(before, after) == [
        Change(
            "line.complaints",
            "Complaints",
            "changed",
            "Weight 20 of 100. 100 to begin with; 20 off for each of “Liable complaints”, 5 off for each of"
            " “Late replies”; never below 0.",
            "Weight 20 of 100. 100 to begin with; 20 off for each of “Liable complaints”, 3 off for each of"
            " “Late replies”; never below 0.",
        ),
        Change(
            "line.sales",
            "Sales",
            "added",
            "",
            "Weight 5 of 100. What the raters say: 1 to 5, each step worth 20.",
        ),
        Change("notice", "Notice between publication and effect", "changed", "7 days", "14 days"),
        Change(
            "veto.regulator",
            "Veto: Upheld complaint to the regulator",
            "removed",
            "Upheld complaints to the regulator: from 1 on the total is at most 69.99, whatever was earned.",
            "",
        ),
        Change("text_zh", "Text in Chinese", "changed", "旧", "新"),
    ]


def test_nothing_changed_says_nothing():
    assert changes_between(version(T01), version(T01)) == []


def test_no_change_goes_unsaid():
    """A change that no line shows is said in general."""
    other = copy.deepcopy(T01)
    other["lines"][0]["name_zh"] = "另一个名字"  # the English page shows the English name
    assert [change.key for change in changes_between(version(T01), version(other))] == ["other"]
    renamed = copy.deepcopy(T01)
    renamed["lines"][0]["name_en"] = "Courses done"
    found = changes_between(version(T01), version(renamed))
    assert [change.label for change in found] == ["Courses done (before: Training completion)"]


def test_of_a_text_the_paragraphs_that_differ_are_shown():
    before = version(T01, text_zh="一\n\n二", text_en="One.\n\nTwo.\n\nThree.")
    after = version(T01, text_zh="一\n\n三", text_en="One.\n\nTwo and a half.\n\nThree.")
    assert changes_between(before, after) == [
        Change("text_zh", "Text in Chinese", "changed", "", "The wording was changed."),
        Change("text_en", "Text in English", "changed", "Two.", "Two and a half."),
    ]


def test_the_words_that_differ_are_marked():
    change = Change("x", "x", "changed", "每件扣 5 分；10.5 off", "每件扣 3 分；10.25 off")
    assert change.before_pieces == [("每件扣 ", False), ("5", True), (" 分；", False), ("10.5", True), (" off", False)]
    assert change.after_pieces == [("每件扣 ", False), ("3", True), (" 分；", False), ("10.25", True), (" off", False)]
    assert Change("x", "x", "added", "", "neu").after_pieces == [("neu", False)]
