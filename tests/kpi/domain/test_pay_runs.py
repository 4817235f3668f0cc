"""A pay run from its first draft to its close, and what it refuses on the way."""

import datetime as dt

import pytest

from core.models import Event
from core.periods import Month
from kpi.domain import pay_runs
from kpi.domain.distribution import CannotBeShared
from kpi.domain.pay_seals import check_pay_runs, check_run
from kpi.domain.rules import InForceMissing
from kpi.models import PayLine, PayPool, PayRun
from tests.factories.kpi import make_published_version
from tests.factories.pay import (
    AT,
    GIVEN,
    PAID,
    RULE,
    make_attendance,
    make_base,
    make_computed_run,
    make_cycle,
    make_pay_world,
    make_review,
    settle,
    uphold,
)
from tests.factories.people import grant, make_employee, make_unit, make_user

pytestmark = pytest.mark.django_db
EXACT = [
    *(
        "base_fen",
        "coefficient",
        "unit_coefficient",
        "attended",
        "attended_of",
        "raw",
        "share_fen",
        "extra_fen",
        "bound",
    ),
    *("reason", "starts_on", "ends_on", "unit_path_zh", "unit_path_en", "number", "segment"),
]
State = PayRun.State


@pytest.fixture
def world():
    return make_pay_world()


def paid_by(run) -> dict[str, int]:
    return dict(PayLine.objects.filter(run=run).values_list("employee__employee_no", "paid_fen"))


def begin(world, **values):
    given = {"code": "P1", "cycle": world.cycle, "version": world.version, "scope": world.branch, "amount_fen": GIVEN}
    return pay_runs.make_run(by=world.maker, at=AT, **{**given, **values})


def test_t_02_holds_through_the_database(world):
    run = make_computed_run(world)

    assert paid_by(run) == PAID
    assert (run.state, run.total_fen, run.reserve_fen, run.lines_count) == ("computed", 2_800_000, 400_000, 6)
    pool = PayPool.objects.get(run=run)
    assert (pool.unit.code, pool.parent_id) == ("B1", None)
    assert (pool.mode, pool.amount_fen, pool.raw, pool.paid_fen, pool.ratio, str(pool.unit_coefficient)) == (
        "closed",
        GIVEN,
        "2811700/1",
        2_800_000,
        "28000/28117",
        "1.0500",
    )
    line = PayLine.objects.get(run=run, employee__employee_no="000103")
    assert {name: str(getattr(line, name)) for name in EXACT} == {
        "base_fen": "500000",
        "coefficient": "1.1000",
        "unit_coefficient": "1.0500",
        "attended": "20.00",
        "attended_of": "21.00",
        "raw": "550000/1",
        "share_fen": "547711",
        "extra_fen": "1",
        "bound": "",
        "reason": "whole",
        "starts_on": "2026-10-01",
        "ends_on": "2026-10-31",
        "unit_path_zh": "集团 / 河西网点",
        "unit_path_en": "Group / Hexi",
        "number": "3",
        "segment": "1",
    }
    assert check_run(run).is_sound


def test_au_10_computing_again_gives_the_same_bytes(world):
    run = make_computed_run(world)
    before = (run.inputs_hash, run.lines_hash)

    pay_runs.compute_run(run=run, by=world.maker, at=AT)

    run.refresh_from_db()
    assert (run.inputs_hash, run.lines_hash) == before
    assert PayLine.objects.filter(run=run).count() == 6


def test_a_run_goes_its_way_and_leaves_one_event_a_step(world):
    run = settle(make_computed_run(world), world)

    assert (run.state, run.checked_by, run.closed_at, run.export_hash) == ("closed", world.checker, AT, "0" * 64)
    events = Event.objects.filter(chain="pay").order_by("sequence")
    assert list(events.values_list("action", "actor__username")) == [
        ("pay run begun", "maker"),
        ("pay run computed", "maker"),
        ("pay variance signed", "maker"),
        ("pay run submitted", "maker"),
        ("pay run approved", "checker"),
        ("pay run exported", "maker"),
        ("pay run closed", "checker"),
    ]
    assert events.last().after["lines_hash"] == run.lines_hash
    assert list(check_pay_runs()) == [("pay run P-2026-10", True)]


