"""A closed month: its page, what changed since, its files and the signed report (PM-X01, PM-X02)."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext, pgettext_lazy
from django.views.decorators.http import require_POST, require_safe

from core.batches import batches
from core.jobs import start_job
from core.models import Job
from core.pdf import PdfToolsMissing
from core.periods import Month
from core.spreadsheets import SheetOut, download, download_sheets
from core.templatetags.interface import moment
from courses.closed_report import AT_ONCE, report_pdf
from courses.domain import closing, history
from courses.domain.access import sees_people, sees_units
from courses.domain.closing import ClosedUnit
from courses.domain.history import Change, How
from courses.domain.queries import Figures, courses_of_month, page_after, people_figures
from courses.models import Course, CourseRun, MonthClose, SignOff
from courses.templatetags.courses_tags import state_chip
from courses.views.closing import person_name
from courses.views.completion import SMALLEST_GROUP, _counts_only
from courses.views.months import month_or_404
from people.domain.access import actor_of, binds, require, unit_or_404, visible_employees, visible_units

PAGE = 50


class _Closed:
    """A closed month as one reader sees it: the units in reach, at the tree of the close, and one of them in view."""

    def __init__(self, request, row: str, month: str, unit_id: int | None):
        self.actor = actor_of(request)
        require(self.actor, row)
        self.month = month_or_404(month)
        close = closing.closed_month(self.month)
        if close is None:
            raise Http404
        self.close: MonthClose = close
        self.point = closing.point_of(close)
        self.courses = courses_of_month(self.month)
        code = request.GET.get("course", "")
        self.course: Course | None = next((one for one in self.courses if one.code == code), None)
        self.run = CourseRun.objects.filter(month=self.month, course=self.course).first() if self.course else None
        self.query = f"?course={self.course.code}" if self.course else ""
        self.sees_units = sees_units(self.actor, row)
        self.units: dict[int, ClosedUnit] = {}
        self.unit: ClosedUnit | None = None
        if unit_id is not None and not self.sees_units:
            raise Http404
        if self.sees_units:
            self.units = closing.closed_units(close=close, run=self.run)
            self._choose(row, unit_id)

    def _choose(self, row: str, unit_id: int | None) -> None:
        self.visible = set(
            visible_units(self.actor, row)
            .order_by()
            .filter(pk__in=_closed_ids(self.close))
            .values_list("pk", flat=True)
        )
        if unit_id is not None:
            if unit_id not in self.visible:
                raise Http404
            self.unit = self.units.get(unit_id) or _without_figures(self.close, unit_id)
        else:
            self.unit = next((one for pk, one in self.units.items() if pk in self.visible), None)

    def below(self, pk: int) -> list[ClosedUnit]:
        return [one for one in self.units.values() if one.parent == pk]

    @property
    def path(self) -> list[dict]:
        """From the topmost unit in reach down to the one in view."""
        found: list[dict] = []
        one = self.unit
        while one is not None and one.pk in self.visible:
            url = reverse("courses:closed_unit", args=[self.month, one.pk]) + self.query
            found.append({"label": one.label, "url": url})
            one = self.units.get(one.parent) if one.parent else None
        return found[::-1]

    @property
    def people(self):
        return visible_employees(self.actor, "PM-X01")

    def changes(self, row: str = "PM-X01"):
        """The duties that changed since, of people in reach; within the unit in view unless that is everything."""
        found = history.changed_since(
            month=self.month, point=self.point, run=self.run, people=visible_employees(self.actor, row)
        )
        if self.unit is not None and self.unit.parent is not None:
            found = closing.within(found, close=self.close, unit_id=self.unit.pk)
        return found


def _closed_ids(close: MonthClose):
    return close.figures.order_by().values("unit")


def _without_figures(close: MonthClose, unit_id: int) -> ClosedUnit:
    """A unit that had duties in the month, but none in the chosen course."""
    row = close.figures.filter(unit=unit_id).first()
    assert row is not None  # it is among the units of the close
    return ClosedUnit(row.unit_id, row.parent_id, row.depth, row.unit_code, row.unit_label, Figures(), Figures(), 0)


class _ClosedRow:
    """One row of the table of a closed month, hidden where it would speak of too few people."""

    def __init__(self, one: ClosedUnit, shown: _Closed, *, counts_only: bool, own: bool = False):
        self.one, self.own = one, own
        self.closed, self.adjusted = one.closed, one.adjusted
        self.hidden = counts_only and 0 < one.closed.assigned < SMALLEST_GROUP
        self.moved = one.closed != one.adjusted
        self.url = ""
        if not own and one.pk in shown.visible:
            self.url = reverse("courses:closed_unit", args=[shown.month, one.pk]) + shown.query


@binds("PM-X01")
@require_safe
def closed_month(request, month: str, unit_id: int | None = None):
    """A closed month: the figures that stand, the same with what came since, and whom that was about."""
    shown = _Closed(request, "PM-X01", month, unit_id)
    counts_only = shown.sees_units and _counts_only(shown.actor)
    names = sees_people(shown.actor, "PM-X01")
    page, changes = None, []
    if names:
        after = request.GET.get("after", "")
        page = page_after(
            shown.changes(), after=int(after) if after.isdecimal() and len(after) < 19 else None, size=PAGE
        )
        changes = [_change_row(one) for one in history.describe(page.rows)]
    rows = []
    if shown.unit:
        below = shown.below(shown.unit.pk)
        rows = [_ClosedRow(one, shown, counts_only=counts_only) for one in below]
        rest, since = shown.unit.closed, shown.unit.since
        for one in below:
            rest, since = rest - one.closed, since - one.since
        if below and (rest or since):
            own = ClosedUnit(shown.unit.pk, None, 0, shown.unit.code, shown.unit.label, rest, since, 0)
            rows.insert(0, _ClosedRow(own, shown, counts_only=counts_only, own=True))
        closed, adjusted = shown.unit.closed, shown.unit.adjusted
    else:
        people = shown.people
        closed = history.people_as_of(
            people=people, month=shown.month, at=shown.close.closed_at, newest=shown.close.newest_change
        )
        adjusted = people_figures(people=people, month=shown.month)
    event = closing.closing_event(shown.close)
    check = closing.newest_check(shown.close) if shown.sees_units else None
    parameters = {"course": shown.course.code} if shown.course else {}
    context = {
        "month": shown.month,
        "close": shown.close,
        "closed_by": person_name(shown.close.closed_by),
        "unit": shown.unit,
        "path": shown.path if shown.unit else [],
        "tops": _other_tops(shown),
        "hidden": counts_only and 0 < closed.assigned < SMALLEST_GROUP,
        "closed": closed,
        "adjusted": adjusted,
        "moved": closed != adjusted,
        "rows": rows,
        "courses": shown.courses,
        "course": shown.course,
        "query": shown.query,
        "names": names,
        "changes": changes,
        "page": page,
        "is_first": "after" not in request.GET,
        "parameters": parameters,
        "here": request.path,
        "event": event,
        "check": check,
        "signatures": _signatures(shown) if shown.unit else [],
        "may_export": shown.actor.may("PM-X02"),
        "may_tell": bool(rows) and shown.unit.pk in {unit.pk for unit in shown.actor.units("HRU")},
        "at": timezone.now(),
    }
    return render(request, "courses/closing_closed.html", context)


@binds("PM-X01")
@require_POST
def check_seal(request, month: str, unit_id: int):
    """Check what was sealed, with the history of every duty: asked for by a button, because it counts them all."""
    shown = _Closed(request, "PM-X01", month, unit_id)
    closing.check_seal(close=shown.close, at=timezone.now())
    return HttpResponseRedirect(reverse("courses:closed_unit", args=[shown.month, unit_id]) + "#the-seal")


def _other_tops(shown: _Closed) -> list[dict]:
    """The other topmost units in reach."""
    if not shown.unit:
        return []
    inside = {entry["label"] for entry in shown.path}
    return [
        {"label": one.label, "url": reverse("courses:closed_unit", args=[shown.month, one.pk]) + shown.query}
        for pk, one in shown.units.items()
        if pk in shown.visible and one.parent not in shown.visible and one.label not in inside
    ]


def _signatures(shown: _Closed) -> list[dict]:
    """Who signed the unit in view and the units right below it."""
    assert shown.unit is not None
    ids = [shown.unit.pk, *(one.pk for one in shown.below(shown.unit.pk))]
    rows = SignOff.objects.filter(close=shown.close, unit__in=ids[:200]).select_related("by__employee", "signed_from")
    by_unit = {row.unit_id: row for row in rows}
    found = []
    for pk in ids:
        sign = by_unit.get(pk)
        if sign is None:
            continue
        label = shown.units[pk].label if pk in shown.units else shown.unit.label
        from_above = _("signed from above, for %(unit)s") % {"unit": sign.signed_from.label} if sign.signed_from else ""
        found.append(
            {"label": label, "who": person_name(sign.by), "at": sign.at, "note": sign.note, "from_above": from_above}
        )
    return found


def _change_row(change: Change) -> dict:
    """One adjustment in words."""
    by = {
        How.OWN: lambda: change.employee.label,
        How.DECIDED: lambda: person_name(change.by),
        How.ROSTER: lambda: _("the roster"),
    }[change.how]()
    before = state_chip(change.before, None) if change.before else None
    now = state_chip(change.now, None)
    moved = change.before is not None and change.before.unit != change.now.unit
    return {
        "employee": change.employee,
        "course": change.enrolment.run.course,
        "unit": change.now.unit,
        "from_unit": change.before.unit if moved and change.before else None,
        "before": before,
        "now": now,
        "same_state": before == now,
        "by": by,
        "why": change.why,
        "at": change.at,
        "own": change.how == How.OWN,
    }


# --- files ------------------------------------------------------------------------------------------------------------
_COUNTS = (
    ("assigned", gettext_lazy("Owed")),
    ("completed", gettext_lazy("Done")),
    ("on_time", gettext_lazy("In time")),
    ("exempt", gettext_lazy("Exempt")),
    ("withdrawn", gettext_lazy("Withdrawn")),
    ("voluntary", pgettext_lazy("figures", "By choice")),
    ("voluntary_done", pgettext_lazy("figures", "By choice, done")),
)


@binds("PM-X02")
@require_safe
def closed_export(request, month: str, unit_id: int, kind: str):
    """The closed figures of a unit and everything below it, course by course; in Excel also adjustments and signatures."""
    shown = _Closed(request, "PM-X02", month, unit_id)
    assert shown.unit is not None
    header = [
        _("Level"),
        _("Unit code"),
        _("Unit"),
        _("Course code"),
        _("Course"),
        *(str(label) for _name, label in _COUNTS),
        _("On-time rate, %"),
        _("Final rate, %"),
    ]
    figures = list(
        closing.closed_figures(close=shown.close, unit_id=unit_id, run=shown.run).select_related("run__course")
    )
    rows = (_figure_row(one) for one in figures)
    name = f"closed-{shown.month}"
    if kind == "csv":
        return download(kind="csv", name=name, title=str(shown.month), header=header, rows=rows)
    sheets = [
        SheetOut(_("Figures"), header, rows, [8, 16, 30, 12, 28, *[10] * 7, 14, 14]),
        SheetOut(
            _("Adjustments since"), _change_header(), _change_cells(shown), [14, 16, 28, 12, 24, 18, 18, 18, 18, 40]
        ),
        SheetOut(
            _("Signatures"),
            [_("Unit code"), _("Unit"), _("Signed by"), _("Signed at"), _("From above"), pgettext("signature", "Note")],
            _signature_cells(shown),
            [16, 30, 20, 18, 30, 40],
        ),
        SheetOut(_("About this file"), notes=_about(shown, request.user)),
    ]
    return download_sheets(name=name, sheets=sheets)


@binds("PM-X02")
@require_safe
def closed_changes_export(request, month: str, kind: str):
    """The adjustments since the close, of the people one sees (a manager: the people below)."""
    shown = _Closed(request, "PM-X02", month, None)
    if not sees_people(shown.actor, "PM-X02"):
        raise PermissionDenied("PM-X02")
    shown.unit = None
    return download(
        kind=kind,
        name=f"adjustments-{shown.month}",
        title=_("Adjustments since"),
        header=_change_header(),
        rows=_change_cells(shown),
        widths=[14, 16, 28, 12, 24, 18, 18, 18, 18, 40],
        notes=_about(shown, request.user),
    )


def _figure_row(one) -> list:
    figures = Figures(**{column: getattr(one, column) for column in closing.COLUMNS})
    counts = [getattr(one, column) for column, _label in _COUNTS]
    rates = [float(rate) if rate else None for rate in (figures.on_time_rate, figures.rate)]
    return [one.depth, one.unit_code, one.unit_label, one.run.course.code, one.run.course.title, *counts, *rates]


def _change_header() -> list[str]:
    return [
        _("Employee no."),
        pgettext("a person", "Name"),
        _("Unit"),
        _("Course code"),
        _("Course"),
        _("At the close"),
        pgettext("figures", "Now"),
        _("Changed at"),
        _("By"),
        _("Reason"),
    ]


def _change_cells(shown: _Closed):
    for some in batches(shown.changes("PM-X02").iterator(chunk_size=500), 500):
        for one in history.describe(some):
            row = _change_row(one)
            yield [
                one.employee.employee_no,
                one.employee.name,
                row["unit"].label,
                row["course"].code,
                row["course"].title,
                row["before"]["label"] if row["before"] else _("not there yet"),
                row["now"]["label"],
                timezone.localtime(one.at),
                row["by"],
                one.why,
            ]


def _signature_cells(shown: _Closed):
    assert shown.unit is not None
    for one in closing.signatures(close=shown.close, unit_id=shown.unit.pk).iterator(chunk_size=500):
        yield [
            one.unit.code,
            one.unit.label,
            person_name(one.by),
            timezone.localtime(one.at),
            one.signed_from.label if one.signed_from else "",
            one.note,
        ]


def _about(shown: _Closed, user) -> list[str]:
    close = shown.close
    return [
        _("%(month)s, closed on %(at)s by %(name)s")
        % {"month": shown.month.label, "at": moment(close.closed_at), "name": person_name(close.closed_by)},
        _("Scope: %(scope)s") % {"scope": shown.unit.label if shown.unit else _("The people in my reach")},
        _("Digest (SHA-256): %(digest)s") % {"digest": close.digest},
        _("As of %(at)s, by %(user)s")
        % {"at": timezone.localtime(timezone.now()).strftime("%Y-%m-%d %H:%M"), "user": user},
    ]


@binds("PM-X02")
@require_POST
def closed_report(request, month: str, unit_id: int):
    """The signed report as a PDF: at once, or by a job when it is long."""
    shown = _Closed(request, "PM-X02", month, unit_id)
    at = timezone.now()
    if closing.closed_figures(close=shown.close, unit_id=unit_id).values("unit").distinct().count() > AT_ONCE:
        job = start_job(
            kind="courses.closed_report",
            arguments={"month": str(shown.month), "unit": unit_id},
            by=request.user,
            at=at,
        )
        return redirect("courses:closed_report_job", job.pk)
    try:
        pdf = report_pdf(close=shown.close, unit_id=unit_id, at=at)
    except PdfToolsMissing as missing:
        messages.error(request, _("This server lacks what PDFs need: %(what)s.") % {"what": missing})
        return redirect("courses:closed_unit", shown.month, unit_id)
    response = HttpResponse(pdf, content_type="application/pdf")
    response["Content-Disposition"] = f'attachment; filename="closed-{shown.month}.pdf"'
    response["Cache-Control"] = "no-store"
    return response


def _own_report_or_404(request, job_id: int) -> Job:
    """The job, if it was asked for by this person and its unit is still in reach."""
    require(actor_of(request), "PM-X02")
    job = get_object_or_404(Job, pk=job_id, kind="courses.closed_report", requested_by=request.user)
    unit_or_404(actor_of(request), "PM-X02", job.arguments["unit"])
    return job


@binds("PM-X02")
@require_safe
def closed_report_job(request, job_id: int):
    """How far the report is, and the file when it is done."""
    job = _own_report_or_404(request, job_id)
    month = Month.parse(job.arguments["month"])
    context = {"job": job, "month": month, "back_url": reverse("courses:closed_month", args=[month])}
    return render(request, "courses/closing_report_job.html", context)


@binds("PM-X02")
@require_safe
def closed_report_file(request, job_id: int):
    """The finished report, for the person who asked for it."""
    job = _own_report_or_404(request, job_id)
    if not job.file:
        raise Http404
    response = FileResponse(job.file.open(), as_attachment=True, filename=f"closed-{job.arguments['month']}.pdf")
    response["Cache-Control"] = "no-store"
    return response
