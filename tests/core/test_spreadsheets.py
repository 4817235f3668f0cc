"""Files that people send are read or refused with a cure; what we write opens without a surprise."""

import datetime as dt
import io
import zipfile

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from core.spreadsheets import (
    BROKEN_ROW,
    Limits,
    SheetOut,
    Unreadable,
    download,
    neutral,
    open_table,
    unescape,
    write_csv,
    write_xlsx,
)


def read(content: bytes, **limits):
    with open_table(io.BytesIO(content), limits=Limits(**limits) if limits else None) as table:
        sheets = [(sheet.name, list(sheet.rows())) for sheet in table.sheets]
        return table, sheets


def rows_of(content: bytes, **limits):
    return read(content, **limits)[1][0][1]


def workbook(write, **options) -> bytes:
    file = io.BytesIO()
    with xlsxwriter.Workbook(file, {"in_memory": True, **options}) as book:
        write(book)
    return file.getvalue()


TABLE = [["工号", "姓名"], ["0001", "王伟"]]


@pytest.mark.parametrize(
    ("encoding", "found"),
    [
        ("utf-8", "utf-8-sig"),
        ("utf-8-sig", "utf-8-sig"),
        ("gb18030", "gb18030"),
        ("gbk", "gb18030"),
        ("utf-16", "utf-16"),
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_is_read_in_every_encoding_and_with_every_delimiter(encoding, found, delimiter):
    content = "\r\n".join(delimiter.join(row) for row in TABLE).encode(encoding)
    table, sheets = read(content)
    assert (table.kind, table.encoding, table.delimiter, sheets) == ("csv", found, delimiter, [("", TABLE)])


def test_a_rare_character_of_gb18030_is_kept():
    assert rows_of("姓名,x\n㻘𠮷,1".encode("gb18030"))[1] == ["㻘𠮷", "1"]


def test_quoted_cells_hold_delimiters_quotes_and_line_ends():
    assert rows_of(b'a,b\n"1,\n""x""",2\n\n3,4\n') == [["a", "b"], ['1,\n"x"', "2"], [], ["3", "4"]]


def test_the_delimiter_named_by_excel_is_taken_and_its_line_counts():
    assert rows_of(b"sep=;\na;b\n1,5;2\n") == [[], ["a", "b"], ["1,5", "2"]]


def test_lines_with_broken_quotes_are_marked_and_the_rest_is_read():
    assert rows_of(b'a,b\n"1"x,2\n3,4\n') == [["a", "b"], BROKEN_ROW, ["3", "4"]]
    assert rows_of(b'a,b\n3,4\n"5,6\n7,8\n')[-1] is BROKEN_ROW  # the file ends inside a quotation


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b"\x89PNG\r\n\x1a\n1234", "not_a_table"),
        (b"%PDF-1.7 x", "not_a_table"),
        (b"<html><table>", "not_a_table"),
        (b"a\x00b\x00c\x00d\x00e", "not_a_table"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old or locked", "locked"),
        (b"PK\x03\x04 not an archive", "broken"),
        (b"id,name\n1,Merci \xe0 toi,\xff\xff", "encoding"),
    ],
)
def test_what_is_no_table_is_refused_with_a_cure(content, code):
    with pytest.raises(Unreadable) as refused:
        read(content)
    assert refused.value.code == code
    assert refused.value.problem
    assert refused.value.cure


def test_limits_of_csv():
    with pytest.raises(Unreadable, match="MB"):
        read(b"a,b\n1,2\n", csv_bytes=4)
    with pytest.raises(Unreadable) as refused:
        rows_of(b"a\n1\n2\n3\n4\n", rows=3)
    assert refused.value.code == "too_many_rows"


def test_xlsx_gives_numbers_days_and_text_of_visible_sheets():
    def write(book):
        day = book.add_format({"num_format": "yyyy-mm-dd"})
        first = book.add_worksheet("说明")
        first.write_string(0, 0, "x")
        hidden = book.add_worksheet("hidden")
        hidden.write_string(0, 0, "secret")
        hidden.hide()
        sheet = book.add_worksheet("名单")
        sheet.write_string(1, 1, "0012")
        sheet.write_number(2, 1, 12)
        sheet.write_datetime(3, 1, dt.datetime(2026, 1, 5), day)
        book.worksheets()[0].activate()

    for options in ({}, {"date_1904": True, "default_date_format": "yyyy-mm-dd"}):
        table, sheets = read(workbook(write, **options))
        assert table.kind == "xlsx"
        assert [name for name, _rows in sheets] == ["说明", "名单"]
        assert sheets[1][1] == [[""], ["0012"], [12.0], [dt.date(2026, 1, 5)]]


def test_cells_merged_downwards_all_show_the_value():
    def write(book):
        sheet = book.add_worksheet()
        sheet.write_row(1, 2, ["unit", "name"])
        sheet.merge_range(2, 2, 4, 2, "East")
        for row in range(1, 5):
            sheet.write_string(row + 1, 3, f"n{row}")

    assert rows_of(workbook(write)) == [
        ["", ""],
        ["unit", "name"],
        ["East", "n1"],
        ["East", "n2"],
        ["East", "n3"],
        ["", "n4"],
    ]


