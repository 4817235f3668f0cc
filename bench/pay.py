"""A pay run of a whole company against the bare INSERT … SELECT of the same database on the same data (F1).

Ours is ``compute_run`` as the page calls it: bases, attendance, results, grades of units and posts are read as they were
known, the money is shared out to the fen, and every line is written with its number, its exact raw amount and its seal,
with the hashes of what went in and came out, the comparison with the last run, and one event. Limit: one statement that
joins the same tables and writes a row a person into a table of its own, by binary fractions, each part rounded for
itself: no fen is handed out, nothing is sealed, no index but the key. Afterwards every line is computed anew with
fractions.Fraction, independently of our code; none may differ. Quick runs pay 30,000 people; --full the 300,000 of the
goal.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import _pairs

_pairs.site()

from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

from core.periods import Month  # noqa: E402
from kpi.domain import pay_runs  # noqa: E402
from kpi.models import PayAttendance, PayBase, PayLine, PayRun, Review, Scorecard  # noqa: E402
from people.models import Employee, OrgUnit, Placement  # noqa: E402
from tests.factories.kpi import T01, make_published_version  # noqa: E402
from tests.factories.pay import make_cycle  # noqa: E402
from tests.factories.people import grant, make_employee, make_user  # noqa: E402

MONTH = Month(2026, 10)
AT = timezone.make_aware(dt.datetime(2026, 11, 18, 10, 0))
RULE = {
    "pool": {"mode": "closed", "share": "people"},
    "reserve_share": "5",
    "cap_share": "300",
    "without_review": "1.00",
    "unit_bands": [{"grade": "A", "coefficient": "1.05"}, {"grade": "B", "coefficient": "1.00"}],
}
GRADES = [("A", "1.20"), ("B", "1.10"), ("C", "1.00"), ("D", "0.80"), ("E", "0.50")]
PROVINCES = 31
A_BRANCH = 100  # people
CHANCE = random.Random(7)

CREATE = """
    CREATE TABLE bench_line (
        employee_id bigint PRIMARY KEY, unit_id bigint NOT NULL, review_id bigint, base_fen bigint NOT NULL,
        coefficient numeric(6,4) NOT NULL, unit_coefficient numeric(6,4) NOT NULL, attended numeric(6,2) NOT NULL,
        attended_of numeric(6,2) NOT NULL, paid_fen bigint NOT NULL
    )
"""
BARE = """
    INSERT INTO bench_line
    SELECT id, unit_id, review_id, base_fen, coefficient, unit_coefficient, attended, attended_of,
           CAST(round(raw * %s / sum(raw) OVER ()) AS bigint)
    FROM (
        SELECT e.id, p.unit_id, r.id AS review_id, b.base_fen, COALESCE(r.coefficient, 1) AS coefficient,
               CASE card.grade WHEN 'A' THEN 1.05 ELSE 1 END AS unit_coefficient, a.attended, a.attended_of,
               CAST(b.base_fen AS double precision) * COALESCE(r.coefficient, 1)
                   * CASE card.grade WHEN 'A' THEN 1.05 ELSE 1 END * a.attended / a.attended_of AS raw
        FROM people_employee e
        JOIN people_placement p ON p.employee_id = e.id AND p.ends_on IS NULL
        JOIN kpi_paybase b ON b.employee_id = e.id
        JOIN kpi_payattendance a ON a.employee_id = e.id AND a.first_month = %s AND a.last_month = %s
        LEFT JOIN kpi_review r ON r.employee_id = e.id AND r.cycle_id = %s
        LEFT JOIN kpi_scorecard card ON card.org_unit_id = p.unit_id
    ) AS paid
