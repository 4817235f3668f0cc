"""Files of pay: checked row by row with place and cure, applied once, and sealed."""

import io
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import translation
from openpyxl import load_workbook

from core.models import Event
from core.spreadsheets import SheetOut, write_csv, write_xlsx
from kpi import exports, pay_imports
from kpi.domain import pay_bases, pay_runs
from kpi.domain.pay_bases import AppliedAlready, NothingToApply, apply_file, keep_file, payable_people, reconcile
from kpi.models import PayAttendance, PayBase, PayFile, PayReturn
from people.domain.access import Actor
from tests.factories.pay import AT, MONTH, make_computed_run, make_pay_world, settle
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_english():
    with translation.override("en"):
        yield


@pytest.fixture
def world():
    return make_pay_world()


def table(kind, header, *rows) -> io.BytesIO:
    file = io.BytesIO()
    if kind == "xlsx":
        write_xlsx(file, [SheetOut("1", header, rows)])
    else:
        write_csv(file, header, rows)
    file.seek(0)
    return file


def people_of(world):
    actor = Actor(world.maker, AT.date())
    return {one.employee_no: (one.pk, one.name) for one in payable_people(actor)}


def faults(checked):
    return [(fault.row, fault.column, fault.value, fault.problem) for fault in checked.faults]


# --- bases --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_bases_are_checked_and_say_what_would_change(world, kind):
    file = table(kind, ["工号", "姓名", "绩效基数"], ["000101", "甲", "6,000.00"], ["000102", "乙", "5,500.00"])
    checked = pay_imports.check_bases(file=file, people=people_of(world), month=MONTH)

    assert checked.counts == {"new": 0, "changed": 1, "unchanged": 1, "refused": 0}
    assert checked.ignored == ["姓名"]
    assert checked.sum_fen == 1_150_000
    assert [(row.who, row.before, row.after, row.outcome) for row in checked.rows] == [
        ("000101", "6,000.00", "6,000.00", "unchanged"),
        ("000102", "5,000.00", "5,500.00", "changed"),
    ]


def test_faults_name_row_column_value_and_cure(world):
    file = table(
        "csv",
        ["工号", "绩效基数", "生效月份"],
        ["000101", "1_000", ""],
        ["101", "5000", ""],
        ["", "", ""],
        ["000102", "-1", "2026-13"],
        ["000103", "1", ""],
        ["000103", "2", ""],
        ["", "3", ""],
        ["000104", "１２", ""],  # noqa: RUF001 - full-width digits
        ["000105", "0.005", ""],
    )
    checked = pay_imports.check_bases(file=file, people=people_of(world), month=MONTH)

    assert faults(checked) == [
        (2, "绩效基数", "1_000", "This is not an amount in yuan."),
        (3, "工号", "101", "Nobody of your units has this number."),
        (5, "绩效基数", "-1", "A base cannot be below 0."),
        (5, "生效月份", "2026-13", "This is not a month."),
        (7, "工号", "000103", "Row 6 says this already."),
        (8, "工号", "", "The employee number is missing."),
        (9, "绩效基数", "１２", "This is not an amount in yuan."),  # noqa: RUF001
        (10, "绩效基数", "0.005", "This is not an amount in yuan."),
    ]
    assert all(fault.cure for fault in checked.faults)
    assert [row.row for row in checked.to_write] == [6]


def test_numbers_are_text_and_a_spreadsheets_own_are_refused(world):
    file = table("xlsx", ["工号", "绩效基数"], [101, 5000], [1.1e17, 5000], ["000101", 5000.5])
    checked = pay_imports.check_bases(file=file, people=people_of(world), month=MONTH)
    assert [(row.outcome, [fault.problem for fault in row.faults]) for row in checked.rows] == [
        ("refused", ["Nobody of your units has this number."]),
        ("refused", ["The spreadsheet changed this number."]),
        ("changed", []),
    ]
    assert checked.to_write[0].values["base_fen"] == 500_050


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "The file is empty."),
        (b"a,b\n1,2\n", "No row with the headings of this table was found."),
        ("工号,绩效基数\n".encode(), "There is no row below the headings."),
    ],
)
def test_a_file_that_says_nothing_is_refused_with_a_cure(world, content, problem):
    checked = pay_imports.check_bases(file=io.BytesIO(content), people={}, month=MONTH)
    assert (checked.problem, bool(checked.cure)) == (problem, True)


