"""The desk of pay: runs to make, compute, submit, check, export and close (PM-Y02 to PM-Y10)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.http import FileResponse, Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from core.jobs import start_job
from core.money import read_exact
from kpi import exports, pay_jobs
from kpi.domain import pay_looks as looks
from kpi.domain import pay_runs, unit_results
from kpi.domain.parameters import pay_rule
from kpi.domain.pay_bases import reconcile
from kpi.domain.pay_corrections import reserve_left, results_changed_since
from kpi.domain.pay_inputs import people_under
from kpi.domain.pay_seals import events_of
from kpi.models import PayLine, PayPool, PayRun, ReviewCycle, Rule, RuleVersion
from kpi.pay_forms import FollowForm, MoneyForm, NewRunForm, WordsForm
from kpi.pay_words import EVENT_WORDS, REFUSALS, exact_words, next_act, refusal_words, two_sentences, why_left_out
from people.domain.access import Actor, actor_of, binds, require, visible_employees, visible_units
from people.models import OrgUnit, User

State, Kind = PayRun.State, PayRun.Kind
PAGE, DESK_PAGE, POOLS, OWN_MOVES = 50, 30, 20, 3
COMPUTED_AT_ONCE = 5000  # people; some seconds of work


# --- doors --------------------------------------------------------------------------------------------------------------
def run_or_404(actor: Actor, row: str, run_id: int) -> PayRun:
    """One run whose unit lies in the actor's scope for a row, or Http404 as for a missing id (403: no role may)."""
    require(actor, row)
    found = looks.visible_runs(actor) if row == looks.READ else PayRun.objects.filter(scope__in=_scopes(actor, row))
    run = (
        found.select_related(
            "cycle",
            "version__rule",
            "scope",
            "corrects",
            "follows",
            "prepared_by__employee",
            "checked_by__employee",
            "checker__employee",
            "variance_signed_by__employee",
        )
        .filter(pk=run_id)
        .first()
    )
    if run is None:
        raise Http404
    return run


def _scopes(actor: Actor, row: str) -> QuerySet:
    return visible_units(actor, row).order_by().values("pk")


def holds(actor: Actor, row: str, run: PayRun) -> bool:
    """May the actor do what a row names to this run?"""
    return actor.may(row) and visible_units(actor, row).filter(pk=run.scope_id).exists()


def own_id(actor: Actor) -> int | None:
    return actor.employee.pk if actor.employee else None


def status_of(refusal: Exception) -> int:
    """409 where the step of the run does not allow it, 422 for the rest."""
    return 409 if isinstance(refusal, pay_runs.NotInThisState) else 422


def person_name(user: User | None) -> str:
    """Who did something, by name."""
    if user is None:
        return _("the platform")
    employee = getattr(user, "employee", None)
    return employee.label if employee else str(user)


# --- the desk -----------------------------------------------------------------------------------------------------------
@binds("PM-Y02", "PM-Y03")
@never_cache
@require_safe
def pay(request) -> HttpResponse:
    """The runs that the actor may see, the newest first, and what waits."""
    actor = actor_of(request)
    require(actor, "PM-Y02")
    runs = looks.visible_runs(actor).select_related("cycle", "scope", "prepared_by__employee", "corrects")
    makes = actor.may("PM-Y03") and bool(actor.units("PMK"))
    context = {
        "page": Paginator(runs.order_by("-prepared_at", "-pk"), DESK_PAGE).get_page(request.GET.get("page")),
        "makes": makes,
        "checks": actor.may("PM-Y06"),
        "waiting": _waiting(actor).count() if actor.may("PM-Y06") else 0,
        "mine": _own_moves(actor) if makes else [],
        "cycles": _open_cycles(actor) if makes else [],
    }
    return render(request, "kpi/pay.html", context)


def _own_moves(actor: Actor) -> list[dict]:
    """Runs of the actor that wait for the actor's own next act, the newest first."""
    runs = PayRun.objects.filter(prepared_by=actor.user, state__in=(State.DRAFT, State.COMPUTED, State.APPROVED))
    shown = list(runs.select_related("cycle", "version").order_by("-prepared_at", "-pk")[:OWN_MOVES])
    amounts = dict(PayPool.objects.filter(run__in=shown, parent=None).values_list("run", "amount_fen"))
    found = []
    for run in shown:
        mode = pay_rule(run.version.parameters).mode
        act = next_act(run, mine=True, checks=False, paid_by_it=False, amount=amounts.get(run.pk), rule_mode=mode)
        found.append({"run": run, "next": act})
    return found