# --- what is refused when a run begins ----------------------------------------------------------------------------------
def test_results_must_be_published(world):
    world.cycle.state = "open"
    with pytest.raises(pay_runs.CycleNotPublished):
        begin(world)


def test_an_unannounced_rule_pays_nobody(world):
    later = make_published_version(
        RULE, scope=world.group, code="PAY2", family="pay", effective_from=dt.date(2026, 11, 1)
    )
    draft = make_published_version(RULE, scope=world.group, code="PAY3", family="pay", state="draft")
    for version in (later, draft):
        with pytest.raises(InForceMissing):
            begin(world, version=version)


def test_the_rule_and_the_cycle_must_be_of_the_unit(world):
    other = make_unit(code="OTHER")
    with pytest.raises(pay_runs.WrongScope):
        begin(world, scope=other)
    with pytest.raises(pay_runs.WrongScope):
        begin(world, version=world.cycle.version)


def test_there_is_one_run_of_a_unit_and_cycle(world):
    first = begin(world)
    with pytest.raises(pay_runs.RunExists) as refused:
        begin(world, code="P2")
    assert refused.value.run == first


def test_a_checker_holds_the_duty_and_is_somebody_else(world):
    with pytest.raises(pay_runs.SamePerson):
        begin(world, checker=world.maker)
    with pytest.raises(pay_runs.NotAChecker):
        begin(world, checker=make_user())
    assert list(pay_runs.checkers_for(world.branch, AT.date())) == [world.checker]


# --- who is in it -------------------------------------------------------------------------------------------------------
def test_who_prepares_or_checks_is_left_out_with_a_reason(world):
    for user, number in ((world.maker, "000011"), (world.checker, "000012")):
        make_base(user.employee, 500_000)
        assert user.employee.employee_no == number
    run = make_computed_run(world, scope=world.group, amount_fen=GIVEN)

    assert run.left_out == [
        {"employee": world.maker.employee.pk, "no": "000011", "why": "prepares"},
        {"employee": world.checker.employee.pk, "no": "000012", "why": "checks"},
    ]
    assert sorted(paid_by(run)) == sorted(PAID)


def test_whom_a_run_left_out_is_paid_at_its_ratio_by_another_one_made_by_others(world):
    for user in (world.maker, world.checker):
        make_base(user.employee, 500_000)
        make_review(world.cycle, user.employee, "80.00", "C", "1.00")
    run = settle(make_computed_run(world, scope=world.group), world, upto="approved")
    other, third = make_user(username="other"), make_user(username="third")
    grant(other, "pay_maker", world.group)
    grant(third, "pay_checker", world.group)

    with pytest.raises(pay_runs.PaidByIt):
        pay_runs.make_following(run=run, code="P-2", by=world.maker, at=AT)
    following = pay_runs.make_following(run=run, code="P-2", checker=third, by=other, at=AT)
    pay_runs.compute_run(run=following, by=other, at=AT)

    following.refresh_from_db()
    # 5,000.00 x 1.00 x 1 x 31/31 at 28,000/28,117 each; the office's pool had no ratio of its own.
    assert paid_by(following) == {"000011": 497_920, "000012": 497_919}
    assert (following.left_out, following.reserve_fen) == ([], 124_479)
    with pytest.raises(pay_runs.PaidByIt):
        pay_runs.approve(run=following, by=world.checker, at=AT)
    with pytest.raises(pay_runs.RunExists):
        pay_runs.make_following(run=run, code="P-3", by=other, at=AT)


def test_nobody_left_out_needs_no_other_run(world):
    run = settle(make_computed_run(world), world, upto="approved")
    with pytest.raises(pay_runs.NobodyToPay):
        pay_runs.make_following(run=run, code="P-2", by=make_user(), at=AT)