def test_a_file_is_applied_once(world):
    file = table("csv", ["工号", "绩效基数"], ["000101", "6500"], ["000102", "5000"])
    checked = pay_imports.check_bases(file=file, people=people_of(world), month=MONTH)
    upload = keep_file(kind=PayFile.Kind.BASES, file=file, name="base.csv", by=world.maker, at=AT)

    assert apply_file(upload=upload, rows=checked.to_write, by=world.maker, at=AT) == 1

    row = PayBase.objects.get(source__startswith="#")
    assert (row.employee, row.base_fen, row.from_month, row.source, row.by) == (
        world.people[0],
        650_000,
        MONTH,
        f"#{upload.pk} base.csv:2",
        world.maker,
    )
    with pytest.raises(AppliedAlready):
        apply_file(upload=upload, rows=checked.to_write, by=world.maker, at=AT)
    with pytest.raises(NothingToApply):
        apply_file(upload=upload, rows=[], by=world.maker, at=AT)
    assert list(pay_bases.check_pay_files()) == [(f"pay file {upload.pk} (base.csv)", True)]


def test_au_04_rows_that_were_changed_by_hand_are_found(world):
    file = table("csv", ["工号", "绩效基数"], ["000101", "6500"])
    checked = pay_imports.check_bases(file=file, people=people_of(world), month=MONTH)
    upload = keep_file(kind=PayFile.Kind.BASES, file=file, name="base.csv", by=world.maker, at=AT)
    apply_file(upload=upload, rows=checked.to_write, by=world.maker, at=AT)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER kpi_paybase_no_update")
        else:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE kpi_paybase DISABLE TRIGGER USER")
        cursor.execute("UPDATE kpi_paybase SET base_fen = 1 WHERE source LIKE '#%%'")
    assert [sound for _what, sound in pay_bases.check_pay_files()] == [False]


# --- attendance -----------------------------------------------------------------------------------------------------------
def test_attendance_is_checked_for_its_period(world):
    file = table(
        "csv",
        ["工号", "出勤天数", "应出勤天数"],
        ["000101", "20.5", "21"],
        ["000102", "21", "21"],
        ["000103", "22", "21"],
        ["000104", "abc", "21"],
        ["000105", "1", "0"],
        ["合计", "", ""],
    )
    checked = pay_imports.check_attendance(file=file, people=people_of(world), first=MONTH, last=MONTH)

    assert [(row.who, row.before, row.after, row.outcome) for row in checked.rows] == [
        ("000101", "21 / 21", "20.5 / 21", "changed"),
        ("000102", "21 / 21", "21 / 21", "unchanged"),
        ("000103", "", "", "refused"),
        ("000104", "", "", "refused"),
        ("000105", "", "", "refused"),
    ]
    upload = keep_file(
        kind=PayFile.Kind.ATTENDANCE,
        file=file,
        name="d.csv",
        first_month=MONTH,
        last_month=MONTH,
        by=world.maker,
        at=AT,
    )
    apply_file(upload=upload, rows=checked.to_write, by=world.maker, at=AT)
    assert PayAttendance.objects.filter(employee=world.people[0]).latest("pk").attended == Decimal("20.50")


# --- whom one may write about ---------------------------------------------------------------------------------------------
def test_pm_y04_a_preparer_writes_about_the_people_of_the_units_never_oneself(world):
    other = make_unit(world.group, code="B9")
    away = make_employee(other, employee_no="000901")
    gone = make_employee(world.branch, employee_no="000902", state="left", left_on=AT.date().replace(month=10))
    small = make_user()
    grant(small, "pay_maker", world.branch)

    found = set(payable_people(Actor(small, AT.date())).values_list("employee_no", flat=True))
    assert found == {*(person.employee_no for person in world.people), gone.employee_no}
    assert away.employee_no not in found
    assert world.maker.employee not in payable_people(Actor(world.maker, AT.date()))
    assert not payable_people(Actor(world.checker, AT.date())).exists()


# --- the file for payroll and its answer -----------------------------------------------------------------------------------
def test_the_export_is_the_same_bytes_and_carries_control_totals(world):
    run = settle(make_computed_run(world), world, upto="approved")
    one, two = (exports.build(run=run, kind="csv", number=1) for _ in range(2))

    assert one.digest == two.digest
    assert (one.name, one.rows) == ("P-2026-10-001.csv", 6)
    with one.file, two.file:
        lines = one.file.read().decode("utf-8-sig").splitlines()
    assert lines[1] == (
        f"P-2026-10-000001,000101,{world.people[0].name},集团 / 河西网点,2026-10-01,2026-10-31,"
        "6000.00,1.2000,1.0500,21.00,21.00,7528.54,752854"
    )
    assert lines[-1] == "合计 Total,6,,,,,,,,,,28000.00,2800000"