def _cycles(actor: Actor) -> QuerySet[ReviewCycle]:
    """Published cycles that reach into the actor's units."""
    found = Q(pk__in=[])
    for unit in actor.units("PMK"):
        above = OrgUnit.objects.above(unit).order_by().values("pk")
        found |= Q(scope__in=above) | Q(scope__path__startswith=unit.path)
    states = (ReviewCycle.State.PUBLISHED, ReviewCycle.State.CLOSED)
    return ReviewCycle.objects.filter(found, state__in=states).order_by("-last_month", "-pk")


def _open_cycles(actor: Actor) -> list[ReviewCycle]:
    """Published cycles for which no run of the actor's units exists yet."""
    made = PayRun.objects.filter(kind=Kind.REGULAR, scope__in=_scopes(actor, "PM-Y03")).order_by().values("cycle")
    return list(_cycles(actor).exclude(pk__in=made)[:6])


def _waiting(actor: Actor) -> QuerySet[PayRun]:
    """Submitted runs that the actor may check: not the own ones, none that pays the actor."""
    found = PayRun.objects.filter(scope__in=_scopes(actor, "PM-Y06"), state=State.SUBMITTED)
    return found.exclude(prepared_by=actor.user).exclude(lines__employee__user=actor.user)


@binds("PM-Y06")
@never_cache
@require_safe
def pay_checks(request) -> HttpResponse:
    """What waits for the checker, and what was checked."""
    actor = actor_of(request)
    require(actor, "PM-Y06")
    more = ("cycle", "scope", "prepared_by__employee", "corrects")
    all_submitted = PayRun.objects.filter(scope__in=_scopes(actor, "PM-Y06"), state=State.SUBMITTED)
    waiting = list(_waiting(actor).select_related(*more).order_by("submitted_at"))
    to_close = PayRun.objects.filter(scope__in=_scopes(actor, "PM-Y08"), state=State.EXPORTED)
    context = {
        "waiting": waiting,
        "others": all_submitted.exclude(pk__in=[run.pk for run in waiting]).count(),
        "to_close": to_close.exclude(prepared_by=actor.user).select_related(*more).order_by("exported_at")[:DESK_PAGE],
        "checked": PayRun.objects.filter(checked_by=actor.user)
        .select_related(*more)
        .order_by("-checked_at")[:DESK_PAGE],
    }
    return render(request, "kpi/pay_checks.html", context)


@binds("PM-Y03")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def new_pay_run(request) -> HttpResponse:
    """The form of a new run."""
    actor = actor_of(request)
    require(actor, "PM-Y03")
    choices = _new_run_choices(actor)
    form = NewRunForm(request.POST or None, initial=_new_run_initial(request, choices), **choices)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            data = form.cleaned_data
            try:
                run = pay_runs.make_run(
                    code=data["code"],
                    cycle=data["cycle"],
                    version=data["version"],
                    scope=data["scope"],
                    amount_fen=data["amount"],
                    checker=data["checker"],
                    by=request.user,
                    at=timezone.now(),
                )
            except REFUSALS as refusal:
                form.add_error(None, refusal_words(refusal))
            else:
                messages.success(request, _("The run is begun. Compute it when bases and attendance are in."))
                return redirect("kpi:pay_run", run.pk)
    ready = all(choices[name].exists() for name in ("cycles", "scopes", "versions"))
    return render(request, "kpi/pay_new.html", {"form": form, "ready": ready, "choices": choices}, status=status)


