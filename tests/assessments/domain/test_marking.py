from decimal import Decimal
from fractions import Fraction

import pytest

from assessments.domain.marking import (
    AnswerRefused,
    NotANumber,
    clean_answer,
    counting_percent,
    floored_percent,
    fold_text,
    mark_answer,
    parse_number,
    points,
)


def option(id, correct=False, zh="", en="", match_id=""):
    return {"id": id, "zh": zh, "en": en, "correct": correct, "match_id": match_id}


def content(kind, options=(), **more):
    return {
        "kind": kind,
        "options": list(options),
        "number": None,
        "tolerance": None,
        "unit": {"zh": "", "en": ""},
        **more,
    }


SINGLE = content("single", [option("a"), option("b", True), option("c")])
TRUE_FALSE = content("true_false", [option("t", True), option("f")])
MULTIPLE = content("multiple", [option("a", True), option("b", True), option("x"), option("y"), option("z")])
NUMBER = content("numerical", number="64", tolerance="0.5", unit={"zh": "元", "en": "yuan"})
EXACT = content("numerical", number="0.1", tolerance="0")
TEXT = content("short_text", [option("1", True, "Wi-Fi 密码", "Wi-Fi password"), option("2", True, "您好")])
MATCHING = content("matching", [option("a", match_id="p"), option("b", match_id="q"), option("c", match_id="r")])
ORDERING = content("ordering", [option("a"), option("b"), option("c"), option("d")])

# Worked examples: what a question is, what was answered, the share of the points it earns.
WORKED = [
    (SINGLE, "b", 1),
    (SINGLE, "a", 0),
    (SINGLE, None, 0),
    (TRUE_FALSE, "t", 1),
    (TRUE_FALSE, "f", 0),
    (MULTIPLE, ["a", "b"], 1),
    (MULTIPLE, ["a"], Fraction(1, 2)),
    (MULTIPLE, ["a", "b", "x"], Fraction(1, 2)),
    (MULTIPLE, ["a", "x"], 0),
    (MULTIPLE, ["x", "y"], 0),
    (MULTIPLE, ["a", "b", "x", "y", "z"], 0),
    (MULTIPLE, [], 0),
    (NUMBER, "64", 1),
    (NUMBER, "63.5", 1),
    (NUMBER, "64.5", 1),
    (NUMBER, "64.51", 0),
    (NUMBER, "６４", 1),
    (NUMBER, "64 元", 1),
    (NUMBER, "64yuan", 1),
    (NUMBER, "64 dollars", 0),
    (NUMBER, "NaN", 0),
    (NUMBER, "Infinity", 0),
    (EXACT, "0.1", 1),
    (EXACT, ".1", 1),
    (EXACT, "0.10", 1),
    (EXACT, "0.1000001", 0),
    (TEXT, "wi-fi 密码", 1),
    (TEXT, "ＷＩ-ＦＩ密码", 1),
    (TEXT, "  Wi-Fi   Password. ", 1),
    (TEXT, "您 好！", 1),
    (TEXT, "你好", 0),
    (MATCHING, {"a": "p", "b": "q", "c": "r"}, 1),
    (MATCHING, {"a": "p", "b": "r", "c": "q"}, Fraction(1, 3)),
    (MATCHING, {"a": "p", "b": "q"}, Fraction(2, 3)),
    (MATCHING, {"a": "q", "b": "r", "c": "p"}, 0),
    (ORDERING, ["a", "b", "c", "d"], 1),
    (ORDERING, ["a", "c", "b", "d"], Fraction(1, 2)),
    (ORDERING, ["b", "c", "d", "a"], 0),
]


@pytest.mark.parametrize(("question", "answer", "share"), WORKED)
def test_mark_answer_gives_the_worked_share(question, answer, share):
    assert mark_answer(content=question, answer=answer) == Fraction(share)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", "12"),
        ("-3.50", "-3.50"),
        ("+7", "7"),
        ("1,000", "1000"),
        ("1,234,567.8", "1234567.8"),
        ("１２．５", "12.5"),
        ("－２", "-2"),
        ("−2", "-2"),
        (" 5 ", "5"),
        (".5", "0.5"),
    ],
)
def test_parse_number_reads_what_people_write(text, number):
    assert parse_number(text) == Decimal(number)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NaN",
        "inf",
        "1_000",
        "1e5",
        "0x10",
        "3,5",
        "1,00",
        "12 34 56 a",
        "٣",
        "1.2.3",
        "--1",
        "½",
        "9" * 31,
        "5.",
        "十",
    ],
)
def test_parse_number_refuses_everything_else(text):
    with pytest.raises(NotANumber):
        parse_number(text)


