"""The pages of measures: months and indicators, a chart of one, a person's own, one value with its history, files."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.jobs import start_job
from core.models import Job
from core.periods import Month
from core.spreadsheets import SheetOut, Unreadable, download, download_sheets
from courses.domain.access import runs_the_company
from kpi import imports, measure_charts, measure_jobs
from kpi.domain import collecting, looks, measure_files
from kpi.domain import measures as domain
from kpi.measure_forms import CorrectionForm, IndicatorForm, MeasureFileForm, UnitChoice
from kpi.models import Indicator, Measure, MeasureImport
from kpi.views.looks import looked
from people.domain.access import Actor, actor_of, binds, employee_or_404, require, visible_employees, visible_units
from people.models import OrgUnit

MONTHS, BY_PAGE, IMPORTS = 6, 6, 15
USUAL = 30  # values in the month before, from which on a smaller number is worth a word
State = MeasureImport.State


# --- months and indicators ------------------------------------------------------------------------------------------------
@binds("PM-F07")
@never_cache
@require_safe
def measures(request: HttpRequest) -> HttpResponse:
    """How complete the indicators are, month by month; the way to collecting, files and charts."""
    actor = actor_of(request)
    require(actor, "PM-F07")
    first, newest = domain.months_measured()
    newest = newest or Month.of(actor.on).previous
    first = first or newest
    last = max(first, min(_month(request.GET.get("until")) or newest, newest))
    months = [last.plus(-back) for back in reversed(range(MONTHS))]
    counts = domain.filled(actor=actor, first_month=months[0].previous, last_month=last)
    indicators = list(Indicator.objects.order_by("-active", "source", "code"))
    collects = actor.may("PM-F02") and runs_the_company(actor)
    context = {
        "months": months,
        "rows": [_filled_row(one, months, counts) for one in indicators],
        "earlier": months[0].previous if first < months[0] else None,
        "later": min(last.plus(MONTHS), newest) if last < newest else None,
        "may_import": actor.may("PM-F02") and bool(actor.units("HRU")),
        "may_define": actor.may("PM-F03"),
        "closes": _collected(months) if collects else [],
        "collects": collects,
        "job": _running_job(request),
    }
    return render(request, "kpi/measures_months.html", context)


def _month(text: str | None) -> Month | None:
    try:
        return Month.parse(text or "")
    except ValueError:
        return None


def _filled_row(indicator: Indicator, months: list[Month], counts: dict) -> dict:
    cells = []
    for month in months:
        now = counts.get((indicator.pk, month), domain.Filled())
        before = counts.get((indicator.pk, month.previous), domain.Filled())
        # what happens to few people anyway (an upheld complaint, a bonus) is not missing when it does not happen
        usual = before.total >= USUAL
        falls = usual and now.total * 10 < before.total * 9
        cells.append({"month": month, "now": now, "missing": usual and not now.total, "falls": falls})
    return {"indicator": indicator, "cells": cells}


def _collected(months: list[Month]) -> list[dict]:
    """The closed months on the page and whether they were measured, the newest first."""
    own = {one.month: one for one in collecting.closed_months()}
    done = collecting.collected_at(months=months)
    return [{"close": own[month], "at": done.get(month)} for month in reversed(months) if month in own]


def _running_job(request: HttpRequest) -> Job | None:
    """The person's own collecting that is under way or went wrong."""
    newest = Job.objects.filter(kind=measure_jobs.COLLECT, requested_by=request.user).order_by("-pk").first()
    return newest if newest and newest.state != Job.State.DONE else None