def _new_run_choices(actor: Actor) -> dict[str, Any]:
    scopes = visible_units(actor, "PM-Y03")
    above = Q(pk__in=[])
    for unit in actor.units("PMK"):
        above |= Q(pk__in=OrgUnit.objects.above(unit).order_by().values("pk")) | Q(path__startswith=unit.path)
    versions = RuleVersion.objects.filter(
        rule__family=Rule.Family.PAY,
        state=RuleVersion.State.PUBLISHED,
        rule__scope__in=OrgUnit.objects.filter(above).order_by().values("pk"),
    )
    checkers = User.objects.none()
    for unit in actor.units("PMK"):
        checkers = checkers | pay_runs.checkers_for(unit, actor.on, but=actor.user)
    return {
        "cycles": _cycles(actor),
        "scopes": scopes.order_by("path"),
        "versions": versions.select_related("rule").order_by("-effective_from", "-pk"),
        "checkers": checkers.distinct().order_by("username"),
    }


def _new_run_initial(request, choices: dict[str, Any]) -> dict[str, Any]:
    asked = request.GET.get("cycle", "")
    cycles = choices["cycles"]
    cycle = cycles.filter(pk=int(asked)).first() if asked.isdecimal() and len(asked) < 19 else None
    cycle = cycle or cycles.first()
    scope = choices["scopes"].first()
    if cycle is None or scope is None:
        return {}
    return {"cycle": cycle, "scope": scope, "code": f"PAY-{cycle.last_month}-{scope.code}".upper()[:40]}


# --- one run ------------------------------------------------------------------------------------------------------------
@binds("PM-Y02")
@never_cache
@require_safe
def pay_run(request, run_id: int) -> HttpResponse:
    """One run: where it stands and the next act, its money, pools, who is left out, and what happened to it."""
    actor = actor_of(request)
    return run_page(request, run_or_404(actor, "PM-Y02", run_id))


def run_page(request, run: PayRun, *, refusal: str = "", form: Any = None, status: int = 200) -> HttpResponse:
    actor = actor_of(request)
    rule = pay_rule(run.version.parameters)
    top = PayPool.objects.filter(run=run, parent=None).first()
    mine = run.prepared_by_id == request.user.pk and holds(actor, "PM-Y03", run)
    checks = holds(actor, "PM-Y06", run) and not mine
    paid_by_it = PayLine.objects.filter(run=run, employee__user=request.user).exists()
    amount = top.amount_fen if top else None
    settled = run.state in pay_runs.SETTLED
    context = {
        "run": run,
        "rule": rule,
        "amount": amount,
        "steps": _steps(run),
        "next": next_act(run, mine=mine, checks=checks, paid_by_it=paid_by_it, amount=amount, rule_mode=rule.mode),
        "pools": _pools(request, run),
        "people": PayLine.objects.filter(run=run).values("employee").distinct().count() if run.lines_count else 0,
        "left_out": _left_out(actor, run),
        "left": reserve_left(run) if settled and run.kind == Kind.REGULAR else run.reserve_fen,
        "changed_results": results_changed_since(run).count() if settled and run.kind == Kind.REGULAR else 0,
        "corrections": PayRun.objects.filter(corrects=run).order_by("pk"),
        "followed": PayRun.objects.filter(follows=run).first(),
        "answers": reconcile(run) if run.state in pay_runs.ALLOWED["answer"] else None,
        "events": _events(run),
        "mine": mine,
        "job": pay_jobs.newest(run, request.user) if mine and pay_runs.allowed(run, "compute") else None,
        "makes": holds(actor, "PM-Y03", run),
        "checks": checks,
        "paid_by_it": paid_by_it,
        "exports": holds(actor, "PM-Y09", run) and pay_runs.allowed(run, "export"),
        "may_change": mine and pay_runs.allowed(run, "set_amount"),
        "may_take_over": not mine
        and holds(actor, "PM-Y03", run)
        and pay_runs.allowed(run, "take_over")
        and run.kind == Kind.REGULAR,
        "may_follow": settled and holds(actor, "PM-Y03", run) and bool(run.left_out) and run.kind == Kind.REGULAR,
        "may_correct": settled and holds(actor, "PM-Y10", run) and run.kind == Kind.REGULAR,
        "money_form": _money_form(run, rule, amount, request.user)
        if mine and run.kind == Kind.REGULAR and pay_runs.allowed(run, "set_amount")
        else None,
        "words_form": form or WordsForm(),
        "follow_form": FollowForm(
            checkers=pay_runs.checkers_for(run.scope, actor.on, but=request.user),
            initial={"code": f"{run.code}-2"[:40]},
        ),
        "refusal": refusal,
        "unit_results": unit_results.concern_of(run),
        "prepared_by": person_name(run.prepared_by),
        "checked_by": person_name(run.checked_by) if run.checked_by else "",
        "checker": person_name(run.checker) if run.checker else "",
    }
    return render(request, "kpi/pay_run.html", context, status=status)