def sheet_with(xml: str) -> bytes:
    """A workbook whose sheet holds exactly this."""
    content = workbook(lambda book: book.add_worksheet().write_string(0, 0, "x"))
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith("sheet1.xml"):
                data = (
                    '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
                    f"<sheetData>{xml}</sheetData></worksheet>"
                ).encode()
            new.writestr(name, data)
    return file.getvalue()


@pytest.mark.parametrize(
    "far",
    [
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>',
        "<row r='9'><c r='XFD1048576'><v>1</v></c></row>",
        '<row><c r = "ZZZ9"><v>1</v></c></row>',
        '<row r="1"><c r="A1"><v>1</v></c></row><row r="999999"><c r="AX999999"><v>1</v></c></row>',
    ],
)
def test_cells_put_far_apart_are_found_before_the_sheet_is_opened(far):
    with pytest.raises(Unreadable) as refused:
        read(sheet_with(far))
    assert refused.value.code in {"too_many_columns", "too_many_rows"}


def test_an_archive_that_unpacks_to_too_much_is_refused():
    bomb = sheet_with(" " * 3_000_000)
    with pytest.raises(Unreadable) as refused:
        read(bomb, unpacked_bytes=1_000_000)
    assert refused.value.code == "bomb"
    with pytest.raises(Unreadable) as refused:
        read(bomb, entries=2)
    assert refused.value.code == "bomb"


def test_an_archive_that_lies_about_its_sizes_is_found_by_counting():
    content = bytearray(sheet_with(" " * 3_000_000))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        true_size = next(entry for entry in archive.infolist() if entry.filename.endswith("sheet1.xml")).file_size
    size = true_size.to_bytes(4, "little")
    for place in range(len(content) - 4):
        if content[place : place + 4] == size:
            content[place : place + 4] = (100).to_bytes(4, "little")
    with pytest.raises(Unreadable) as refused:
        read(bytes(content), unpacked_bytes=1_000_000)
    assert refused.value.code in {"bomb", "broken"}


def test_a_cut_off_workbook_and_another_archive_are_refused():
    good = workbook(lambda book: book.add_worksheet().write_string(0, 0, "x"))
    for content, code in ((good[: len(good) // 2], "broken"), (_zip({"a.txt": b"x"}), "not_a_table")):
        with pytest.raises(Unreadable) as refused:
            read(content)
        assert refused.value.code == code


def _zip(files) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_are_read_or_refused_never_a_crash(content):
    try:
        read(content)
    except Unreadable as refused:
        assert str(refused)


# --- writing --------------------------------------------------------------------------------------------------------

FORMULAS = ["=1+1", "+8613800000000", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1", '=HYPERLINK("http://x")', "'=1", "''-1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_mc_12_no_written_cell_is_a_formula_and_reading_gives_it_back(text):
    assert not neutral(text).startswith(("=", "+", "-", "@", "\t", "\r", "＝"))
    assert unescape(neutral(text)) == text
    file = io.BytesIO()
    write_xlsx(file, [SheetOut("a", header=["h"], rows=[[text]])])
    cell = openpyxl.load_workbook(file).active["A2"]
    assert (cell.data_type, cell.hyperlink) == ("s", None)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff")))
def test_text_survives_neutral_and_back(text):
    assert unescape(neutral(text)) == text


def test_csv_has_a_mark_iso_days_and_ids_as_text():
    file = io.BytesIO()
    rows = [["0001", dt.date(2026, 1, 5), dt.datetime(2026, 1, 5, 9, 30), None, 3, 1.5, "a\x00b\ud800"]]
    assert write_csv(file, ["工号", "x"], rows) == 1
    assert file.getvalue().decode("utf-8-sig") == "工号,x\r\n0001,2026-01-05,2026-01-05 09:30,,3,1.5,ab\r\n"
    assert file.getvalue().startswith(b"\xef\xbb\xbf")


def test_xlsx_keeps_types_and_gives_sheets_names_that_excel_takes():
    file = io.BytesIO()
    sheets = [
        SheetOut("a/b:c*?[]", header=["no", "day", "n"], rows=[["0001", dt.date(2026, 1, 5), 3]]),
        SheetOut("a b c", header=["x"]),
        SheetOut("Notes", notes=["=not a formula"]),
    ]
    assert write_xlsx(file, sheets) == 1
    book = openpyxl.load_workbook(file)
    assert [cell.value for cell in book.worksheets[0][2]] == ["0001", dt.datetime(2026, 1, 5), 3]
    assert len({name.lower() for name in book.sheetnames}) == 3
    assert book.worksheets[2]["A1"].value == "'=not a formula"


@pytest.mark.django_db  # closing the response looks after the connection
@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_download_is_an_attachment_that_nobody_keeps(kind):
    response = download(kind=kind, name="months", title="T", header=["a"], rows=[["=1"]], notes=["n"])
    content = b"".join(response.streaming_content)
    response.close()
    assert response["Content-Disposition"] == f'attachment; filename="months.{kind}"'
    assert response["Cache-Control"] == "no-store"
    assert rows_of(content) == [["a"], ["'=1"]]