@binds("PM-F02")
@require_POST
def collect(request: HttpRequest) -> HttpResponse:
    """Measure a closed month now. For HR of the whole company: the figures are everybody's."""
    actor = actor_of(request)
    require(actor, "PM-F02")
    month = _month(request.POST.get("month"))
    if month is None or not runs_the_company(actor):
        raise Http404
    try:
        collecting.closed(month)
        collecting.collected_indicators()
    except collecting.MonthNotClosed:
        messages.error(
            request, _("%(month)s is not closed yet; only a closed month is measured.") % {"month": month.label}
        )
        return redirect("kpi:measures")
    except collecting.NoIndicator:
        messages.error(
            request, _("No indicator in use takes its values from training or from assessments. Make one first.")
        )
        return redirect("kpi:indicators")
    with transaction.atomic():
        job = start_job(kind=measure_jobs.COLLECT, arguments={"month": str(month)}, by=request.user, at=timezone.now())
    job.refresh_from_db()
    if job.state == Job.State.DONE:
        messages.success(request, _("%(month)s is measured and up to date.") % {"month": month.label})
    return redirect("kpi:measures")


# --- one indicator ----------------------------------------------------------------------------------------------------------
@binds("PM-F07")
@never_cache
@require_safe
def indicator(request: HttpRequest, indicator_id: int) -> HttpResponse:
    """An indicator over the months with control limits, for a unit or (of a manager) the team."""
    actor = actor_of(request)
    require(actor, "PM-F07")
    found = _indicator_or_404(indicator_id)
    units = visible_units(actor, "PM-F07")
    form = UnitChoice(request.GET or None, units=units)
    chosen = form.cleaned_data if form.is_valid() else {}
    if request.GET.get("unit") and not chosen.get("unit"):
        raise Http404
    unit = chosen.get("unit") or units.order_by("depth", "path").first()
    months = chosen.get("months") or 12
    last = domain.months_measured()[1] or Month.of(actor.on)
    span = {"first_month": last.plus(1 - months), "last_month": last}
    if unit is not None:
        points = domain.unit_points(indicator=found, unit=unit, **span)
    else:
        points = domain.people_points(indicator=found, people=visible_employees(actor, "PM-F07"), **span)
    chart = measure_charts.chart_of(points, found)
    context = {
        "indicator": found,
        "unit": unit,
        "path": _path(unit, units, found) if unit else [],
        "periods": [
            {"label": label, "url": _chart_url(found, unit, number), "active": number == months, "count": None}
            for number, label in UnitChoice.MONTHS
        ],
        "sentence": measure_charts.sentence(points, found, chart),
        "drawing": measure_charts.draw(points, found, chart),
        "chart": chart,
        "rows": _chart_rows(points, chart),
        "below": _below(found, unit, points, months) if unit and points else [],
        "newest": points[-1] if points else None,
        "may_define": actor.may("PM-F03"),
        "indicators": _siblings(found, unit),
    }
    return render(request, "kpi/measures_indicator.html", context)


def _indicator_or_404(indicator_id: int) -> Indicator:
    found = Indicator.objects.filter(pk=indicator_id).first() if indicator_id < 2**63 else None
    if found is None:
        raise Http404
    return found


def _chart_url(found: Indicator, unit: OrgUnit | None, months: int = 12) -> str:
    query = "&".join([*([f"unit={unit.pk}"] if unit else []), *([f"months={months}"] if months != 12 else [])])
    return reverse("kpi:indicator", args=[found.pk]) + (f"?{query}" if query else "")


def _path(unit: OrgUnit, visible, found: Indicator) -> list[dict]:
    """The way from the top to a unit; links only to what the actor may see."""
    above = list(OrgUnit.objects.above(unit))
    open_ones = set(visible.filter(pk__in=[one.pk for one in above]).values_list("pk", flat=True))
    return [{"label": one.label, "url": _chart_url(found, one) if one.pk in open_ones else ""} for one in above]


def _siblings(found: Indicator, unit: OrgUnit | None) -> list[dict]:
    others = Indicator.objects.filter(active=True).order_by("source", "code")
    return [{"label": one.label, "url": _chart_url(one, unit), "active": one == found} for one in others]