def _money_form(run: PayRun, rule, amount: int | None, user: User, data=None) -> MoneyForm:
    return MoneyForm(
        data,
        checkers=pay_runs.checkers_for(run.scope, timezone.localdate(), but=user),
        has_amount=rule.mode != "open" and not run.follows_id,
        initial={"amount": amount, "checker": run.checker_id},
    )


def _steps(run: PayRun) -> list[dict]:
    order = [State.DRAFT, State.COMPUTED, State.SUBMITTED, State.APPROVED, State.EXPORTED, State.CLOSED]
    if run.kind == Kind.CORRECTION:
        order = order[1:]
    now = order.index(State(run.state))
    return [
        {
            "label": State(state).label,
            "url": "",
            "state": "done"
            if place < now or state == State.CLOSED == run.state
            else "current"
            if place == now
            else "open",
        }
        for place, state in enumerate(order)
    ]


def _pools(request, run: PayRun):
    """The pools of units, one page of them, with their people."""
    pools = (
        PayPool.objects.filter(run=run).select_related("unit").annotate(people=Count("lines__employee", distinct=True))
    )
    page = Paginator(pools.filter(Q(people__gt=0)).order_by("unit__path"), POOLS).get_page(request.GET.get("pools"))
    for pool in page.object_list:
        said: Any = pool
        said.ratio_words = exact_words(read_exact(pool.ratio), 6) if pool.ratio else ""
        said.raw_words = exact_words(read_exact(pool.raw) / 100, 2) if pool.raw else ""
        if pool.parent_id is None and run.lines_count:
            own = list(PayLine.objects.filter(pool=pool).values_list("raw", "paid_fen"))
            said.raw_words = exact_words(sum((read_exact(raw) for raw, _fen in own), Fraction(0)) / 100, 2)
            said.paid_fen = sum(fen for _raw, fen in own)
    return page


def _left_out(actor: Actor, run: PayRun) -> list[dict]:
    left = run.left_out or []
    shown = left[:PAGE]
    names = {
        one.pk: one for one in visible_employees(actor, "PM-P01").filter(pk__in=[one["employee"] for one in shown])
    }
    return [
        {
            "employee": names.get(one["employee"]),
            "no": one["no"],
            "why": why_left_out(one["why"], settled=run.state in pay_runs.SETTLED),
        }
        for one in shown
    ] + ([{"more": len(left) - PAGE}] if len(left) > PAGE else [])


def _events(run: PayRun) -> list[dict]:
    events = events_of(run).select_related("actor__employee").reverse()[:30]
    found = []
    for event in events:
        said = EVENT_WORDS.get(event.action)
        text = event.reason
        if event.action == "pay run exported" and event.after:
            text = _("No. %(number)s, %(kind)s, %(hash)s…") % {
                "number": event.after["number"],
                "kind": event.after["kind"].upper(),
                "hash": event.after["sha256"][:12],
            }
        found.append(
            {
                "at": event.at,
                "title": said or event.action,
                "text": text,
                "who": person_name(event.actor),
                "kind": "done" if event.action in ("pay run approved", "pay run closed") else "neutral",
                "url": "",
            }
        )
    return found


# --- acts ---------------------------------------------------------------------------------------------------------------
def _act(request, run_id: int, row: str, do: Callable[[PayRun, dt.datetime], str]) -> HttpResponse:
    """Do one thing to a run; a refusal shows the run as it is now with the words above it."""
    actor = actor_of(request)
    run = run_or_404(actor, row, run_id)
    try:
        with transaction.atomic():
            said = do(run, timezone.now())
    except REFUSALS as refusal:
        status = status_of(refusal)
        fresh = PayRun.objects.filter(pk=run_id).exists() and run_or_404(actor, row, run_id)
        if not fresh:
            raise Http404 from refusal
        return run_page(request, fresh, refusal=refusal_words(refusal), status=status)
    messages.success(request, said)
    return redirect("kpi:pay_run", run_id)


