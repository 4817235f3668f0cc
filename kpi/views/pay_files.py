"""Files of pay: bases and attendance in, payroll's answers in, and the answers beside what was exported."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, pgettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.spreadsheets import download
from kpi import pay_imports
from kpi.domain import pay_looks as looks
from kpi.domain import pay_runs
from kpi.domain.pay_bases import apply_file, keep_file, newest_answers, payable_people, reconcile
from kpi.models import PayFile, PayLine, PayReturn
from kpi.pay_forms import FileForm, PayFileForm
from kpi.pay_imports import COLUMNS, CheckedFile
from kpi.pay_words import REFUSALS, refusal_words
from kpi.views.pay import DESK_PAGE, PAGE, holds, own_id, run_or_404, status_of
from people.domain.access import Actor, actor_of, binds, require

Kind = PayFile.Kind
SHOWN = 100
NAMES = {Kind.BASES: "pay-bases", Kind.ATTENDANCE: "pay-attendance", Kind.ANSWERS: "pay-answers"}


@binds("PM-Y04")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def pay_files(request) -> HttpResponse:
    """Upload a file of bases or attendance; the files so far."""
    actor = actor_of(request)
    require(actor, "PM-Y04")
    form = PayFileForm(initial={"first_month": request.GET.get("month", "")})
    status = 200
    if request.method == "POST":
        form, status = PayFileForm(request.POST, request.FILES), 422
        if form.is_valid():
            data = form.cleaned_data
            first, file = data["first_month"], data["file"]
            last = (data["last_month"] or first) if data["kind"] == Kind.ATTENDANCE else first
            upload = keep_file(
                kind=data["kind"],
                file=file,
                name=file.name,
                first_month=first,
                last_month=last,
                by=request.user,
                at=timezone.now(),
            )
            checked = _checked(actor, upload)
            if not checked.problem:
                return redirect("kpi:pay_file", upload.pk)
            form.add_error("file", f"{checked.problem} {checked.cure}")
    mine = PayFile.objects.filter(uploaded_by=request.user, run=None)
    context = {"form": form, "files": Paginator(mine, DESK_PAGE).get_page(request.GET.get("page"))}
    return render(request, "kpi/pay_files.html", context, status=status)


def _checked(actor: Actor, upload: PayFile) -> CheckedFile:
    """The file is read again each time: what counts may have changed since it was uploaded."""
    try:
        with upload.file.open("rb") as opened:
            file: Any = opened
            if upload.kind == Kind.ANSWERS and upload.run is not None:
                return pay_imports.check_answers(file=file, run=upload.run, own=own_id(actor))
            people = {
                number: (key, name)
                for key, number, name in payable_people(actor)
                .order_by()
                .values_list("pk", "employee_no", "name")
                .iterator(chunk_size=5000)
            }
            if upload.kind == Kind.BASES and upload.first_month:
                return pay_imports.check_bases(file=file, people=people, month=upload.first_month)
            if upload.first_month and upload.last_month:
                return pay_imports.check_attendance(
                    file=file, people=people, first=upload.first_month, last=upload.last_month
                )
    except FileNotFoundError:
        pass
    return CheckedFile(problem=_("The uploaded file is gone."), cure=_("Upload it again."))


def _upload_or_404(request, upload_id: int) -> PayFile:
    """A file of the person who uploaded it; what is in it is about others' pay, so nobody else opens it."""
    actor = actor_of(request)
    require(actor, "PM-Y04")
    upload = PayFile.objects.filter(pk=upload_id, uploaded_by=request.user).select_related("run__scope").first()
    if upload is None or (upload.run is not None and not holds(actor, "PM-Y09", upload.run)):
        raise Http404
    return upload


@binds("PM-Y04", "PM-Y09")
@never_cache
@require_safe
def pay_file(request, upload_id: int) -> HttpResponse:
    """What a file would do, with the faults of its rows, and the button that takes it in."""
    return _file_page(request, _upload_or_404(request, upload_id))


def _file_page(request, upload: PayFile, refusal: str = "", status: int = 200) -> HttpResponse:
    checked = CheckedFile() if upload.applied_at else _checked(actor_of(request), upload)
    rows = [row for row in checked.rows if row.outcome in (pay_imports.NEW, pay_imports.CHANGED)]
    if upload.kind == Kind.ANSWERS and upload.run is not None and rows:
        people = PayLine.objects.filter(pk__in=[row.values["line_id"] for row in rows[:SHOWN]])
        _looked(request, people.values_list("employee", flat=True), upload.run.code)
    context = {
        "upload": upload,
        "checked": checked,
        "counts": checked.counts,
        "rows": rows[:SHOWN],
        "more": max(0, len(rows) - SHOWN),
        "faults": checked.faults[:SHOWN],
        "more_faults": max(0, len(checked.faults) - SHOWN),
        "to_write": len(rows),
        "refusal": refusal,
        "steps": _steps(upload),
    }
    return render(request, "kpi/pay_file.html", context, status=status)