def test_parse_number_takes_the_unit_behind():
    assert parse_number("15％", unit={"zh": "%", "en": "%"}) == 15
    assert parse_number("15 分钟", unit={"zh": "分钟", "en": "minutes"}) == 15
    assert parse_number("15 Minutes", unit={"zh": "分钟", "en": "minutes"}) == 15


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("  A  B ", "a b"),
        ("ＡＢＣ", "abc"),
        ("微笑 服务", "微笑服务"),
        ("用 WIFI 上网", "用wifi上网"),
        ("“您好。”", "您好"),
    ],
)
def test_fold_text_folds_what_does_not_matter(text, folded):
    assert fold_text(text) == folded


@pytest.mark.parametrize(
    ("question", "answer", "kept"),
    [
        (SINGLE, "b", "b"),
        (SINGLE, "", None),
        (MULTIPLE, ["x", "a", "a"], ["a", "x"]),
        (MULTIPLE, [], None),
        (NUMBER, " 6  4\x00 ", "6 4"),
        (TEXT, "您\ud800好", "您好"),
        (TEXT, "   ", None),
        (MATCHING, {"b": "q", "a": ""}, {"b": "q"}),
        (MATCHING, {"a": "", "b": ""}, None),
        (ORDERING, ["d", "c", "b", "a"], ["d", "c", "b", "a"]),
    ],
)
def test_clean_answer_keeps_the_shape_of_the_kind(question, answer, kept):
    assert clean_answer(content=question, answer=answer) == kept


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (SINGLE, "nobody"),
        (SINGLE, ["b"]),
        (SINGLE, {"b": "b"}),
        (MULTIPLE, ["a", "nobody"]),
        (MULTIPLE, "a"),
        (MULTIPLE, [1]),
        (NUMBER, ["64"]),
        (TEXT, "x" * 201),
        (MATCHING, {"a": "nobody"}),
        (MATCHING, {"nobody": "p"}),
        (MATCHING, {"a": 1}),
        (MATCHING, "a"),
        (ORDERING, ["a", "b", "c"]),
        (ORDERING, ["a", "a", "b", "c"]),
        (ORDERING, "abcd"),
    ],
)
def test_clean_answer_refuses_other_shapes(question, answer):
    with pytest.raises(AnswerRefused):
        clean_answer(content=question, answer=answer)


@pytest.mark.parametrize(
    ("score", "worth", "percent"),
    [
        (2, 3, "66.66"),
        (3, 3, "100.00"),
        (0, 3, "0.00"),
        (Fraction(7999, 100), 100, "79.99"),
        (Fraction(799999, 10000), 100, "79.99"),
    ],
)
def test_percent_is_floored_and_never_reaches_the_mark_by_rounding(score, worth, percent):
    assert floored_percent(score=Fraction(score), max_score=worth) == Decimal(percent)


def test_three_thirds_are_a_whole():
    third = Fraction(1, 3)
    assert floored_percent(score=third * 3, max_score=1) == Decimal("100.00")
    assert points(third, 1) == Decimal("0.3333")


@pytest.mark.parametrize(
    ("grading", "percents", "counts"),
    [
        ("highest", ["50", "90", "70"], "90"),
        ("first", ["50", "90", "70"], "50"),
        ("last", ["50", "90", "70"], "70"),
        ("average", ["50", "90", "70"], "70.00"),
        ("average", ["66.66", "66.67"], "66.66"),
    ],
)
def test_counting_percent_follows_the_grading(grading, percents, counts):
    found = counting_percent(percents=[Decimal(percent) for percent in percents], grading=grading)
    assert found == Decimal(counts)


def test_counting_percent_of_no_attempt_is_none():
    assert counting_percent(percents=[], grading="highest") is None
