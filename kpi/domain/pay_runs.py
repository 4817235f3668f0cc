"""The life of a pay run: draft -> computed -> submitted -> approved -> exported -> closed (DOMAIN section 2).

Preparer, checker and beneficiary are three people: the database refuses anything else, these functions say so in words
first. A run is computed as often as needed until it is submitted; sent back, it is computed again. From ``submitted`` on
its rows stand still. Every step is one event of the chain ``pay``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet

from core.money import exact_text, read_exact
from kpi.domain import pay_seals as seals
from kpi.domain.parameters import PayRule, pay_rule
from kpi.domain.pay_computing import Input, Result, compute
from kpi.domain.pay_corrections import adjust_for_appeal, correct_line
from kpi.domain.pay_inputs import Gathered, gather, months_of, period_of, unit_paths
from kpi.domain.pay_seals import DISCARDED, record
from kpi.domain.pay_steps import (
    ALLOWED,
    SETTLED,
    AmountMissing,
    CycleNotPublished,
    Kind,
    NobodyToPay,
    NotAChecker,
    NotInThisState,
    NotThePreparer,
    PaidByIt,
    ReasonMissing,
    RowsChanged,
    RunExists,
    SamePerson,
    State,
    VarianceNotSigned,
    WrongScope,
    allowed,
    move,
    own_move,
    require_allowed,
    require_own,
)
from kpi.domain.rules import require_in_force
from kpi.models import PayLine, PayPool, PayRun, ReviewCycle, Rule, RuleVersion
from people.models import Employee, OrgUnit, RoleGrant, User

_AT_ONCE = 2000


# What callers need of corrections and steps stands here too.
__all__ = [
    "ALLOWED",
    "AmountMissing",
    "CycleNotPublished",
    "Kind",
    "NobodyToPay",
    "NotAChecker",
    "NotInThisState",
    "NotThePreparer",
    "PaidByIt",
    "ReasonMissing",
    "RowsChanged",
    "RunExists",
    "SETTLED",
    "SamePerson",
    "State",
    "VarianceNotSigned",
    "WrongScope",
    "adjust_for_appeal",
    "allowed",
    "amount_of",
    "approve",
    "checkers_for",
    "close",
    "compute_run",
    "correct_line",
    "discard",
    "frozen_prices",
    "last_run",
    "make_following",
    "make_run",
    "record_export",
    "require_allowed",
    "require_may_check",
    "require_own",
    "send_back",
    "set_amount",
    "sign_variance",
    "submit",
    "take_over",
    "variance_of",
]


# --- making -----------------------------------------------------------------------------------------------------------
@transaction.atomic
def make_run(
    *,
    code: str,
    cycle: ReviewCycle,
    version: RuleVersion,
    scope: OrgUnit,
    amount_fen: int | None = None,
    checker: User | None = None,
    by: User,
    at: dt.datetime,
) -> PayRun:
    """This function will begin a pay run for a unit in a cycle whose results are published.

    ``amount_fen`` is the money given, the reserve included (open pools have none); it may be set later. ``checker`` is
    asked to check and therefore left out of the run. The rule must be the published one in force on the cycle's last
    day. Raises CycleNotPublished, WrongScope, rules.InForceMissing, RunExists, SamePerson and NotAChecker.
    """
    if cycle.state not in (ReviewCycle.State.PUBLISHED, ReviewCycle.State.CLOSED):
        raise CycleNotPublished
    if version.rule.family != Rule.Family.PAY or not version.rule.scope.contains(scope):
        raise WrongScope
    if not cycle.scope.contains(scope):
        raise WrongScope
    require_in_force(version=version, on=period_of(cycle)[1])
    _require_checker(checker, scope, by, at)
    rule = pay_rule(version.parameters)
    run = _new_run(
        code=code, cycle=cycle, version=version, scope=scope, checker=checker, prepared_by=by, prepared_at=at
    )
    _set_top(run, rule, amount_fen)
    record(run, "pay run begun", by=by, at=at, after={"amount_fen": amount_fen})
    return run


@transaction.atomic
def make_following(*, run: PayRun, code: str, checker: User | None = None, by: User, at: dt.datetime) -> PayRun:
    """This function will begin the run that pays whom a settled run left out, prepared and checked by others.

    It pays at the ratios frozen with the first run, so nobody gains or loses by preparing. Raises NotInThisState,
    NobodyToPay (nobody was left out), RunExists, PaidByIt, SamePerson and NotAChecker.
    """
    require_allowed(run, "follow")
    waiting = {one["employee"] for one in run.left_out or ()}
    if run.kind != Kind.REGULAR or not waiting:
        raise NobodyToPay
    if Employee.objects.filter(pk__in=waiting, user=by).exists():
        raise PaidByIt
    _require_checker(checker, run.scope, by, at)
    if checker is not None and Employee.objects.filter(pk__in=waiting, user=checker).exists():
        raise PaidByIt
    following = _new_run(
        code=code,
        follows=run,
        cycle=run.cycle,
        version=run.version,
        scope=run.scope,
        checker=checker,
        prepared_by=by,
        prepared_at=at,
    )
    _set_top(following, pay_rule(run.version.parameters), None)
    record(following, "pay run begun", by=by, at=at, after={"follows": run.code})
    return following


def _new_run(**values: Any) -> PayRun:
    try:
        with transaction.atomic():
            return PayRun.objects.create(**values)
    except IntegrityError as collision:
        same = Q(code=values["code"]) | Q(cycle=values["cycle"], scope=values["scope"], kind=Kind.REGULAR)
        raise RunExists(PayRun.objects.filter(same).first()) from collision


def checkers_for(scope: OrgUnit, on: dt.date, *, but: User | None = None) -> QuerySet[User]:
    """This function will return the users who may check pay runs of a unit on a day."""
    above = OrgUnit.objects.above(scope).order_by().values("pk")
    grants = RoleGrant.objects.filter(
        Q(until=None) | Q(until__gte=on), role=RoleGrant.Role.PAY_CHECKER, unit__in=above, starts_on__lte=on
    )
    found = User.objects.filter(pk__in=grants.values("user"), is_active=True).select_related("employee")
    return found.exclude(pk=but.pk) if but is not None else found


def _require_checker(checker: User | None, scope: OrgUnit, by: User, at: dt.datetime) -> None:
    if checker is None:
        return
    if checker == by:
        raise SamePerson
    if not checkers_for(scope, at.date()).filter(pk=checker.pk).exists():
        raise NotAChecker


def _set_top(run: PayRun, rule: PayRule, amount_fen: int | None) -> PayPool:
    """The top pool anew, with the money given."""
    PayLine.objects.filter(run=run)._raw_delete(using="default")
    PayPool.objects.filter(run=run, parent__isnull=False)._raw_delete(using="default")
    PayPool.objects.filter(run=run)._raw_delete(using="default")
    mode = PayPool.Mode.OPEN if run.follows_id or run.corrects_id or amount_fen is None else PayPool.Mode(rule.mode)
    top = PayPool(run=run, unit=run.scope, mode=mode)
    top.amount_fen = None if mode == PayPool.Mode.OPEN else amount_fen
    seals.seal_pools(run, [top])
    top.save()
    return top


@transaction.atomic
def set_amount(
    *, run: PayRun, amount_fen: int | None, checker: User | None = None, by: User, at: dt.datetime
) -> PayRun:
    """This function will set the money given and who is asked to check; what was computed goes back to a draft.

    Raises NotInThisState, NotThePreparer, AmountMissing, SamePerson and NotAChecker.
    """
    if run.kind != Kind.REGULAR:
        raise NotInThisState(run.state)
    rule = pay_rule(run.version.parameters)
    if amount_fen is None and rule.mode != "open" and not run.follows_id:
        raise AmountMissing
    _require_checker(checker, run.scope, by, at)
    before = {"amount_fen": amount_of(run), "checker": run.checker_id}
    own_move(run, "set_amount", by, state=State.DRAFT, checker=checker, **_NOTHING_COMPUTED)
    _set_top(run, rule, amount_fen)
    after = {"amount_fen": amount_fen, "checker": checker.pk if checker else None}
    record(run, "pay run changed", by=by, at=at, before=before, after=after)
    return run


_NOTHING_COMPUTED: dict[str, Any] = {
    "computed_at": None,
    "total_fen": 0,
    "reserve_fen": 0,
    "lines_count": 0,
    "inputs_hash": "",
    "lines_hash": "",
    "left_out": None,
    "variance": {},
    "variance_note": "",
    "variance_signed_by": None,
    "variance_signed_at": None,
}


def amount_of(run: PayRun) -> int | None:
    """This function will return the money given to a run, the reserve included; None for an open pool."""
    return PayPool.objects.filter(run=run, parent=None).values_list("amount_fen", flat=True).first()


@transaction.atomic
def take_over(*, run: PayRun, by: User, at: dt.datetime) -> PayRun:
    """This function will make another preparer answer for a run that is not submitted; it begins again as a draft.

    Raises NotInThisState, SamePerson when the checker takes it, and PaidByIt in a run that corrects the taker's pay.
    """
    if run.checker_id == by.pk:
        raise SamePerson
    if run.kind == Kind.CORRECTION:
        raise NotInThisState(run.state)
    before, amount = {"prepared_by": run.prepared_by_id}, amount_of(run)
    move(run, "take_over", state=State.DRAFT, prepared_by=by, prepared_at=at, **_NOTHING_COMPUTED)
    run.refresh_from_db()
    _set_top(run, pay_rule(run.version.parameters), amount)
    record(run, "pay run taken over", by=by, at=at, before=before, after={"prepared_by": by.pk})
    return run


@transaction.atomic
def discard(*, run: PayRun, by: User, at: dt.datetime) -> None:
    """This function will delete a run that was not submitted; the event keeps what it was. Raises NotInThisState, NotThePreparer."""
    own_move(run, "discard", by, state=State.DRAFT)
    record(run, DISCARDED, by=by, at=at)
    PayLine.objects.filter(run=run)._raw_delete(using="default")
    PayPool.objects.filter(run=run, parent__isnull=False)._raw_delete(using="default")
    PayPool.objects.filter(run=run)._raw_delete(using="default")
    PayRun.objects.filter(pk=run.pk).delete()


# --- computing --------------------------------------------------------------------------------------------------------
@transaction.atomic
def compute_run(*, run: PayRun, by: User, at: dt.datetime) -> Gathered:
    """This function will compute a regular run, replacing what was computed before, and return what went into it.

    Bases, attendance and results are those known at ``at``. A signature under the variance falls. Raises NotInThisState,
    NotThePreparer, AmountMissing, NobodyToPay, distribution.CannotBeShared and AttendanceTooUneven.
    """
    if run.kind != Kind.REGULAR:
        raise NotInThisState(run.state)
    rule = pay_rule(run.version.parameters)
    amount = amount_of(run)
    if amount is None and rule.mode != "open" and not run.follows_id:
        raise AmountMissing
    own_move(run, "compute", by, **_NOTHING_COMPUTED | {"state": State.COMPUTED, "computed_at": at})
    run.refresh_from_db()
    gathered = gather(run=run, rule=rule, at=at)
    if not gathered.inputs:
        raise NobodyToPay
    result = compute(
        rule=rule,
        months=len(months_of(run.cycle)),
        amount_fen=amount,
        inputs=gathered.inputs,
        prices=frozen_prices(run),
    )
    _write(run, rule, amount, gathered, result)
    record(
        run,
        "pay run computed",
        by=by,
        at=at,
        after={"left_out": len(gathered.left_out), "by_days": gathered.by_days, "no_review": gathered.without_review},
    )
    return gathered


def frozen_prices(run: PayRun) -> dict[int | None, Any] | None:
    """This function will return the ratios that a following run pays at, by unit; None: for units the first run had not."""
    if not run.follows_id:
        return None
    rows = PayPool.objects.filter(run=run.follows_id).values_list("unit_id", "parent_id", "ratio")
    return {
        key: read_exact(ratio) for unit, parent, ratio in rows for key in ((unit, None) if parent is None else (unit,))
    }


def _write(run: PayRun, rule: PayRule, amount: int | None, gathered: Gathered, result: Result) -> None:
    pools = _write_pools(run, rule, amount, result)
    rows = _lines(run, pools, gathered.inputs, result)
    head = seals.head_of(run, pools[None].amount_fen)
    seals.write_lines(rows, seals.seal_rows(run, rows))
    PayRun.objects.filter(pk=run.pk).update(
        total_fen=result.total_fen,
        reserve_fen=result.reserve_fen,
        lines_count=len(rows),
        left_out=gathered.left_out,
        inputs_hash=seals.hash_inputs(head, rows, gathered.left_out),
        lines_hash=seals.hash_lines(head, seals.plain_pools(run), rows),
        variance=variance_of(run, gathered.inputs, result.total_fen, [part.paid for part in result.parts]),
    )


def _write_pools(run: PayRun, rule: PayRule, amount: int | None, result: Result) -> dict[int | None, PayPool]:
    """{unit id: its pool; None: the top one}, written and sealed. People right in the scope belong to the top pool."""
    top = _set_top(run, rule, amount)
    own = result.units.get(run.scope_id)
    top.raw, top.paid_fen = exact_text(result.total_raw), result.total_fen
    top.ratio = exact_text(own.ratio if own else result.ratio)
    top.unit_coefficient = own.unit_coefficient if own else 1
    below = [
        PayPool(
            run=run,
            unit=unit,
            parent=top,
            mode=top.mode,
            amount_fen=None if top.amount_fen is None else result.units[unit.pk].paid_fen,
            unit_coefficient=result.units[unit.pk].unit_coefficient,
            raw=exact_text(result.units[unit.pk].raw),
            paid_fen=result.units[unit.pk].paid_fen,
            ratio=exact_text(result.units[unit.pk].ratio),
        )
        for unit in OrgUnit.objects.filter(pk__in=result.units.keys() - {run.scope_id}).order_by("path")
    ]
    seals.seal_pools(run, [top, *below])
    top.save()
    PayPool.objects.bulk_create(below, batch_size=_AT_ONCE)
    return {None: top, run.scope_id: top} | {pool.unit_id: pool for pool in below}


def _lines(run: PayRun, pools: dict[int | None, PayPool], inputs: Sequence[Input], result: Result) -> list[list[Any]]:
    """The lines in their canonical form: values in the order of LINE_COLUMNS."""
    paths = unit_paths()
    rows = []
    for number, (one, raw, part) in enumerate(zip(inputs, result.raw, result.parts, strict=True), start=1):
        pool = pools[one.unit_id]
        values = {
            "number": number,
            "employee__employee_no": one.employee_no,
            "segment": one.segment,
            "starts_on": one.starts_on,
            "ends_on": one.ends_on,
            "reason": str(one.reason),
            "reason_text": "",
            "pool__unit__code": pool.unit.code,
            "unit_path_zh": paths[one.unit_id][0],
            "unit_path_en": paths[one.unit_id][1],
            "base_fen": one.base_fen,
            "coefficient": one.coefficient,
            "unit_coefficient": one.unit_coefficient,
            "attended": one.attended,
            "attended_of": one.attended_of,
            "review__number": one.review_number,
            "review__grade": None if one.review_id is None else one.grade,
            "raw": exact_text(raw),
            "share_fen": part.share,
            "extra_fen": part.extra,
            "bound": part.bound,
            "paid_fen": part.paid,
            "adjusts__run__code": None,
            "adjusts__number": None,
            "run_id": run.pk,
            "cycle_id": run.cycle_id,
            "employee_id": one.employee_id,
            "pool_id": pool.pk,
            "review_id": one.review_id,
            "adjusts_id": None,
        }
        rows.append(seals.plain_row(seals.LINE_COLUMNS, [values[name] for name in seals.LINE_COLUMNS]))
    return rows


# --- the difference to the last run -----------------------------------------------------------------------------------
LARGE_CHANGE = 20  # per cent of what one got the last time: named one by one
NAMED = 20


def last_run(run: PayRun) -> PayRun | None:
    """This function will return the settled regular run of the same unit for the cycle before."""
    found = PayRun.objects.filter(
        scope=run.scope, kind=Kind.REGULAR, follows=None, state__in=SETTLED, cycle__last_month__lt=run.cycle.first_month
    )
    return found.select_related("cycle").order_by("-cycle__last_month", "-pk").first()


def variance_of(run: PayRun, inputs: Sequence[Input], total_fen: int, paid: Sequence[int]) -> dict:
    """This function will compare a run with the last one: totals, people, and whose pay changed most. For a following run: nothing."""
    before = None if run.follows_id else last_run(run)
    now: dict[int, int] = {}
    for one, fen in zip(inputs, paid, strict=True):
        now[one.employee_id] = now.get(one.employee_id, 0) + fen
    if before is None:
        return {"run": None, "total_fen": total_fen, "people": len(now)}
    then: dict[int, int] = {}
    rows = PayLine.objects.filter(run=before).order_by().values_list("employee_id", "paid_fen")
    for employee, fen in rows.iterator(chunk_size=5000):
        then[employee] = then.get(employee, 0) + fen
    both = now.keys() & then.keys()
    large = [one for one in both if abs(now[one] - then[one]) * 100 > then[one] * LARGE_CHANGE]
    large.sort(key=lambda one: (-abs(now[one] - then[one]), one))
    return {
        "run": before.code,
        "total_fen": total_fen,
        "total_before_fen": before.total_fen,
        "people": len(now),
        "people_before": len(then),
        "came": len(now.keys() - then.keys()),
        "went": len(then.keys() - now.keys()),
        "more": sum(now[one] > then[one] for one in both),
        "less": sum(now[one] < then[one] for one in both),
        "same": sum(now[one] == then[one] for one in both),
        "large": len(large),
        "named": [{"employee": one, "before": then[one], "now": now[one]} for one in large[:NAMED]],
    }


@transaction.atomic
def sign_variance(*, run: PayRun, note: str, by: User, at: dt.datetime) -> PayRun:
    """This function will sign that the preparer has looked at the difference to the last run; with words where there is one.

    Raises NotInThisState, NotThePreparer and ReasonMissing.
    """
    note = note.strip()
    if not note and run.variance.get("run"):
        raise ReasonMissing
    own_move(run, "sign_variance", by, variance_note=note[:500], variance_signed_by=by, variance_signed_at=at)
    record(run, "pay variance signed", by=by, at=at, reason=note[:500])
    return run


# --- submitting and checking ------------------------------------------------------------------------------------------
@transaction.atomic
def submit(*, run: PayRun, by: User, at: dt.datetime) -> PayRun:
    """This function will hand a computed run to the checkers; from here on its rows stand still.

    Raises NotInThisState, NotThePreparer, NobodyToPay, VarianceNotSigned and RowsChanged.
    """
    own_move(run, "submit", by, state=State.SUBMITTED, submitted_at=at, rejection="")
    run.refresh_from_db()
    if not run.lines_count:
        raise NobodyToPay
    if run.kind == Kind.REGULAR and run.variance_signed_by_id is None:
        raise VarianceNotSigned
    _require_sound(run)
    record(run, "pay run submitted", by=by, at=at)
    return run


@transaction.atomic
def approve(*, run: PayRun, by: User, at: dt.datetime) -> PayRun:
    """This function will approve a submitted run, by another person than who prepared it and nobody who is paid by it.

    Raises NotInThisState, SamePerson, PaidByIt and RowsChanged.
    """
    require_may_check(run, by)
    mine = PayRun.objects.filter(pk=run.pk, state__in=ALLOWED["approve"]).exclude(prepared_by=by)
    if not mine.update(state=State.APPROVED, checked_by=by, checked_at=at):
        raise NotInThisState(PayRun.objects.filter(pk=run.pk).values_list("state", flat=True).first() or "")
    run.refresh_from_db()
    _require_sound(run)
    record(run, "pay run approved", by=by, at=at)
    return run


@transaction.atomic
def send_back(*, run: PayRun, reason: str, by: User, at: dt.datetime) -> PayRun:
    """This function will send a submitted run back to its preparer with a reason. Raises as approve does, and ReasonMissing."""
    reason = reason.strip()[:500]
    if not reason:
        raise ReasonMissing
    require_may_check(run, by)
    move(run, "send_back", state=State.COMPUTED, rejection=reason, submitted_at=None)
    record(run, "pay run sent back", by=by, at=at, reason=reason)
    return run


def require_may_check(run: PayRun, by: User) -> None:
    """This function will refuse who made the run or is paid by it. Raises SamePerson and PaidByIt."""
    if run.prepared_by_id == by.pk:
        raise SamePerson
    if PayLine.objects.filter(run=run, employee__user=by).exists():
        raise PaidByIt


def _require_sound(run: PayRun) -> None:
    check = seals.check_run(run)
    if not check.is_sound:
        raise RowsChanged(check.faults[0])


@transaction.atomic
def record_export(*, run: PayRun, number: int, kind: str, digest: str, rows: int, by: User, at: dt.datetime) -> PayRun:
    """This function will note that a file of a settled run was made: its number, hash and rows; the first one moves the run.

    Raises NotInThisState, and RowsChanged when the rows are not the approved ones.
    """
    require_allowed(run, "export")
    if run.prepared_by_id != by.pk and PayLine.objects.filter(run=run, employee__user=by).exists():
        raise PaidByIt
    _require_sound(run)
    if run.state == State.APPROVED:
        moved = PayRun.objects.filter(pk=run.pk, state=State.APPROVED)
        if not moved.update(state=State.EXPORTED, exported_at=at, export_hash=digest):
            raise NotInThisState(State.EXPORTED)
    record(
        run,
        "pay run exported",
        by=by,
        at=at,
        after={"number": number, "kind": kind, "sha256": digest, "rows": rows},
    )
    return run


@transaction.atomic
def close(*, run: PayRun, by: User, at: dt.datetime) -> PayRun:
    """This function will close an exported run for good. Raises NotInThisState, SamePerson, PaidByIt and RowsChanged."""
    require_may_check(run, by)
    move(run, "close", state=State.CLOSED, closed_at=at)
    run.refresh_from_db()
    _require_sound(run)
    record(run, "pay run closed", by=by, at=at)
    return run
