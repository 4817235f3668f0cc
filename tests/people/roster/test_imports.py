"""What the cells and headings of a roster may look like."""

import datetime as dt
import io

import pytest
import xlsxwriter
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from people.domain.roster_words import COLUMNS, FAULTS, PROBLEMS, RosterProblem, words_of_fault, words_of_problem
from people.imports import CLEAR, FIELDS, Refused, headings, open_roster
from tests.people.roster.tools import csv_bytes


def clean(column, value):
    try:
        return FIELDS[column].widget.clean(value)
    except Refused as refused:
        assert str(refused)  # words, not a class name
        return refused.code


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("0001", "0001"),
        (" 0001 ", "0001"),
        ("\u3000００１２Ａ\u3000", "0012A"),
        ("\ufeff0001\u200b", "0001"),
        ("A-1.2/3#x@y", "A-1.2/3#x@y"),
        (12.0, "12"),
        (7, "7"),
        (999999999999999.0, "999999999999999"),
        (1e15, "float"),
        (1.1e17, "float"),
        (float("nan"), "float"),
        (12.5, "float"),
        ("1.1E+17", "float"),
        ("1.10E+17", "float"),
        ("1e+5", "float"),
        ("12.0", "float"),
        (dt.date(2026, 1, 5), "date_in_text"),
        ("00 12", "bad_number"),
        ("00,12", "bad_number"),
        ("-/-", "bad_number"),
        ("0" * 41, "too_long"),
        ("00\x0012", "control"),
        ("00\ud80012", "control"),
        ("00\u202e12", "control"),
        ("", None),
        (None, None),
        ("-", CLEAR),
        ("无", CLEAR),
    ],
)
def test_mc_24_an_employee_number_is_text(value, cleaned):
    assert clean("employee_no", value) == cleaned


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("王伟", "王伟"),
        ("  欧阳　娜娜 ", "欧阳 娜娜"),
        ("买买提·阿不都", "买买提·阿不都"),
        ("O'Neill-Smith Jr.", "O'Neill-Smith Jr."),
        ("王\n伟", "王 伟"),
        ("12345", "bad_name"),
        ("王\x07伟", "control"),
        ("王" * 101, "too_long"),
        ("王" * 100, "王" * 100),
        ("'=王", "=王"),  # as our own files write it
        ("𠮷", "𠮷"),
    ],
)
def test_mc_24_names(value, cleaned):
    assert clean("name", value) == cleaned


@pytest.mark.parametrize(
    ("value", "cleaned"),
    [
        ("2026-01-05", "2026-01-05"),
        ("2026/1/5", "2026-01-05"),
        ("2026.1.5", "2026-01-05"),
        ("20260105", "2026-01-05"),
        (20260105.0, "2026-01-05"),
        ("2026年1月5日", "2026-01-05"),
        ("２０２６－０１－０５", "2026-01-05"),
        ("2026-01-05 00:00:00", "2026-01-05"),
        (dt.datetime(2026, 1, 5, 0, 0), "2026-01-05"),
        (dt.date(2026, 1, 5), "2026-01-05"),
        ("2024-02-29", "2024-02-29"),
        ("2026-02-29", "no_such_day"),
        ("2026-13-01", "no_such_day"),
        ("20261301", "no_such_day"),
        ("1/5/2026", "bad_date"),
        ("soon", "bad_date"),
        ("46027", "bare_serial"),
        (46027.0, "bare_serial"),
        (1.5, "bare_serial"),
        (True, "bad_date"),
        (dt.time(1, 2), "bad_date"),
        ("1026-01-05", "too_long_ago"),
        ("", None),
    ],
)
def test_days(value, cleaned):
    assert clean("hired_on", value) == cleaned


@pytest.mark.parametrize(
    ("column", "value", "cleaned"),
    [
        ("email", "wang.wei@example.com", "wang.wei@example.com"),
        ("email", "ｗａｎｇ@example.com", "wang@example.com"),
        ("email", "wang@localhost", "wang@localhost"),
        ("email", "wang@", "bad_email"),
        ("email", "a b@example.com", "bad_email"),
        ("email", "x" * 250 + "@example.com", "too_long"),
        ("mobile", "138-0000 0001", "13800000001"),
        ("mobile", "'+86 138 0000 0001", "+8613800000001"),
        ("mobile", 13800000001.0, "13800000001"),
        ("mobile", "１３８００００００００１", "138000000001"),
        ("mobile", "1380", "bad_mobile"),
        ("mobile", "call me", "bad_mobile"),
        ("language", "中文", "zh-hans"),
        ("language", "zh-CN", "zh-hans"),
        ("language", " ENGLISH ", "en"),
        ("language", "fr", "bad_language"),
        ("position", "客户 经理", "客户 经理"),
        ("position", "x" * 101, "too_long"),
        ("job_family", "x" * 61, "too_long"),
    ],
)
def test_other_columns(column, value, cleaned):
    if value == "wang@localhost":
        assert clean(column, value) in {"wang@localhost", "bad_email"}  # as Django judges it
    else:
        assert clean(column, value) == cleaned


def opened(content):
    return open_roster(io.BytesIO(content))


def places(*head):
    with opened(csv_bytes(["x"] * len(head), head=head)) as file:
        return file.header.places