"""


def main(full: bool) -> None:
    run = company(300_000 if full else 30_000)
    people, given = run.people, pay_runs.amount_of(run)

    def bare() -> float:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS bench_line")
            cursor.execute(CREATE)
            values = [given - given // 20, *[MONTH_VALUE] * 2, run.cycle_id]
            settle()
            start = time.perf_counter()
            with transaction.atomic():
                cursor.execute(BARE, values)
            seconds = time.perf_counter() - start
            cursor.execute("SELECT count(*) FROM bench_line")
            assert cursor.fetchone() == (people,)
        return seconds

    def ours() -> float:
        pay_runs.set_amount(run=run, amount_fen=given, by=run.prepared_by, at=AT)  # a draft again, without lines
        settle()
        start = time.perf_counter()
        pay_runs.compute_run(run=run, by=run.prepared_by, at=AT)
        seconds = time.perf_counter() - start
        run.refresh_from_db()
        assert run.lines_count == people
        return seconds

    timed = _pairs.pairs(bare, ours)
    _pairs.row("F1", f"pay run of {people:,} people, against the bare INSERT … SELECT", timed, goal="<= 1.5")
    wrong = differing(run, given - given // 20)
    _pairs.row(
        "F1", f"lines of {people:,} that differ from fractions.Fraction", goal="= 0", baseline="–", ours=str(wrong),
        ratio=wrong,
    )  # fmt: skip


def settle() -> None:
    """Leave no work of the last turn for the next one."""
    with connection.cursor() as cursor:
        cursor.execute("CHECKPOINT" if connection.vendor == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)")
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM kpi_payline")


def differing(run: PayRun, amount: int) -> int:
    """How many lines are not what the rule gives, by the sources themselves and with exact fractions throughout."""
    bases = dict(PayBase.objects.values_list("employee_id", "base_fen"))
    days = {
        who: (there, of) for who, there, of in PayAttendance.objects.values_list("employee", "attended", "attended_of")
    }
    coefficients = dict(Review.objects.values_list("employee_id", "coefficient"))
    best = set(Scorecard.objects.filter(org_unit__isnull=False, grade="A").values_list("org_unit_id", flat=True))
    raw = {}
    for who, number, unit in Employee.objects.filter(pk__in=bases).values_list("pk", "employee_no", "unit_id"):
        there, of = days[who]
        unit_coefficient = Fraction("1.05") if unit in best else Fraction(1)
        share = Fraction(there) / Fraction(of)
        raw[number, who] = bases[who] * Fraction(coefficients.get(who, Decimal(1))) * unit_coefficient * share
    total = sum(raw.values(), Fraction(0))
    exact = {key: value * amount / total for key, value in raw.items()}
    paid = {key: value.numerator // value.denominator for key, value in exact.items()}
    order = sorted(exact, key=lambda key: (paid[key] - exact[key], key))  # numbers are of one length here
    for key in order[: amount - sum(paid.values())]:
        paid[key] += 1
    lines = PayLine.objects.filter(run=run).values_list("employee__employee_no", "employee_id", "raw", "paid_fen")
    found = {(number, who): (text, fen) for number, who, text, fen in lines.iterator(chunk_size=5000)}
    wanted = {key: (f"{value.numerator}/{value.denominator}", paid[key]) for key, value in raw.items()}
    return sum(found.get(key) != wanted.get(key) for key in found.keys() | wanted.keys())


# --- the company --------------------------------------------------------------------------------------------------------
@transaction.atomic
def company(people: int) -> PayRun:
    """Branches of a hundred people with results, bases and attendance, and a draft of the run that pays them."""
    group, branches = units(people // A_BRANCH)
    card = make_published_version(T01, scope=group)
    cycle = make_cycle(group, card, month=MONTH)
    version = make_published_version(RULE, scope=group, code="PAY", family="pay")
    maker = make_user(username="maker", password=None)
    grant(maker, "pay_maker", group)
    make_employee(group, employee_no="maker", user=maker)

    hired = dt.date(2020, 1, 1)
    every = [
        Employee(employee_no=f"{n:07d}", name=f"员工{n % 9973}", unit_id=branches[n % len(branches)], hired_on=hired)
        for n in range(people)
    ]
    add(Employee, every)
    add(Placement, (Placement(employee=one, unit_id=one.unit_id, starts_on=hired) for one in every))
    bases = [CHANCE.randrange(200_000, 900_000) for _one in every]
    add(
        PayBase,
        (
            PayBase(employee=one, from_month=MONTH, base_fen=fen, source="a", at=AT)
            for one, fen in zip(every, bases, strict=True)
        ),
    )
    add(
        PayAttendance,
        (
            PayAttendance(
                employee=one, first_month=MONTH, last_month=MONTH, attended_of=Decimal(21), source="a", at=AT,
                attended=Decimal(21 if CHANCE.random() < 0.8 else CHANCE.randrange(42) / 2),
            )
            for one in every
        ),
    )  # fmt: skip
    add(Review, reviews(cycle, card, every))
    add(
        Scorecard,
        (Scorecard(org_unit_id=unit, **of_card(card, CHANCE.choice(GRADES[:2]))) for unit in branches),
    )
    run = pay_runs.make_run(
        code="P-2026-10", cycle=cycle, version=version, scope=OrgUnit.objects.get(pk=group.pk),
        amount_fen=sum(bases) * 21 // 20, by=maker, at=AT,
    )  # fmt: skip
    run.people = people
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return run


def units(count: int) -> tuple[OrgUnit, list[int]]:
    """A group with provinces and branches below them; the ids of the branches."""
    group = OrgUnit(code="G", name="集团", depth=1, path="0001", numchild=PROVINCES)

    def below(parent: OrgUnit, code: str, name: str) -> OrgUnit:
        parent.numchild += 1
        step = OrgUnit._int2str(parent.numchild).rjust(OrgUnit.steplen, "0")
        return OrgUnit(code=code, name=name, depth=parent.depth + 1, path=parent.path + step)

    group.numchild = 0
    provinces = [below(group, f"P{n}", f"第{n}分公司") for n in range(PROVINCES)]
    branches = [below(provinces[n % PROVINCES], f"B{n}", f"网点{n}") for n in range(count)]
    OrgUnit.objects.bulk_create([group, *provinces, *branches], batch_size=500)
    return OrgUnit.objects.get(code="G"), list(OrgUnit.objects.filter(depth=3).values_list("pk", flat=True))


def reviews(cycle, card, every: list[Employee]) -> Iterator[Review]:
    """A published result for ninety-eight of a hundred."""
    rated = [(one, CHANCE.choice(GRADES)) for one in every if CHANCE.random() < 0.98]
    cards = [Scorecard(employee=one, **of_card(card, grade)) for one, grade in rated]
    add(Scorecard, cards)
    for (one, (grade, coefficient)), own in zip(rated, cards, strict=True):
        yield Review(
            cycle=cycle, employee=one, unit_id=one.unit_id, scorecard=own, total=90, grade=grade,
            coefficient=Decimal(coefficient), state="published", published_at=AT, object_until=AT, changed_at=AT,
        )  # fmt: skip


def of_card(version, grade: tuple[str, str]) -> dict:
    return {
        "version": version, "first_month": MONTH, "last_month": MONTH, "bonus": 0, "earned": 90, "total": 90,
        "grade": grade[0], "coefficient": Decimal(grade[1]), "computed_at": AT,
    }  # fmt: skip


def add(model, rows) -> None:
    model._default_manager.bulk_create(rows, batch_size=5000)


MONTH_VALUE = PayBase._meta.get_field("from_month").get_db_prep_value(MONTH, connection)

if __name__ == "__main__":
    _pairs.run(main)