def test_au_05_the_workbook_names_the_link_of_the_chain_that_approved_it(world):
    run = settle(make_computed_run(world), world, upto="approved")
    made = exports.build(run=run, kind="xlsx", number=1)
    with made.file:
        notes = [row[0].value for row in load_workbook(made.file)["说明 About"].iter_rows() if row[0].value]
    link = Event.objects.get(chain="pay", action="pay run approved")
    assert notes == [
        f"P-2026-10 · {run.cycle.name} · 河西网点",
        "文件编号 File no. 1",
        "行数 Lines 6",
        "控制总额 Control total 28,000.00 · 预留金 Reserve 4,000.00",
        f"SHA-256 {run.lines_hash}",
        f"规则 Rule {run.version.rule.code} v1 {run.version.content_hash}",
        f"批准 Approved: 事件链 event chain pay, {link.sequence}, {link.hash}",
    ]


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_au_11_a_changed_fen_in_a_file_is_found(world, kind):
    run = settle(make_computed_run(world), world, upto="approved")
    made = exports.build(run=run, kind=kind, number=1)
    pay_runs.record_export(run=run, number=1, kind=kind, digest=made.digest, rows=6, by=world.maker, at=AT)

    check = exports.check_file(run=run, file=made.file)
    assert (check.number, check.lines, check.total_fen, check.agrees) == (1, 6, 2_800_000, True)

    if kind == "csv":
        made.file.seek(0)
        changed = io.BytesIO(made.file.read().replace(b"7528.54", b"7528.55").replace(b"000106", b"000196"))
        check = exports.check_file(run=run, file=changed)
        assert check.number is None
        assert check.differences == [
            "Row 2, P-2026-10-000001: the file says 7,528.55, the run 7,528.54.",
        ]
        lines = changed.getvalue().splitlines(keepends=True)
        check = exports.check_file(run=run, file=io.BytesIO(b"".join([lines[0], *lines[2:]])))
        assert check.differences == ["P-2026-10-000001 is missing in the file."]
    assert exports.check_file(run=run, file=io.BytesIO(b"a,b\n")).problem
    made.file.close()
    assert made.name == f"P-2026-10-001.{kind}"


def test_payrolls_answer_is_reconciled_line_by_line(world):
    run = settle(make_computed_run(world), world)
    file = table(
        "csv",
        ["核算行号", "工号", "实发金额", "结果", "备注"],
        ["P-2026-10-000001", "000101", "7528.54", "已发", ""],
        ["P-2026-10-000002", "000102", "5700.00", "", "代扣"],
        ["P-2026-10-000003", "000103", "0", "退回", "账户"],
        ["P-2026-10-000004", "000105", "4015.22", "", ""],
        ["P-2026-10-000005", "000105", "1.00", "已发", ""],
        ["P-2026-10-000009", "000106", "1.00", "", ""],
        ["P-2026-10-000006", "000106", "1.00", "", ""],
    )
    checked = pay_imports.check_answers(file=file, run=run, own=None)
    assert [(row.row, row.outcome, [fault.problem for fault in row.faults]) for row in checked.rows] == [
        (2, "new", []),
        (3, "new", []),
        (4, "new", []),
        (5, "refused", ["The line is of somebody else."]),
        (6, "refused", ["It says paid, but the amount is not the one of the line (4,182.52)."]),
        (7, "refused", ["No line of this run has this reference."]),
        (8, "refused", ["Another amount was paid, and nothing says why."]),
    ]
    upload = keep_file(kind=PayFile.Kind.ANSWERS, file=file, name="a.csv", run=run, by=world.maker, at=AT)
    apply_file(upload=upload, rows=checked.to_write, by=world.maker, at=AT)

    found = reconcile(run)
    assert (found.lines, found.exported_fen) == (6, 2_800_000)
    assert (found.paid, found.paid_fen) == (1, 752_854)
    assert (found.changed, found.changed_fen, found.changed_from_fen) == (1, 570_000, 575_097)
    assert (found.refused, found.refused_fen) == (1, 547_712)
    assert (found.waiting, found.waiting_fen) == (3, 924_337)
    assert found.difference_fen == 570_000 - 575_097 - 547_712
    again = table("csv", ["核算行号", "实发金额"], ["P-2026-10-000001", "7528.54"])
    assert pay_imports.check_answers(file=again, run=run, own=None).counts["unchanged"] == 1
    mine = pay_imports.check_answers(file=again, run=run, own=world.people[0].pk)
    assert mine.counts["refused"] == 1
    assert PayReturn.objects.count() == 3
    for one in PayFile.objects.all():
        one.file.close()
