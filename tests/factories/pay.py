"""A world with pay: the six of DOMAIN T-02 with their results, bases and attendance, who prepares and who checks."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from decimal import Decimal
from zoneinfo import ZoneInfo

from core.periods import Month
from kpi.models import (
    PayAttendance,
    PayBase,
    PayRun,
    Review,
    ReviewCycle,
    RuleVersion,
    Scorecard,
)
from people.models import Employee, OrgUnit, User
from tests.factories.kpi import T01, make_published_version
from tests.factories.people import grant, make_employee, make_unit, make_user

MONTH = Month(2026, 10)
AT = dt.datetime(2026, 11, 18, 10, 0, tzinfo=ZoneInfo("Asia/Shanghai"))

# number, base in fen, days of 21, total, grade, coefficient (T-01), paid (T-02)
T02 = [
    ("000101", 600_000, 21, "103.60", "A", "1.20", 752_854),
    ("000102", 500_000, 21, "92.85", "B", "1.10", 575_097),
    ("000103", 500_000, 20, "89.95", "B", "1.10", 547_712),
    ("000104", 480_000, 21, "69.70", "D", "0.80", 401_522),
    ("000105", 500_000, 21, "69.99", "D", "0.80", 418_252),
    ("000106", 420_000, 10, "53.10", "E", "0.50", 104_563),
]
PAID = {number: paid for number, *_rest, paid in T02}

# 4,000.00 of 32,000.00 are kept back, so 28,000.00 are shared out.
RULE = {
    "pool": {"mode": "closed", "share": "people"},
    "reserve_share": "12.5",
    "without_review": "1.00",
    "unit_bands": [{"grade": "A", "coefficient": "1.05"}, {"grade": "B", "coefficient": "1.00"}],
}
GIVEN = 3_200_000


@dataclass
class PayWorld:
    group: OrgUnit
    branch: OrgUnit
    cycle: ReviewCycle
    version: RuleVersion
    maker: User
    checker: User
    people: list[Employee] = field(default_factory=list)


def make_card(
    version: RuleVersion, *, employee=None, org_unit=None, total, grade, coefficient, month=MONTH
) -> Scorecard:
    return Scorecard.objects.create(
        version=version, employee=employee, org_unit=org_unit, first_month=month, last_month=month, bonus=0,
        earned=Decimal(total), total=Decimal(total), grade=grade, coefficient=Decimal(coefficient), computed_at=AT,
    )  # fmt: skip


def make_review(cycle: ReviewCycle, employee: Employee, total: str, grade: str, coefficient: str, **values) -> Review:
    """A published result with its card."""
    card = make_card(
        cycle.version, employee=employee, total=total, grade=grade, coefficient=coefficient, month=cycle.first_month
    )
    given = {"state": Review.State.PUBLISHED, "number": 1, "published_at": AT - dt.timedelta(days=5)}
    return Review.objects.create(
        cycle=cycle, employee=employee, unit=employee.unit, unit_path_zh=employee.unit.name if employee.unit else "",
        scorecard=card, total=Decimal(total), grade=grade, coefficient=Decimal(coefficient),
        object_until=AT + dt.timedelta(days=2), changed_at=AT, **{**given, **values},
    )  # fmt: skip


def uphold(review: Review, total: str, grade: str, coefficient: str, *, at=AT) -> Review:
    """The next number of a result, as an objection that is upheld makes it."""
    Review.objects.filter(pk=review.pk).update(state=Review.State.SUPERSEDED)
    return make_review(
        review.cycle,
        review.employee,
        total,
        grade,
        coefficient,
        number=review.number + 1,
        supersedes=review,
        published_at=at,
    )


def make_base(employee: Employee, fen: int, *, month=MONTH, at=AT) -> PayBase:
    return PayBase.objects.create(employee=employee, from_month=month, base_fen=fen, source="bases.xlsx", at=at)


def make_attendance(employee: Employee, days, of=21, *, month=MONTH, last=None, at=AT) -> PayAttendance:
    return PayAttendance.objects.create(
        employee=employee, first_month=month, last_month=last or month, attended=Decimal(str(days)),
        attended_of=Decimal(str(of)), source="days.xlsx", at=at,
    )  # fmt: skip


def make_cycle(group: OrgUnit, card: RuleVersion, *, month=MONTH, last=None, state="published") -> ReviewCycle:
    last = last or month
    return ReviewCycle.objects.create(
        name=f"{month}考核", name_en=f"Review {month}", kind="monthly", scope=group, version=card, first_month=month,
        last_month=last, state=state, snapshot_on=last.last_day, self_until=AT, peers_until=AT, manager_until=AT,
    )  # fmt: skip


def make_pay_world(*, rule=None, with_people: bool = True, unit_grade: str = "A") -> PayWorld:
    """A group with one branch; the six of T-02 in the branch, preparer and checker in the group's office.

    The branch has a card of its own with ``unit_grade``, or none.
    """
    group = make_unit(code="G", name="集团", name_en="Group")
    office = make_unit(group, code="G-HR", name="人力资源部", name_en="Human Resources")
    branch = make_unit(group, code="B1", name="河西网点", name_en="Hexi", kind="branch")
    card = make_published_version(T01, scope=group)
    cycle = make_cycle(group, card)
    version = make_published_version(rule or RULE, scope=group, code="PAY", family="pay")
    maker, checker = make_user(username="maker"), make_user(username="checker")
    grant(maker, "pay_maker", group)
    grant(checker, "pay_checker", group)
    make_employee(office, employee_no="000011", name="制表人", user=maker)
    make_employee(office, employee_no="000012", name="复核人", user=checker)
    world = PayWorld(OrgUnit.objects.get(pk=group.pk), branch, cycle, version, maker, checker)
    if with_people:
        for number, base, days, total, grade, coefficient, _paid in T02:
            person = make_employee(branch, employee_no=number, with_user=True)
            make_base(person, base)
            make_attendance(person, days)
            make_review(cycle, person, total, grade, coefficient)
            world.people.append(person)
        if unit_grade:
            make_card(card, org_unit=branch, total="96.00", grade=unit_grade, coefficient="1.20")
    return world


def settle(run: PayRun, world: PayWorld, *, upto: str = "closed", at=AT) -> PayRun:
    """Lead a computed run through its steps: ``submitted``, ``approved``, ``exported`` or ``closed``."""
    from kpi.domain import pay_runs

    if run.kind == PayRun.Kind.REGULAR:
        pay_runs.sign_variance(run=run, note="看过", by=run.prepared_by, at=at)
    steps = ["submitted", "approved", "exported", "closed"]
    for step in steps[: steps.index(upto) + 1]:
        if step == "submitted":
            pay_runs.submit(run=run, by=run.prepared_by, at=at)
        elif step == "approved":
            pay_runs.approve(run=run, by=world.checker, at=at)
        elif step == "exported":
            pay_runs.record_export(
                run=run, number=1, kind="csv", digest="0" * 64, rows=run.lines_count, by=run.prepared_by, at=at
            )
        else:
            pay_runs.close(run=run, by=world.checker, at=at)
    run.refresh_from_db()
    return run


def make_computed_run(world: PayWorld, **values) -> PayRun:
    from kpi.domain import pay_runs

    given = {"code": "P-2026-10", "amount_fen": GIVEN, "checker": world.checker, "scope": world.branch}
    run = pay_runs.make_run(cycle=world.cycle, version=world.version, by=world.maker, at=AT, **{**given, **values})
    pay_runs.compute_run(run=run, by=world.maker, at=AT)
    run.refresh_from_db()
    return run