def _chart_rows(points: list[domain.Point], chart) -> list[dict]:
    rows = [
        {
            "point": point,
            "limit": chart.limits[place] if chart.limits else None,
            "outside": place in chart.outside,
        }
        for place, point in enumerate(points)
    ]
    return rows[::-1]


def _below(found: Indicator, unit: OrgUnit, points: list[domain.Point], months: int) -> list[dict]:
    """The units right below with their value of the newest month."""
    rows = domain.units_right_below(indicator=found, unit=unit, month=points[-1].month)
    return [{"unit": one, "measure": measure, "url": _chart_url(found, one, months)} for one, measure in rows]


# --- a person -----------------------------------------------------------------------------------------------------------------
@binds("PM-F01")
@never_cache
@require_safe
def my_measures(request: HttpRequest) -> HttpResponse:
    """One's own measures."""
    actor = actor_of(request)
    if actor.employee is None:
        raise Http404
    return _person(request, actor, actor.employee.pk)


@binds("PM-F01")
@never_cache
@require_safe
def person_measures(request: HttpRequest, employee_id: int) -> HttpResponse:
    """What was measured of one person, month by month."""
    return _person(request, actor_of(request), employee_id)


def _person(request: HttpRequest, actor: Actor, employee_id: int) -> HttpResponse:
    employee = employee_or_404(actor, "PM-F01", employee_id)
    page = Paginator(domain.person_months(employee.pk), BY_PAGE).get_page(request.GET.get("page"))
    months: dict[Month, list[Measure]] = {month: [] for month in page.object_list}
    for one in domain.measures_of(employee.pk, months):
        months[one.month].append(one)
    looked(request, [employee.pk], looks.MEASURES)
    context = {
        "employee": employee,
        "own": actor.employee is not None and actor.employee.pk == employee.pk,
        "months": [{"month": month, "measures": found} for month, found in months.items()],
        "page": page,
    }
    return render(request, "kpi/measures_person.html", context)


# --- one value ----------------------------------------------------------------------------------------------------------------
@binds("PM-F01", "PM-F07")
@never_cache
@require_safe
def measure(request: HttpRequest, measure_id: int) -> HttpResponse:
    """One value: what it rests on, what it was before, and for HR the form that corrects it."""
    actor = actor_of(request)
    return _measure(request, actor, domain.measure_or_404(actor, "PM-F01", measure_id))


def _measure(
    request: HttpRequest, actor: Actor, found: Measure, form: CorrectionForm | None = None, status: int = 200
) -> HttpResponse:
    history = domain.history_of(found)
    newest = history[-1]
    may_correct = domain.visible_measures(actor, "PM-F02", "PM-F02").filter(pk=found.pk).exists()
    if may_correct and form is None:
        form = CorrectionForm(measure=newest)
    upload = None
    if found.evidence.get("import"):
        upload = (
            MeasureImport.objects.filter(pk=found.evidence["import"]).select_related("uploaded_by__employee").first()
        )
    if found.employee_id:
        looked(request, [found.employee_id], looks.MEASURES, str(found.month))
    context = {
        "measure": found,
        "indicator": found.indicator,
        "newest": newest,
        "superseded": newest.pk != found.pk,
        "history": history[::-1],
        "duties": collecting.duties_behind(found),
        "attempts": collecting.attempts_behind(found),
        "own": actor.employee is not None and actor.employee.pk == found.employee_id,
        "upload": upload,
        "may_open_upload": upload is not None and measure_files.visible_imports(actor).filter(pk=upload.pk).exists(),
        "form": form if may_correct else None,
        "chart_url": _chart_url(found.indicator, found.org_unit) if found.org_unit else "",
    }
    return render(request, "kpi/measures_measure.html", context, status=status)


