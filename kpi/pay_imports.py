"""Files of pay: bases, attendance and payroll's answers. Checked row by row; nothing is guessed, nothing is written here.

Whom a file may speak of is given from outside (the people or the lines that who asks may write about), so a file says
nothing about anybody else.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, BinaryIO

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from core.money import NotMoney, format_yuan, parse_yuan
from core.periods import Month
from core.spreadsheets import BrokenRow, Cell, Limits, Unreadable, open_table, unescape
from kpi.domain.pay_bases import NewRow, known_attendance, known_bases, newest_answers
from kpi.imports import HEADER_WITHIN, Column, Fault, as_text, folded, read_month, read_number
from kpi.models import PayFile, PayLine, PayReturn, PayRun

Kind = PayFile.Kind
LIMITS = Limits(csv_bytes=60_000_000, xlsx_bytes=40_000_000, rows=400_000, columns=60, cells=8_000_000)
NEW, CHANGED, UNCHANGED, REFUSED = "new", "changed", "unchanged", "refused"

_NO = "员工号|员工编号|职工号|人员编号|employee number|employee no|staff no|staff number|employee id"
COLUMNS: dict[str, tuple[Column, ...]] = {
    Kind.BASES: (
        Column("employee_no", "工号", _NO),
        Column("base", "绩效基数", "基数|绩效工资基数|绩效标准|amount|pay base|base (yuan)"),
        Column("from_month", "生效月份", "起始月份|月份|from|month|effective month"),
    ),
    Kind.ATTENDANCE: (
        Column("employee_no", "工号", _NO),
        Column("attended", "出勤天数", "出勤|实际出勤|实出勤|days|days attended|attendance"),
        Column("attended_of", "应出勤天数", "应出勤|应勤|of|of days|working days|due days"),
    ),
    Kind.ANSWERS: (
        Column("line", "核算行号", "行号|line no|line number|reference", 24),
        Column("employee_no", "工号", _NO),
        Column("amount", "实发金额", "实发|发放金额|金额|paid|amount (yuan)|paid amount"),
        Column("state", "结果", "状态|发放结果|result|status"),
        Column("note", "备注", "说明|原因|remark|remarks|reason|comment", 30),
    ),
}
_REQUIRED = {
    Kind.BASES: ("employee_no", "base"),
    Kind.ATTENDANCE: ("employee_no", "attended", "attended_of"),
    Kind.ANSWERS: ("line", "amount"),
}
_STATES = {
    folded(word): state
    for state, words in {
        PayReturn.State.PAID: ("paid", "已发", "已发放", "发放", "成功", "ok", "yes"),
        PayReturn.State.CHANGED: ("changed", "调整", "已调整", "更改", "金额不同"),
        PayReturn.State.REFUSED: ("refused", "退回", "未发", "未发放", "失败", "rejected", "no"),
    }.items()
    for word in words
}


@dataclass(slots=True)
class CheckedRow:
    """One row and what applying it would do."""

    row: int
    who: str = ""
    name: str = ""
    before: str = ""
    after: str = ""
    outcome: str = NEW
    values: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


@dataclass
class CheckedFile:
    """A whole file. ``problem`` with its ``cure`` says why it cannot be read at all; then there are no rows."""

    rows: list[CheckedRow] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    sum_fen: int = 0
    problem: str = ""
    cure: str = ""

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(row.outcome for row in self.rows)
        return {outcome: found[outcome] for outcome in (NEW, CHANGED, UNCHANGED, REFUSED)}

    @property
    def faults(self) -> list[Fault]:
        return [fault for row in self.rows for fault in row.faults]

    @property
    def to_write(self) -> list[NewRow]:
        return [NewRow(row.row, row.values) for row in self.rows if row.outcome in (NEW, CHANGED)]


def check_bases(*, file: BinaryIO, people: Mapping[str, tuple[int, str]], month: Month) -> CheckedFile:
    """This function will say what a file of bases would do. ``people`` is {employee no.: (id, name)}; ``month`` for rows without one."""
    return _check(_Bases(people, month), file)


def check_attendance(
    *, file: BinaryIO, people: Mapping[str, tuple[int, str]], first: Month, last: Month
) -> CheckedFile:
    """This function will say what a file of attendance of a period would do."""
    return _check(_Attendance(people, first, last), file)


def check_answers(*, file: BinaryIO, run: PayRun, own: int | None) -> CheckedFile:
    """This function will say what payroll's answers to a run would do; ``own`` is the employee who asks, whose line is left alone."""
    return _check(_Answers(run, own), file)


