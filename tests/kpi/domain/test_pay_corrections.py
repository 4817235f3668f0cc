"""Corrections: at the frozen ratio, from the reserve, and nobody else's line moves (DOMAIN T-06)."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction

from core.models import Event
from kpi.domain import pay_runs
from kpi.domain.pay_corrections import (
    CorrectionOpen,
    NothingToAdjust,
    ReserveTooSmall,
    reserve_left,
    results_changed_since,
)
from kpi.domain.pay_proofs import prove
from kpi.domain.pay_seals import check_pay_runs
from kpi.models import PayLine, PayRun, Review
from tests.factories.kpi import make_published_version
from tests.factories.pay import AT, GIVEN, RULE, make_computed_run, make_pay_world, settle, uphold

pytestmark = pytest.mark.django_db


@pytest.fixture
def world():
    return make_pay_world()


@pytest.fixture
def closed(world):
    return settle(make_computed_run(world), world)


def e4(world) -> Review:
    return Review.objects.get(cycle=world.cycle, employee=world.people[3], superseded_by=None)


def frozen(run):
    return list(PayLine.objects.filter(run=run).order_by("pk").values())


def test_t_06_an_upheld_appeal_is_paid_at_the_frozen_ratio(world, closed):
    before = frozen(closed)
    review = uphold(e4(world), "73.70", "C", "1.00")
    assert list(results_changed_since(closed)) == [review]

    run = pay_runs.adjust_for_appeal(run=closed, review=review, by=world.maker, at=AT)

    line = PayLine.objects.get(run=run)
    assert (line.paid_fen, line.adjusts.employee, line.reason, line.review, line.raw) == (
        100_381,
        world.people[3],
        "appeal",
        review,
        "504000/1",
    )
    assert (run.kind, run.corrects, run.state, run.code, run.total_fen) == (
        "correction",
        closed,
        "computed",
        "P-2026-10-C1",
        100_381,
    )
    assert frozen(closed) == before
    assert reserve_left(closed) == 400_000 - 100_381
    assert list(results_changed_since(closed)) == []

    settle(run, world)
    assert run.state == "closed"
    assert list(check_pay_runs()) == [("pay run P-2026-10", True), ("pay run P-2026-10-C1", True)]
    assert prove(run).faults == []
    assert prove(closed).faults == []


def test_a_correction_needs_a_settled_run(world):
    run = make_computed_run(world)
    with pytest.raises(pay_runs.NotInThisState):
        pay_runs.adjust_for_appeal(run=run, review=e4(world), by=world.maker, at=AT)


def test_a_result_that_is_not_better_pays_nothing(world, closed):
    with pytest.raises(NothingToAdjust):
        pay_runs.adjust_for_appeal(run=closed, review=e4(world), by=world.maker, at=AT)
    worse = uphold(e4(world), "50.00", "E", "0.50")
    with pytest.raises(NothingToAdjust):
        pay_runs.adjust_for_appeal(run=closed, review=worse, by=world.maker, at=AT)
    assert list(results_changed_since(closed)) == []


def test_a_result_that_was_replaced_pays_nothing(world, closed):
    old = e4(world)
    uphold(old, "73.70", "C", "1.00")
    old.refresh_from_db()
    with pytest.raises(NothingToAdjust):
        pay_runs.adjust_for_appeal(run=closed, review=old, by=world.maker, at=AT)


def test_the_same_result_is_paid_once(world, closed):
    review = uphold(e4(world), "73.70", "C", "1.00")
    pay_runs.adjust_for_appeal(run=closed, review=review, by=world.maker, at=AT)
    with pytest.raises(NothingToAdjust):
        pay_runs.adjust_for_appeal(run=closed, review=review, by=world.maker, at=AT)


def test_nobody_corrects_the_own_pay(world, closed):
    review = uphold(e4(world), "73.70", "C", "1.00")
    with pytest.raises(pay_runs.PaidByIt):
        pay_runs.adjust_for_appeal(run=closed, review=review, by=world.people[3].user, at=AT)


def test_the_reserve_never_goes_below_zero(world):
    # 0.36 % of 28,101.17 are 101.16: far less than the 1,003.81 needed.
    version = make_published_version({**RULE, "reserve_share": "0.36"}, scope=world.group, code="SMALL", family="pay")
    world.version = version
    closed = settle(make_computed_run(world, amount_fen=2_810_117), world)
    assert (closed.total_fen, closed.reserve_fen) == (2_800_001, 10_116)
    review = uphold(e4(world), "73.70", "C", "1.00")

    with pytest.raises(ReserveTooSmall) as refused:
        pay_runs.adjust_for_appeal(run=closed, review=review, by=world.maker, at=AT)

    assert (refused.value.needed, refused.value.left) == (100_381, 10_116)
    assert not PayRun.objects.filter(corrects=closed).exists()


def test_the_database_holds_the_reserve_too(world, closed):
    run = pay_runs.adjust_for_appeal(run=closed, review=uphold(e4(world), "73.70", "C", "1.00"), by=world.maker, at=AT)
    line = PayLine.objects.get(run=run)
    with pytest.raises(DatabaseError, match="reserve of the pay run is used up"), transaction.atomic():
        PayLine.objects.filter(pk=line.pk).update(paid_fen=400_001)
    other = PayLine.objects.filter(run=closed).exclude(employee=line.employee).first()
    line.pk, line.employee, line.adjusts, line.paid_fen = None, other.employee, other, 300_000
    with pytest.raises(DatabaseError, match="reserve of the pay run is used up"), transaction.atomic():
        line.save(force_insert=True)


def test_corrections_are_collected_in_one_run_until_it_is_submitted(world, closed):
    lines = {line.employee.employee_no: line for line in PayLine.objects.filter(run=closed).select_related("employee")}
    first = pay_runs.correct_line(line=lines["000106"], attended=Decimal(20), reason="出勤录错", by=world.maker, at=AT)
    same = pay_runs.correct_line(line=lines["000105"], base_fen=400_000, reason="基数录错", by=world.maker, at=AT)
    assert first.pk == same.pk

    # Nobody is corrected again on top of what may still be discarded.
    anew = {"line": lines["000106"], "attended": Decimal(21), "reason": "再更正", "by": world.maker, "at": AT}
    with pytest.raises(CorrectionOpen) as refused:
        pay_runs.correct_line(**anew)
    assert refused.value.run == first
    first.refresh_from_db()
    settle(first, world, upto="approved")
    again = pay_runs.correct_line(**anew)
    assert again.pk != first.pk

    ratio = Decimal(28_000) / Decimal(28_117)
    one = Decimal("4200") * Decimal("0.5") * Decimal("1.05") * ratio
    paid = list(PayLine.objects.filter(adjusts__isnull=False).order_by("pk").values_list("number", "paid_fen"))
    assert paid == [
        (1, round(one * 10 / 21 * 100)),
        (2, -round(Decimal("1000") * Decimal("0.8") * Decimal("1.05") * ratio * 100)),
        (1, round(one / 21 * 100)),
    ]
    assert reserve_left(closed) == 400_000 - sum(fen for _number, fen in paid)
    assert all(sound for _what, sound in check_pay_runs())
    for run in (first, again):
        run.refresh_from_db()
        assert prove(run).faults == []
    assert Event.objects.filter(chain="pay", action="pay line adjusted").count() == 3


def test_a_correction_needs_words_and_a_difference(world, closed):
    line = PayLine.objects.filter(run=closed).first()
    with pytest.raises(pay_runs.ReasonMissing):
        pay_runs.correct_line(line=line, base_fen=1, reason=" ", by=world.maker, at=AT)
    for change in ({}, {"base_fen": line.base_fen}, {"base_fen": -1}, {"attended": Decimal(22)}):
        with pytest.raises(NothingToAdjust):
            pay_runs.correct_line(line=line, reason="x", by=world.maker, at=AT, **change)


def test_a_capped_line_is_corrected_within_its_cap(world):
    # Full pay of E1 would be 7,528.54; the cap is 120 % of 6,000.00.
    version = make_published_version({**RULE, "cap_share": "120"}, scope=world.group, code="CAP", family="pay")
    world.version = version
    run = settle(make_computed_run(world, amount_fen=GIVEN), world, upto="approved")
    line = PayLine.objects.get(run=run, number=1)
    assert (line.paid_fen, line.bound) == (720_000, "cap")
    assert run.total_fen == 2_800_000
    with pytest.raises(NothingToAdjust):
        pay_runs.adjust_for_appeal(run=run, review=uphold(line.review, "110.00", "A", "1.30"), by=world.maker, at=AT)
    assert prove(run).faults == []