@pytest.mark.parametrize(
    "head",
    [
        ["employee_no", "name", "unit", "position", "manager_no"],
        ["工号", "姓名", "部门", "岗位", "上级工号"],
        ["工号*", "姓名（必填）", "所属部门", "职务", "直属上级工号"],
        ["Employee No.", "FULL NAME", "Department", "Job Title", "Line manager"],
        ["ＥＭＰＬＯＹＥＥ＿ＮＯ", " 姓 名 ", "部门路径", "职位", "主管工号"],
        headings()[:4] + [headings()[5]],
    ],
)
def test_headings_are_known_in_both_languages_and_by_their_synonyms(head):
    assert places(*head) == {"employee_no": 0, "name": 1, "unit": 2, "position": 3, "manager_no": 4}


def test_headings_stand_in_any_order_below_a_title_and_unknown_ones_are_named():
    content = "集团花名册\n\n部门,证件号,姓名,,工号\n华东,1,王伟,,0001\n".encode()
    with opened(content) as file:
        assert (file.header.row, file.header.ignored) == (3, ["证件号"])
        assert [note["code"] for note in file.notes] == ["read_csv", "header_row", "ignored_columns"]
        (row,) = file.rows()
    assert (row.number, dict(zip(COLUMNS, row.values, strict=True))["unit"], row.faults) == (4, "华东", None)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"a,b,c\n1,2,3\n", "no_header"),
        ("工号,姓名\n1,王\n".encode(), "missing_columns"),
        ("工号,姓名,部门,员工编号\n1,王,a,2\n".encode(), "double_columns"),
    ],
)
def test_files_without_the_needed_headings_are_refused(content, code):
    with pytest.raises(RosterProblem) as refused:
        opened(content)
    assert refused.value.code == code
    words = words_of_problem({"code": code, "params": refused.value.params})
    assert words["problem"]
    assert words["cure"]


def row_faults(content):
    with opened(content) as file:
        return [(row.number, [(fault.column, fault.code) for fault in row.faults or ()]) for row in file.rows()]


def test_rows_that_cannot_be_taken_apart_are_refused_by_themselves():
    content = b'employee_no,name,unit\n1,a,U\n2,b\n3,c,U,x\n"4"x,d,U\n5,e,U,\n\n,,\n6,f,U\n'
    assert row_faults(content) == [
        (2, []),
        (3, [("", "short_row")]),
        (4, [("", "long_row")]),
        (5, [("", "broken_quotes")]),
        (6, []),
        (9, []),
    ]


def test_all_faults_of_a_row_are_named_at_once():
    content = csv_bytes(
        ["1.1E+17", "", "", "", "", "", "2026-02-30", "", "x@", "1", "fr"], ["2", "b", "U", "", "", "2"]
    )
    assert row_faults(content) == [
        (
            2,
            [
                ("employee_no", "float"),
                ("hired_on", "no_such_day"),
                ("email", "bad_email"),
                ("mobile", "bad_mobile"),
                ("language", "bad_language"),
                ("name", "missing"),
                ("unit", "missing"),
            ],
        ),
        (3, [("manager_no", "own_manager")]),
    ]


def test_the_first_sheet_with_a_known_heading_is_read_and_named():
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        book.add_worksheet("封面").write_string(0, 0, "花名册")
        sheet = book.add_worksheet("名单")
        sheet.write_row(0, 0, ["工号", "姓名", "部门", "入职日期"])
        sheet.write_row(1, 0, ["0001", "王伟", "华东"])
        sheet.write_datetime(1, 3, dt.datetime(2026, 1, 5), book.add_format({"num_format": "yyyy/m/d"}))
        sheet.write_number(2, 0, 123456789012345678)
        book.add_worksheet("其他").write_row(0, 0, ["工号", "姓名", "部门"])
    with opened(file.getvalue()) as roster:
        assert roster.sheet.name == "名单"
        assert roster.notes == [
            {"code": "read_xlsx", "params": {"sheet": "名单"}},
            {"code": "other_sheets", "params": {"sheets": ["封面", "其他"]}},
        ]
        good, bad = roster.rows()
    assert (good.values[0], good.values[6]) == ("0001", "2026-01-05")
    assert [(fault.column, fault.code) for fault in bad.faults][0] == ("employee_no", "float")


def test_every_fault_and_problem_has_words_in_both_languages():
    params = dict.fromkeys(
        [
            "limit",
            "shown",
            "found",
            "expected",
            "rows",
            "left_on",
            "hired_on",
            "starts_on",
            "scope",
            "circle",
            "columns",
        ],
        "x",
    )
    for language in ("en", "zh-hans"):
        with translation.override(language):
            for code in FAULTS:
                words = words_of_fault({"column": "name", "value": "v", "code": code, "params": params})
                assert words["problem"]
                assert words["cure"]
                assert "%(" not in words["problem"] + words["cure"]
                if language == "zh-hans":
                    assert any("\u4e00" <= sign <= "\u9fff" for sign in words["problem"]), code
            for code in PROBLEMS:
                assert words_of_problem({"code": code, "params": {"columns": ["name"]}})["problem"]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.text(max_size=12), min_size=11, max_size=11), max_size=5))
def test_any_text_in_any_cell_is_taken_or_refused(rows):
    rows = [["".join(sign for sign in cell if not "\ud800" <= sign <= "\udfff") for cell in row] for row in rows]
    with opened(csv_bytes(*rows)) as file:
        for row in file.rows():
            assert len(row.values) == len(COLUMNS)
            for fault in row.faults or ():
                assert fault.code in FAULTS
                assert "\x00" not in fault.as_json()["value"]