def test_mc_10_nobody_is_paid_twice_for_a_cycle(world):
    make_computed_run(world)
    person = make_employee(make_unit(world.group), employee_no="000900")
    make_base(person, 100_000)

    whole = make_computed_run(world, code="P-ALL", scope=world.group)

    assert sorted(paid_by(whole)) == ["000900"]
    assert [(one["no"], one["why"]) for one in whole.left_out] == [
        ("000011", "prepares"),
        ("000012", "checks"),
        *((number, "paid_elsewhere") for number in PAID),
    ]


def test_who_has_no_base_is_listed(world):
    make_employee(world.branch, employee_no="000200")
    run = make_computed_run(world)
    assert [(one["no"], one["why"]) for one in run.left_out] == [("000200", "no_base")]


def test_segments_follow_the_posts_and_share_the_attendance(world):
    other = make_unit(world.group, code="B2", name="河东网点", name_en="Hedong")
    mover = make_employee(world.branch, employee_no="000201")
    mover.placements.update(ends_on=dt.date(2026, 10, 10))
    mover.placements.create(unit=other, starts_on=dt.date(2026, 10, 11))
    joiner = make_employee(world.branch, employee_no="000202", hired_on=dt.date(2026, 10, 22))
    leaver = make_employee(world.branch, employee_no="000203", state="left", left_on=dt.date(2026, 10, 5))
    for person in (mover, joiner, leaver):
        make_base(person, 310_000)
    make_attendance(mover, 20)
    make_review(world.cycle, joiner, "80.00", "C", "1.00")

    run = make_computed_run(world, scope=world.group)

    rows = PayLine.objects.filter(run=run, employee__in=[mover, joiner, leaver]).order_by("number")
    assert [
        (
            line.employee.employee_no,
            line.segment,
            line.pool.unit.code,
            f"{line.starts_on:%d}-{line.ends_on:%d}",
            line.reason,
            str(line.attended),
            str(line.attended_of),
        )
        for line in rows.select_related("employee", "pool__unit")
    ] == [
        ("000201", 1, "B1", "01-10", "moved_out", "6.45", "21.00"),
        ("000201", 2, "B2", "11-31", "moved_in", "13.55", "21.00"),
        ("000202", 1, "B1", "22-31", "joined", "10.00", "31.00"),
        ("000203", 1, "B1", "01-05", "left", "5.00", "31.00"),
    ]
    assert run.total_fen == 2_800_000
    assert sum(PayLine.objects.filter(run=run).values_list("paid_fen", flat=True)) == 2_800_000
    pools = PayPool.objects.filter(run=run, parent__isnull=False).order_by("unit__code")
    assert [pool.unit.code for pool in pools] == ["B1", "B2"]
    assert sum(pool.paid_fen for pool in pools) == 2_800_000


def test_who_moves_within_the_scope_of_two_runs_is_paid_once_by_each(world):
    other = make_unit(world.group, code="B2")
    mover = make_employee(world.branch, employee_no="000201")
    mover.placements.update(ends_on=dt.date(2026, 10, 10))
    mover.placements.create(unit=other, starts_on=dt.date(2026, 10, 11))
    make_base(mover, 310_000)

    make_computed_run(world)
    second = make_computed_run(world, code="P-B2", scope=other)

    rows = PayLine.objects.filter(employee=mover).order_by("segment")
    assert list(rows.values_list("segment", "run__code", "attended")) == [(1, "P-2026-10", 10), (2, "P-B2", 21)]
    assert second.total_fen == 2_800_000


def test_who_has_no_review_is_paid_at_the_rules_coefficient(world):
    person = make_employee(world.branch, employee_no="000201")
    make_base(person, 100_000)
    run = make_computed_run(world)
    line = PayLine.objects.get(run=run, employee=person)
    assert (line.reason, str(line.coefficient), line.review_id) == ("no_review", "1.0000", None)


def test_a_run_takes_the_results_in_force_when_it_is_computed(world):
    first = world.people[3].reviews.get()
    uphold(first, "73.70", "C", "1.00", at=AT + dt.timedelta(hours=1))
    run = make_computed_run(world)
    line = PayLine.objects.get(run=run, employee=world.people[3])
    assert (line.review, line.paid_fen) == (first, 401_522)

    pay_runs.compute_run(run=run, by=world.maker, at=AT + dt.timedelta(hours=2))
    line = PayLine.objects.get(run=run, employee=world.people[3])
    assert (line.review.number, line.coefficient) == (2, 1)


