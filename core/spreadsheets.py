"""Tables in files: reading CSV and XLSX that people send, and the one writer of both (TRUST MC-12).

Reading refuses before it works: size, bomb-like archives and far-away cells are found in the raw bytes, then the rows
come as a stream, each as the spreadsheet numbers it. Nothing is guessed about a value here: that is for the importer.

Writing makes every text a text: a cell that a spreadsheet would take for a formula gets an apostrophe in front
(``unescape`` takes it away again when such a file comes back), and numbers of people and things stay text.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import datetime as dt
import hashlib
import io
import logging
import re
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, BinaryIO

import python_calamine
import xlsxwriter
from django.http import FileResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

log = logging.getLogger(__name__)

Cell = str | float | int | bool | dt.date | dt.datetime | dt.time | dt.timedelta | None

CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

BLOCK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """How big a file may be before it is refused unread."""

    csv_bytes: int = 200_000_000
    xlsx_bytes: int = 80_000_000
    unpacked_bytes: int = 1_500_000_000
    entries: int = 2_000
    rows: int = 1_000_000
    columns: int = 200
    cells: int = 24_000_000  # a sheet is held as a full rectangle while it is read


_PROBLEMS = {
    "empty": (gettext_noop("The file is empty."), gettext_noop("Choose the file that holds the rows.")),
    "too_large": (
        gettext_noop("The file is larger than %(limit)s MB."),
        gettext_noop("Split it into several files, or save only the sheet with the rows."),
    ),
    "too_many_rows": (
        gettext_noop("The file has more than %(limit)s rows."),
        gettext_noop("Split it into several files."),
    ),
    "too_many_columns": (
        gettext_noop("The file has more than %(limit)s columns, or a cell far away from the others."),
        gettext_noop("Delete the empty columns and rows beside the table, or copy the table into a new file."),
    ),
    "bomb": (
        gettext_noop("The file unpacks to far more than its size; it is not opened."),
        gettext_noop("Copy the rows into a new workbook and save that."),
    ),
    "broken": (
        gettext_noop("The file is damaged or cut off: it cannot be opened to its end."),
        gettext_noop("Save or send it once more and upload the new copy."),
    ),
    "locked": (
        gettext_noop("The file is protected by a password, or is in the old Excel format."),
        gettext_noop("Save it as “Excel workbook (.xlsx)” without a password."),
    ),
    "not_a_table": (
        gettext_noop("The file is neither CSV nor an Excel workbook (.xlsx)."),
        gettext_noop("Save the table as .xlsx or as CSV in UTF-8."),
    ),
    "encoding": (
        gettext_noop("The characters of the file are neither UTF-8 nor GB18030 (at byte %(place)s)."),
        gettext_noop("Save it as “CSV UTF-8” or as an Excel workbook."),
    ),
    "no_sheet": (
        gettext_noop("The workbook has no visible sheet with rows."),
        gettext_noop("Put the rows on the first sheet."),
    ),
}


class Unreadable(Exception):
    """The file cannot be read at all. ``problem`` and ``cure`` say why, and what to do, in the active language."""

    def __init__(self, code: str, **params):
        super().__init__(code)
        self.code, self.params = code, params

    @property
    def problem(self) -> str:
        return _(_PROBLEMS[self.code][0]) % self.params

    @property
    def cure(self) -> str:
        return _(_PROBLEMS[self.code][1]) % self.params

    def __str__(self) -> str:
        return f"{self.problem} {self.cure}"


class BrokenRow:
    """A line of a CSV file whose quotes do not fit together."""

    __slots__ = ()


BROKEN_ROW = BrokenRow()


@dataclass
class Sheet:
    """One table: its name (empty for CSV) and its rows, in order, the first being row 1 of the spreadsheet."""

    name: str
    _rows: Iterator[list[Cell] | BrokenRow]
    merged: int = 0

    def rows(self) -> Iterator[list[Cell] | BrokenRow]:
        """The rows as a stream; can be taken once."""
        return self._rows


@dataclass
class Table:
    """An opened file: ``kind`` csv or xlsx, how it is written, about how many rows it has, and its visible sheets."""

    kind: str
    sheets: Iterator[Sheet]
    rows_about: int
    encoding: str = ""
    delimiter: str = ""
    close: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *exc) -> None:
        self.close.close()


def open_table(file: BinaryIO, *, limits: Limits | None = None) -> Table:
    """This function will open a CSV or XLSX file for reading, or raise Unreadable.

    ``file`` is open for reading bytes and can seek. What it is, is told by its content, never by its name. CSV: UTF-8
    with or without a mark, GB18030, UTF-16 with a mark; comma, semicolon or tab. XLSX: visible sheets only.
    """
    limits = limits or Limits()
    file.seek(0, io.SEEK_END)
    size = file.tell()
    file.seek(0)
    start = file.read(8)
    file.seek(0)
    if not size:
        raise Unreadable("empty")
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _open_xlsx(file, size, limits)
    if start.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable("locked")
    return _open_csv(file, size, limits)


# --- CSV ------------------------------------------------------------------------------------------------------------


def _open_csv(file: BinaryIO, size: int, limits: Limits) -> Table:
    if size > limits.csv_bytes:
        raise Unreadable("too_large", limit=limits.csv_bytes // 1_000_000)
    encoding, lines = _encoding_of(file)
    # More lines than rows are possible (a quoted cell may hold several), so only what is far beyond is refused here.
    if lines > limits.rows * 4:
        raise Unreadable("too_many_rows", limit=limits.rows)
    file.seek(0)
    text = io.TextIOWrapper(_Kept(file), encoding=encoding, newline="")
    first = text.readline(100_000)
    named = re.fullmatch(r"sep=(.)\s*", first)  # Excel's own way to name the delimiter
    delimiter = named[1] if named else _delimiter_of(first)
    text.seek(0)

    def rows() -> Iterator[list[Cell] | BrokenRow]:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        if named:
            yield []
            next(reader)
        while True:
            try:
                yield from islice(reader, limits.rows)
                if next(reader, None) is not None:
                    raise Unreadable("too_many_rows", limit=limits.rows)
                return
            except csv.Error:  # the reader goes on with the next line
                yield BROKEN_ROW

    return Table(
        "csv", iter([Sheet("", rows())]), rows_about=lines, encoding=encoding, delimiter=delimiter, close=_detach(text)
    )


class _Kept(io.BufferedReader):
    """The caller's file, read through our text layer, which may not close it."""

    def __init__(self, file: BinaryIO):
        super().__init__(_Raw(file), BLOCK)


