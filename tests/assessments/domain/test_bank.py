import datetime as dt
from decimal import Decimal

import pytest

from assessments.domain.bank import (
    QuestionFaulty,
    draw_problem,
    drawable_questions,
    newest_versions,
    publish_version,
    search_questions,
    validate_question,
)
from assessments.models import Question, QuestionVersion
from tests.factories.assessments import OPTIONS, build_question, make_category, make_question

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)


def faults_of(question):
    try:
        validate_question(content=question.content())
    except QuestionFaulty as problem:
        return [(fault.field, fault.option) for fault in problem.faults]
    return []


@pytest.mark.parametrize("kind", list(OPTIONS))
def test_validate_question_accepts_every_kind(kind):
    assert faults_of(build_question(kind)) == []


@pytest.mark.parametrize(
    ("kind", "fields", "faults"),
    [
        ("single", {"text_zh": " "}, [("text_zh", None)]),
        ("single", {"text_zh": "长" * 4001}, [("text_zh", None)]),
        ("single", {"text_zh": "坏\x00字"}, [("text_zh", None)]),
        ("single", {"right": set()}, [("options", None)]),
        ("single", {"right": {0, 1}}, [("options", None)]),
        ("single", {"options": [("一", "")]}, [("options", None)]),
        ("single", {"options": [("一", ""), ("", "")]}, [("text_zh", 1)]),
        ("single", {"options": [("Ａ", ""), ("a", "")]}, [("text_zh", 0), ("text_zh", 1)]),
        ("single", {"options": [(str(n), "") for n in range(11)]}, [("options", None)]),
        ("multiple", {"right": {0}}, [("options", None)]),
        ("multiple", {"right": {0, 1, 2, 3}}, [("options", None)]),
        ("multiple", {"options": [("一", ""), ("二", "")]}, [("options", None)]),
        ("true_false", {"options": [("对", "")]}, [("options", None)]),
        ("true_false", {"right": set()}, [("options", None)]),
        ("numerical", {"number": None}, [("number", None)]),
        ("numerical", {"tolerance": Decimal("-1")}, [("tolerance", None)]),
        ("short_text", {"options": []}, [("options", None)]),
        ("matching", {"options": [("甲", "一"), ("乙", "一")]}, [("match_zh", 0), ("match_zh", 1)]),
        ("matching", {"options": [("甲", "一"), ("乙", "")]}, [("match_zh", 1)]),
        ("matching", {"options": [("甲", "一")]}, [("options", None)]),
        ("ordering", {"options": [("一", ""), ("二", "")]}, [("options", None)]),
    ],
)
def test_validate_question_names_the_field_of_each_fault(kind, fields, faults):
    assert faults_of(build_question(kind, **fields)) == faults


def test_true_or_false_without_words_gets_the_usual_ones():
    content = build_question("true_false", options=[("", ""), ("", "")]).content()
    assert [(option["zh"], option["en"]) for option in content["options"]] == [("正确", "True"), ("错误", "False")]


def test_publishing_freezes_a_version_with_random_ids():
    question = make_question("matching")
    version = question.versions.get()
    ids = [option["id"] for option in version.content["options"]]
    match_ids = [option["match_id"] for option in version.content["options"]]
    assert version.number == 1
    assert len(set(ids) | set(match_ids)) == 6
    assert [option["zh"] for option in version.content["options"]] == ["倾听", "复述", "致谢"]


def test_publishing_the_same_words_makes_no_new_version():
    question = make_question()
    again = publish_version(question=Question.objects.get(pk=question.pk), at=AT)
    assert (again.number, question.versions.count()) == (1, 1)


def test_publishing_changed_words_makes_the_next_version_and_keeps_the_old():
    question = make_question()
    before = question.versions.get().content
    question.text_zh = "另一个问题？"
    question.save()
    second = publish_version(question=question, at=AT)
    assert second.number == 2
    assert QuestionVersion.objects.get(question=question, number=1).content == before
    assert newest_versions(question_ids=[question.pk]) == {question.pk: second}


def test_what_a_kind_does_not_use_makes_no_version():
    question = make_question("single")
    question.number = Decimal("5")
    question.save()
    assert publish_version(question=question, at=AT).number == 1


def test_publishing_through_wagtail_freezes_the_version():
    question = build_question("ordering")
    question.save()
    question.save_revision().publish()
    assert question.versions.get().content["kind"] == "ordering"


def test_publishing_a_faulty_question_through_wagtail_makes_no_version(caplog):
    question = build_question("single", right=set())
    question.save()
    question.save_revision().publish()
    assert not question.versions.exists()
    assert question.key in caplog.text


def test_a_faulty_question_cannot_be_published():
    question = build_question("single", right=set())
    question.save()
    with pytest.raises(QuestionFaulty):
        publish_version(question=question, at=AT)


def test_drawable_questions_are_live_and_have_a_version():
    category = make_category()
    live = make_question(category=category, difficulty="easy")
    make_question(category=category, published=False)
    make_question()
    tagged = make_question(category=category, difficulty="hard")
    tagged.tags.add("问候")
    tagged.save()
    assert set(drawable_questions(category=category)) == {live, tagged}
    assert list(drawable_questions(category=category, difficulty="easy")) == [live]
    assert list(drawable_questions(category=category, tag="问候")) == [tagged]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("投诉", ["S-1"]),
        ("complaint", ["S-1"]),
        ("s-2", ["S-2"]),
        ("倾听", ["S-2"]),
        ("投诉 客户", ["S-1"]),
        ("没有", []),
        ("ｓ－１", ["S-1"]),
    ],
)
def test_search_finds_parts_of_chinese_text_in_question_answers_and_number(words, found):
    make_question(
        "single", key="S-1", text_zh="客户投诉时怎么办？", text_en="How to answer a complaint?", feedback_zh=""
    )
    make_question("ordering", key="S-2", text_zh="排列步骤", text_en="Order the steps", feedback_zh="")
    assert [question.key for question in search_questions(Question.objects.all(), words)] == found


def test_draw_problem_says_how_many_there_are():
    category = make_category()
    make_question(category=category)
    values = {"question": None, "category": category, "difficulty": "", "tag": ""}
    assert draw_problem(**values, count=1) == ""
    assert "1" in draw_problem(**values, count=3)
    assert draw_problem(**{**values, "category": None}, count=1)
    draft = make_question(published=False)
    assert draw_problem(**{**values, "question": draft, "category": None}, count=1)