def test_a_quarter_adds_the_bases_of_its_months(world):
    quarter = make_cycle(world.group, world.cycle.version, month=Month(2026, 7), last=Month(2026, 9))
    person = make_employee(world.branch, employee_no="000201")
    make_base(person, 100_000, month=Month(2026, 8))
    make_base(person, 130_000, month=Month(2026, 9))
    make_base(person, 120_000, month=Month(2026, 9))  # a later row supersedes
    run = begin(world, cycle=quarter, code="Q3")
    pay_runs.compute_run(run=run, by=world.maker, at=AT)

    line = PayLine.objects.get(run=run, employee=person)
    assert (line.base_fen, str(line.attended), str(line.attended_of)) == (320_000, "92.00", "92.00")


# --- computing, signing, checking ---------------------------------------------------------------------------------------
def test_a_closed_pool_needs_its_amount(world):
    run = begin(world, amount_fen=None)
    with pytest.raises(pay_runs.AmountMissing):
        pay_runs.compute_run(run=run, by=world.maker, at=AT)
    pay_runs.set_amount(run=run, amount_fen=GIVEN, by=world.maker, at=AT)
    pay_runs.compute_run(run=run, by=world.maker, at=AT)
    assert paid_by(run) == PAID


def test_an_amount_that_cannot_be_shared_is_refused_and_nothing_changes(world):
    version = make_published_version({**RULE, "cap_share": "10"}, scope=world.group, code="CAPPED", family="pay")
    run = begin(world, version=version)
    with pytest.raises(CannotBeShared):
        pay_runs.compute_run(run=run, by=world.maker, at=AT)
    run.refresh_from_db()
    assert (run.state, PayLine.objects.filter(run=run).count()) == ("draft", 0)


def test_a_unit_without_people_has_nobody_to_pay(world):
    run = begin(world, scope=make_unit(world.group))
    with pytest.raises(pay_runs.NobodyToPay):
        pay_runs.compute_run(run=run, by=world.maker, at=AT)


def test_only_the_preparer_changes_a_run_unless_it_is_taken_over(world):
    run = make_computed_run(world)
    other = make_user()
    with pytest.raises(pay_runs.NotThePreparer):
        pay_runs.compute_run(run=run, by=other, at=AT)
    with pytest.raises(pay_runs.SamePerson):
        pay_runs.take_over(run=run, by=world.checker, at=AT)
    pay_runs.take_over(run=run, by=other, at=AT)
    assert (run.state, run.prepared_by, run.lines_count, pay_runs.amount_of(run)) == ("draft", other, 0, GIVEN)
    pay_runs.compute_run(run=run, by=other, at=AT)
    assert paid_by(run) == PAID


def test_the_variance_is_signed_before_submitting(world):
    run = make_computed_run(world)
    with pytest.raises(pay_runs.VarianceNotSigned):
        pay_runs.submit(run=run, by=world.maker, at=AT)
    pay_runs.sign_variance(run=run, note="", by=world.maker, at=AT)
    pay_runs.compute_run(run=run, by=world.maker, at=AT)  # computing again takes the signature off
    with pytest.raises(pay_runs.VarianceNotSigned):
        pay_runs.submit(run=run, by=world.maker, at=AT)


def test_the_variance_names_whose_pay_changed_most(world):
    settle(make_computed_run(world), world, upto="approved")
    after = make_cycle(world.group, world.cycle.version, month=Month(2026, 11))
    for place, person in enumerate(world.people[:5]):
        make_review(after, person, "80.00", "C", "1.00")
        if place == 0:
            make_attendance(person, 10, month=Month(2026, 11))
    at = AT + dt.timedelta(days=20)
    run = begin(world, cycle=after, code="P-2026-11")
    pay_runs.compute_run(run=run, by=world.maker, at=at)
    run.refresh_from_db()

    assert {key: value for key, value in run.variance.items() if key != "named"} == {
        "run": "P-2026-10",
        "total_fen": 2_800_000,
        "total_before_fen": 2_800_000,
        "people": 6,
        "people_before": 6,
        "came": 0,
        "went": 0,
        "more": 3,
        "less": 3,
        "same": 0,
        "large": 4,
    }
    assert run.variance["named"][0]["employee"] in {person.pk for person in world.people}
    with pytest.raises(pay_runs.ReasonMissing):
        pay_runs.sign_variance(run=run, note=" ", by=world.maker, at=at)


