"""Corrections of settled pay runs: an adjustment line in a run of its own, at the ratio that was frozen, from the reserve.

What was paid is never touched, and nobody else's line moves. A correction run goes the same way as any other: submitted
by its preparer, approved by another person, exported, closed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet, Sum

from core.money import exact_text, half_up, read_exact
from kpi.domain import pay_seals as seals
from kpi.domain.parameters import PayRule, pay_rule
from kpi.domain.pay_computing import Input, limits
from kpi.domain.pay_inputs import months_of
from kpi.domain.pay_seals import record
from kpi.domain.pay_steps import SETTLED, Kind, PaidByIt, ReasonMissing, State, own_move, require_allowed
from kpi.models import PayLine, PayPool, PayRun, Review
from people.models import User


class ReserveTooSmall(Exception):
    """The reserve of the run is smaller than what the correction needs: ``needed`` and ``left`` in fen."""

    def __init__(self, needed: int, left: int):
        super().__init__(f"{needed} of {left}")
        self.needed, self.left = needed, left


class CorrectionOpen(Exception):
    """The line is being corrected by a run that is not approved yet: what comes now would rest on what may still fall."""

    def __init__(self, run: PayRun):
        super().__init__(run.code)
        self.run = run


class NothingToAdjust(Exception):
    """The person is not paid by this run, or the correction changes nothing."""


def reserve_left(run: PayRun) -> int:
    """This function will return what is left of a run's reserve, in fen; corrections that are being made count as spent."""
    spent = PayLine.objects.filter(run__corrects=run).aggregate(spent=Sum("paid_fen"))["spent"] or 0
    return run.reserve_fen - spent


def results_changed_since(run: PayRun) -> QuerySet[Review]:
    """This function will return the results in force that are better than the ones a run paid, and not yet adjusted."""
    paid = PayLine.objects.filter(
        run=run, employee=OuterRef("employee"), adjusts=None, coefficient__lt=OuterRef("coefficient")
    )
    adjusted = PayLine.objects.filter(run__corrects=run, review=OuterRef("pk"))
    return (
        Review.objects.filter(Exists(paid), ~Exists(adjusted), cycle=run.cycle, published_at__isnull=False)
        .exclude(state=Review.State.SUPERSEDED)
        .select_related("employee")
        .order_by("employee__employee_no")
    )


def adjust_for_appeal(*, run: PayRun, review: Review, by: User, at: dt.datetime) -> PayRun:
    """This function will pay what a better result is worth, at the frozen ratio, from the reserve of a settled run.

    ``review`` is the result in force after an objection was upheld. Returns the correction run that holds the new line
    (one line for each segment of the person). Raises NotInThisState, PaidByIt (one's own pay), NothingToAdjust,
    CorrectionOpen and ReserveTooSmall.
    """
    in_force = review.published_at is not None and review.state != Review.State.SUPERSEDED
    if review.cycle_id != run.cycle_id or not in_force or review.coefficient is None:
        raise NothingToAdjust
    lines = PayLine.objects.filter(run=run, employee=review.employee_id, adjusts=None).order_by("segment")
    changes = [(line, {"coefficient": review.coefficient}) for line in lines]
    return _adjust(run, changes, reason=PayLine.Reason.APPEAL, text="", review=review, gains_only=True, by=by, at=at)


def correct_line(
    *,
    line: PayLine,
    reason: str,
    base_fen: int | None = None,
    attended: Decimal | None = None,
    by: User,
    at: dt.datetime,
) -> PayRun:
    """This function will correct the base or the attendance behind one line of a settled run, with a reason.

    Too little is paid from the reserve, too much is taken back (a line below zero, which fills the reserve). Raises as
    adjust_for_appeal does, and ReasonMissing.
    """
    reason = reason.strip()[:300]
    if not reason:
        raise ReasonMissing
    values = {"base_fen": base_fen, "attended": attended}
    change = {name: value for name, value in values.items() if value is not None}
    of = Decimal(line.attended_of)
    if (base_fen is not None and base_fen < 0) or (attended is not None and not 0 <= attended <= of):
        raise NothingToAdjust
    return _adjust(
        line.run,
        [(line, change)],
        reason=PayLine.Reason.CORRECTION,
        text=reason,
        review=None,
        gains_only=False,
        by=by,
        at=at,
    )