# --- reading ------------------------------------------------------------------------------------------------------------
def _check(reader: _Reader, file: BinaryIO) -> CheckedFile:
    try:
        with open_table(file, limits=LIMITS) as table:
            for sheet in table.sheets:
                rows = enumerate(sheet.rows(), 1)
                for number, cells in rows:
                    if not isinstance(cells, BrokenRow) and reader.is_header(cells):
                        return reader.read(sheet.name, rows)
                    if number >= HEADER_WITHIN:
                        break
    except Unreadable as problem:
        return CheckedFile(problem=problem.problem, cure=problem.cure)
    names = pgettext("between names", ", ").join(reader.columns[key].heading for key in reader.required)
    return CheckedFile(
        problem=_("No row with the headings of this table was found."),
        cure=_("Use the template, or name the columns %(names)s.") % {"names": names},
    )


class _Reader:
    """Reads one kind of table: headings, rows, and what each would do."""

    kind: str

    def __init__(self) -> None:
        self.columns = {column.key: column for column in COLUMNS[self.kind]}
        self.required = _REQUIRED[PayFile.Kind(self.kind)]
        self._by_name = {
            folded(name): column.key
            for column in self.columns.values()
            for name in (column.key, column.zh, column.heading, *column.others.split("|"))
        }
        self.places: dict[str, int] = {}
        self.header: list[str] = []
        self.sheet = ""
        self.cells: list[Cell] = []
        self.row = CheckedRow(0)
        self.found = CheckedFile()
        self.seen: dict[Any, int] = {}

    def is_header(self, cells: list[Cell]) -> bool:
        places: dict[str, int] = {}
        header = [unescape(str(cell or "")).strip() for cell in cells]
        ignored = []
        for place, text in enumerate(header):
            key = self._by_name.get(folded(text)) if text else None
            if key and key not in places:
                places[key] = place
            elif text:
                ignored.append(text)
        if not all(key in places for key in self.required):
            return False
        self.places, self.header, self.found.ignored = places, header, ignored
        return True

    def read(self, sheet: str, rows: Iterator[tuple[int, list[Cell] | BrokenRow]]) -> CheckedFile:
        self.sheet = sheet
        for number, cells in rows:
            self.row = CheckedRow(number)
            if isinstance(cells, BrokenRow):
                self.cells = []
                self.fault(
                    "",
                    _("The quotes of this line do not fit together."),
                    _("Mend the line, or save the table as .xlsx."),
                )
            else:
                self.cells = cells
                if not any(self.text(key) for key in self.places):
                    continue
                if self.is_total():
                    continue
                self.read_row()
            if self.row.faults:
                self.row.outcome = REFUSED
            self.found.rows.append(self.row)
        if not self.found.rows:
            self.found.problem = _("There is no row below the headings.")
            self.found.cure = _("Choose the file that holds the rows.")
        self.compare()
        return self.found

    def is_total(self) -> bool:
        """The row of control totals at the end of our own files."""
        return folded(self.text(self.required[0])) in {"合计", "合计total", "total", "sum", "总计"}

    def read_row(self) -> None:
        raise NotImplementedError

    def compare(self) -> None:
        raise NotImplementedError

    def cell(self, key: str) -> Cell:
        place = self.places.get(key)
        return self.cells[place] if place is not None and place < len(self.cells) else None

    def text(self, key: str) -> str:
        return as_text(self.cell(key))

    def head(self, key: str) -> str:
        place = self.places.get(key)
        return self.header[place] if place is not None else self.columns[key].heading

    def fault(self, key: str, problem: str, cure: str) -> None:
        shown = self.text(key)[:80] if key else ""
        self.row.faults.append(Fault(self.sheet, self.row.row, self.head(key) if key else "", shown, problem, cure))

    def once(self, what: Any) -> None:
        """Refuse what a row above says already."""
        if what in self.seen:
            self.fault(
                self.required[0],
                _("Row %(row)s says this already.") % {"row": self.seen[what]},
                _("Leave one of the two rows."),
            )
        else:
            self.seen[what] = self.row.row

    def person(self, people: Mapping[str, tuple[int, str]]) -> int | None:
        number = unicodedata.normalize("NFKC", self.text("employee_no"))
        raw = self.cell("employee_no")
        self.row.who = number
        if not number:
            self.fault("employee_no", _("The employee number is missing."), _("Write it as it stands in the roster."))
        elif isinstance(raw, float) and (abs(raw) >= 1e15 or not raw.is_integer()):
            self.fault(
                "employee_no",
                _("The spreadsheet changed this number."),
                _("Format the column as text and type the number again."),
            )
        elif number not in people:
            self.fault(
                "employee_no",
                _("Nobody of your units has this number."),
                _("Check it against the roster; leading zeros count, so format the column as text."),
            )
        else:
            self.row.name = people[number][1]
            return people[number][0]
        return None

    def money(self, key: str) -> int | None:
        try:
            fen = parse_yuan(money_cell(self.cell(key)))
        except NotMoney:
            missing = not self.text(key)
            self.fault(
                key,
                _("The amount is missing.") if missing else _("This is not an amount in yuan."),
                _("Write it with digits and at most two places, for example 5000 or 5,000.50."),
            )
            return None
        return fen

    def days(self, key: str) -> Decimal | None:
        value = read_number(self.cell(key))
        if value is None or value != value.quantize(Decimal("0.01")) or not 0 <= value < 1000:
            self.fault(
                key,
                _("This is not a number of days."),
                _("Write it with digits and at most two places, for example 21 or 20.5."),
            )
            return None
        return value.quantize(Decimal("0.01"))


