"""Questions from files as people send them: good ones, half good ones and bad ones."""

import datetime as dt
import io
from decimal import Decimal

import pytest
from django.core.files.base import ContentFile

from assessments.imports.excel import (
    COLUMNS,
    AppliedAlready,
    apply_import,
    check_file,
    template_columns,
    template_rows,
)
from assessments.models import Question, QuestionImport
from core.spreadsheets import SheetOut, write_csv, write_xlsx
from tests.factories.assessments import make_category, make_question
from tests.factories.people import make_user

pytestmark = pytest.mark.django_db
AT = dt.datetime(2026, 11, 5, tzinfo=dt.UTC)


@pytest.fixture
def category():
    return make_category(slug="greeting", name="问候")


def workbook(rows, header=None, sheets=()):
    """An XLSX of rows, each a dict of column names; ``header`` overrides the labels."""
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["key", "category", "kind", "text_zh"]
    labels = header or [COLUMNS[name].zh for name in names]
    file = io.BytesIO()
    write_xlsx(file, [*sheets, SheetOut("题目", labels, [[row.get(name, "") for name in names] for row in rows])])
    file.seek(0)
    return file


def single(key="ETQ-1", **more):
    return {"key": key, "category": "greeting", "kind": "单选题", "difficulty": "易", "text_zh": "先做什么？",
            "A_zh": "问候", "B_zh": "看手机", "answer": "A", "feedback_zh": "先看见人。", **more}  # fmt: skip


def check(rows, language="zh-hans", **more):
    return check_file(file=workbook(rows, **more), language=language)


def apply(checked, publish=False):
    upload = QuestionImport(file_name="题目.xlsx", uploaded_at=AT)
    upload.file.save("x.xlsx", ContentFile(b"x"), save=False)
    upload.save()
    return apply_import(upload=upload, checked=checked, publish=publish, by=None, at=AT)


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_the_worked_rows_of_the_template_are_two_good_questions_of_every_kind(category, language):
    columns = [column.name for column in template_columns()]
    rows = [dict(zip(columns, row, strict=True)) for row in template_rows(language)]
    for number, row in enumerate(rows):
        row["key"] = f"Q-{number}"
    checked = check(rows, header=[column.label(language) for column in template_columns()], language=language)
    assert checked.faults == []
    kinds = [row.question.kind for row in checked.rows]
    assert sorted(set(kinds)) == sorted(kind for kind in Question.Kind)
    assert all(kinds.count(kind) == 2 for kind in kinds)
    assert checked.counts == {"new": 14, "changed": 0, "unchanged": 0, "refused": 0}
    apply(checked, publish=True)
    assert Question.objects.filter(live=True, versions__isnull=False).count() == 14


def test_worked_rows_left_in_the_file_are_left_out(category):
    checked = check([single("EXAMPLE-01"), single("Q-1")])
    assert (checked.examples, [row.key for row in checked.rows]) == (1, ["Q-1"])
    alone = check([single("EXAMPLE-01")])
    assert alone.problem
    assert alone.examples == 1


def test_a_new_question_is_imported_as_a_draft(category):
    checked = check([single(tags="问候，进门", text_en="What first?")])
    assert not Question.objects.exists()
    assert apply(checked) == {"new": 1, "changed": 0, "unchanged": 0, "refused": 0}
    question = Question.objects.get()
    assert (question.live, question.versions.count()) == (False, 0)
    latest = question.get_latest_revision_as_object()
    assert (latest.key, latest.kind, latest.difficulty, latest.text_en) == ("ETQ-1", "single", "easy", "What first?")
    assert [(option.text_zh, option.is_correct) for option in latest.options.all()] == [
        ("问候", True),
        ("看手机", False),
    ]
    assert sorted(tag.name for tag in latest.tags.all()) == ["进门", "问候"]


def test_published_by_choice_a_question_gets_its_version(category):
    apply(check([single()]), publish=True)
    question = Question.objects.get()
    assert question.live
    assert question.versions.get().content["feedback"]["zh"] == "先看见人。"