@binds("PM-F02")
@require_POST
def correct_measure(request: HttpRequest, measure_id: int) -> HttpResponse:
    """Supersede a value by the right one, with a reason that the person reads."""
    actor = actor_of(request)
    found = domain.measure_or_404(actor, "PM-F02", measure_id, "PM-F02")
    form = CorrectionForm(request.POST, measure=found)
    if form.is_valid():
        try:
            made = domain.correct_measure(
                measure=found,
                value=form.corrected,
                reason=form.cleaned_data["reason"],
                by=request.user,
                at=timezone.now(),
            )
        except (domain.NotInForce, domain.MeasuredMeanwhile):
            form.add_error(None, _("Somebody corrected this value meanwhile. Look at its newest state, then decide."))
        except domain.NothingChanged:
            form.add_error("value", _("This is what stands there already."))
        else:
            messages.success(request, _("The value is corrected. The one before stays in its history."))
            return redirect("kpi:measure", made.pk)
    return _measure(request, actor, found, form, status=422)


# --- indicators -----------------------------------------------------------------------------------------------------------------
@binds("PM-F03")
@never_cache
@require_safe
def indicators(request: HttpRequest) -> HttpResponse:
    """What is measured, how, and from where."""
    require(actor_of(request), "PM-F03")
    found = list(Indicator.objects.order_by("-active", "source", "code"))
    return render(request, "kpi/measures_indicators.html", {"indicators": found})


@binds("PM-F03")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def edit_indicator(request: HttpRequest, indicator_id: int | None = None) -> HttpResponse:
    """Make or change an indicator; code, unit and source stay after its first use."""
    require(actor_of(request), "PM-F03")
    found = None if indicator_id is None else _indicator_or_404(indicator_id)
    fixed = found is not None and domain.is_used(found)
    form = IndicatorForm(request.POST or None, instance=found, fixed=fixed)
    if request.method == "POST" and form.is_valid():
        stored = None if found is None else _indicator_or_404(found.pk)  # the form wrote into its own copy
        values = {name: form.cleaned_data[name] for name in form.fields}
        try:
            domain.save_indicator(indicator=stored, values=values, by=request.user, at=timezone.now())
        except domain.CodeTaken:
            form.add_error("code", _("Another indicator has this code."))
        except domain.IndicatorInUse:
            form.add_error(
                None, _("The indicator came into use meanwhile: its code, unit and source stay as they are.")
            )
        else:
            messages.success(request, _("The indicator is kept."))
            return redirect("kpi:indicators")
    status = 422 if form.is_bound else 200
    context = {"form": form, "indicator": found, "fixed": fixed}
    return render(request, "kpi/measures_indicator_form.html", context, status=status)


# --- files ------------------------------------------------------------------------------------------------------------------------
@binds("PM-F02")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def measure_imports(request: HttpRequest) -> HttpResponse:
    """Earlier files, and the form that takes a new one."""
    actor = actor_of(request)
    require(actor, "PM-F02")
    form = MeasureFileForm(
        *([request.POST, request.FILES] if request.method == "POST" else []), latest=Month.of(actor.on)
    )
    if request.method == "POST" and form.is_valid():
        file = form.cleaned_data["file"]
        upload = measure_files.upload_file(
            file=file.file,
            file_name=file.name,
            month=form.cleaned_data["month"],
            by=request.user,
            at=timezone.now(),
        )
        return redirect("kpi:measure_import", upload.pk)
    found = measure_files.visible_imports(actor).select_related("uploaded_by__employee")
    page = Paginator(found, IMPORTS).get_page(request.GET.get("page"))
    by_file = Indicator.objects.filter(active=True, source=Indicator.Source.FILE)
    context = {"form": form, "page": page, "columns": list(imports.COLUMNS.values()), "indicators": list(by_file)}
    return render(request, "kpi/measures_imports.html", context, status=422 if form.is_bound else 200)


