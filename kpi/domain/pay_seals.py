"""What a pay run is sealed by: the canonical form of its rows, its hashes, and the check that finds a row changed by hand.

Three things hold a run (TRUST AU-02, AU-04, AU-10):

- ``inputs_hash`` and ``lines_hash`` are plain SHA-256 over what went in and what came out, without any key or row id, so
  anybody with the same figures gets the same bytes;
- each line and pool carries a ``seal``, keyed and chained over the rows before it, so the first row that was changed,
  taken out, put in or exchanged is named;
- every event of the chain ``pay`` carries the digest of the run's own row as it stood after the change.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Max, QuerySet

from core.batches import batches
from core.events import record_event, sealed
from core.models import Event
from core.periods import Month
from core.rows import fill
from kpi.models import PayLine, PayPool, PayRun, Review

CHAIN = "pay"


def events_of(run: PayRun) -> QuerySet[Event]:
    """This function will return the events of the chain about one run, the oldest first."""
    found = Event.objects.filter(chain=CHAIN, subject_type=PayRun._meta.label_lower, subject_id=str(run.pk))
    return found.order_by("sequence")


DISCARDED = "pay run discarded"
_AT_ONCE = 2000

# The columns of a line in their canonical order: first what says everything without a row id, then the ids.
_LINE_OPEN = (
    "number",
    "employee__employee_no",
    "segment",
    "starts_on",
    "ends_on",
    "reason",
    "reason_text",
    "pool__unit__code",
    "unit_path_zh",
    "unit_path_en",
    "base_fen",
    "coefficient",
    "unit_coefficient",
    "attended",
    "attended_of",
    "review__number",
    "review__grade",
    "raw",
    "share_fen",
    "extra_fen",
    "bound",
    "paid_fen",
    "adjusts__run__code",
    "adjusts__number",
)
LINE_COLUMNS = (*_LINE_OPEN, "run_id", "cycle_id", "employee_id", "pool_id", "review_id", "adjusts_id")
_POOL_OPEN = ("unit__code", "parent__unit__code", "mode", "amount_fen", "unit_coefficient", "raw", "paid_fen", "ratio")
POOL_COLUMNS = (*_POOL_OPEN, "run_id", "unit_id", "parent_id")
# What went in, of a line; the rest came out.
_INPUTS = tuple(
    _LINE_OPEN.index(name)
    for name in _LINE_OPEN
    if name not in {"number", "unit_path_zh", "unit_path_en", "raw", "share_fen", "extra_fen", "bound", "paid_fen"}
)
_PLACES = {"coefficient": 4, "unit_coefficient": 4, "attended": 2, "attended_of": 2}
_write = DjangoJSONEncoder(separators=(",", ":"), ensure_ascii=True).encode


def canonical(values: Iterable[Any]) -> bytes:
    """The bytes of one row: a JSON list without white space, non-ASCII escaped."""
    return _write(list(values)).encode()


def plain_row(columns: Sequence[str], values: Iterable[Any]) -> list[Any]:
    """The values of a row as they are sealed: decimals to their stored places, days as text."""
    return [
        f"{Decimal(value):.{_PLACES[name]}f}"
        if name in _PLACES
        else value.isoformat()
        if isinstance(value, dt.date)
        else value
        for name, value in zip(columns, values, strict=True)
    ]


def next_seal(previous: str, row: Sequence[Any]) -> str:
    """The seal of a row that follows another: keyed, over the seal before it and the canonical row."""
    key = settings.EVENT_CHAIN_KEY.encode()
    return hmac.digest(key, b"pay\n" + previous.encode() + b"\n" + canonical(row), "sha256").hex()


def first_seal(run: PayRun, what: str) -> str:
    """What the first line or pool of a run follows."""
    return f"{run.pk}:{run.code}:{what}"


# --- hashes -----------------------------------------------------------------------------------------------------------
def head_of(run: PayRun, amount_fen: int | None) -> list[Any]:
    """What a run is about, without ids. One query, whatever of the run is in memory."""
    follows, corrects, first, last, *rest = (
        PayRun.objects.filter(pk=run.pk)
        .values_list(
            "follows__code",
            "corrects__code",
            "cycle__first_month",
            "cycle__last_month",
            "version__rule__code",
            "version__number",
            "version__content_hash",
            "scope__code",
        )
        .get()
    )
    return [run.code, run.kind, follows, corrects, str(first), str(last), *rest, amount_fen]


def hash_inputs(head: Sequence[Any], lines: Iterable[Sequence[Any]], left_out: Iterable[dict] | None) -> str:
    """This function will return the hash of what went into a run: its head, each line's inputs, and who was left out."""
    digest = hashlib.sha256(canonical(head) + b"\n")
    for line in lines:
        digest.update(canonical(line[i] for i in _INPUTS) + b"\n")
    for one in left_out or ():
        digest.update(canonical([one["no"], one["why"]]) + b"\n")
    return digest.hexdigest()