def test_mc_15_nothing_is_approved_by_its_maker(world):
    run = settle(make_computed_run(world), world, upto="submitted")
    grant(world.maker, "pay_checker", world.group)
    with pytest.raises(pay_runs.SamePerson):
        pay_runs.approve(run=run, by=world.maker, at=AT)
    with pytest.raises(pay_runs.PaidByIt):
        pay_runs.approve(run=run, by=world.people[0].user, at=AT)
    with pytest.raises(pay_runs.SamePerson):
        pay_runs.send_back(run=run, reason="x", by=world.maker, at=AT)


def test_a_run_is_sent_back_with_a_reason(world):
    run = settle(make_computed_run(world), world, upto="submitted")
    with pytest.raises(pay_runs.ReasonMissing):
        pay_runs.send_back(run=run, reason="  ", by=world.checker, at=AT)
    pay_runs.send_back(run=run, reason="基数有误", by=world.checker, at=AT)

    assert (run.state, run.rejection, run.submitted_at) == ("computed", "基数有误", None)
    pay_runs.compute_run(run=run, by=world.maker, at=AT)
    settle(run, world, upto="approved")
    assert (run.state, run.rejection) == ("approved", "")


def test_a_draft_can_be_discarded_and_the_event_stays(world):
    run = make_computed_run(world)
    pay_runs.discard(run=run, by=world.maker, at=AT)
    assert not PayRun.objects.exists()
    assert Event.objects.filter(chain="pay").last().action == "pay run discarded"
    assert list(check_pay_runs()) == []


ACTS = {
    "set_amount": lambda run, w: pay_runs.set_amount(run=run, amount_fen=GIVEN, by=w.maker, at=AT),
    "compute": lambda run, w: pay_runs.compute_run(run=run, by=w.maker, at=AT),
    "discard": lambda run, w: pay_runs.discard(run=run, by=w.maker, at=AT),
    "take_over": lambda run, w: pay_runs.take_over(run=run, by=w.maker, at=AT),
    "sign_variance": lambda run, w: pay_runs.sign_variance(run=run, note="x", by=w.maker, at=AT),
    "submit": lambda run, w: pay_runs.submit(run=run, by=w.maker, at=AT),
    "approve": lambda run, w: pay_runs.approve(run=run, by=w.checker, at=AT),
    "send_back": lambda run, w: pay_runs.send_back(run=run, reason="x", by=w.checker, at=AT),
    "export": lambda run, w: pay_runs.record_export(
        run=run, number=2, kind="csv", digest="1" * 64, rows=6, by=w.maker, at=AT
    ),
    "close": lambda run, w: pay_runs.close(run=run, by=w.checker, at=AT),
    "follow": lambda run, w: pay_runs.make_following(run=run, code="F", by=w.maker, at=AT),
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("state", [state for state in State if state != State.DRAFT])
def test_pm_s1_every_act_in_every_state_is_allowed_or_refused(world, act, state):
    run = make_computed_run(world)
    if state != State.COMPUTED:
        settle(run, world, upto=str(state))
    if (act, state) == ("submit", State.COMPUTED):
        pay_runs.sign_variance(run=run, note="x", by=world.maker, at=AT)
    before = Event.objects.count()

    if state in pay_runs.ALLOWED[act]:
        try:
            ACTS[act](run, world)
        except pay_runs.NobodyToPay:
            assert act == "follow"  # nobody was left out
    else:
        with pytest.raises(pay_runs.NotInThisState):
            ACTS[act](run, world)
        assert Event.objects.count() == before
        assert PayRun.objects.get(pk=run.pk).state == state