def money_cell(value: Cell) -> Cell:
    """This function will return a cell as parse_yuan reads it: the apostrophe of a neutralised text taken off."""
    return unescape(value) if isinstance(value, str) else value


class _Bases(_Reader):
    kind = Kind.BASES

    def __init__(self, people: Mapping[str, tuple[int, str]], month: Month):
        super().__init__()
        self.people, self.month = people, month

    def read_row(self) -> None:
        employee, fen, month = self.person(self.people), self.money("base"), self.month
        if fen is not None and fen < 0:
            self.fault("base", _("A base cannot be below 0."), _("Write the base of a full month."))
        if self.text("from_month"):
            read = read_month(self.cell("from_month"))
            if read is None:
                self.fault("from_month", _("This is not a month."), _("Write it like 2026-11."))
            else:
                month = read
        if employee is not None:
            self.once((employee, month))
        if not self.row.faults:
            self.row.values = {"employee_id": employee, "from_month": month, "base_fen": fen}
            self.row.after = format_yuan(fen or 0)
            self.found.sum_fen += fen or 0

    def compare(self) -> None:
        known = known_bases(people=[row.values["employee_id"] for row in self.found.rows if row.values])
        for row in self.found.rows:
            if not row.values:
                continue
            begun = [
                fen for month, fen in known.get(row.values["employee_id"], []) if month <= row.values["from_month"]
            ]
            if begun:
                row.before = format_yuan(begun[-1])
                row.outcome = UNCHANGED if begun[-1] == row.values["base_fen"] else CHANGED


