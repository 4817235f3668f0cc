"""What stands beside a pay run: its lines, the receipt, corrections, what-if questions."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.money import read_exact
from kpi import exports
from kpi.domain import pay_looks as looks
from kpi.domain import pay_runs, unit_results
from kpi.domain.parameters import pay_rule
from kpi.domain.pay_corrections import adjust_for_appeal, correct_line, reserve_left, results_changed_since
from kpi.domain.pay_seals import check_run, events_of
from kpi.domain.pay_what_if import Question, ask
from kpi.models import PayLine, PayPool, PayRun
from kpi.pay_forms import CorrectLineForm, FileForm, WhatIfForm
from kpi.pay_words import REFUSALS, coefficient_words, refusal_words, steps_of
from kpi.views.pay import PAGE, holds, own_id, person_name, run_or_404, status_of
from people.domain.access import actor_of, binds, require

Kind = PayRun.Kind


@binds("PM-Y02")
@never_cache
@require_safe
def pay_lines(request, run_id: int) -> HttpResponse:
    """The lines of a run, a page at a time; everybody on the page sees that they were looked at."""
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y02", run_id)
    lines = looks.visible_lines(actor).filter(run=run)
    search = request.GET.get("q", "").strip()[:60]
    if search:
        lines = lines.filter(Q(employee__employee_no__startswith=search) | Q(employee__name__icontains=search))
    unit = request.GET.get("unit", "")
    if unit.isdecimal() and len(unit) < 19:
        lines = lines.filter(pool__unit=int(unit))
    lines = lines.select_related("employee__unit", "employee__position", "pool__unit", "review").order_by("number")
    page = Paginator(lines, PAGE).get_page(request.GET.get("page"))
    looks.record_looks(
        employees=[line.employee_id for line in page.object_list],
        viewer=request.user,
        own=own_id(actor),
        what=looks.LIST,
        of=run.code,
        at=timezone.now(),
    )
    units = (
        PayPool.objects.filter(run=run, lines__isnull=False).select_related("unit").distinct().order_by("unit__path")
    )
    context = {
        "run": run,
        "page": page,
        "search": search,
        "unit": unit,
        "units": units[:300],
        "found": page.paginator.count,
    }
    return render(request, "kpi/pay_lines.html", context)


@binds("PM-Y02")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def pay_receipt(request, run_id: int) -> HttpResponse:
    """One page with the control totals and hashes of a run, and the check of a file against it."""
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y02", run_id)
    if run.state not in pay_runs.SETTLED:
        raise Http404
    form, compared = FileForm(), None
    if request.method == "POST":
        form = FileForm(request.POST, request.FILES)
        if form.is_valid():
            compared = exports.check_file(run=run, file=form.cleaned_data["file"])
    events = events_of(run).select_related("actor__employee")
    context = {
        "run": run,
        "top": PayPool.objects.filter(run=run, parent=None).first(),
        "people": PayLine.objects.filter(run=run).values("employee").distinct().count(),
        "files": [
            {"said": event.after, "at": event.at, "who": person_name(event.actor)}
            for event in events
            if event.action == exports.EXPORTED
        ],
        "last": events.last(),
        "check": check_run(run),
        "prepared_by": person_name(run.prepared_by),
        "checked_by": person_name(run.checked_by),
        "form": form,
        "compared": compared,
    }
    return render(request, "kpi/pay_receipt.html", context, status=422 if form.errors else 200)


@binds("PM-Y10")
@never_cache
@require_safe
def pay_corrections(request, run_id: int) -> HttpResponse:
    """Results that became better after a run was approved, to be adjusted from the reserve."""
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y10", run_id)
    return _corrections_page(request, run)


def _corrections_page(request, run: PayRun, refusal: str = "", status: int = 200) -> HttpResponse:
    actor = actor_of(request)
    reviews = results_changed_since(run).select_related("employee__unit", "employee__position", "supersedes")
    page = Paginator(reviews, PAGE).get_page(request.GET.get("page"))
    lines = PayLine.objects.filter(run=run, adjusts=None, employee__in=[one.employee_id for one in page.object_list])
    paid: dict[int, dict] = {}
    for line in lines:
        cell = paid.setdefault(line.employee_id, {"fen": 0, "coefficient": line.coefficient})
        cell["fen"] += line.paid_fen
    looks.record_looks(
        employees=paid, viewer=request.user, own=own_id(actor), what=looks.CORRECTION, of=run.code, at=timezone.now()
    )
    context = {
        "run": run,
        "page": page,
        "rows": [
            {"review": one, **paid.get(one.employee_id, {}), "own": one.employee_id == own_id(actor)}
            for one in page.object_list
        ],
        "left": reserve_left(run),
        "corrections": PayRun.objects.filter(corrects=run).order_by("pk"),
        "possible": pay_runs.allowed(run, "correct") and run.kind == Kind.REGULAR,
        "refusal": refusal,
    }
    return render(request, "kpi/pay_corrections.html", context, status=status)


@binds("PM-Y10")
@require_POST
def adjust_pay(request, run_id: int, review_id: int) -> HttpResponse:
    """Pay what one better result is worth, at the frozen ratio, from the reserve."""
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y10", run_id)
    review = results_changed_since(run).filter(pk=review_id).first()
    if review is None:
        raise Http404
    if review.employee_id == own_id(actor):
        raise PermissionDenied("PM-Y10")
    try:
        correction = adjust_for_appeal(run=run, review=review, by=request.user, at=timezone.now())
    except REFUSALS as refusal:
        status = status_of(refusal)
        return _corrections_page(request, run, refusal_words(refusal), status)
    words = _("%(name)s: adjusted in the correction run %(code)s. Submit it when you have collected all.")
    messages.success(request, words % {"name": review.employee.label, "code": correction.code})
    return redirect(reverse("kpi:pay_corrections", args=[run.pk]))


# --- one line -----------------------------------------------------------------------------------------------------------
def _line_or_404(request, row: str, line_id: int) -> PayLine:
    """One line of another person, through the door of lines; the person sees that it was looked at."""
    actor = actor_of(request)
    require(actor, row)
    line = (
        looks.visible_lines(actor)
        .select_related(
            "run__cycle", "run__version__rule", "run__scope", "run__prepared_by__employee", "run__checked_by__employee",
            "employee__unit", "employee__position", "pool__unit", "review__scorecard", "adjusts__run",
        )
        .filter(pk=line_id)
        .first()
    )  # fmt: skip
    if line is None:
        raise Http404
    return line


@binds("PM-Y02")
@never_cache
@require_safe
def pay_line(request, line_id: int) -> HttpResponse:
    """How one person's line came about, for who may read it; the look is kept."""
    actor = actor_of(request)
    line = _line_or_404(request, "PM-Y02", line_id)
    looks.record_looks(
        employees=[line.employee_id],
        viewer=request.user,
        own=own_id(actor),
        what=looks.LINE,
        of=line.run.code,
        at=timezone.now(),
    )
    context = {
        "line": line,
        "steps": steps_of(line),
        "unit_card": unit_results.card_behind(line),
        "answers": line.answers.order_by("-at", "-pk"),
        "adjustments": line.adjustments.filter(run__state__in=pay_runs.SETTLED).select_related("run"),
        "may_correct": _may_correct(request, line),
        "is_mine": False,
        "prepared_by": person_name(line.run.prepared_by),
        "checked_by": person_name(line.run.checked_by) if line.run.checked_by else "",
    }
    return render(request, "kpi/pay_line.html", context)