class _Raw(io.RawIOBase):
    def __init__(self, file: BinaryIO):
        self._file = file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _detach(text: io.TextIOWrapper) -> contextlib.ExitStack:
    stack = contextlib.ExitStack()
    stack.callback(text.detach)
    return stack


_OTHER_FILES = (b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff", b"{\\rtf", b"<?xml", b"<html", b"<!DOC", b"\x1f\x8b")


def _encoding_of(file: BinaryIO) -> tuple[str, int]:
    """The encoding in which the whole file can be read without a fault, and the number of its lines."""
    start = file.read(4096)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        candidates = ["utf-16"]
    elif start.startswith(_OTHER_FILES) or start.count(b"\x00") > len(start) // 20:
        raise Unreadable("not_a_table")
    else:
        candidates = ["utf-8-sig", "gb18030"]
    place = 0
    for encoding in candidates:
        file.seek(0)
        decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
        lines, seen, last = 0, 0, b"\n"
        try:
            while block := file.read(BLOCK):
                decoder.decode(block)
                seen += len(block)
                lines += block.count(b"\n")
                last = block[-1:]
            decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            place = max(place, seen + error.start + 1)
            continue
        return encoding, lines + (last != b"\n")
    raise Unreadable("encoding", place=place)


def _delimiter_of(line: str) -> str:
    """Comma, semicolon or tab: the one that stands most often outside quotes in the first line."""
    outside = re.sub(r'"[^"]*"', "", line)
    return max(",;\t", key=outside.count)


# --- XLSX -----------------------------------------------------------------------------------------------------------

_CELL = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{1,4})(\d{1,9})["']""")
_ROW = re.compile(rb"<\w+:row[\s>/]")
_ODD_CELL = tuple(b"r" + odd for odd in (b"='", b" =", b"= ", b"\t=", b"=\t", b"\n=", b"=\n", b"\r=", b"=\r"))


def _open_xlsx(file: BinaryIO, size: int, limits: Limits) -> Table:
    if size > limits.xlsx_bytes:
        raise Unreadable("too_large", limit=limits.xlsx_bytes // 1_000_000)
    rows_about = _inspect_archive(file, limits)
    file.seek(0)
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(file)
    except python_calamine.PasswordError as error:
        raise Unreadable("locked") from error
    except Exception as error:  # the reader has no common class for what a damaged archive makes it raise
        raise Unreadable("broken") from error
    stack = contextlib.ExitStack()
    stack.callback(book.close)
    return Table("xlsx", _sheets(book), rows_about=rows_about, close=stack)


def _inspect_archive(file: BinaryIO, limits: Limits) -> int:
    """Refuse an archive that unpacks to too much or puts cells too far apart; return the rows of its longest sheet.

    The sizes in an archive's list may lie, so every part is unpacked in blocks and counted, and thrown away again.
    """
    try:
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Unreadable("broken") from error
    if len(entries) > limits.entries or sum(entry.file_size for entry in entries) > limits.unpacked_bytes:
        raise Unreadable("bomb")
    if "xl/workbook.xml" not in archive.namelist():
        raise Unreadable("not_a_table")
    longest = total = 0
    for entry in entries:
        if entry.flag_bits & 1:
            raise Unreadable("locked")
        if not entry.filename.endswith((".xml", ".rels")):
            continue
        try:
            with archive.open(entry) as part:
                unpacked, rows = _inspect_part(part, entry, total, limits)
        except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError, zlib.error) as error:
            raise Unreadable("broken") from error
        total += unpacked
        longest = max(longest, rows)
    if longest > limits.rows:
        raise Unreadable("too_many_rows", limit=limits.rows)
    return longest


def _inspect_part(part, entry: zipfile.ZipInfo, total: int, limits: Limits) -> tuple[int, int]:
    sheet = "sharedStrings" not in entry.filename
    unpacked, rows, tail = 0, 0, b""
    last_row = last_column = 0
    while True:
        block = part.read(BLOCK)
        unpacked += len(block)
        if total + unpacked > limits.unpacked_bytes or (
            unpacked > 50_000_000 and unpacked > 300 * max(1, entry.compress_size)
        ):
            raise Unreadable("bomb")
        text = tail + block
        if sheet and text:
            # A name cut by the end of a block is read with the next one.
            text, tail = (text[:-64], text[-64:]) if block else (text, b"")
            rows += text.count(b"<row ") + text.count(b"<row>")
            if b":row" in text:
                rows += sum(1 for _found in _ROW.finditer(text))
            # Names are read one by one only where one is further away than the rows seen explain.
            far = rb"""r="(?:[A-Za-z]{2,}\d|[A-Za-z]\d{%d,})""" % (len(str(rows)) + 1)
            if re.search(far, text) or any(odd in text for odd in _ODD_CELL):
                row, column = _furthest(text)
                last_row, last_column = max(last_row, row), max(last_column, column)
        if not block:
            break
    if last_column > limits.columns or max(last_row, rows) * max(last_column, 1) > limits.cells:
        raise Unreadable("too_many_columns", limit=limits.columns)
    return unpacked, max(rows, last_row)


def _furthest(text: bytes) -> tuple[int, int]:
    """The largest row and column among the cell names of a piece of a sheet."""
    row = column = 0
    for letters, digits in set(_CELL.findall(text)):
        row = max(row, int(digits))
        number = 0
        for letter in letters.upper():
            number = number * 26 + letter - 64
        column = max(column, number)
    return row, column


def _sheets(book) -> Iterator[Sheet]:
    visible = python_calamine.SheetVisibleEnum.Visible
    worksheet = python_calamine.SheetTypeEnum.WorkSheet
    for place, about in enumerate(book.sheets_metadata):
        if about.visible != visible or about.typ != worksheet:
            continue
        try:
            sheet = book.get_sheet_by_index(place)
        except Exception as error:
            raise Unreadable("broken") from error
        merged = _merged(sheet)
        yield Sheet(about.name, _xlsx_rows(sheet, merged), merged=len(merged))


def _merged(sheet) -> dict[int, list[tuple[int, int]]]:
    """Cells merged downwards: first row -> (column, last row). Each row below shows the value of the first."""
    found: dict[int, list[tuple[int, int]]] = {}
    covered = 0
    first = sheet.start[1] if sheet.start else 0  # the reader leaves out empty columns before the table, not empty rows
    for (top, left), (bottom, _right) in sheet.merged_cell_ranges or []:
        covered += bottom - top
        if bottom > top and covered <= 500_000:
            found.setdefault(top, []).append((left - first, bottom))
    return found


def _xlsx_rows(sheet, merged: dict[int, list[tuple[int, int]]]) -> Iterator[list[Cell]]:
    if not merged:
        yield from sheet.iter_rows()
        return
    running: dict[int, tuple[int, Cell]] = {}  # column -> (last row, value)
    for number, row in enumerate(sheet.iter_rows()):
        for column, (last, value) in list(running.items()):
            if number > last:
                del running[column]
            elif column < len(row) and row[column] == "":
                row[column] = value
        for column, last in merged.get(number, ()):
            if column < len(row):
                running[column] = (last, row[column])
        yield row


# --- writing --------------------------------------------------------------------------------------------------------

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def neutral(value: Cell) -> Cell:
    """The value as a cell that no spreadsheet takes for a formula: such a text gets an apostrophe in front."""
    if isinstance(value, str):
        value = _CONTROL.sub("", value)
        # The apostrophe of a text that would be read back as our own mark is doubled, so that reading is exact.
        if value.startswith(_FORMULA) or (value.startswith("'") and value.lstrip("'").startswith(_FORMULA)):
            return "'" + value
    return value


def unescape(text: str) -> str:
    """The text as it was before ``neutral``."""
    if text.startswith("'") and text.lstrip("'").startswith(_FORMULA):
        return text[1:]
    return text


def _plain(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(neutral(value))


def write_csv(file: IO[bytes], header: Iterable[Cell], rows: Iterable[Iterable[Cell]]) -> int:
    """This function will write a table as CSV in UTF-8 with a mark (Excel needs it for Chinese); returns the rows."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="", write_through=False)
    writer = csv.writer(text)
    writer.writerow([_plain(cell) for cell in header])
    count = 0
    for row in rows:
        writer.writerow([_plain(cell) for cell in row])
        count += 1
    text.flush()
    text.detach()
    return count


@dataclass
class SheetOut:
    """One sheet to write. ``notes`` stand under each other on a sheet of words: no header, wide column."""

    title: str
    header: list[Cell] = field(default_factory=list)
    rows: Iterable[Iterable[Cell]] = ()
    widths: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def write_xlsx(file: IO[bytes], sheets: Iterable[SheetOut]) -> int:
    """This function will write an XLSX workbook in constant memory; returns the rows of all tables.

    Text stays text (numbers of people too), dates are real dates, numbers are numbers. No cell is a formula or a link.
    """
    book = xlsxwriter.Workbook(
        file,
        {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "nan_inf_to_errors": True,
            "remove_timezone": True,
        },
    )
    head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    day = book.add_format({"num_format": "yyyy-mm-dd"})
    moment = book.add_format({"num_format": "yyyy-mm-dd hh:mm"})
    text = book.add_format({"num_format": "@"})
    wrap = book.add_format({"text_wrap": True, "valign": "top"})
    count = 0
    used: set[str] = set()
    for out in sheets:
        sheet = book.add_worksheet(_sheet_title(out.title, used))
        for column, width in enumerate(out.widths or [16] * len(out.header)):
            sheet.set_column(column, column, width, text)
        if out.notes:
            sheet.set_column(0, 0, 100, wrap)
            for number, note in enumerate(out.notes):
                sheet.write_string(number, 0, str(neutral(note)), wrap)
            continue
        if out.header:
            sheet.freeze_panes(1, 0)
        for column, cell in enumerate(out.header):
            sheet.write_string(0, column, _plain(cell), head)
        for number, row in enumerate(out.rows, 1 if out.header else 0):
            count += 1
            for column, cell in enumerate(row):
                if cell is None or cell == "":
                    continue
                if isinstance(cell, dt.datetime):
                    sheet.write_datetime(number, column, cell, moment)
                elif isinstance(cell, dt.date):
                    sheet.write_datetime(number, column, dt.datetime(cell.year, cell.month, cell.day), day)  # noqa: DTZ001
                elif isinstance(cell, bool) or not isinstance(cell, (int, float)):
                    sheet.write_string(number, column, _plain(cell), text)
                else:
                    sheet.write_number(number, column, cell)
    book.close()
    return count


def _sheet_title(title: str, used: set[str]) -> str:
    """A name Excel accepts: no []:*?/\\ , at most 31 characters, each once."""
    plain = re.sub(r"[\[\]:*?/\\']", " ", str(title)).strip()[:31] or "Sheet"
    name, number = plain, 2
    while name.lower() in used:
        name = f"{plain[:27]} {number}"
        number += 1
    used.add(name.lower())
    return name


def download(
    *,
    kind: str,
    name: str,
    title: str,
    header: Iterable[Cell],
    rows: Iterable[Iterable[Cell]],
    notes: Iterable[str] = (),
    widths: Iterable[int] = (),
) -> FileResponse:
    """This function will answer a request with a table as a file.

    ``kind`` is ``csv`` or ``xlsx``; ``name`` is the file's name without its ending.
    ``notes`` (scope, month, by whom, when) go to a second sheet of an XLSX. Row count and hash are logged.
    """
    if kind == "xlsx":
        sheets = [SheetOut(title, list(header), rows, list(widths))]
        if notes := list(notes):
            sheets.append(SheetOut(_("About this file"), notes=[str(note) for note in notes]))
        return download_sheets(name=name, sheets=sheets)
    file = tempfile.SpooledTemporaryFile(max_size=8 * BLOCK)  # noqa: SIM115 - the response closes it
    return _answer(file, name, "csv", CSV_TYPE, write_csv(file, header, rows))


def download_sheets(*, name: str, sheets: Iterable[SheetOut]) -> FileResponse:
    """This function will answer a request with a workbook of several sheets, logged as ``download`` does."""
    file = tempfile.SpooledTemporaryFile(max_size=8 * BLOCK)  # noqa: SIM115 - the response closes it
    return _answer(file, name, "xlsx", XLSX_TYPE, write_xlsx(file, sheets))


def _answer(
    file: tempfile.SpooledTemporaryFile[bytes], name: str, kind: str, content_type: str, count: int
) -> FileResponse:
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0)
    log.info("export %s.%s rows=%s sha256=%s", name, kind, count, digest)
    response = FileResponse(file, as_attachment=True, filename=f"{name}.{kind}", content_type=content_type)
    response["Cache-Control"] = "no-store"
    return response
