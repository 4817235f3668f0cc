"""The signed report of a closed month as a PDF, in both languages, in parts that a job can draw one after the other."""

from __future__ import annotations

import datetime as dt
import io
from dataclasses import dataclass

from django.conf import settings
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.translation import override

from core.models import ChainHead
from core.pdf import join, lay_out
from courses.domain import closing
from courses.domain.closing import ClosedUnit
from courses.domain.queries import Figures
from courses.models import ClosedFigure, MonthClose, SignOff
from people.models import User

AT_ONCE = 250  # so many units fit a report that is drawn while one waits; also the size of a part


@dataclass(frozen=True)
class ReportLine:
    """A unit with its names in both languages, its figures, and its signature."""

    one: ClosedUnit
    zh: str
    en: str
    depth: int
    sign: SignOff | None

    @property
    def closed(self) -> Figures:
        return self.one.closed

    @property
    def signed_by(self) -> str:
        return person(self.sign.by) if self.sign else ""


def person(user: User | None) -> str:
    """A person's name as it stands on paper; nothing for the platform itself."""
    employee = getattr(user, "employee", None) if user else None
    if employee:
        return (
            f"{employee.name} {employee.name_latin}".strip() if employee.name_latin != employee.name else employee.name
        )
    return str(user) if user else "—"


@dataclass
class Report:
    """What the report of one unit says. ``parts`` of AT_ONCE units each: every part is a PDF of its own."""

    close: MonthClose
    unit_id: int
    at: dt.datetime

    def __post_init__(self):
        units = closing.closed_units(close=self.close)
        top = units[self.unit_id]
        rows = ClosedFigure.objects.filter(close=self.close).order_by("unit", "pk").distinct()
        names = {row["unit_id"]: row for row in rows.values("unit_id", "unit_zh", "unit_en")}
        inside: list[ClosedUnit] = []
        kept: set[int] = set()
        for pk, one in units.items():  # in the order of the tree: parents first
            if pk == self.unit_id or one.parent in kept:
                kept.add(pk)
                inside.append(one)
        signed = {
            sign.unit_id: sign
            for sign in SignOff.objects.filter(close=self.close).select_related("by__employee", "signed_from")
            if sign.unit_id in kept
        }
        self.top = top
        self.lines = [
            ReportLine(
                one=one,
                zh=names[one.pk]["unit_zh"],
                en=names[one.pk]["unit_en"],
                depth=min(one.depth - top.depth, 6),
                sign=signed.get(one.pk),
            )
            for one in inside
        ]

    @property
    def parts(self) -> int:
        return -(-len(self.lines) // AT_ONCE)

    def part(self, number: int, *, pages_before: int = 0) -> bytes:
        """One part as a PDF; the first has the head, the last the seal."""
        last = number == self.parts - 1
        context = {
            "close": self.close,
            "lines": self.lines[number * AT_ONCE : (number + 1) * AT_ONCE],
            "top": self.lines[0],
            "adjusted": self.top.adjusted,
            "closed": self.top.closed,
            "moved": self.top.adjusted != self.top.closed,
            "courses": self._courses() if number == 0 else [],
            "closed_by": person(self.close.closed_by),
            "first": number == 0,
            "last": last,
            "event": closing.closing_event(self.close) if last else None,
            "head": ChainHead.objects.filter(chain="months").first() if last else None,
            "first_page": pages_before + 1,
            "times": {
                "closed": timezone.localtime(self.close.closed_at),
                "printed": timezone.localtime(self.at),
            },
            "month": self._month(),
            "site": {language: self._site(language) for language in ("zh", "en")},
        }
        with override("zh-hans"):  # numbers and shares; the words of the sheet are in both languages
            html = render_to_string("courses/closing_report.html", context)
        return lay_out(html, cut_fonts=True)

    def _courses(self) -> list[dict]:
        rows = ClosedFigure.objects.filter(close=self.close, unit=self.unit_id).select_related("run__course")
        return [
            {"course": row.run.course, "figures": Figures(**{one: getattr(row, one) for one in closing.COLUMNS})}
            for row in rows.order_by("run__course__code")
        ]

    def _month(self) -> dict[str, str]:
        found = {}
        for language, key in (("zh-hans", "zh"), ("en", "en")):
            with override(language):
                found[key] = self.close.month.label
        return found

    @staticmethod
    def _site(language: str) -> str:
        return settings.SITE_NAME_EN if language == "en" else settings.SITE_NAME


def report_pdf(*, close: MonthClose, unit_id: int, at: dt.datetime) -> bytes:
    """This function will draw the report of one unit of a closed month, all parts of it. Raises PdfToolsMissing."""
    report = Report(close, unit_id, at)
    drawn: list[bytes] = []
    for number in range(report.parts):
        drawn.append(report.part(number, pages_before=sum(pages(one) for one in drawn)))
    return drawn[0] if len(drawn) == 1 else join(drawn)


def pages(pdf: bytes) -> int:
    """How many pages a PDF has."""
    import pikepdf

    with pikepdf.open(io.BytesIO(pdf)) as document:
        return len(document.pages)