@transaction.atomic
def _adjust(
    run: PayRun,
    changes: Sequence[tuple[PayLine, dict]],
    *,
    reason: str,
    text: str,
    review: Review | None,
    gains_only: bool,
    by: User,
    at: dt.datetime,
) -> PayRun:
    require_allowed(run, "correct")
    if run.kind != Kind.REGULAR or not changes:
        raise NothingToAdjust
    if changes[0][0].employee.user_id == by.pk:
        raise PaidByIt
    # One correction at a time sees what is left: on PostgreSQL the second waits here, on SQLite there is one writer.
    PayRun.objects.select_for_update().get(pk=run.pk)
    rule, months = pay_rule(run.version.parameters), len(months_of(run.cycle))
    found = [(line, *_difference(line, change, rule, months)) for line, change in changes]
    total = sum(fen for _line, _now, fen, _bound in found)
    if total == 0 or (gains_only and total < 0):
        raise NothingToAdjust
    # A difference is one to the correction before it, so that one must not fall any more.
    waiting = PayRun.objects.filter(lines__adjusts__in=[line for line, *_rest in found]).exclude(state__in=SETTLED)
    if earlier := waiting.order_by("pk").first():
        raise CorrectionOpen(earlier)
    left = reserve_left(run)
    if total > left:
        raise ReserveTooSmall(total, left)
    correction = _open_correction(run, changes[0][0].employee_id, by, at)
    _add_lines(correction, found, reason, text, review)
    record(
        correction,
        "pay line adjusted",
        by=by,
        at=at,
        reason=text,
        after={
            "corrects": run.code,
            "lines": [line.number for line, *_rest in found],
            "fen": total,
            "left": left - total,
        },
    )
    return correction


def as_input(line: PayLine) -> Input:
    """This function will return a line as what went into it."""
    return Input(
        employee_id=line.employee_id,
        employee_no=line.employee.employee_no,
        segment=line.segment,
        starts_on=line.starts_on,
        ends_on=line.ends_on,
        reason=line.reason,
        unit_id=line.pool.unit_id,
        base_fen=line.base_fen,
        coefficient=line.coefficient,
        unit_coefficient=line.unit_coefficient,
        attended=line.attended,
        attended_of=line.attended_of,
        review_id=line.review_id,
    )


def exact_pay(one: Input, ratio: Fraction, rule: PayRule, months: int) -> tuple[Fraction, str]:
    """This function will return what an input is worth at a ratio, within its limits, and the limit it stands at."""
    floor, cap = limits(rule, months, one)
    value = one.raw * ratio
    if cap is not None and value > cap:
        return Fraction(cap), PayLine.Bound.CAP
    if value < floor:
        return Fraction(floor), PayLine.Bound.FLOOR
    return value, PayLine.Bound.NONE


def _difference(line: PayLine, change: dict, rule: PayRule, months: int) -> tuple[Input, int, str]:
    """What goes in by now, what that is worth more (or less) in fen, and the limit it stands at."""
    ratio = read_exact(line.pool.ratio)
    newest = line.adjustments.select_related("employee", "pool").order_by("-pk").first() or line
    before = replace(as_input(newest), unit_id=line.pool.unit_id)
    now = replace(before, **change)
    worth, bound = exact_pay(now, ratio, rule, months)
    return now, half_up(worth - exact_pay(before, ratio, rule, months)[0]), bound


