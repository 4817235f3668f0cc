"""The file that goes to payroll: numbered, with control totals, the same bytes for the same run; and checking one against it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO

from django.utils.translation import gettext as _

from core.money import NotMoney, format_yuan, parse_yuan
from core.spreadsheets import (
    BLOCK,
    CSV_TYPE,
    XLSX_TYPE,
    BrokenRow,
    SheetOut,
    Unreadable,
    open_table,
    write_csv,
    write_xlsx,
)
from kpi.domain.pay_seals import CHAIN, events_of
from kpi.imports import HEADER_WITHIN, as_text
from kpi.models import PayLine, PayRun
from kpi.pay_imports import money_cell

# In both languages at once, so that a file is the same whoever makes it.
HEADER = [
    "核算行号 Line",
    "工号 Employee no.",
    "姓名 Name",
    "单位 Unit",
    "起 From",
    "止 To",
    "绩效基数 Base",
    "系数 Coefficient",
    "单位系数 Unit coefficient",
    "出勤 Attended",
    "应出勤 Of",
    "实发金额 Amount",
    "金额（分） Fen",
]
WIDTHS = [26, 14, 14, 40, 12, 12, 14, 10, 10, 10, 10, 16, 14]
TOTAL = "合计 Total"
EXPORTED = "pay run exported"
APPROVED = "pay run approved"
_LINE, _AMOUNT = HEADER.index("核算行号 Line"), HEADER.index("实发金额 Amount")


@dataclass
class ExportFile:
    """A file that was made: open for reading, its SHA-256, how many lines it holds."""

    file: IO[bytes]
    name: str
    content_type: str
    digest: str
    rows: int


def reference(run: PayRun, number: int | None) -> str:
    """This function will return how payroll calls a line: P-2026-10-000017."""
    return f"{run.code}-{number or 0:06d}"


def next_number(run: PayRun) -> int:
    """This function will return the number that the next file of a run carries."""
    return events_of(run).filter(action=EXPORTED).count() + 1


def build(*, run: PayRun, kind: str, number: int) -> ExportFile:
    """This function will write the lines of a run as csv or xlsx, with a row of control totals at the end."""
    file = tempfile.SpooledTemporaryFile(max_size=8 * BLOCK)  # noqa: SIM115 - the response closes it
    if kind == "xlsx":
        sheets = [
            SheetOut(run.code, list(HEADER), _rows(run), WIDTHS),
            SheetOut("说明 About", notes=_notes(run, number)),
        ]
        write_xlsx(file, sheets)
    else:
        write_csv(file, HEADER, _rows(run))
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0)
    name = f"{run.code}-{number:03d}.{kind}"
    return ExportFile(file, name, XLSX_TYPE if kind == "xlsx" else CSV_TYPE, digest, run.lines_count)


def _rows(run: PayRun) -> Iterator[list]:
    lines = (
        PayLine.objects.filter(run=run)
        .order_by("number")
        .values_list(
            "number",
            "employee__employee_no",
            "employee__name",
            "unit_path_zh",
            "starts_on",
            "ends_on",
            "base_fen",
            "coefficient",
            "unit_coefficient",
            "attended",
            "attended_of",
            "paid_fen",
        )
    )
    count = total = 0
    for number, no, name, unit, start, end, base, coefficient, unit_coefficient, attended, of, paid in lines.iterator(
        chunk_size=2000
    ):
        count, total = count + 1, total + paid
        yield [
            reference(run, number),
            no,
            name,
            unit,
            start,
            end,
            format_yuan(base, grouped=False),
            f"{coefficient:.4f}",
            f"{unit_coefficient:.4f}",
            f"{attended:.2f}",
            f"{of:.2f}",
            format_yuan(paid, grouped=False),
            paid,
        ]
    yield [TOTAL, f"{count}", "", "", "", "", "", "", "", "", "", format_yuan(total, grouped=False), total]


def _notes(run: PayRun, number: int) -> list[str]:
    approved = events_of(run).filter(action=APPROVED).last()
    return [
        f"{run.code} · {run.cycle.name} · {run.scope.name}",
        f"文件编号 File no. {number}",
        f"行数 Lines {run.lines_count}",
        f"控制总额 Control total {format_yuan(run.total_fen)} · 预留金 Reserve {format_yuan(run.reserve_fen)}",
        f"SHA-256 {run.lines_hash}",
        f"规则 Rule {run.version.rule.code} v{run.version.number} {run.version.content_hash}",
        *([f"批准 Approved: 事件链 event chain {CHAIN}, {approved.sequence}, {approved.hash}"] if approved else []),
    ]


# --- checking a file ----------------------------------------------------------------------------------------------------
@dataclass
class FileCheck:
    """What a file says beside the run: whether it is one of ours to the byte, and the rows that differ."""

    number: int | None
    digest: str
    lines: int = 0
    total_fen: int = 0
    differences: list[str] | None = None
    problem: str = ""

    @property
    def agrees(self) -> bool:
        return not self.problem and not self.differences


def check_file(*, run: PayRun, file: BinaryIO, most: int = 20) -> FileCheck:
    """This function will compare a file with the lines of a run: one changed fen is found and named."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    made = events_of(run).filter(action=EXPORTED, after__sha256=digest).first()
    check = FileCheck(number=(made.after or {}).get("number") if made else None, digest=digest, differences=[])
    try:
        with open_table(file) as table:
            _compare(run, table, check, most)
    except Unreadable as problem:
        check.problem = str(problem)
    return check


def _compare(run: PayRun, table, check: FileCheck, most: int) -> None:
    expected = {
        reference(run, number): fen
        for number, fen in PayLine.objects.filter(run=run).order_by("number").values_list("number", "paid_fen")
    }
    differences = check.differences if check.differences is not None else []
    rows = next(iter(table.sheets)).rows()
    places: tuple[int, int] | None = None
    for number, cells in enumerate(rows, 1):
        if isinstance(cells, BrokenRow):
            differences.append(_("Row %(row)s cannot be read.") % {"row": number})
            continue
        texts = [as_text(cell) for cell in cells]
        if places is None:
            if HEADER[_LINE] in texts and HEADER[_AMOUNT] in texts:
                places = texts.index(HEADER[_LINE]), texts.index(HEADER[_AMOUNT])
            elif number >= HEADER_WITHIN:
                break
            continue
        if max(places) >= len(cells) or not texts[places[0]] or texts[places[0]] == TOTAL:
            continue
        key = texts[places[0]]
        try:
            fen = parse_yuan(money_cell(cells[places[1]]))
        except NotMoney:
            fen = None
        check.lines, check.total_fen = check.lines + 1, check.total_fen + (fen or 0)
        if key not in expected:
            differences.append(_("Row %(row)s: %(line)s is not a line of this run.") % {"row": number, "line": key})
        elif fen != (right := expected.pop(key)):
            words = _("Row %(row)s, %(line)s: the file says %(file)s, the run %(run)s.")
            said = texts[places[1]] if fen is None else format_yuan(fen)
            differences.append(words % {"row": number, "line": key, "file": said, "run": format_yuan(right)})
    if places is None:
        check.problem = _("The file has no row with our headings.")
        return
    differences += [_("%(line)s is missing in the file.") % {"line": key} for key in list(expected)[:most]]
    del differences[most:]