def test_the_same_file_again_changes_nothing(category):
    apply(check([single(tags="问候")]), publish=True)
    again = check([single(tags="问候")])
    assert again.counts == {"new": 0, "changed": 0, "unchanged": 1, "refused": 0}
    apply(again, publish=True)
    assert Question.objects.get().versions.count() == 1


def test_a_draft_that_is_unchanged_is_published_when_that_is_chosen(category):
    apply(check([single()]))
    apply(check([single()]), publish=True)
    assert Question.objects.get().live


def test_a_changed_question_says_what_differs_and_keeps_what_the_file_does_not_say(category):
    question = make_question("single", key="ETQ-1", category=category, text_zh="旧题？", text_en="Old?")
    row = {"key": "ETQ-1", "category": "问候", "kind": "单选", "text_zh": "新题？",
           "A_zh": "微笑问候", "B_zh": "转身离开", "answer": "A"}  # fmt: skip
    checked = check([row])
    assert checked.counts["changed"] == 1
    assert [(what, before, after) for what, before, after in checked.rows[0].changes] == [
        ("题目（中文）", "旧题？", "新题？"),
        ("选项", "✓ 微笑问候 · 低头看手机 · 转身离开", "✓ 微笑问候 · 转身离开"),
    ]
    apply(checked, publish=True)
    question.refresh_from_db()
    assert (question.text_zh, question.text_en, question.versions.count()) == ("新题？", "Old?", 2)
    assert [option.feedback_zh for option in question.options.all()] == ["理由0", "理由2"]


def test_changes_as_drafts_leave_the_published_question_alone(category):
    question = make_question("single", key="ETQ-1", category=category, text_zh="旧题？")
    apply(check([single(text_zh="新题？")]))
    question.refresh_from_db()
    assert (question.text_zh, question.has_unpublished_changes) == ("旧题？", True)
    assert question.get_latest_revision_as_object().text_zh == "新题？"
    assert (
        check([single(text_zh="新题？", text_en="")]).counts["changed"] == 1
    )  # the English text is now said to be empty


def test_an_import_is_applied_once(category):
    checked = check([single()])
    upload = QuestionImport.objects.create(file="x", file_name="x", uploaded_at=AT)
    apply_import(upload=upload, checked=checked, publish=False, by=make_user(), at=AT)
    with pytest.raises(AppliedAlready):
        apply_import(upload=upload, checked=checked, publish=False, by=None, at=AT)
    assert Question.objects.count() == 1


def test_a_locked_question_is_refused(category):
    question = make_question("single", key="ETQ-1", category=category)
    Question.objects.filter(pk=question.pk).update(locked=True)
    assert check([single()]).counts["refused"] == 1


@pytest.mark.parametrize(
    ("row", "column", "value"),
    [
        (single(key=""), "题号", ""),
        (single(key="x" * 41), "题号", "x" * 41),
        (single(key=1.1e17), "题号", "1.1e+17"),
        (single(key=dt.date(2026, 11, 1)), "题号", "2026-11-01"),
        (single(category="没有"), "分类", "没有"),
        (single(category=""), "分类", ""),
        (single(kind="作文"), "题型", "作文"),
        (single(difficulty="地狱"), "难度", "地狱"),
        (single(text_zh=""), "题目（中文）", ""),
        (single(answer=""), "答案", ""),
        (single(answer="D"), "答案", "D"),
        (single(answer="A,B"), "答案", "A,B"),
        (single(answer="问候"), "答案", "问候"),
        (single(B_zh="问候"), "选项A（中文）", "问候"),
        (single(B_zh="长" * 501), "选项B（中文）", "长" * 80),
        (single(kind="多选题", C_zh="三"), "答案", "A"),
        (single(kind="判断题", answer="也许"), "答案", "也许"),
        (single(kind="数字题", answer="NaN"), "答案", "NaN"),
        (single(kind="数字题", answer="5", tolerance="-1"), "允许误差", "-1"),
        (single(kind="数字题", answer="0.0000001"), "答案", "0.0000001"),
        (single(kind="数字题", answer="5", unit_zh="很长" * 20), "单位（中文）", "很长" * 20),
        (single(kind="填空题", A_zh="", B_zh=""), "答案", "A"),
        (single(kind="配对题"), "选项A（中文）", "问候"),
        (single(kind="配对题", A_zh="甲=一", B_zh="乙=一"), "选项A（中文）", "甲=一"),
        (single(kind="排序题"), "答案", "A"),
        (single(tags="长" * 101), "标签", "长" * 80),
    ],
)  # fmt: skip
def test_every_fault_has_its_place_value_and_cure(category, row, column, value):
    checked = check([row, single("GOOD")])
    assert checked.counts == {"new": 1, "changed": 0, "unchanged": 0, "refused": 1}
    fault = checked.faults[0]
    assert (fault.sheet, fault.row, fault.column, fault.value) == ("题目", 2, column, value)
    assert fault.problem
    assert fault.cure
    apply(checked)
    assert [question.key for question in Question.objects.all()] == ["GOOD"]