@binds("PM-Y03")
@require_POST
def compute_pay(request, run_id: int) -> HttpResponse:
    """Compute a run: at once, or in the background when many people are in it."""

    def do(run: PayRun, at: dt.datetime) -> str:
        pay_runs.require_own(run, "compute", request.user)
        if people_under(run.scope) > COMPUTED_AT_ONCE:
            if pay_jobs.newest(run, request.user) is None:
                start_job(kind=pay_jobs.COMPUTE, arguments={"run": run.pk}, by=request.user, at=at)
            return _("Many people are in this run: it is computed in the background.")
        found = pay_runs.compute_run(run=run, by=request.user, at=at)
        said = _("Computed: %(lines)s lines.") % {"lines": f"{len(found.inputs):,}"}
        if found.by_days:
            said = two_sentences(
                said,
                _("%(number)s people have no attendance and count by their days in post.")
                % {"number": f"{found.by_days:,}"},
            )
        return said

    return _act(request, run_id, "PM-Y03", do)


@binds("PM-Y03")
@require_POST
def change_pay(request, run_id: int) -> HttpResponse:
    """The money and the checker of a run that is not submitted."""
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y03", run_id)
    rule = pay_rule(run.version.parameters)
    amount = pay_runs.amount_of(run)
    form = _money_form(run, rule, amount, request.user, request.POST)
    if not form.is_valid():
        return run_page(
            request,
            run,
            refusal=" ".join(str(error) for errors in form.errors.values() for error in errors),
            status=422,
        )

    def do(run: PayRun, at: dt.datetime) -> str:
        pay_runs.set_amount(
            run=run,
            amount_fen=form.cleaned_data.get("amount"),
            checker=form.cleaned_data["checker"],
            by=request.user,
            at=at,
        )
        return _("Saved. Compute the run anew.")

    return _act(request, run_id, "PM-Y03", do)


@binds("PM-Y03")
@require_POST
def take_over_pay(request, run_id: int) -> HttpResponse:
    def do(run: PayRun, at: dt.datetime) -> str:
        pay_runs.take_over(run=run, by=request.user, at=at)
        return _("The run is yours now. Compute it anew.")

    return _act(request, run_id, "PM-Y03", do)


@binds("PM-Y03")
@require_POST
def discard_pay(request, run_id: int) -> HttpResponse:
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y03", run_id)
    try:
        pay_runs.discard(run=run, by=request.user, at=timezone.now())
    except REFUSALS as refusal:
        status = status_of(refusal)
        return run_page(request, run_or_404(actor, "PM-Y03", run_id), refusal=refusal_words(refusal), status=status)
    messages.success(request, _("The run %(code)s is discarded. Its events stay.") % {"code": run.code})
    return redirect("kpi:pay")


@binds("PM-Y03")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def pay_variance(request, run_id: int) -> HttpResponse:
    """The difference to the last run, with names, and the signature under it."""
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y02", run_id)
    status, refusal = 200, ""
    if request.method == "POST":
        require(actor, "PM-Y03")
        form = WordsForm(request.POST)
        try:
            form.is_valid()
            pay_runs.sign_variance(run=run, note=form.cleaned_data.get("words", ""), by=request.user, at=timezone.now())
        except REFUSALS as error:
            status, refusal = status_of(error), refusal_words(error)
        else:
            messages.success(request, _("Signed. The run can be submitted now."))
            return redirect("kpi:pay_run", run.pk)
    else:
        form = WordsForm(initial={"words": run.variance_note})
    named = run.variance.get("named") or []
    people = {
        one.pk: one
        for one in visible_employees(actor, "PM-P01")
        .filter(pk__in=[row["employee"] for row in named])
        .select_related("unit", "position")
    }
    rows = [{**row, "employee": people.get(row["employee"]), "change": row["now"] - row["before"]} for row in named]
    looks.record_looks(
        employees=people, viewer=request.user, own=own_id(actor), what=looks.VARIANCE, of=run.code, at=timezone.now()
    )
    context = {
        "run": run,
        "variance": run.variance,
        "change": run.variance.get("total_fen", 0) - run.variance.get("total_before_fen", 0),
        "rows": rows,
        "form": form,
        "may_sign": run.prepared_by_id == request.user.pk
        and pay_runs.allowed(run, "sign_variance")
        and holds(actor, "PM-Y03", run),
        "refusal": refusal,
        "signed_by": person_name(run.variance_signed_by) if run.variance_signed_by else "",
        "large_change": pay_runs.LARGE_CHANGE,
    }
    return render(request, "kpi/pay_variance.html", context, status=status)