def _open_correction(run: PayRun, employee_id: int, by: User, at: dt.datetime) -> PayRun:
    """The run of the preparer in which corrections are being collected, or a new one; a person stands in it once."""
    for found in PayRun.objects.filter(corrects=run, state=State.COMPUTED, prepared_by=by).order_by("pk"):
        if not PayLine.objects.filter(run=found, employee=employee_id).exists():
            own_move(found, "compute", by, state=State.COMPUTED, computed_at=at)
            found.refresh_from_db()
            return found
    number = PayRun.objects.filter(corrects=run).count() + 1
    while True:
        try:
            with transaction.atomic():
                return PayRun.objects.create(
                    code=f"{run.code}-C{number}"[:40],
                    kind=Kind.CORRECTION,
                    corrects=run,
                    cycle=run.cycle,
                    version=run.version,
                    scope=run.scope,
                    state=State.COMPUTED,
                    prepared_by=by,
                    prepared_at=at,
                    computed_at=at,
                )
        except IntegrityError:
            if number > 9999 or not PayRun.objects.filter(code=f"{run.code}-C{number}"[:40]).exists():
                raise
            number += 1


def _add_lines(
    correction: PayRun, found: Sequence[tuple[PayLine, Input, int, str]], reason: str, text: str, review: Review | None
) -> None:
    pools = {
        pool.unit_id: pool for pool in PayPool.objects.filter(run=correction).select_related("unit", "parent__unit")
    }
    if not pools:
        top = PayPool(run=correction, unit=correction.scope, mode=PayPool.Mode.OPEN)
        seals.seal_pools(correction, [top])
        top.save()
        pools[correction.scope_id] = top
    top = pools[correction.scope_id]
    last = PayLine.objects.filter(run=correction).order_by("-number").values_list("number", "seal").first()
    counted, seal = (last[0] or 0, last[1] or "") if last else (0, "")
    lines = []
    for number, (old, now, fen, bound) in enumerate(found, start=counted + 1):
        pool = pools.get(now.unit_id)
        if pool is None:
            pool = PayPool(run=correction, unit=old.pool.unit, parent=top, mode=PayPool.Mode.OPEN)
            pool.save()
            pools[now.unit_id] = pool
        pool.ratio, pool.unit_coefficient = old.pool.ratio, old.pool.unit_coefficient
        pool.paid_fen += fen
        if pool is not top:
            top.paid_fen += fen
        line = PayLine(
            run=correction,
            pool=pool,
            cycle_id=correction.cycle_id,
            employee_id=old.employee_id,
            number=number,
            segment=old.segment,
            starts_on=old.starts_on,
            ends_on=old.ends_on,
            reason=reason,
            reason_text=text,
            review=review or old.review,
            adjusts=old,
            unit_path_zh=old.unit_path_zh,
            unit_path_en=old.unit_path_en,
            base_fen=now.base_fen,
            coefficient=now.coefficient,
            unit_coefficient=now.unit_coefficient,
            attended=now.attended,
            attended_of=now.attended_of,
            raw=exact_text(now.raw),
            share_fen=fen,
            bound=bound,
            paid_fen=fen,
        )
        line.employee_no = now.employee_no
        lines.append(line)
    seals.seal_lines(correction, lines, previous=seal)
    PayLine.objects.bulk_create(lines)
    in_order = sorted(pools.values(), key=lambda pool: pool.pk)
    seals.seal_pools(correction, in_order)
    PayPool.objects.bulk_update(in_order, ["paid_fen", "ratio", "unit_coefficient", "seal"])
    rows = [seals.plain_row(seals.LINE_COLUMNS, row[:-2]) for row in seals.line_rows(correction)]
    head = seals.head_of(correction, None)
    PayRun.objects.filter(pk=correction.pk).update(
        lines_count=len(rows),
        total_fen=sum(line.paid_fen for line in PayLine.objects.filter(run=correction)),
        inputs_hash=seals.hash_inputs(head, rows, None),
        lines_hash=seals.hash_lines(head, seals.plain_pools(correction), rows),
    )