def test_a_number_that_stands_twice_is_refused_the_second_time(category):
    checked = check([single("A-1"), single("A-1")])
    assert [row.outcome for row in checked.rows] == ["new", "refused"]
    assert "2" in checked.faults[0].problem


def test_numbers_typed_as_numbers_come_in_without_a_point(category):
    checked = check([single(key=7, kind="数字题", answer=64.5, tolerance=0.5, A_zh="", B_zh="")])
    row = checked.rows[0]
    assert (row.key, row.question.number, row.question.tolerance) == ("7", Decimal("64.5"), Decimal("0.5"))


def test_headers_in_english_in_any_order_and_unknown_columns_named(category):
    rows = [["What first?", "A", "greeting", "look", "single", "E-1", "Hm", "phone"]]
    header = ["question", "Answer", "CATEGORY", "A (Chinese)", "kind", "Number", "Notes", "选项B"]
    file = io.BytesIO()
    write_csv(file, header, rows)
    checked = check_file(file=file, language="en")
    assert (checked.counts["new"], checked.ignored) == (1, ["Notes"])


def test_the_header_may_stand_below_a_title_and_on_a_later_sheet(category):
    title = [["销售礼仪题库"], [], [COLUMNS[name].zh for name in single()], list(single().values())]
    file = io.BytesIO()
    write_xlsx(file, [SheetOut("说明", notes=["请先读我"]), SheetOut("第一套", rows=title)])
    checked = check_file(file=file, language="zh-hans")
    assert [(row.sheet, row.row) for row in checked.rows] == [("第一套", 4)]


def test_a_csv_in_gb18030_is_read(category):
    lines = [",".join(COLUMNS[name].zh for name in single()), ",".join(single().values())]
    checked = check_file(file=io.BytesIO("\r\n".join(lines).encode("gb18030")), language="zh-hans")
    assert checked.counts["new"] == 1


def test_a_text_that_looks_like_a_formula_stays_a_text(category):
    checked = check([single(text_zh="=1+1 等于几？", A_zh="-2", B_zh="+2")])
    row = checked.rows[0]
    assert (row.question.text_zh, row.options[0].text_zh, row.options[1].text_zh) == ("=1+1 等于几？", "-2", "+2")


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 broken", b"\xd0\xcf\x11\xe0 old", b"%PDF-1.7", b"\x89PNG....", b"\xff\xfe\x00", b"\x00" * 50,
     "没有表头\n一\n二".encode(), "题号,分类,题型,题目\n".encode(), b"a" * 6_000_000],
)  # fmt: skip
def test_a_file_that_is_no_list_of_questions_is_refused_in_words(category, content):
    checked = check_file(file=io.BytesIO(content), language="zh-hans")
    assert checked.problem
    assert checked.cure
    assert checked.rows == []


def test_the_check_asks_the_same_few_questions_for_one_row_and_for_many(category, django_assert_num_queries):
    for number in range(30):
        make_question("single", key=f"Q-{number}", category=category)
    for count in (1, 30):
        file = workbook([single(f"Q-{number}") for number in range(count)])
        with django_assert_num_queries(4):
            check_file(file=file, language="zh-hans")