def hash_lines(head: Sequence[Any], pools: Iterable[Sequence[Any]], lines: Iterable[Sequence[Any]]) -> str:
    """This function will return the hash of what came out of a run: its head, pools and lines."""
    digest = hashlib.sha256(canonical(head) + b"\n")
    for pool in pools:
        digest.update(canonical(pool[: len(_POOL_OPEN)]) + b"\n")
    for line in lines:
        digest.update(canonical(line[: len(_LINE_OPEN)]) + b"\n")
    return digest.hexdigest()


def line_rows(run: PayRun) -> QuerySet:
    """The lines of a run in their order, as tuples of LINE_COLUMNS, the seal and the id."""
    return PayLine.objects.filter(run=run).order_by("number", "pk").values_list(*LINE_COLUMNS, "seal", "pk")


def pool_rows(run: PayRun) -> QuerySet:
    """The pools of a run as they were made, the top one first, as tuples of POOL_COLUMNS, the seal and the id."""
    return PayPool.objects.filter(run=run).order_by("pk").values_list(*POOL_COLUMNS, "seal", "pk")


def row_digest(run: PayRun) -> str:
    """This function will return the digest of the run's own row: every column, however it came into memory."""
    values = []
    for column in run._meta.concrete_fields:
        value = getattr(run, column.attname)
        if isinstance(value, dt.datetime):
            value = value.astimezone(dt.UTC).isoformat(timespec="microseconds")
        elif isinstance(value, Month):
            value = str(value)
        values.append([column.attname, value])
    text = json.dumps(values, cls=DjangoJSONEncoder, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def record(
    run: PayRun,
    action: str,
    *,
    by,
    at: dt.datetime,
    before: dict | None = None,
    after: dict | None = None,
    reason: str = "",
) -> None:
    """This function will add one event about a run to the chain ``pay``, with the digest of its row as it is now."""
    run.refresh_from_db()
    said = {
        "code": run.code,
        "state": run.state,
        "lines": run.lines_count,
        "total_fen": run.total_fen,
        "reserve_fen": run.reserve_fen,
        "inputs_hash": run.inputs_hash,
        "lines_hash": run.lines_hash,
        "row": row_digest(run),
    }
    record_event(
        chain=CHAIN,
        action=action,
        subject=run,
        actor=by,
        at=at,
        before=before,
        after=said | (after or {}),
        reason=reason,
    )


# --- sealing ----------------------------------------------------------------------------------------------------------
def plain_pools(run: PayRun) -> list[list[Any]]:
    """This function will return the pools of a run in their canonical form, as they stand in the database."""
    return [plain_row(POOL_COLUMNS, row[:-2]) for row in pool_rows(run)]


def seal_pools(run: PayRun, pools: Iterable[PayPool]) -> None:
    """This function will seal the pools of a run in their order, the top one first; it does not save them."""
    previous = first_seal(run, "pools")
    for pool in pools:
        values = [
            pool.unit.code,
            pool.parent.unit.code if pool.parent else None,
            str(pool.mode),
            pool.amount_fen,
            pool.unit_coefficient,
            pool.raw,
            pool.paid_fen,
            pool.ratio,
            run.pk,
            pool.unit_id,
            pool.parent_id,
        ]
        previous = pool.seal = next_seal(previous, plain_row(POOL_COLUMNS, values))


def seal_rows(run: PayRun, rows: Iterable[Sequence[Any]]) -> list[str]:
    """This function will return the seals of the lines of a run, given all of them in their canonical form and order."""
    previous, found = first_seal(run, "lines"), []
    for row in rows:
        previous = next_seal(previous, row)
        found.append(previous)
    return found


def write_lines(rows: Iterable[Sequence[Any]], seals: Iterable[str]) -> None:
    """This function will write lines in their canonical form with their seals: what is sealed is what is written."""
    columns = [name for name in LINE_COLUMNS if "__" not in name]
    places = [LINE_COLUMNS.index(name) for name in columns]
    values = ((*(row[i] for i in places), seal) for row, seal in zip(rows, seals, strict=True))
    fill(PayLine._meta.db_table, [*columns, "seal"], values)


def seal_lines(run: PayRun, lines: Sequence[PayLine], previous: str = "") -> None:
    """This function will seal the few lines of a correction that are about to be written, in their order.

    Each carries ``employee_no``. ``previous`` is the seal of the line before the first of them, empty for none.
    """
    from_reviews = _said_of_reviews(line.review_id for line in lines if line.review_id)
    adjusted = _said_of_lines(line.adjusts_id for line in lines if line.adjusts_id)
    previous = previous or first_seal(run, "lines")
    for line in lines:
        known = {
            "employee__employee_no": line.employee_no,
            "pool__unit__code": line.pool.unit.code,
            "review__number": from_reviews.get(line.review_id or 0, (None, None))[0],
            "review__grade": from_reviews.get(line.review_id or 0, (None, None))[1],
            "adjusts__run__code": adjusted.get(line.adjusts_id or 0, (None, None))[0],
            "adjusts__number": adjusted.get(line.adjusts_id or 0, (None, None))[1],
        }
        values = [known[name] if name in known else getattr(line, name) for name in LINE_COLUMNS]
        previous = line.seal = next_seal(previous, plain_row(LINE_COLUMNS, values))


def _said_of_reviews(ids: Iterable[int]) -> dict[int, tuple[int | None, str | None]]:
    found: dict[int, tuple[int | None, str | None]] = {}
    for some in batches(sorted(set(ids)), _AT_ONCE):
        rows = Review.objects.filter(pk__in=some).order_by().values_list("pk", "number", "grade")
        found |= {pk: (number, grade) for pk, number, grade in rows}
    return found


def _said_of_lines(ids: Iterable[int]) -> dict[int, tuple[str | None, int | None]]:
    rows = PayLine.objects.filter(pk__in=set(ids)).order_by().values_list("pk", "run__code", "number")
    return {pk: (code, number) for pk, code, number in rows}


# --- checking ---------------------------------------------------------------------------------------------------------
@dataclass
class Check:
    """What checking a run found: the first bad row in words for the log, or nothing."""

    run: PayRun
    faults: list[str] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.faults


def check_run(run: PayRun) -> Check:
    """This function will say whether the rows of a run are the ones that were sealed, naming the first that is not."""
    check = Check(run)
    pools, fault = _sealed_rows(first_seal(run, "pools"), pool_rows(run), POOL_COLUMNS)
    if fault is not None:
        check.faults.append(f"pool {fault[0]}")
    lines: list[list[Any]] = []
    previous, expected = first_seal(run, "lines"), 1
    for values in line_rows(run).iterator(chunk_size=5000):
        *row, seal, _pk = values
        plain = plain_row(LINE_COLUMNS, row)
        previous = next_seal(previous, plain)
        number = plain[0]
        if number != expected or seal != previous:
            gone = number is not None and number > expected
            check.faults.append(f"line {expected} is missing" if gone else f"line {number} ({plain[1]})")
            break
        lines.append(plain)
        expected += 1
    else:
        if len(lines) != run.lines_count:
            check.faults.append(f"line {expected} is missing")
    top = next((pool for pool in pools if pool[1] is None), None)
    head = head_of(run, top[3] if top else None)
    if check.is_sound and hash_inputs(head, lines, run.left_out) != run.inputs_hash:
        check.faults.append("the run's row (inputs_hash)")
    if check.is_sound and hash_lines(head, pools, lines) != run.lines_hash:
        check.faults.append("the run's row (lines_hash)")
    return check


def _sealed_rows(previous: str, rows: Iterable, columns: Sequence[str]) -> tuple[list[list[Any]], list[Any] | None]:
    """The rows up to the first whose seal does not follow, and that one."""
    found: list[list[Any]] = []
    for values in rows:
        *row, seal, _pk = values
        plain = plain_row(columns, row)
        previous = next_seal(previous, plain)
        if seal != previous:
            return found, plain
        found.append(plain)
    return found, None


@sealed
def check_pay_runs() -> Iterator[tuple[str, bool]]:
    """For manage.py verify_events: each pay run, and the first row of it that is not what was sealed."""
    kept: dict[str, tuple[str, str]] = {}
    newest = (
        Event.objects.filter(chain=CHAIN, subject_type=PayRun._meta.label_lower)
        .order_by()
        .values("subject_id")
        .annotate(last=Max("sequence"))
        .values("last")
    )
    events = Event.objects.filter(chain=CHAIN, sequence__in=newest)
    for key, action, after in events.values_list("subject_id", "action", "after"):
        if action != DISCARDED and after is not None:
            kept[key] = (after["code"], after["row"])
    runs = PayRun.objects.select_related("cycle", "version__rule", "scope", "follows", "corrects").order_by("pk")
    for run in runs.iterator(chunk_size=100):
        code, digest = kept.pop(str(run.pk), (run.code, ""))
        if not digest:
            yield f"pay run {run.code}: nobody made it", False
        elif digest != row_digest(run):
            yield f"pay run {code}: its own row", False
        elif run.state == PayRun.State.DRAFT:
            stray = (
                PayLine.objects.filter(run=run).order_by("pk").values_list("employee__employee_no", flat=True).first()
            )
            _pools, fault = _sealed_rows(first_seal(run, "pools"), pool_rows(run), POOL_COLUMNS)
            what = f": pool {fault[0]}" if fault else f": a line of {stray}" if stray else ""
            yield f"pay run {code}{what}", not what
        else:
            check = check_run(run)
            yield f"pay run {code}" + (f": {check.faults[0]}" if check.faults else ""), check.is_sound
    for code, _digest in kept.values():
        yield f"pay run {code}: it is gone", False