@binds("PM-F02")
@never_cache
@require_safe
def measure_template(request: HttpRequest) -> HttpResponse:
    """The empty file: one row for each value; with ``people=1`` one row for each person and a column for each indicator."""
    actor = actor_of(request)
    require(actor, "PM-F02")
    widths = [column.width for column in imports.COLUMNS.values()]
    header, rows, name = imports.headings(), iter(()), "measures-template"
    if request.GET.get("people"):
        header, widths = imports.wide_headings()
        rows, name = _people_rows(actor, len(header)), f"measures-{Month.of(actor.on).previous}"
    if request.GET.get("kind") == "csv":
        return download(kind="csv", name=name, title="", header=header, rows=rows)
    sheets = [
        SheetOut(_("Measures"), header=list(header), rows=rows, widths=widths),
        SheetOut(_("Notes"), notes=imports.template_notes()),
    ]
    return download_sheets(name=name, sheets=sheets)


def _people_rows(actor: Actor, width: int) -> Iterator[list]:
    month = str(Month.of(actor.on).previous)
    people = visible_employees(actor, "PM-F02").order_by("employee_no").values_list("employee_no", "name")
    for number, name in people.iterator(chunk_size=2000):
        yield [number, name, month, *[""] * (width - 3)]


def _import_or_404(actor: Actor, import_id: int) -> MeasureImport:
    require(actor, "PM-F02")
    found = measure_files.visible_imports(actor).filter(pk=import_id) if import_id < 2**63 else None
    upload = found.select_related("uploaded_by__employee", "applied_by__employee", "job").first() if found else None
    if upload is None:
        raise Http404
    return upload


@binds("PM-F02")
@never_cache
@require_safe
def measure_import(request: HttpRequest, import_id: int) -> HttpResponse:
    """Where a file stands: its faults, what it would change or has changed, and what can be done now."""
    actor = actor_of(request)
    return _import(request, _import_or_404(actor, import_id))


def _import(request: HttpRequest, upload: MeasureImport, refusal: str = "", reason_error: str = "", status: int = 200):
    names = {one.pk: one for one in Indicator.objects.all()}
    samples = [
        {
            **sample,
            "indicator": names[sample["indicator"]],
            "before": None if sample["before"] is None else Decimal(sample["before"]),
            "after": Decimal(sample["after"]),
        }
        for sample in upload.report.get("samples", ())
        if sample["indicator"] in names
    ]
    _samples_looked(request, samples)
    counts = upload.counts
    context = {
        "upload": upload,
        "steps": _steps(upload),
        "counts": counts,
        "to_do": counts.get("new", 0) + counts.get("corrected", 0),
        "faults": upload.report.get("faults", ()),
        "corrections": [one for one in samples if one["outcome"] == "corrected"],
        "news": [one for one in samples if one["outcome"] == "new"],
        "ignored": upload.report.get("ignored", ()),
        "own_job": upload.job if upload.job and upload.job.requested_by_id == request.user.pk else None,
        "busy": upload.state in {State.UPLOADED, State.APPLYING, State.UNDOING},
        "refusal": refusal,
        "reason_error": reason_error,
        "typed_reason": request.POST.get("reason", ""),
    }
    return render(request, "kpi/measures_import.html", context, status=status)


def _samples_looked(request: HttpRequest, samples: list[dict]) -> None:
    """Keep that values of these people were shown, before and after."""
    people = [one["employee"] for one in samples if one.get("employee")]
    months = sorted(Month.parse(one["month"]) for one in samples)
    if people:
        looked(request, people, looks.MEASURES, looks.kept_months(months[0], months[-1]))


def _steps(upload: MeasureImport) -> list[dict]:
    at = {
        State.UPLOADED: 1,
        State.UNREADABLE: 1,
        State.CHECKED: 2,
        State.APPLYING: 3,
        State.UNDOING: 3,
    }.get(State(upload.state), 4)
    labels = [_("File"), _("Check the rows"), _("Differences"), _("Applied")]
    return [
        {"label": label, "state": "done" if place < at else "current" if place == at else "locked"}
        for place, label in enumerate(labels)
    ]


