"""Made-up histories of pay: whatever people do in whatever order, the sums hold and nothing locked moves (issue text).

An ordinary run tells a few dozen; ``PAY_HISTORIES=10000`` tells as many as one likes.
"""

import datetime as dt
import os
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from kpi.domain import pay_runs
from kpi.domain.pay_corrections import correct_line, results_changed_since
from kpi.domain.pay_proofs import prove
from kpi.domain.pay_seals import check_pay_runs
from kpi.models import PayBase, PayLine, PayPool, PayRun, Review
from kpi.pay_words import REFUSALS, refusal_words
from people.models import Employee, Placement
from tests.factories.kpi import make_published_version
from tests.factories.pay import AT, MONTH, RULE, make_attendance, make_base, make_pay_world, make_review, uphold
from tests.factories.people import grant, make_employee, make_unit, make_user

HISTORIES = int(os.environ.get("PAY_HISTORIES", "15"))
RULES = {
    "closed": RULE,
    "units": {**RULE, "pool": {"mode": "closed", "share": "units"}, "floor_share": "10", "cap_share": "400"},
    "ceiling": {**RULE, "pool": {"mode": "ceiling"}, "cap_fen": 700_000},
    "open": {**RULE, "pool": {"mode": "open"}, "floor_fen": 5_000},
}
GRADES = [("96.00", "A", "1.20"), ("88.00", "B", "1.10"), ("75.00", "C", "1.00"), ("50.00", "E", "0.50")]
State = PayRun.State


class World:
    """Two branches under a group; among the people of the first are somebody who prepares and somebody who checks."""

    def __init__(self):
        self.base = make_pay_world(with_people=False)
        self.group, self.cycle = self.base.group, self.base.cycle
        self.branches = [self.base.branch, make_unit(self.group, code="B2", name="河东网点")]
        self.versions = [
            make_published_version(parameters, scope=self.group, code=f"PAY-{name}", family="pay")
            for name, parameters in RULES.items()
        ]
        self.people = [
            make_employee(self.branches[place % 2], employee_no=f"{100 + place}", with_user=True, password=None)
            for place in range(6)
        ]
        second_maker, second_checker = make_user(password=None), make_user(password=None)
        self.makers = [self.base.maker, second_maker, self.people[0].user]
        self.checkers = [self.base.checker, second_checker, self.people[1].user]
        for user in (second_maker, self.people[0].user):
            grant(user, "pay_maker", self.group)
        for user in (second_checker, self.people[1].user):
            grant(user, "pay_checker", self.group)
        self.users = dict(Employee.objects.values_list("pk", "user"))


@dataclass
class Rows:
    """Every run, line and pool there is, as the database holds them: read in three plain statements after each step."""

    runs: list[dict]
    lines: list[dict]
    pools: list[dict]

    @classmethod
    def read(cls) -> "Rows":
        found = []
        with connection.cursor() as cursor:
            for model in (PayRun, PayLine, PayPool):
                cursor.execute(f"SELECT * FROM {model._meta.db_table} ORDER BY id")
                names = [column[0] for column in cursor.description]
                found.append([dict(zip(names, row, strict=True)) for row in cursor.fetchall()])
        return cls(*found)

    def lines_of(self, run: dict) -> list[dict]:
        return [line for line in self.lines if line["run_id"] == run["id"]]

    def pools_of(self, run: dict) -> list[dict]:
        return [pool for pool in self.pools if pool["run_id"] == run["id"]]


