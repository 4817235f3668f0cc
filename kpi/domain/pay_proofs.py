"""Computing a pay run again from what stands in it: the same bytes, or where they differ (TRUST AU-10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db.models import F

from core.money import exact_text, half_up, read_exact
from kpi.domain import pay_seals as seals
from kpi.domain.parameters import pay_rule
from kpi.domain.pay_computing import Result, compute
from kpi.domain.pay_corrections import as_input, exact_pay
from kpi.domain.pay_inputs import attendance_of, bases_of, months_of
from kpi.domain.pay_runs import amount_of, frozen_prices
from kpi.models import PayLine, PayRun


@dataclass
class Proof:
    """What computing a run again gave: its hashes anew, and every fault in words for the log."""

    run: PayRun
    inputs_hash: str = ""
    lines_hash: str = ""
    faults: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.faults


def prove(run: PayRun) -> Proof:
    """This function will compute a run again from the inputs of its lines and compare every byte. Reads only.

    The seals are checked first; then ratio, shares, left-over fen, caps and sums are computed anew under the rule version;
    then bases, attendance and results are looked up again as they were known when it was computed.
    """
    proof = Proof(run, faults=list(seals.check_run(run).faults))
    lines = list(
        PayLine.objects.filter(run=run)
        .select_related("employee", "pool__unit", "adjusts__pool")
        .order_by("number", "pk")
    )
    rows = [seals.plain_row(seals.LINE_COLUMNS, row[:-2]) for row in seals.line_rows(run)]
    pools = seals.plain_pools(run)
    amount = amount_of(run)
    head = seals.head_of(run, amount)
    if run.kind == PayRun.Kind.CORRECTION:
        anew = list(_corrected(run, lines))
    else:
        result = compute(
            rule=pay_rule(run.version.parameters),
            months=len(months_of(run.cycle)),
            amount_fen=amount,
            inputs=[as_input(line) for line in lines],
            prices=frozen_prices(run),
        )
        anew = [
            {
                "raw": exact_text(raw),
                "share_fen": part.share,
                "extra_fen": part.extra,
                "bound": part.bound,
                "paid_fen": part.paid,
            }
            for raw, part in zip(result.raw, result.parts, strict=True)
        ]
        pools = [_pool_anew(pool, result, run) for pool in pools]
        if (result.total_fen, result.reserve_fen) != (run.total_fen, run.reserve_fen):
            proof.faults.append("the totals of the run")
    for row, values in zip(rows, anew, strict=True):
        if any(row[seals.LINE_COLUMNS.index(name)] != value for name, value in values.items()):
            proof.faults.append(f"line {row[0]} ({row[1]}) comes out otherwise")
        for name, value in values.items():
            row[seals.LINE_COLUMNS.index(name)] = value
    proof.inputs_hash = seals.hash_inputs(head, rows, run.left_out)
    proof.lines_hash = seals.hash_lines(head, pools, rows)
    if (proof.inputs_hash, proof.lines_hash) != (run.inputs_hash, run.lines_hash):
        proof.faults.append("the hashes of the run")
    proof.faults += _sources(run, lines)
    return proof


def _pool_anew(pool: list[Any], result: Result, run: PayRun) -> list[Any]:
    """A canonical pool with what computing again gives."""
    unit_id = pool[seals.POOL_COLUMNS.index("unit_id")]
    unit, values = result.units.get(unit_id), list(pool)
    top = pool[1] is None
    raw, paid = (result.total_raw, result.total_fen) if top else (unit.raw, unit.paid_fen) if unit else (None, 0)
    ratio = unit.ratio if unit else result.ratio
    values[seals.POOL_COLUMNS.index("raw")] = "" if raw is None else exact_text(raw)
    values[seals.POOL_COLUMNS.index("paid_fen")] = paid
    values[seals.POOL_COLUMNS.index("ratio")] = exact_text(ratio)
    return values


def _corrected(run: PayRun, lines: list[PayLine]) -> Iterator[dict[str, Any]]:
    """What each adjustment comes to when it is computed again from the line it adjusts and the adjustments before it."""
    rule, months = pay_rule(run.version.parameters), len(months_of(run.cycle))
    for line in lines:
        adjusted = line.adjusts
        assert adjusted is not None
        before = (
            PayLine.objects.filter(adjusts=adjusted, pk__lt=line.pk)
            .select_related("employee", "pool")
            .order_by("-pk")
            .first()
        ) or PayLine.objects.select_related("employee", "pool").get(pk=adjusted.pk)
        ratio = read_exact(adjusted.pool.ratio)
        now, bound = exact_pay(as_input(line), ratio, rule, months)
        fen = half_up(now - exact_pay(as_input(before), ratio, rule, months)[0])
        raw = exact_text(as_input(line).raw)
        yield {"raw": raw, "share_fen": fen, "extra_fen": 0, "bound": str(bound), "paid_fen": fen}


def _sources(run: PayRun, lines: list[PayLine]) -> Iterator[str]:
    """Inputs that are not what their sources said when the run was computed."""
    if run.computed_at is None or run.kind == PayRun.Kind.CORRECTION:
        return
    other = PayLine.objects.filter(run=run, review__isnull=False).exclude(coefficient=F("review__coefficient"))
    for number in other.order_by("number").values_list("number", flat=True)[:1]:
        yield f"line {number}: the coefficient is not that of the result"
    people = PayLine.objects.filter(run=run).order_by().values("employee_id")
    bases = bases_of(people=people, months=months_of(run.cycle), at=run.computed_at)
    attended = attendance_of(people=people, cycle=run.cycle, at=run.computed_at)
    sums: dict[int, Decimal] = {}
    for line in lines:
        sums[line.employee_id] = sums.get(line.employee_id, Decimal(0)) + line.attended
    for line in lines:
        if bases.get(line.employee_id) != line.base_fen:
            yield f"line {line.number}: the base is not the one that payroll gave"
        row = attended.get(line.employee_id)
        if row is not None and (row[1] != line.attended_of or sums[line.employee_id] > row[0]):
            yield f"line {line.number}: the attendance is not the one that payroll gave"
