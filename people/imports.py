"""The roster file: its columns, how their headings may be written, and what a cell must look like to be taken.

The columns are fields of a django-import-export Resource, and what cleans a cell is a widget of it, so that the same
declaration reads, words its refusal and writes. The rows are not run through the library's loop (ten queries a row):
``read_roster`` gives out a stream of cleaned rows, which people.domain.roster_check takes as a set.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as attribute
from itertools import chain, islice
from operator import eq
from typing import BinaryIO

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from import_export import fields, resources, widgets

from core.spreadsheets import BROKEN_ROW, Cell, Sheet, Table, open_table, unescape
from people.domain.roster_words import COLUMNS, FAULTS, REQUIRED, Fault, RosterProblem, label_of
from people.models import Employee, OrgUnit, Position

EMPTY = {"-", "–", "—", "/", "无", "none", "null", "n/a"}  # what people write to say: nothing (not: as it is)
CLEAR = ""  # the cell says that there is none; None: the cell says nothing, what is there stays

FIRST_DAY = dt.date(1940, 1, 1)
HEADER_WITHIN = 20  # rows: titles and remarks above the headings are left out

_UNSEEN = object()
_SPACE = re.compile(r"\s+")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff]")
# Control characters, lone surrogates, marks that turn the direction of writing, and what is no character at all.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


class Refused(ValueError):
    """A cell that cannot be taken. ``code`` names problem and cure (people.domain.roster_words.FAULTS)."""

    def __init__(self, code: str, **params):
        super().__init__(code)
        self.code, self.params = code, params

    def __str__(self) -> str:
        return _(FAULTS[self.code][0]) % self.params


def as_text(value: Cell) -> str:
    """A cell as the text a person sees in it, without spaces around it. Raises Refused for what lost digits."""
    if isinstance(value, str):
        text = unescape(value)
    elif value is None:
        return ""
    elif isinstance(value, (bool, dt.time, dt.timedelta)):
        text = str(value)
    elif isinstance(value, (int, float)):
        if value != value or abs(value) >= 1e15:  # a float holds 15 digits for sure
            raise Refused("float", shown=f"{value:.6g}".upper())
        if value != int(value):
            raise Refused("float", shown=str(value))
        text = str(int(value))
    else:
        raise Refused("date_in_text")
    if not text.isprintable():
        text = _INVISIBLE.sub("", _SPACE.sub(" ", text))
        if _FORBIDDEN.search(text):
            raise Refused("control")
    return text.strip()


def _half_width(text: str) -> str:
    """Letters, digits and signs as a Chinese keyboard gives them, as plain ones."""
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


class Column(widgets.Widget):
    """Cleans the cells of one column. ``clean`` returns the value, CLEAR, or None for an empty cell; raises Refused."""

    as_is = r"(?!)"  # the pattern of a text that needs no cleaning at all: the quick way for most cells
    repeats = False  # few different texts in many rows: each is cleaned once
    limit = 100

    def __init__(self):
        super().__init__()
        self.is_as_it_is = re.compile(self.as_is).fullmatch
        # many cells at once, with a sign between them that no cell may hold
        self.all_as_they_are = re.compile(f"(?:{self.as_is})?(?:\x1f(?:{self.as_is})?)*").fullmatch

    def clean(self, value, row=None, **kwargs):
        text = as_text(value)
        if not text:
            return None
        if text.casefold() in EMPTY:
            return CLEAR
        return self.take(text)

    def take(self, text: str):
        if len(text) > self.limit:
            raise Refused("too_long", limit=self.limit)
        return _SPACE.sub(" ", text)

    def render(self, value, obj=None, **kwargs):
        return "" if value is None else str(value)


class NumberColumn(Column):
    """An employee number: text, leading zeros and all."""

    limit = Employee._meta.get_field("employee_no").max_length
    as_is = r"[0-9A-Za-z][0-9A-Za-z_-]{0,39}"
    _float = re.compile(r"[0-9](\.[0-9]+)?[eE]\+[0-9]+|[0-9]+\.0+")

    def take(self, text: str):
        text = _half_width(text)
        if self._float.fullmatch(text):
            raise Refused("float", shown=text)
        if len(text) > self.limit:
            raise Refused("too_long", limit=self.limit)
        if not re.fullmatch(r"[\w./#@-]+", text) or not re.search(r"\w", text):
            raise Refused("bad_number")
        return text


class NameColumn(Column):
    limit = Employee._meta.get_field("name").max_length
    as_is = "[\u4e00-\u9fff]{1,40}"

    def take(self, text: str):
        text = super().take(text)
        if not any(sign.isalpha() for sign in text):
            raise Refused("bad_name")
        return text


class UnitColumn(Column):
    """The path of a unit; looked up in the tree later. Kept as it is but for its spaces."""

    repeats = True
    limit = 1000


class PositionColumn(Column):
    repeats = True
    limit = Position._meta.get_field("title").max_length


class FamilyColumn(Column):
    repeats = True
    limit = Position._meta.get_field("job_family").max_length


class DayColumn(Column):
    """A day: ISO, 2026/1/5, 2026.1.5, 20260105, 2026年1月5日, or a real date cell (1900 and 1904)."""

    repeats = True
    _written = re.compile(
        r"([0-9]{4})\s*[-/.年]\s*([0-9]{1,2})\s*[-/.月]\s*([0-9]{1,2})\s*[日号]?(?:[ T]00:00(?::00(?:\.0+)?)?)?"
    )
    _packed = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")

    def clean(self, value, row=None, **kwargs):
        if type(value) is str and len(value) == 10 and value.isascii():
            try:
                day = dt.date.fromisoformat(value)
            except ValueError:
                pass  # another way to write it, or no day: below
            else:
                if day >= FIRST_DAY:
                    return value
        if isinstance(value, dt.datetime):
            day = value.date()
        elif isinstance(value, dt.date):
            day = value
        else:
            if isinstance(value, (bool, dt.time, dt.timedelta)):
                raise Refused("bad_date")
            if isinstance(value, (int, float)) and not 19000000 <= value <= 29991231:
                raise Refused("bare_serial")
            text = as_text(value)
            if not text:
                return None
            if text.casefold() in EMPTY:
                return CLEAR
            day = self.take(text)
        if day < FIRST_DAY:
            raise Refused("too_long_ago")
        return day.isoformat()

    def take(self, text: str):
        text = _half_width(text)
        found = self._written.fullmatch(text) or self._packed.fullmatch(text)
        if not found:
            raise Refused("bare_serial" if text.isdigit() and len(text) == 5 else "bad_date")
        try:
            return dt.date(*map(int, found.groups()))
        except ValueError as error:
            raise Refused("no_such_day") from error


class EmailColumn(Column):
    limit = Employee._meta.get_field("email").max_length
    as_is = r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?\.){1,4}[A-Za-z]{2,20}"

    def take(self, text: str):
        text = _half_width(text)
        if len(text) > self.limit:
            raise Refused("too_long", limit=self.limit)
        try:
            validate_email(text)
        except ValidationError as error:
            raise Refused("bad_email") from error
        return text


class MobileColumn(Column):
    limit = Employee._meta.get_field("mobile").max_length
    as_is = r"\+?[0-9]{5,20}"

    def take(self, text: str):
        text = re.sub(r"[\s()\-–.]", "", _half_width(text))
        if not re.fullmatch(r"\+?[0-9]{5,20}", text):
            raise Refused("bad_mobile")
        return text


class LanguageColumn(Column):
    repeats = True
    known = {
        "zh-hans": {
            "zh",
            "zhhans",
            "zhcn",
            "cn",
            "chi",
            "chinese",
            "simplifiedchinese",
            "中文",
            "简体中文",
            "汉语",
            "中",
        },
        "en": {"en", "eng", "enus", "engb", "english", "英文", "英语", "英"},
    }

    def take(self, text: str):
        plain = re.sub(r"[\s_()-]", "", _half_width(text)).casefold()
        for code, names in self.known.items():
            if plain in names:
                return code
        raise Refused("bad_language")


class RosterField(fields.Field):
    """A column with its headings in both languages and what else people call it."""

    def __init__(self, key: str, zh: str, synonyms: str, widget: Column):
        super().__init__(attribute=key, column_name=f"{zh} {key}", widget=widget)
        self.key, self.zh = key, zh
        self.names = {_folded(name) for name in (key, zh, self.column_name, *synonyms.split("|"))}
        self.required = key in REQUIRED


def _folded(heading: str) -> str:
    """A heading without case, spaces, full-width forms, remarks in brackets and the star of a required column."""
    text = unicodedata.normalize("NFKC", heading).casefold()
    return re.sub(r"[\s_\-*:./'’·]", "", re.sub(r"\([^)]*\)|\[[^]]*\]|【[^】]*】", "", text))


class RosterResource(resources.Resource):
    """The columns of a roster. Order is free; only the first three are required; others are named and left out."""

    employee_no = RosterField(
        "employee_no",
        "工号",
        "employee number|employee id|staff no|staff number|staff id|emp no|emp id|personnel number|员工号|"
        "员工编号|员工工号|员工编码|人员编号|人员编码|人员工号|职工号|职工编号|工作证号",
        NumberColumn(),
    )
    name = RosterField(
        "name", "姓名", "full name|employee name|staff name|名字|员工姓名|人员姓名|职工姓名", NameColumn()
    )
    unit = RosterField(
        "unit",
        "部门",
        "unit path|org unit|organisation|organization|organisation unit|organization unit|department|department path|"
        "dept|branch|部门路径|部门全称|部门名称|所属部门|所在部门|单位|单位路径|所属单位|所在单位|组织|组织机构|组织路径|机构|"
        "所属机构|网点|所属网点",
        UnitColumn(),
    )
    position = RosterField("position", "岗位", "job title|title|post|job|岗位名称|职位|职位名称|职务", PositionColumn())
    job_family = RosterField(
        "job_family", "岗位序列", "family|job category|序列|职位序列|岗位类别|岗位族|岗位族群", FamilyColumn()
    )
    manager_no = RosterField(
        "manager_no",
        "上级工号",
        "manager|manager number|manager id|line manager|line manager no|supervisor|supervisor no|supervisor id|"
        "reports to|直属上级工号|直接上级工号|上级编号|上级员工号|主管工号|直属主管工号|经理工号|直线经理工号|"
        "汇报对象工号",
        NumberColumn(),
    )
    hired_on = RosterField(
        "hired_on",
        "入职日期",
        "hired|hire date|date hired|start date|entry date|join date|joining date|date of joining|joined on|"
        "入职时间|入职日|入司日期|入司时间|到岗日期",
        DayColumn(),
    )
    left_on = RosterField(
        "left_on",
        "离职日期",
        "left|last day|last working day|leave date|leaving date|termination date|end date|离职时间|离职日|"
        "离司日期|离岗日期|最后工作日",
        DayColumn(),
    )
    email = RosterField(
        "email", "邮箱", "mail|email address|mail address|电子邮箱|电子邮件|邮件|邮件地址|邮箱地址", EmailColumn()
    )
    mobile = RosterField(
        "mobile",
        "手机",
        "mobile phone|mobile number|cell phone|cell|phone|phone number|telephone|手机号|手机号码|"
        "移动电话|联系电话|电话",
        MobileColumn(),
    )
    language = RosterField(
        "language", "语言", "lang|preferred language|interface language|首选语言|界面语言|语种", LanguageColumn()
    )


RESOURCE = RosterResource()
FIELDS: dict[str, RosterField] = {key: RESOURCE.fields[key] for key in COLUMNS}
_BY_NAME = {name: key for key, column in FIELDS.items() for name in column.names}
REASONS = "原因 reasons"  # the last column of a fault file, which may come back with it
_REASONS = {_folded(name) for name in (REASONS, "原因", "reasons")}


@dataclass(slots=True)
class Row:
    """One cleaned row; None in a column: the cell says nothing. ``faults``: why the row is refused."""

    number: int
    values: tuple
    faults: list[Fault] | None = None


@dataclass(slots=True)
class Batch:
    """Some cleaned rows, column by column in the order of COLUMNS, with the faults by place in the batch."""

    numbers: list[int]
    columns: list[list]
    faults: dict[int, list[Fault]]


@dataclass
class Header:
    """Where the headings stand and which column holds what."""

    row: int
    cells: list[str]
    places: dict[str, int]
    ignored: list[str] = attribute(default_factory=list)


class RosterFile:
    """An opened roster: where it was found, its headings, notes for the reader, and its rows as a stream (once)."""

    def __init__(self, table: Table, sheet: Sheet, header: Header, rest: Iterator, notes: list[dict]):
        self.table, self.sheet, self.header, self.notes = table, sheet, header, notes
        self._rest = rest

    def __enter__(self) -> RosterFile:
        return self

    def __exit__(self, *exc) -> None:
        self.table.close.close()

    def raw_rows(self) -> Iterator[tuple[int, list[Cell]]]:
        """The rows below the headings as they stand in the file, with their numbers."""
        for number, row in enumerate(self._rest, self.header.row + 1):
            if row is not BROKEN_ROW and any(cell not in ("", None) for cell in row):
                yield number, row

    def rows(self) -> Iterator[Row]:
        """This function will give out the rows, cleaned, one by one; see ``batches``."""
        for batch in self.batches():
            for place, values in enumerate(zip(*batch.columns, strict=True)):
                yield Row(batch.numbers[place], values, batch.faults.get(place))

    def batches(self, size: int = 2000) -> Iterator[Batch]:
        """This function will give out the rows, cleaned, some at a time and column by column; empty rows are left out.

        A cell that is fine as it is, or was met before, costs one look in a loop that runs in C; every other one goes
        through the widget of its column. So a month's file of 300,000 rows is read in the time that csv alone takes twice.
        """
        steps = []
        for key, place in self.header.places.items():
            widget = FIELDS[key].widget
            steps.append((key, place, COLUMNS.index(key), widget, {"": None} if widget.repeats else None))
        number = self.header.row
        while rows := list(islice(self._rest, size)):
            numbers = list(range(number + 1, number + 1 + len(rows)))
            number += len(rows)
            broken: dict[int, tuple[tuple, list[Fault]]] = {}
            if not self._are_whole(rows):
                rows, numbers, broken = self._sorted_out(rows, numbers)
            yield self._cleaned(rows, numbers, broken, steps)

    def _are_whole(self, rows: list) -> bool:
        """Has every row a cell for each heading? Most batches have, and are not looked at row by row then."""
        width = len(self.header.cells)
        if self.table.kind == "csv":
            return BROKEN_ROW not in rows and set(map(len, rows)) == {width}
        return True

    def _sorted_out(self, rows: list, numbers: list[int]) -> tuple[list, list[int], dict]:
        """Rows that cannot be taken apart: kept with their fault (by place), as empty cells; blank ones left out."""
        width = len(self.header.cells)
        kept, kept_numbers, broken = [], [], {}
        for cells, number in zip(rows, numbers, strict=True):
            if cells is BROKEN_ROW:
                broken[len(kept)] = (_no_values(), [Fault("", "", "broken_quotes")])
                cells = [""] * width
            elif not any(cells):
                continue
            elif len(cells) < width or any(cells[width:]):
                code = "short_row" if len(cells) < width else "long_row"
                fault = Fault("", "", code, {"found": len(cells), "expected": width})
                broken[len(kept)] = (_no_values(cells, self.header.places), [fault])
                cells = [""] * width
            kept.append(cells)
            kept_numbers.append(number)
        return kept, kept_numbers, broken

    def _cleaned(self, rows: list, numbers: list[int], broken: dict, steps: list) -> Batch:
        count = len(rows)
        columns: list[list] = [[None] * count for _column in COLUMNS]
        faults: dict[int, list[Fault]] = {}
        across = list(zip(*rows, strict=False))
        for key, place, to, column, known in steps:
            cells = across[place]
            values, odd = _looked_at(cells, column, known)
            for at in odd:
                cell = cells[at]
                try:
                    values[at] = column.clean(cell)
                except Refused as refused:
                    faults.setdefault(at, []).append(Fault(key, _shown(cell), refused.code, refused.params))
                else:
                    if known is not None and len(known) < 50_000:
                        known[cell] = values[at]
            columns[to] = values
        self._check_rows(rows, columns, faults)
        blank = [at for at in range(count) if at in faults and at not in broken and not _says_anything(rows[at])]
        for at, (values, row_faults) in broken.items():
            faults[at] = row_faults
            for column, value in zip(columns, values, strict=True):
                column[at] = value
        for at in reversed(blank):
            del numbers[at]
            for column in columns:
                del column[at]
        if blank:
            gone = set(blank)
            places = {at: new for new, at in enumerate(at for at in range(count) if at not in gone)}
            faults = {places[at]: found for at, found in faults.items() if at not in gone}
        return Batch(numbers, columns, faults)

    def _check_rows(self, rows: list, columns: list[list], faults: dict[int, list[Fault]]) -> None:
        """What one row can tell by itself: the required cells, oneself as manager, leaving before coming."""
        for key in REQUIRED:
            values = columns[COLUMNS.index(key)]
            if all(values):
                continue
            for at, value in enumerate(values):
                if not value and all(fault.column != key for fault in faults.get(at, ())):
                    faults.setdefault(at, []).append(Fault(key, "", "missing"))
        own, managers = columns[COLUMNS.index("employee_no")], columns[COLUMNS.index("manager_no")]
        if any(map(eq, own, managers)):
            for at, (number, manager) in enumerate(zip(own, managers, strict=True)):
                if number and number == manager:
                    faults.setdefault(at, []).append(Fault("manager_no", manager, "own_manager"))
        hired, left = columns[COLUMNS.index("hired_on")], columns[COLUMNS.index("left_on")]
        if any(left):
            for at, (first, last) in enumerate(zip(hired, left, strict=True)):
                if first and last and last < first:
                    days = {"left_on": last, "hired_on": first}
                    faults.setdefault(at, []).append(Fault("left_on", last, "left_before_hired", days))
        number_at = self.header.places["employee_no"]
        for at in faults:
            if not own[at]:  # what stands in the cell, so that the row can be found again
                own[at] = _shown(rows[at][number_at])[:200]


def _looked_at(cells: tuple, column: Column, known: dict | None) -> tuple[list, list[int]]:
    """The values of the cells that need no cleaning, and the places of those that do (None until then)."""
    if known is not None:
        try:
            return list(map(known.__getitem__, cells)), []
        except KeyError:
            values = [known.get(cell, _UNSEEN) for cell in cells]
            odd = [at for at, value in enumerate(values) if value is _UNSEEN]
            return [None if value is _UNSEEN else value for value in values], odd
    try:
        if column.all_as_they_are("\x1f".join(cells)):
            return [cell or None for cell in cells], []
    except TypeError:  # a workbook has cells that are no text
        pass
    values = [cell if type(cell) is str and column.is_as_it_is(cell) else None for cell in cells]
    return values, [at for at, value in enumerate(values) if value is None and cells[at] != ""]


def _says_anything(cells: list[Cell]) -> bool:
    return any(cell not in ("", None) for cell in cells)


def _no_values(cells: list | None = None, places: dict[str, int] | None = None) -> tuple:
    """A row that could not be taken apart; number and name only if their cells are there."""
    values = [None] * len(COLUMNS)
    for key in ("employee_no", "name") if cells and places else ():
        if places[key] < len(cells):
            values[COLUMNS.index(key)] = _shown(cells[places[key]])[:200]
    return tuple(values)


def _shown(cell: Cell) -> str:
    """A refused cell as it may be shown and kept: without what no database takes."""
    if isinstance(cell, float):
        return f"{cell:.6g}".upper() if abs(cell) >= 1e15 else f"{cell:g}"
    return _FORBIDDEN.sub("\ufffd", str(cell))[:200]


def open_roster(file: BinaryIO) -> RosterFile:
    """This function will open a roster and find its headings. Raises Unreadable or RosterProblem.

    In a workbook the first visible sheet with a known heading is taken. Nothing but bytes is read here and nothing is
    changed anywhere.
    """
    table = open_table(file)
    try:
        return _opened(table)
    except BaseException:
        table.close.close()
        raise


def _opened(table: Table) -> RosterFile:
    passed, best = [], None
    sheets = table.sheets
    for sheet in sheets:
        rows = sheet.rows()
        start = []
        for row in rows:
            start.append(row)
            if len(start) >= HEADER_WITHIN:
                break
        header = _header_in(start)
        if header is None:
            passed.append(sheet.name)
            continue
        best = (sheet, header, chain(start[header.row :], rows))
        break
    if best is None:
        raise RosterProblem("no_header")
    sheet, header, rest = best
    missing = [key for key in REQUIRED if key not in header.places]
    if missing:
        raise RosterProblem("missing_columns", columns=missing)
    notes = []
    if table.kind == "csv":
        named = {",": ",", ";": ";", "\t": "Tab"}
        encoding = {"utf-8-sig": "UTF-8", "gb18030": "GB18030", "utf-16": "UTF-16"}[table.encoding]
        delimiter = named.get(table.delimiter, table.delimiter)
        notes.append({"code": "read_csv", "params": {"encoding": encoding, "delimiter": delimiter}})
    else:
        notes.append({"code": "read_xlsx", "params": {"sheet": sheet.name}})
        others = passed + [later.name for later in sheets]
        if others:
            notes.append({"code": "other_sheets", "params": {"sheets": others}})
        if sheet.merged:
            notes.append({"code": "merged"})
    if header.row > 1:
        notes.append({"code": "header_row", "params": {"row": header.row}})
    if header.ignored:
        notes.append({"code": "ignored_columns", "params": {"columns": header.ignored}})
    return RosterFile(table, sheet, header, rest, notes)


def _header_in(rows: list) -> Header | None:
    """The row that names most columns; one name alone is no heading unless it is the employee number."""
    best, most = None, 0
    for number, row in enumerate(rows, 1):
        if row is BROKEN_ROW:
            continue
        names = [_BY_NAME.get(_folded(cell)) if isinstance(cell, str) else None for cell in row]
        known = [key for key in names if key]
        if len(set(known)) > most and (len(set(known)) > 1 or "employee_no" in known):
            best, most = (number, row, names), len(set(known))
    if best is None:
        return None
    number, row, names = best
    twice = [key for key in COLUMNS if names.count(key) > 1]
    if twice:
        raise RosterProblem("double_columns", columns=twice)
    cells = [_shown(cell).strip() for cell in row]
    while cells and not cells[-1]:  # Excel leaves empty columns behind
        cells.pop()
    ignored = [
        cell for cell, key in zip(cells, names, strict=False) if cell and not key and _folded(cell) not in _REASONS
    ]
    return Header(
        number, cells, {key: place for place, key in enumerate(names) if key}, [name[:60] for name in ignored]
    )


def roster_row(person: Employee, unit_path: str, manager_no: str) -> list[Cell]:
    """This function will write one person as a row of a roster, so that reading it back changes nothing."""
    values = {
        "employee_no": person.employee_no,
        "name": person.name,
        "unit": unit_path,
        "position": person.position.title if person.position else None,
        "job_family": person.position.job_family if person.position else None,
        "manager_no": manager_no,
        "hired_on": person.hired_on,
        "left_on": person.left_on,
        "email": person.email,
        "mobile": person.mobile,
        "language": person.language,
    }
    return [values[key] for key in COLUMNS]


def headings() -> list[str]:
    """The headings we write: Chinese and English in one cell, both understood on reading."""
    return [FIELDS[key].column_name for key in COLUMNS]


def unit_paths(units: list[OrgUnit]) -> dict[int, str]:
    """This function will write the path of each unit of a list, which is in tree order and starts at a root."""
    by_path, paths = {}, {}
    for unit in units:
        above = by_path.get(unit.path[: -OrgUnit.steplen], "")
        by_path[unit.path] = f"{above}/{unit.name}" if above else unit.name
        paths[unit.pk] = by_path[unit.path]
    return paths


def template_notes() -> list[str]:
    """This function will return what stands on the sheet of notes of the template, in the active language."""
    required = pgettext("roster", "required")
    lines = [
        _("One row for each person. The first row names the columns, in Chinese or English, in any order."),
        _("Other columns do no harm; they are named after the check and left out."),
        "",
        *(
            f"{column.column_name}: {label_of(key)}{f' ({required})' if column.required else ''}"
            for key, column in FIELDS.items()
        ),
        "",
        _("Employee numbers are text: format the column as text before typing, so that 0012 keeps its zeros."),
        _("Unit: the path from the top or from your own unit down, with / or > between: East/Shanghai/Xuhui branch."),
        _("A unit or position that is not there yet is made."),
        _("Days: 2026-01-05, 2026/1/5, 20260105, 2026年1月5日 or a real date of the spreadsheet."),
        _("An empty cell leaves things as they are; a single - says that there is none."),
        _("The last day is filled in only for who leaves. Who had left and stands in the file without one comes back."),
        _("Language: 中文 or English."),
    ]
    return [str(line) for line in lines]