class PayHistory(RuleBasedStateMachine):
    world: World

    def __init__(self):
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        self.at = AT
        self.runs = 0
        self.now = Rows([], [], [])
        self.frozen: dict[int, list] = {}

    def teardown(self):
        try:
            assert all(sound for _what, sound in check_pay_runs())
            for run in PayRun.objects.exclude(state=State.DRAFT):
                assert prove(run).faults == []
        finally:
            transaction.set_rollback(True)
            self.atomic.__exit__(None, None, None)

    def tick(self) -> dt.datetime:
        """A minute later: no two things happen at the same moment."""
        self.at += dt.timedelta(minutes=1)
        return self.at

    def do(self, act, *args, **kwargs):
        """Do something that may be refused in words; anything else that goes wrong is a fault."""
        try:
            with transaction.atomic():
                return act(*args, at=self.tick(), **kwargs)
        except REFUSALS as refusal:
            assert refusal_words(refusal)
            return None

    def run_at(self, place: int) -> PayRun | None:
        found = [run["id"] for run in self.now.runs] or list(PayRun.objects.values_list("pk", flat=True))
        return PayRun.objects.filter(pk=found[place % len(found)]).first() if found else None

    # --- what payroll, HR and the year bring ---
    @initialize(
        bases=st.lists(st.integers(1, 900_000), min_size=6, max_size=6),
        grades=st.lists(st.none() | st.sampled_from(GRADES), min_size=6, max_size=6),
        by=st.integers(0, 2),
        scope=st.integers(0, 2),
        version=st.integers(0, 3),
        amount=st.integers(200_000, 5_000_000),
        steps=st.integers(0, 5),
    )
    def begin(self, bases, grades, by, scope, version, amount, steps):
        at = self.tick()
        PayBase.objects.bulk_create(
            PayBase(employee=person, from_month=MONTH, base_fen=fen, source="bases.xlsx", at=at)
            for person, fen in zip(self.world.people, bases, strict=True)
        )
        for person, grade in zip(self.world.people, grades, strict=True):
            if grade is not None:
                make_review(self.world.cycle, person, *grade, published_at=self.tick())
        self.make(by, scope, version, amount, None)
        for _step in range(steps):
            self.go_on(self.run_at(0))

    def go_on(self, run: PayRun | None) -> None:
        """The next step of a run by somebody who may take it, if there is one."""
        if run is None:
            return
        payees = set(PayLine.objects.filter(run=run).values_list("employee__user", flat=True))
        checker = next(
            (user for user in self.world.checkers if user.pk not in payees and user.pk != run.prepared_by_id), None
        )
        if run.state == State.DRAFT:
            self.do(pay_runs.compute_run, run=run, by=run.prepared_by)
        elif run.state == State.COMPUTED:
            if run.kind == PayRun.Kind.REGULAR:
                self.do(pay_runs.sign_variance, run=run, note="看过", by=run.prepared_by)
            self.do(pay_runs.submit, run=run, by=run.prepared_by)
        elif run.state == State.SUBMITTED and checker:
            self.do(pay_runs.approve, run=run, by=checker)
        elif run.state == State.APPROVED:
            self.do(pay_runs.record_export, run=run, number=1, kind="csv", digest="0" * 64, rows=1, by=run.prepared_by)
        elif run.state == State.EXPORTED and checker:
            self.do(pay_runs.close, run=run, by=checker)

    @precondition(lambda self: self.now.runs)
    @rule(places=st.lists(st.integers(0, 9), min_size=1, max_size=4))
    def advance(self, places):
        for place in places:
            self.go_on(self.run_at(place))

    @rule(who=st.integers(0, 5), fen=st.integers(0, 900_000))
    def give_base(self, who, fen):
        make_base(self.world.people[who], fen, at=self.tick())

    @rule(who=st.integers(0, 5), days=st.integers(0, 42), of=st.sampled_from([21, 22]))
    def give_days(self, who, days, of):
        make_attendance(self.world.people[who], Decimal(min(days, of * 2)) / 2, of, at=self.tick())

    @rule(who=st.integers(0, 5), grade=st.sampled_from(GRADES))
    def publish_result(self, who, grade):
        person = self.world.people[who]
        now = Review.objects.filter(employee=person, superseded_by=None).first()
        if now is None:
            make_review(self.world.cycle, person, *grade, published_at=self.tick())
        else:
            uphold(now, *grade, at=self.tick())

    @rule(who=st.integers(0, 5), day=st.integers(2, 28))
    def move(self, who, day):
        person = self.world.people[who]
        last = person.placements.order_by("-starts_on").first()
        start = dt.date(2026, 10, day)
        if last.starts_on < start:
            Placement.objects.filter(pk=last.pk).update(ends_on=start - dt.timedelta(days=1))
            other = next(unit for unit in self.world.branches if unit.pk != last.unit_id)
            Placement.objects.create(employee=person, unit=other, starts_on=start)

    # --- what preparers do ---
    @rule(
        by=st.integers(0, 2),
        scope=st.integers(0, 2),
        version=st.integers(0, 3),
        amount=st.none() | st.integers(0, 5_000_000),
        checker=st.none() | st.integers(0, 2),
    )
    def make(self, by, scope, version, amount, checker):
        self.runs += 1
        chosen = self.world.versions[version]
        self.do(
            pay_runs.make_run,
            code=f"R{self.runs}",
            cycle=self.world.cycle,
            version=chosen,
            scope=[self.world.group, *self.world.branches][scope],
            amount_fen=None if chosen.parameters["pool"]["mode"] == "open" else amount,
            checker=None if checker is None else self.world.checkers[checker],
            by=self.world.makers[by],
        )

    @precondition(lambda self: self.now.runs)
    @rule(place=st.integers(0, 9), by=st.integers(0, 2), own=st.booleans())
    def compute(self, place, by, own):
        run = self.run_at(place)
        self.do(pay_runs.compute_run, run=run, by=run.prepared_by if own else self.world.makers[by])

    @precondition(lambda self: self.now.runs)
    @rule(place=st.integers(0, 9), amount=st.integers(0, 5_000_000))
    def give_money(self, place, amount):
        run = self.run_at(place)
        open_pool = run.version.parameters["pool"]["mode"] == "open"
        self.do(pay_runs.set_amount, run=run, amount_fen=None if open_pool else amount, by=run.prepared_by)

    @precondition(lambda self: self.now.runs)
    @rule(place=st.integers(0, 9), by=st.integers(0, 2), act=st.sampled_from(["take_over", "discard"]))
    def take_over_or_discard(self, place, by, act):
        run = self.run_at(place)
        self.do(getattr(pay_runs, act), run=run, by=self.world.makers[by])

    @precondition(lambda self: self.now.runs)
    @rule(place=st.integers(0, 9), by=st.integers(0, 2), own=st.booleans())
    def sign_and_submit(self, place, by, own):
        run = self.run_at(place)
        who = run.prepared_by if own else self.world.makers[by]
        if run.kind == PayRun.Kind.REGULAR:
            self.do(pay_runs.sign_variance, run=run, note="看过", by=who)
        self.do(pay_runs.submit, run=run, by=who)

    @precondition(lambda self: self.now.runs)
    @rule(place=st.integers(0, 9), by=st.integers(0, 2))
    def follow(self, place, by):
        self.runs += 1
        self.do(pay_runs.make_following, run=self.run_at(place), code=f"F{self.runs}", by=self.world.makers[by])

    @precondition(lambda self: self.now.runs)
    @rule(place=st.integers(0, 9), by=st.integers(0, 2))
    def export(self, place, by):
        run = self.run_at(place)
        self.do(
            pay_runs.record_export,
            run=run,
            number=1,
            kind="csv",
            digest="0" * 64,
            rows=run.lines_count,
            by=self.world.makers[by],
        )

    @precondition(lambda self: self.now.runs)
    @rule(place=st.integers(0, 9), by=st.integers(0, 2), which=st.integers(0, 9))
    def adjust(self, place, by, which):
        self.publish_result(which % 6, GRADES[0])
        run = self.run_at(place)
        reviews = list(results_changed_since(run))
        if reviews:
            review = reviews[which % len(reviews)]
            self.do(pay_runs.adjust_for_appeal, run=run, review=review, by=self.world.makers[by])

    @precondition(lambda self: self.now.lines)
    @rule(which=st.integers(0, 30), by=st.integers(0, 2), fen=st.integers(0, 900_000))
    def correct(self, which, by, fen):
        lines = list(PayLine.objects.filter(adjusts=None).select_related("run", "employee").order_by("pk"))
        if lines:
            line = lines[which % len(lines)]
            self.do(correct_line, line=line, base_fen=fen, reason="录错", by=self.world.makers[by])

    # --- what checkers do, and who should not ---
    @precondition(lambda self: self.now.runs)
    @rule(
        place=st.integers(0, 9),
        by=st.integers(0, 5),
        act=st.sampled_from(["approve", "approve", "approve", "send_back", "close", "close"]),
    )
    def check(self, place, by, act):
        run = self.run_at(place)
        who = [*self.world.checkers, *self.world.makers][by]
        words = {"reason": "不对"} if act == "send_back" else {}
        if self.do(getattr(pay_runs, act), run=run, by=who, **words) and act == "send_back":
            self.frozen.pop(run.pk, None)

    # --- what somebody tries past the functions ---
    @precondition(lambda self: self.now.runs)
    @rule(
        place=st.integers(0, 9),
        what=st.sampled_from(["line", "pool", "total", "self"]),
    )
    def reach_past(self, place, what):
        """Refused by the database in every locked run; in an open one nothing is tried."""
        run = self.run_at(place)
        if run.state in (State.DRAFT, State.COMPUTED):
            return
        with suppress(DatabaseError), transaction.atomic():
            if what == "line":
                changed = PayLine.objects.filter(run=run).update(paid_fen=1)
            elif what == "pool":
                changed = PayPool.objects.filter(run=run).update(paid_fen=1)
            elif what == "total":
                changed = PayRun.objects.filter(pk=run.pk).update(total_fen=F("total_fen") + 1)
            else:
                changed = PayRun.objects.filter(pk=run.pk).update(checked_by=run.prepared_by, state=State.APPROVED)
            assert not changed

    # --- what always holds ---
    @invariant()
    def every_promise_is_kept(self):
        """After each step, of every row there is; rows that are the ones of the step before keep what they kept then."""
        now = Rows.read()
        if now == self.now:
            return
        self.now = now
        for run in now.runs:
            if run["state"] != State.DRAFT:
                self.lines_sum_to_the_pool(run)
            if run["state"] not in (State.DRAFT, State.COMPUTED):
                self.nothing_is_approved_by_its_maker_or_who_is_paid(run)
                self.what_is_locked_never_changes(run)
            self.the_reserve_never_goes_below_zero(run)
        self.nobody_is_paid_twice()

    def lines_sum_to_the_pool(self, run):
        paid = sum(line["paid_fen"] for line in self.now.lines_of(run))
        assert paid == run["total_fen"]
        pools = self.now.pools_of(run)
        top = next(pool for pool in pools if pool["parent_id"] is None)
        assert top["paid_fen"] == paid
        assert sum(pool["paid_fen"] for pool in pools if pool["parent_id"]) <= paid or run["kind"] == "correction"
        if top["mode"] == PayPool.Mode.CLOSED:
            assert paid + run["reserve_fen"] == top["amount_fen"]
        elif top["mode"] == PayPool.Mode.CEILING:
            assert paid + run["reserve_fen"] <= top["amount_fen"]

    def nobody_is_paid_twice(self):
        days: dict[int, list[tuple]] = {}
        for line in self.now.lines:
            if line["adjusts_id"] is None:
                for start, end in days.get(line["employee_id"], ()):
                    assert line["ends_on"] < start or end < line["starts_on"]
                days.setdefault(line["employee_id"], []).append((line["starts_on"], line["ends_on"]))
                assert line["paid_fen"] >= 0

    def nothing_is_approved_by_its_maker_or_who_is_paid(self, run):
        assert run["checked_by_id"] != run["prepared_by_id"]
        assert (run["checked_by_id"] is not None) == (run["state"] != State.SUBMITTED)
        paid = {self.world.users.get(line["employee_id"]) for line in self.now.lines_of(run)} - {None}
        assert not paid & {run["prepared_by_id"], run["checked_by_id"]}

    def what_is_locked_never_changes(self, run):
        sums = [run[name] for name in ("total_fen", "reserve_fen", "lines_hash", "inputs_hash")]
        now = [self.now.lines_of(run), self.now.pools_of(run), sums]
        assert self.frozen.setdefault(run["id"], now) == now

    def the_reserve_never_goes_below_zero(self, run):
        corrections = [one for one in self.now.runs if one["corrects_id"] == run["id"]]
        spent = sum(line["paid_fen"] for one in corrections for line in self.now.lines_of(one))
        assert not corrections or run["reserve_fen"] >= spent


@pytest.mark.django_db
def test_pay_histories_keep_their_promises():
    PayHistory.world = World()
    run_state_machine_as_test(
        PayHistory,
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