class _Attendance(_Reader):
    kind = Kind.ATTENDANCE

    def __init__(self, people: Mapping[str, tuple[int, str]], first: Month, last: Month):
        super().__init__()
        self.people, self.first, self.last = people, first, last

    def read_row(self) -> None:
        employee, attended, of = self.person(self.people), self.days("attended"), self.days("attended_of")
        if of == 0:
            self.fault(
                "attended_of", _("Nobody can be at work on none of 0 days."), _("Write the working days of the period.")
            )
        elif attended is not None and of is not None and attended > of:
            self.fault(
                "attended",
                _("More days were attended than there were."),
                _("Write at most the working days of the period; overtime is paid elsewhere."),
            )
        if employee is not None:
            self.once(employee)
        if not self.row.faults:
            self.row.values = {
                "employee_id": employee,
                "first_month": self.first,
                "last_month": self.last,
                "attended": attended,
                "attended_of": of,
            }
            self.row.after = self._shown((attended or Decimal(0), of or Decimal(0)))

    @staticmethod
    def _shown(values: tuple[Decimal, Decimal]) -> str:
        return " / ".join(f"{value.normalize():f}" for value in values)

    def compare(self) -> None:
        known = known_attendance(
            people=[row.values["employee_id"] for row in self.found.rows if row.values],
            first=self.first,
            last=self.last,
        )
        for row in self.found.rows:
            before = known.get(row.values["employee_id"]) if row.values else None
            if before is not None:
                row.before = self._shown(before)
                row.outcome = UNCHANGED if row.before == row.after else CHANGED


class _Answers(_Reader):
    kind = Kind.ANSWERS

    def __init__(self, run: PayRun, own: int | None):
        super().__init__()
        self.run = run
        rows = (
            PayLine.objects.filter(run=run)
            .order_by()
            .values_list("number", "pk", "paid_fen", "employee_id", "employee__employee_no", "employee__name")
        )
        self.lines = {f"{run.code}-{row[0]:06d}": row[1:] for row in rows.iterator(chunk_size=5000) if row[3] != own}

    def read_row(self) -> None:
        key = self.text("line").strip().upper()
        line = self.lines.get(key) or self.lines.get(self.text("line").strip())
        amount = self.money("amount")
        self.row.who = key
        if line is None:
            self.fault(
                "line",
                _("No line of this run has this reference."),
                _("Copy it from the exported file, for example %(example)s.") % {"example": f"{self.run.code}-000001"},
            )
            return
        pk, fen, _employee, number, name = line
        self.row.name = name
        if "employee_no" in self.places and self.text("employee_no") not in ("", number):
            self.fault(
                "employee_no",
                _("The line is of somebody else."),
                _("Check whether rows were shifted; line and number must stay together."),
            )
        said = self.text("state")
        state = _STATES.get(folded(said)) if said else None
        if said and state is None:
            self.fault("state", _("This is not an answer."), _("Write 已发 (paid), 调整 (changed) or 退回 (refused)."))
        if amount is not None:
            if state is None:
                state = PayReturn.State.PAID if amount == fen else PayReturn.State.CHANGED
            note = self.text("note")[:300]
            self._fits(state, amount, fen, note)
            if not self.row.faults:
                self.row.values = {"line_id": pk, "state": str(state), "amount_fen": amount, "note": note}
                self.row.before, self.row.after = format_yuan(fen), format_yuan(amount)
                self.found.sum_fen += amount
        self.once(pk)
        if self.row.faults:
            self.row.values = {}

    def _fits(self, state: str, amount: int, fen: int, note: str) -> None:
        if state == PayReturn.State.PAID and amount != fen:
            self.fault(
                "amount",
                _("It says paid, but the amount is not the one of the line (%(amount)s).")
                % {"amount": format_yuan(fen)},
                _("Write the amount that was approved, or 调整 (changed) with a note."),
            )
        elif state == PayReturn.State.REFUSED and amount != 0:
            self.fault(
                "amount", _("It says not paid, but there is an amount."), _("Write 0, or 调整 (changed) with a note.")
            )
        elif state == PayReturn.State.CHANGED and not note:
            self.fault(
                "note", _("Another amount was paid, and nothing says why."), _("Write the reason into the note.")
            )

    def compare(self) -> None:
        known = newest_answers(self.run)
        for row in self.found.rows:
            answer = known.get(row.values["line_id"]) if row.values else None
            if answer is not None:
                same = (answer.state, answer.amount_fen, answer.note) == (
                    row.values["state"],
                    row.values["amount_fen"],
                    row.values["note"],
                )
                row.outcome = UNCHANGED if same else CHANGED