@binds("PM-Y05")
@require_POST
def submit_pay(request, run_id: int) -> HttpResponse:
    def do(run: PayRun, at: dt.datetime) -> str:
        pay_runs.submit(run=run, by=request.user, at=at)
        return _("Submitted. Another person checks it now.")

    return _act(request, run_id, "PM-Y05", do)


@binds("PM-Y06")
@require_POST
def approve_pay(request, run_id: int) -> HttpResponse:
    def do(run: PayRun, at: dt.datetime) -> str:
        pay_runs.approve(run=run, by=request.user, at=at)
        return _("Approved. The people concerned can see their lines now.")

    return _act(request, run_id, "PM-Y06", do)


@binds("PM-Y07")
@require_POST
def send_back_pay(request, run_id: int) -> HttpResponse:
    form = WordsForm(request.POST)
    form.is_valid()

    def do(run: PayRun, at: dt.datetime) -> str:
        pay_runs.send_back(run=run, reason=form.cleaned_data.get("words", ""), by=request.user, at=at)
        return _("Sent back to the preparer with your reason.")

    return _act(request, run_id, "PM-Y07", do)


@binds("PM-Y08")
@require_POST
def close_pay(request, run_id: int) -> HttpResponse:
    def do(run: PayRun, at: dt.datetime) -> str:
        pay_runs.close(run=run, by=request.user, at=at)
        return _("Closed for good.")

    return _act(request, run_id, "PM-Y08", do)


@binds("PM-Y03")
@require_POST
def follow_pay(request, run_id: int) -> HttpResponse:
    """The run that pays whom this one left out."""
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y03", run_id)
    form = FollowForm(request.POST, checkers=pay_runs.checkers_for(run.scope, actor.on, but=request.user))
    if not form.is_valid():
        return run_page(
            request,
            run,
            refusal=" ".join(str(error) for errors in form.errors.values() for error in errors),
            status=422,
        )
    try:
        made = pay_runs.make_following(
            run=run,
            code=form.cleaned_data["code"],
            checker=form.cleaned_data["checker"],
            by=request.user,
            at=timezone.now(),
        )
    except REFUSALS as refusal:
        status = status_of(refusal)
        return run_page(request, run, refusal=refusal_words(refusal), status=status)
    messages.success(request, _("Begun: it pays whom the first run left out, at the same ratio."))
    return redirect("kpi:pay_run", made.pk)


@binds("PM-Y09")
@require_POST
def export_pay(request, run_id: int, kind: str) -> HttpResponseBase:
    """The file for payroll: numbered, hashed, logged; everybody in it sees that it was made."""
    actor = actor_of(request)
    run = run_or_404(actor, "PM-Y09", run_id)
    at = timezone.now()
    try:
        with transaction.atomic():
            pay_runs.require_allowed(run, "export")
            number = exports.next_number(run)
            made = exports.build(run=run, kind=kind, number=number)
            pay_runs.record_export(
                run=run, number=number, kind=kind, digest=made.digest, rows=made.rows, by=request.user, at=at
            )
            people = PayLine.objects.filter(run=run).order_by().values_list("employee", flat=True)
            looks.record_looks(
                employees=people, viewer=request.user, own=own_id(actor), what=looks.FILE, of=run.code, at=at
            )
    except REFUSALS as refusal:
        status = status_of(refusal)
        return run_page(request, run_or_404(actor, "PM-Y09", run_id), refusal=refusal_words(refusal), status=status)
    response = FileResponse(made.file, as_attachment=True, filename=made.name, content_type=made.content_type)
    response["Cache-Control"] = "no-store"
    return response
