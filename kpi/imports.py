"""The file of measures: its columns, how they may be called, and what a cell must look like to be taken.

Two forms. Long: a row says whom, which month, which indicator and the value. Wide: a row says whom (and which month), and
every further column that is called like an indicator holds its values. Nothing is guessed: a cell that cannot be read for
sure is refused with its place and a cure. Reading changes nothing and knows nobody: ``Resolver`` finds people and units
through the door of whoever asks, so a file can say nothing about anybody else's people.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import BinaryIO

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from core.batches import batches
from core.periods import Month
from core.spreadsheets import BrokenRow, Cell, Limits, Table, open_table, unescape
from kpi.domain.measures import PLACES, NewMeasure
from kpi.domain.scoring import half_up
from kpi.models import Indicator, MeasureImport
from people.domain.access import Actor, visible_employees, visible_units

LIMITS = Limits(csv_bytes=80_000_000, xlsx_bytes=40_000_000, rows=500_000, columns=120, cells=6_000_000)
HEADER_WITHIN = 20
ROWS = 500  # of the file, resolved and written at a time
REASONS = "原因 reasons"  # the last column of a fault file, which may come back with it
ROW = "PM-F02"
EARLIEST = Month(2000, 1)
_MOST = Decimal(10) ** 9


@dataclass(frozen=True)
class Column:
    """A column: how it is called in both languages, and what else people call it (compared after folding)."""

    key: str
    zh: str
    others: str
    width: int = 14

    @property
    def heading(self) -> str:
        return f"{self.zh} {self.key}"


COLUMNS = {
    column.key: column
    for column in (
        Column(
            "employee_no", "工号", "员工号|员工编号|职工号|人员编号|employee number|staff no|staff number|employee id"
        ),
        Column("unit_code", "单位编码", "单位代码|机构编码|网点编码|部门编码|unit|unit code|branch code|org code"),
        Column("month", "月份", "月|年月|考核月份|统计月份|period"),
        Column("indicator", "指标", "指标名称|指标代码|指标编码|indicator code|indicator name|kpi|metric", 22),
        Column("value", "数值", "值|指标值|得分|结果|score|result"),
        Column("numerator", "分子", "top"),
        Column("denominator", "分母", "bottom"),
        Column("n", "样本数", "样本量|样本|有效样本|sample|sample size|observations"),
        Column("spread", "标准差", "sd|std|standard deviation"),
        Column("note", "备注", "说明|原因|更正原因|remark|remarks|reason|comment", 30),
    )
}
_SUBJECTS = ("employee_no", "unit_code")


def folded(text: str) -> str:
    """A heading or a name without case, spaces, full-width forms, remarks in brackets and stars."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"[\s_\-*:./'’·%]", "", re.sub(r"\([^)]*\)|\[[^]]*\]|【[^】]*】", "", text))


_BY_NAME = {
    folded(name): column.key
    for column in COLUMNS.values()
    for name in (column.key, column.zh, column.heading, *column.others.split("|"))
}
_REASONS = {folded(name) for name in (REASONS, "原因 reasons", "reasons")}


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, what stands there, what is wrong with it and what to do."""

    sheet: str
    row: int
    column: str
    value: str
    problem: str
    cure: str

    def as_dict(self) -> dict[str, str | int]:
        return {
            "sheet": self.sheet,
            "row": self.row,
            "column": self.column,
            "value": self.value,
            "problem": self.problem,
            "cure": self.cure,
        }


class FileProblem(Exception):
    """The file can be opened but holds no table of measures. ``problem`` and ``cure`` say why and what to do."""

    def __init__(self, problem: str, cure: str):
        super().__init__(problem)
        self.problem, self.cure = problem, cure


@dataclass
class Line:
    """One row of the file, cleaned: a subject and its values, or why it is refused."""

    sheet: str
    row: int
    employee_no: str = ""
    unit_code: str = ""
    values: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)


@dataclass
class Entry:
    """One value of a row, before it is known whose it is."""

    indicator: Indicator
    month: Month
    value: Decimal
    column: str
    numerator: Decimal | None = None
    denominator: Decimal | None = None
    n: int | None = None
    spread: Decimal | None = None
    note: str = ""


# --- reading ------------------------------------------------------------------------------------------------------------
class MeasureFile:
    """An opened file: its headings, and its rows as a stream (once). Raises Unreadable or FileProblem."""

    def __init__(self, file: BinaryIO, *, month: Month | None, today: dt.date):
        self.table: Table = open_table(file, limits=LIMITS)
        self.month, self.latest = month, Month.of(today)
        self.indicators = {one.pk: one for one in Indicator.objects.all()}
        self._named = _indicator_names(self.indicators.values())
        self.ignored: list[str] = []
        self.header: list[str] = []
        self.places: dict[str, int] = {}
        self.wide: dict[int, Indicator] = {}
        self.sheet, self._rows, self.header_row = self._find_header()

    def __enter__(self) -> MeasureFile:
        return self

    def __exit__(self, *exc) -> None:
        self.table.close.close()

    def _find_header(self):
        seen_subject = False
        for sheet in self.table.sheets:
            rows = enumerate(sheet.rows(), 1)
            for number, cells in rows:
                if isinstance(cells, BrokenRow):
                    continue
                if self._is_header(cells):
                    return sheet.name, rows, number
                seen_subject |= bool(self.places)
                if number >= HEADER_WITHIN:
                    break
        if seen_subject:
            raise FileProblem(
                _("The headings name people or units, but no value."),
                _("Add the columns 指标 and 数值, or give a column the code or the name of an indicator."),
            )
        raise FileProblem(
            _("No row with the headings of a table of measures was found."),
            _("Use the template, or name a column 工号 (employee_no) or 单位编码 (unit_code)."),
        )

    def _is_header(self, cells: list[Cell]) -> bool:
        places: dict[str, int] = {}
        wide: dict[int, Indicator] = {}
        ignored = []
        for place, cell in enumerate(cells):
            text = unescape(str(cell or "")).strip()
            key = folded(text)
            name = _BY_NAME.get(key)
            if name and name not in places:
                places[name] = place
            elif key in self._named and self._named[key] not in wide.values():
                wide[place] = self._named[key]
            elif text and key not in _REASONS:
                ignored.append(text)
        if not any(name in places for name in _SUBJECTS):
            return False
        is_long = "indicator" in places and "value" in places
        self.places = places
        if not is_long and not wide:
            return False
        self.ignored, self.header = ignored, [unescape(str(cell or "")).strip() for cell in cells]
        self.wide = {} if is_long else wide
        if is_long:
            self.ignored += [self.header[place] for place in wide]
        return True

    def raw_rows(self) -> Iterator[tuple[int, list[Cell] | None]]:
        """The rows below the headings with their numbers; None where the quotes of a line do not fit together."""
        for number, cells in self._rows:
            if isinstance(cells, BrokenRow):
                yield number, None
            elif any(cell not in ("", None) for cell in cells):
                yield number, cells

    def lines(self) -> Iterator[Line]:
        """This function will give out the rows, cleaned, one by one; empty ones are left out."""
        for number, cells in self.raw_rows():
            yield self.line(number, cells)

    def line(self, number: int, cells: list[Cell] | None) -> Line:
        """This function will clean one row."""
        line = Line(self.sheet, number)
        if cells is None:
            line.faults.append(
                Fault(
                    self.sheet,
                    number,
                    "",
                    "",
                    _("The quotes of this line do not fit together."),
                    _("Mend the line, or save the table as .xlsx."),
                )
            )
            return line
        return _RowReader(self, line, cells).read()


def _indicator_names(indicators) -> dict[str, Indicator]:
    """Every way to call an indicator: code, and name in either language. A name that two share is none."""
    found: dict[str, Indicator | None] = {}
    for one in indicators:
        for name in {folded(one.name), folded(one.name_en)} - {""}:
            found[name] = None if name in found else one
    found |= {folded(one.code): one for one in indicators}
    return {name: one for name, one in found.items() if one is not None}


class _RowReader:
    """Turns the cells of one row into values, or into faults."""

    def __init__(self, file: MeasureFile, line: Line, cells: list[Cell]):
        self.file, self.line, self.cells = file, line, cells

    def cell(self, place: int | None) -> Cell:
        return self.cells[place] if place is not None and place < len(self.cells) else None

    def text(self, key: str) -> str:
        return as_text(self.cell(self.file.places.get(key)))

    def fault(self, column: str, shown: str, problem: str, cure: str) -> None:
        self.line.faults.append(Fault(self.line.sheet, self.line.row, column, shown[:80], problem, cure))

    def _head(self, place: int | None) -> str:
        return self.file.header[place] if place is not None and place < len(self.file.header) else ""

    def read(self) -> Line:
        self._subject()
        month = self._month()
        if self.file.wide:
            for place, indicator in self.file.wide.items():
                if as_text(self.cell(place)) not in ("", "-", "–", "—", "/"):
                    self._value(indicator, month, place)
        else:
            named = self._indicator()
            if named:
                self._value(named, month, self.file.places["value"])
        if self.line.faults:
            self.line.values = []
        return self.line

    def _subject(self) -> None:
        number, code = self.text("employee_no"), self.text("unit_code")
        raw = self.cell(self.file.places.get("employee_no"))
        head = self._head(self.file.places.get("employee_no", self.file.places.get("unit_code")))
        if number and code:
            self.fault(
                head,
                f"{number} / {code}",
                _("The row names both a person and a unit."),
                _("Leave one of the two empty: a value is of a person or of a unit."),
            )
        elif not number and not code:
            self.fault(
                head,
                "",
                _("The row names neither a person nor a unit."),
                _("Write the employee number or the code of the unit."),
            )
        elif isinstance(raw, float) and (abs(raw) >= 1e15 or raw != int(raw)):
            self.fault(
                head,
                number,
                _("The spreadsheet changed this number."),
                _("Format the column as text and type the number again."),
            )
        self.line.employee_no = unicodedata.normalize("NFKC", number)[:40]
        self.line.unit_code = unicodedata.normalize("NFKC", code)[:40]

    def _month(self) -> Month | None:
        place = self.file.places.get("month")
        raw = self.cell(place)
        if place is None or as_text(raw) == "":
            if self.file.month is None:
                self.fault(
                    self._head(place) or COLUMNS["month"].heading,
                    "",
                    _("The month is missing."),
                    _("Write it like 2026-11, or choose a month when you upload the file."),
                )
            return self.file.month
        month = read_month(raw)
        if month is None:
            self.fault(self._head(place), as_text(raw), _("This is not a month."), _("Write it like 2026-11."))
        elif not EARLIEST <= month <= self.file.latest:
            self.fault(
                self._head(place),
                as_text(raw),
                _("Nothing can have been measured in this month."),
                _("Write a month that has begun, no earlier than 2000."),
            )
        return month

    def _indicator(self) -> Indicator | None:
        place = self.file.places["indicator"]
        text = self.text("indicator")
        found = self.file._named.get(folded(text)) if text else None
        if found is None:
            known = ", ".join(sorted(one.code for one in self.file.indicators.values() if _may_write(one)))[:300]
            self.fault(
                self._head(place),
                text,
                _("No indicator is called so.") if text else _("The indicator is missing."),
                _("Write the code or the name of one of these: %(known)s.") % {"known": known or "–"},
            )
        return found

    def _value(self, indicator: Indicator, month: Month | None, place: int) -> None:
        head, shown, faults = self._head(place), as_text(self.cell(place)), len(self.line.faults)
        if indicator.source != Indicator.Source.FILE:
            self.fault(
                head,
                shown,
                _("The platform measures “%(name)s” itself when a month is closed.") % {"name": indicator.label},
                _("Leave it out. A single wrong value is corrected on the page of the person."),
            )
            return
        if not indicator.active:
            self.fault(
                head,
                shown,
                _("“%(name)s” is not in use any more.") % {"name": indicator.label},
                _("Leave it out, or put the indicator to use again."),
            )
            return
        value = self._number(place, head)
        if value is not None:
            self._fits(indicator, value, place, head)
        entry = Entry(indicator, month or self.file.latest, value or Decimal(0), head)
        if not self.file.wide:
            self._beside(entry)
        entry.note = self.text("note")[:300]
        if len(self.line.faults) == faults:
            self.line.values.append(entry)

    def _number(self, place: int, head: str) -> Decimal | None:
        raw = self.cell(place)
        value = read_number(raw)
        if value is None:
            empty = as_text(raw) == ""
            self.fault(
                head,
                as_text(raw),
                _("The value is missing.") if empty else _("This cannot be read as a number."),
                _("Leave the whole row out if nothing was measured.")
                if empty
                else _("Write it with digits, for example 12 or 0.5."),
            )
        elif abs(value) >= _MOST:
            self.fault(head, as_text(raw), _("This number is too large."), _("Write it in a larger unit."))
            return None
        return value

    def _fits(self, indicator: Indicator, value: Decimal, place: int, head: str) -> None:
        """Is it a value that the indicator can have?"""
        shown, unit = as_text(self.cell(place)), indicator.unit
        if unit == Indicator.Unit.COUNT and (value < 0 or value != value.to_integral_value()):
            self.fault(head, shown, _("A count is a whole number from 0."), _("Write how many there were."))
        elif unit == Indicator.Unit.RATING and not 1 <= value <= 5:
            self.fault(head, shown, _("A rating lies between 1 and 5."), _("Write the rating on the scale of 1 to 5."))
        elif unit == Indicator.Unit.PERCENT and not 0 <= value <= 1000:
            self.fault(head, shown, _("A share lies between 0 and 1,000 per cent."), _("Write 98.5 for 98.5 per cent."))
        elif unit == Indicator.Unit.PERCENT and 0 < value <= 1 and not shown.endswith(("%", "％")):
            self.fault(
                head,
                shown,
                _("It is not clear whether this is a share of one or a percentage."),
                _("Write 98.5 for 98.5 per cent; a share of 1 per cent or less as text with the sign: 0.5%."),
            )

    def _beside(self, entry: Entry) -> None:
        """Numerator, denominator, number of observations and spread of a long row."""
        numbers: dict[str, Decimal | None] = {}
        for key in ("numerator", "denominator", "n", "spread"):
            place = self.file.places.get(key)
            raw = self.cell(place)
            numbers[key] = None
            if place is None or as_text(raw) == "":
                continue
            numbers[key] = value = read_number(raw)
            head = self._head(place)
            least = 0 if key in ("numerator", "spread") else Decimal("0.0001")
            if value is None:
                self.fault(
                    head,
                    as_text(raw),
                    _("This cannot be read as a number."),
                    _("Write it with digits, for example 12 or 0.5."),
                )
            elif not least <= value < _MOST:
                self.fault(
                    head,
                    as_text(raw),
                    _("This number is too small or too large here."),
                    _("A denominator and a number of observations are above 0, a spread is not negative."),
                )
            elif key == "n" and value != value.to_integral_value():
                self.fault(head, as_text(raw), _("This is not a whole number."), _("Write how many answered."))
        top, bottom = numbers["numerator"], numbers["denominator"]
        if (top is None) != (bottom is None):
            key = "denominator" if bottom is None else "numerator"
            self.fault(
                COLUMNS[key].heading,
                "",
                _("Numerator and denominator go together."),
                _("Write both, or leave both empty."),
            )
        elif top is not None and bottom and entry.indicator.unit == Indicator.Unit.PERCENT:
            exact = top * 100 / bottom
            if abs(exact - entry.value) > Decimal("0.06"):
                self.fault(
                    entry.column,
                    str(entry.value),
                    _("The value is not the share of numerator and denominator (%(share)s).")
                    % {"share": half_up(exact, 2)},
                    _("Check the three numbers."),
                )
        entry.numerator, entry.denominator, entry.spread = top, bottom, numbers["spread"]
        entry.n = None if numbers["n"] is None else int(numbers["n"])


def _may_write(indicator: Indicator) -> bool:
    return indicator.active and indicator.source == Indicator.Source.FILE


def as_text(value: Cell) -> str:
    """This function will return a cell as the text a person sees in it."""
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    return unescape(str(value)).strip()


_MONTH = re.compile(r"([0-9]{4})\s*[-/.年]?\s*(0?[1-9]|1[0-2])\s*月?(?:份)?")


def read_month(value: Cell) -> Month | None:
    """This function will read a month: 2026-11, 2026/11, 202611, 2026年11月, or a date cell; None for anything else."""
    if isinstance(value, dt.date):  # a datetime is one too
        return Month(value.year, value.month)
    text = unicodedata.normalize("NFKC", as_text(value))
    found = _MONTH.fullmatch(text)
    if found and (len(text) != 5 or not text.isdigit()):  # 20261 may be January or a day number
        return Month(int(found[1]), int(found[2]))
    try:
        day = dt.date.fromisoformat(text.replace("/", "-"))
    except ValueError:
        return None
    return Month.of(day)


def read_number(value: Cell) -> Decimal | None:
    """This function will read a number to four places (halves up), with or without thousands and a percent sign."""
    if isinstance(value, (bool, dt.date, dt.time, dt.timedelta)):
        return None
    if isinstance(value, (int, float)):
        text = repr(value)
    else:
        text = unicodedata.normalize("NFKC", as_text(value)).replace("−", "-").removesuffix("%").strip()
        if re.fullmatch(r"[+-]?[0-9]{1,3}(,[0-9]{3})+(\.[0-9]+)?", text):
            text = text.replace(",", "")
        if not re.fullmatch(r"[+-]?[0-9]{1,15}(\.[0-9]{1,20})?", text):
            return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return half_up(number, PLACES) if number.is_finite() and abs(number) < Decimal(10) ** 15 else None


# --- whose they are -------------------------------------------------------------------------------------------------------
@dataclass
class Batch:
    """Some rows of the file: what they would write, and why rows were refused."""

    number: int  # of rows of the file
    rows: list[NewMeasure] = field(default_factory=list)
    places: list[tuple[int, str]] = field(default_factory=list)  # row and name of the subject, beside ``rows``
    faults: list[Fault] = field(default_factory=list)
    refused: int = 0
    refused_rows: dict[int, list[Fault]] = field(default_factory=dict)


class Resolver:
    """Turns cleaned rows into measures of people and units in the actor's scope; remembers what the file said already."""

    def __init__(self, *, actor: Actor, upload: MeasureImport):
        self.actor, self.upload = actor, upload
        self.seen: dict[tuple[int, str, str, int], int] = {}  # what was measured of whom: the row that said so

    def take(self, lines: list[Line]) -> Batch:
        """This function will resolve some rows. Two queries."""
        people = self._people({line.employee_no for line in lines if line.employee_no and not line.faults})
        units = self._units({line.unit_code for line in lines if line.unit_code and not line.faults})
        batch = Batch(len(lines))
        for line in lines:
            faults = list(line.faults)
            subject = None
            if not faults:
                subject = people.get(line.employee_no) if line.employee_no else units.get(line.unit_code)
                if subject is None:
                    faults.append(self._stranger(line))
            rows = []
            if subject is not None:
                rows = [self._measure(line, entry, subject) for entry in line.values]
                faults += self._twice(line, rows)
            if faults:
                batch.faults += faults
                batch.refused += 1
                batch.refused_rows[line.row] = faults
                continue
            batch.rows += rows
            batch.places += [(line.row, subject[1])] * len(rows) if subject else []
        return batch

    def _people(self, numbers: set[str]) -> dict[str, tuple[int, str]]:
        if not numbers:
            return {}
        rows = visible_employees(self.actor, ROW).filter(employee_no__in=numbers).order_by()
        return {number: (pk, f"{name} {number}") for number, pk, name in rows.values_list("employee_no", "pk", "name")}

    def _units(self, codes: set[str]) -> dict[str, tuple[int, str]]:
        if not codes:
            return {}
        return {one.code: (one.pk, one.label) for one in visible_units(self.actor, ROW).filter(code__in=codes)}

    def _stranger(self, line: Line) -> Fault:
        own = self.actor.employee
        if line.employee_no and own and own.employee_no == line.employee_no:
            problem = _("This is your own number: nobody writes measures of themselves.")
            cure = _("Let another HR person import this row.")
        elif line.employee_no:
            problem = _("Nobody who works in your units has this number.")
            cure = _("Check the number; for people of other units ask their HR.")
        else:
            problem = _("None of your units has this code.")
            cure = _("Check the code; for other units ask their HR.")
        key = "employee_no" if line.employee_no else "unit_code"
        return Fault(line.sheet, line.row, COLUMNS[key].heading, line.employee_no or line.unit_code, problem, cure)

    def _measure(self, line: Line, entry: Entry, subject: tuple[int, str]) -> NewMeasure:
        evidence = {"file": self.upload.file_name, "row": line.row, "import": self.upload.pk}
        if line.sheet:
            evidence["sheet"] = line.sheet
        if entry.note:
            evidence["note"] = entry.note
        return NewMeasure(
            indicator=entry.indicator,
            month=entry.month,
            value=entry.value,
            employee=subject[0] if line.employee_no else None,
            unit=None if line.employee_no else subject[0],
            numerator=entry.numerator,
            denominator=entry.denominator,
            n=entry.n,
            spread=entry.spread,
            evidence=evidence,
            reason=entry.note or self.upload.reason,
        )

    def _twice(self, line: Line, rows: list[NewMeasure]) -> list[Fault]:
        """Faults of values that an earlier row (or column) of the file gave already; else they are remembered."""
        keys = [
            (row.indicator.pk, str(row.month), "employee" if row.employee else "unit", row.employee or row.unit or 0)
            for row in rows
        ]
        faults = [
            Fault(
                line.sheet,
                line.row,
                COLUMNS["indicator"].heading,
                row.indicator.label,
                _("Row %(row)s says something about the same subject, month and indicator.") % {"row": self.seen[key]},
                _("Keep one of the two rows."),
            )
            for key, row in zip(keys, rows, strict=True)
            if key in self.seen
        ]
        if not faults:
            self.seen.update(dict.fromkeys(keys, line.row))
        return faults


def resolved(file: MeasureFile, resolver: Resolver, size: int = ROWS) -> Iterator[Batch]:
    """This function will give out the rows of a file, resolved, some at a time."""
    for lines in batches(file.lines(), size):
        yield resolver.take(lines)


# --- the template -----------------------------------------------------------------------------------------------------------
def headings() -> list[str]:
    """The headings of the long form."""
    return [column.heading for column in COLUMNS.values()]


def template_notes() -> list[str]:
    """What to know when filling the template in, in the active language."""
    indicators = [one for one in Indicator.objects.order_by("code") if _may_write(one)]
    known = [f"{one.code} = {one.label} ({one.get_unit_display()})" for one in indicators]
    count = ngettext("%(n)s indicator comes by file:", "%(n)s indicators come by file:", len(known)) % {"n": len(known)}
    return [
        _("One row is one value: of a person (工号) or of a unit (单位编码), in one month, for one indicator."),
        _("Or one row for each person and a column for each indicator, headed with its code or name."),
        _("Employee numbers are text: 0012 keeps its zeros."),
        _("Write 98.5 for 98.5 per cent. Numbers are kept to four places."),
        _("Satisfaction and other means: write how many answered (样本数) and their standard deviation (标准差)."),
        _("A value that stands already is corrected by the new one; the note (备注) says why. Nothing is overwritten."),
        _("What was not measured is left out: an empty value is no zero."),
        count,
        *known,
    ]


def wide_headings() -> tuple[list[str], list[int]]:
    """The headings and widths of the wide form: number, name for the eye, month, and every indicator that comes by file."""
    indicators = [one for one in Indicator.objects.order_by("code") if _may_write(one)]
    english = (get_language() or "").startswith("en")
    names = [f"{one.name_en or one.name}" if english else one.name for one in indicators]
    header = [COLUMNS["employee_no"].heading, _("Name (for your eye)"), COLUMNS["month"].heading, *names]
    return header, [14, 16, 12, *[16] * len(names)]