def _may_correct(request, line: PayLine) -> bool:
    run = line.run
    return run.kind == Kind.REGULAR and pay_runs.allowed(run, "correct") and holds(actor_of(request), "PM-Y10", run)


@binds("PM-Y04", "PM-Y10")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def correct_pay(request, line_id: int) -> HttpResponse:
    """Correct the base or the attendance behind one line, with a reason, in a correction run."""
    require(actor_of(request), "PM-Y04")
    line = _line_or_404(request, "PM-Y10", line_id)
    if not _may_correct(request, line):
        raise Http404
    form = CorrectLineForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            data = form.cleaned_data
            try:
                made = correct_line(
                    line=line,
                    reason=data["reason"],
                    base_fen=data["base"],
                    attended=data["attended"],
                    by=request.user,
                    at=timezone.now(),
                )
            except REFUSALS as refusal:
                status = status_of(refusal)
                form.add_error(None, refusal_words(refusal))
            else:
                words = _("Corrected in the run %(code)s. Submit it when you have collected all.")
                messages.success(request, words % {"code": made.code})
                return redirect("kpi:pay_run", made.pk)
    looks.record_looks(
        employees=[line.employee_id],
        viewer=request.user,
        own=own_id(actor_of(request)),
        what=looks.LINE,
        of=line.run.code,
        at=timezone.now(),
    )
    context = {"line": line, "form": form, "left": reserve_left(line.run)}
    return render(request, "kpi/pay_correct.html", context, status=status)


# --- what if --------------------------------------------------------------------------------------------------------------
@binds("PM-Y03")
@never_cache
@require_safe
def pay_what_if(request, run_id: int) -> HttpResponse:
    """What another pool, cap or coefficient would have paid. Names nobody, writes nothing."""
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y03", run_id)
    if not run.lines_count or run.kind != Kind.REGULAR:
        raise Http404
    rule = pay_rule(run.version.parameters)
    amount = PayPool.objects.filter(run=run, parent=None).values_list("amount_fen", flat=True).first()
    bands = PayLine.objects.filter(run=run, review__isnull=False).order_by("-coefficient", "review__grade")
    grades = dict(bands.values_list("review__grade", "coefficient").distinct())
    form = WhatIfForm(request.GET or None, grades=grades, unit_grades=[band.grade for band in rule.unit_bands])
    if amount is None:
        del form.fields["amount"]
    for grade, value in grades.items():
        form.fields[f"grade_{grade}"].help_text = _("now %(value)s") % {"value": coefficient_words(value)}
    for band in rule.unit_bands:
        form.fields[f"unit_{band.grade}"].help_text = _("now %(value)s") % {
            "value": coefficient_words(band.coefficient)
        }
    answer, refusal, status = None, "", 200
    if request.GET and form.is_valid():
        data = form.cleaned_data
        question = Question(
            amount_fen=data.get("amount"),
            cap_fen=data.get("cap"),
            cap_share=data.get("cap_share"),
            floor_share=data.get("floor_share"),
            reserve_share=data.get("reserve_share"),
            coefficients=form.coefficients("grade", form.grades),
            unit_coefficients=form.coefficients("unit", form.unit_grades),
        )
        try:
            answer = ask(run=run, question=question)
        except REFUSALS as error:
            refusal, status = refusal_words(error), 422
    context = {
        "run": run,
        "rule": rule,
        "amount": amount,
        "form": form,
        "answer": answer,
        "refusal": refusal,
        "ratio": read_exact(PayPool.objects.get(run=run, parent=None).ratio),
    }
    return render(request, "kpi/pay_what_if.html", context, status=status)