@binds("PM-F02")
@require_POST
def apply_measures(request: HttpRequest, import_id: int) -> HttpResponse:
    upload = _import_or_404(actor_of(request), import_id)
    reason = request.POST.get("reason", "")
    try:
        measure_files.request_apply(upload=upload, reason=reason, by=request.user, at=timezone.now())
    except domain.ReasonMissing:
        text = _("Say why values that stand already are corrected: the people read it.")
        return _import(request, upload, reason_error=text, status=422)
    except (measure_files.WrongState, measure_files.NothingToApply):
        return _too_late(request, upload)
    return redirect("kpi:measure_import", upload.pk)


def _too_late(request: HttpRequest, upload: MeasureImport) -> HttpResponse:
    fresh = _import_or_404(actor_of(request), upload.pk)
    text = _("This cannot be done any more: somebody was faster. Below you see how things stand.")
    return _import(request, fresh, refusal=text, status=409)


@binds("PM-F02")
@require_POST
def undo_measures(request: HttpRequest, import_id: int) -> HttpResponse:
    upload = _import_or_404(actor_of(request), import_id)
    try:
        measure_files.request_undo(upload=upload, by=request.user, at=timezone.now())
    except measure_files.WrongState:
        return _too_late(request, upload)
    return redirect("kpi:measure_import", upload.pk)


@binds("PM-F02")
@require_POST
def check_measures(request: HttpRequest, import_id: int) -> HttpResponse:
    """Check the same file against the values as they stand now."""
    upload = _import_or_404(actor_of(request), import_id)
    try:
        measure_files.check_again(upload=upload, by=request.user, at=timezone.now())
    except measure_files.WrongState:
        return _too_late(request, upload)
    return redirect("kpi:measure_import", upload.pk)


@binds("PM-F02")
@require_POST
def discard_measures(request: HttpRequest, import_id: int) -> HttpResponse:
    upload = _import_or_404(actor_of(request), import_id)
    try:
        measure_files.discard(upload=upload, by=request.user, at=timezone.now())
    except measure_files.WrongState:
        return _too_late(request, upload)
    messages.success(request, _("The file was put aside. Nothing was changed."))
    return redirect("kpi:measure_imports")


@binds("PM-F02")
@never_cache
@require_safe
def measure_faults(request: HttpRequest, import_id: int) -> HttpResponse:
    """The refused rows in their own columns, each with its reasons: to put right and upload again."""
    actor = actor_of(request)
    upload = _import_or_404(actor, import_id)
    try:
        source = upload.file.open("rb").file
        opened = imports.MeasureFile(source, month=upload.month, today=actor.on)
    except (OSError, Unreadable, imports.FileProblem):
        text = _("The uploaded file is no longer there or cannot be read, so its rows cannot be shown.")
        return _import(request, upload, refusal=text, status=409)
    with source, opened:
        width = len(opened.header)
        return download(
            kind="csv" if request.GET.get("kind") == "csv" else "xlsx",
            name=f"measures-{upload.pk}-refused",
            title=_("Refused rows"),
            header=[*opened.header, imports.REASONS],
            rows=_refused_rows(opened, imports.Resolver(actor=actor, upload=upload), width),
            widths=[*[16] * width, 60],
        )


def _refused_rows(opened: imports.MeasureFile, resolver: imports.Resolver, width: int) -> Iterator[list]:
    """Every row again, resolved as it was checked; given out with its reasons if it is refused."""
    some: list[tuple[int, list | None]] = []

    def refused() -> Iterator[list]:
        batch = resolver.take([opened.line(number, cells) for number, cells in some])
        for number, cells in some:
            if number in batch.refused_rows:
                faults = batch.refused_rows[number]
                words = "\n".join(f"{one.column}: {one.problem} {one.cure}".removeprefix(": ") for one in faults)
                padded = [*(cells or [])[:width], *[""] * (width - len(cells or []))]
                yield [*padded, words]

    for number, cells in opened.raw_rows():
        some.append((number, cells))
        if len(some) == imports.ROWS:
            yield from refused()
            some = []
    yield from refused()