def _looked(request, employees, code: str) -> None:
    looks.record_looks(
        employees=employees,
        viewer=request.user,
        own=own_id(actor_of(request)),
        what=looks.ANSWERS,
        of=code,
        at=timezone.now(),
    )


def _steps(upload: PayFile) -> list[dict]:
    done = upload.applied_at is not None
    labels = [pgettext("to upload", "File"), pgettext("to upload", "Check"), _("Taken in")]
    states = ["done", "done" if done else "current", "done" if done else "open"]
    return [{"label": label, "url": "", "state": state} for label, state in zip(labels, states, strict=True)]


@binds("PM-Y04", "PM-Y09")
@require_POST
def apply_pay_file(request, upload_id: int) -> HttpResponse:
    """Take the good rows of a checked file in."""
    upload = _upload_or_404(request, upload_id)
    try:
        count = apply_file(
            upload=upload,
            rows=[] if upload.applied_at else _checked(actor_of(request), upload).to_write,
            by=request.user,
            at=timezone.now(),
        )
    except REFUSALS as refusal:
        return _file_page(request, upload, refusal_words(refusal), status_of(refusal))
    words = ngettext("%(count)s row taken in.", "%(count)s rows taken in.", count)
    messages.success(request, words % {"count": f"{count:,}"})
    return redirect("kpi:pay_answers", upload.run_id) if upload.run_id else redirect("kpi:pay_file", upload.pk)


@binds("PM-Y04")
@require_safe
def pay_template(request, kind: str) -> HttpResponseBase:
    """An empty table with the right headings."""
    require(actor_of(request), "PM-Y04")
    if kind not in (Kind.BASES, Kind.ATTENDANCE):
        raise Http404
    columns = COLUMNS[kind]
    return download(
        kind="xlsx",
        name=NAMES[PayFile.Kind(kind)],
        title=str(PayFile.Kind(kind).label),
        header=[column.heading for column in columns],
        rows=[],
        widths=[max(18, column.width) for column in columns],
        notes=[
            _("One row for each person. Employee numbers are text: leading zeros count."),
            _("Amounts are yuan with at most two places, days have at most two places."),
            _("A later file counts from its month on; nothing is deleted."),
        ],
    )


# --- payroll's answers --------------------------------------------------------------------------------------------------
@binds("PM-Y09")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def pay_answers(request, run_id: int) -> HttpResponse:
    """What payroll answered beside what was exported; the upload of an answer."""
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y09", run_id)
    if not pay_runs.allowed(run, "answer"):
        raise Http404
    form, status = FileForm(), 200
    if request.method == "POST":
        form, status = FileForm(request.POST, request.FILES), 422
        if form.is_valid():
            file = form.cleaned_data["file"]
            upload = keep_file(
                kind=Kind.ANSWERS, file=file, name=file.name, run=run, by=request.user, at=timezone.now()
            )
            checked = _checked(actor, upload)
            if not checked.problem:
                return redirect("kpi:pay_file", upload.pk)
            form.add_error("file", f"{checked.problem} {checked.cure}")
    show = request.GET.get("show", "open")
    page = _answer_rows(request, run, show)
    context = {
        "run": run,
        "form": form,
        "found": reconcile(run),
        "page": page,
        "show": show,
        "tabs": [
            {"label": label, "url": f"?show={key}", "active": show == key, "count": None}
            for key, label in (
                ("open", _("Not settled")),
                ("waiting", _("No answer yet")),
                ("paid", pgettext("payroll", "paid").capitalize()),
            )
        ],
        "files": run.files.filter(applied_at__isnull=False).select_related("uploaded_by__employee"),
    }
    return render(request, "kpi/pay_answers.html", context, status=status)


def _answer_rows(request, run, show: str):
    """Lines with payroll's newest answer: those that differ, those without one, or those paid as approved."""
    actor = actor_of(request)
    answers = newest_answers(run)
    differ = {key for key, answer in answers.items() if answer.state != PayReturn.State.PAID}
    lines = looks.visible_lines(actor).filter(run=run)
    if show == "paid":
        lines = lines.filter(pk__in=answers.keys() - differ)
    elif show == "waiting":
        lines = lines.exclude(pk__in=answers.keys())
    else:
        lines = lines.filter(Q(pk__in=differ))
    page = Paginator(lines.select_related("employee__unit").order_by("number"), PAGE).get_page(request.GET.get("page"))
    for line in page.object_list:
        said: Any = line
        said.answer = answer = answers.get(line.pk)
        if answer:
            said.difference = answer.amount_fen - line.paid_fen
    _looked(request, [line.employee_id for line in page.object_list], run.code)
    return page
