"""A pay run cannot be changed past its functions without being found; computed again it gives the same bytes."""

import io
import random

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from kpi.domain import pay_runs
from kpi.domain.pay_proofs import prove
from kpi.domain.pay_seals import check_pay_runs
from kpi.models import PayLine, PayPool, PayRun
from tests.factories.pay import AT, make_base, make_computed_run, make_pay_world, settle, uphold
from tests.factories.people import make_employee, make_unit

pytestmark = pytest.mark.django_db

# AU-10: these bytes must never change. They hold no id, no clock and no key: the same figures give them anywhere.
INPUTS_HASH = "932588d3fefea7ed9e4ca3a7c1b9c226f55b44d2d3fc1e6f1bdab90be7c0c50b"
LINES_HASH = "bc04e76a73e5d50d46304ee21073796827987b351f5ecb89028e2317e5a2e865"


@pytest.fixture
def world():
    return make_pay_world()


def sql(text, *values):
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        return cursor.rowcount


def without_triggers(*tables):
    """What somebody with the database's own key does first."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            for table in tables:
                cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [table])
                for (name,) in cursor.fetchall():
                    cursor.execute(f"DROP TRIGGER {name}")
        else:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")


# --- the same bytes -----------------------------------------------------------------------------------------------------
def test_au_10_a_closed_run_gives_the_golden_bytes(world):
    run = settle(make_computed_run(world), world)
    assert (run.inputs_hash, run.lines_hash) == (INPUTS_HASH, LINES_HASH)
    proof = prove(run)
    assert (proof.faults, proof.inputs_hash, proof.lines_hash) == ([], INPUTS_HASH, LINES_HASH)


def test_au_10_what_happens_afterwards_does_not_change_the_proof(world):
    run = settle(make_computed_run(world), world)
    person = world.people[0]
    uphold(PayLine.objects.get(run=run, employee=person).review, "60.00", "D", "0.80")
    make_base(person, 1, at=AT.replace(day=25))
    person.placements.update(unit=make_unit(world.group))
    assert prove(run).faults == []


def test_verify_pay_run_says_what_it_found(world):
    settle(make_computed_run(world), world)
    out = io.StringIO()
    call_command("verify_pay_run", "P-2026-10", stdout=out)
    assert out.getvalue().splitlines()[0] == "P-2026-10: 6 lines, 28,000.00 yuan, closed"
    assert out.getvalue().splitlines()[-1] == "Computed again: the same bytes."
    with pytest.raises(CommandError):
        call_command("verify_pay_run", "NONE")


def test_verify_pay_run_fails_on_a_changed_line(world):
    settle(make_computed_run(world), world)
    without_triggers("kpi_payline")
    sql("UPDATE kpi_payline SET paid_fen = paid_fen + 1 WHERE number = 4")
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("verify_pay_run", "P-2026-10", stdout=out)
    assert "line 4 (000104)" in out.getvalue()


# --- direct SQL ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE kpi_payline SET paid_fen = paid_fen + 1 WHERE number = 2", "line 2 (000102)"),
        ("UPDATE kpi_payline SET raw = '1/1' WHERE number = 6", "line 6 (000106)"),
        ("UPDATE kpi_payline SET reason_text = 'x' WHERE number = 1", "line 1 (000101)"),
        ("DELETE FROM kpi_payline WHERE number = 3", "line 3 is missing"),
        ("DELETE FROM kpi_payline WHERE number = 6", "line 6 is missing"),
        ("UPDATE kpi_paypool SET ratio = '1/1'", "pool B1"),
        ("UPDATE kpi_payrun SET total_fen = 1", "its own row"),
        ("UPDATE kpi_payrun SET checked_by_id = prepared_by_id + 0, state = 'computed'", "its own row"),
        ("UPDATE kpi_payrun SET left_out = '[]', rejection = 'x'", "its own row"),
    ],
)
def test_au_04_the_first_changed_row_is_named(world, change, named):
    run = settle(make_computed_run(world), world)
    without_triggers("kpi_payline", "kpi_paypool", "kpi_payrun")
    if "checked_by_id" in change:
        change = change.replace("checked_by_id = prepared_by_id + 0", "checked_by_id = NULL")
    assert sql(change) == 1
    assert list(check_pay_runs()) == [(f"pay run {run.code}: {named}", False)]


def test_au_04_two_lines_that_changed_places_are_found(world):
    run = settle(make_computed_run(world), world)
    without_triggers("kpi_payline")
    sql("UPDATE kpi_payline SET number = 10 - number WHERE number IN (4, 6)")
    assert list(check_pay_runs()) == [(f"pay run {run.code}: line 4 (000106)", False)]


def test_au_04_a_line_that_was_slipped_in_is_found(world):
    run = settle(make_computed_run(world), world)
    without_triggers("kpi_payline")
    line = PayLine.objects.get(run=run, number=6)
    line.pk, line.number, line.employee = None, 7, make_employee(world.branch, employee_no="000666")
    line.save(force_insert=True)
    assert list(check_pay_runs()) == [(f"pay run {run.code}: line 7 (000666)", False)]


def test_au_04_a_run_that_came_or_went_by_hand_is_found(world):
    run = make_computed_run(world)
    without_triggers("kpi_payline", "kpi_paypool", "kpi_payrun")
    PayRun.objects.create(
        code="GHOST",
        cycle=world.cycle,
        version=world.version,
        scope=world.group,
        prepared_by=world.maker,
        prepared_at=AT,
    )
    sql("DELETE FROM kpi_payline")
    sql("DELETE FROM kpi_paypool")
    sql("DELETE FROM kpi_payrun WHERE code = %s", run.code)
    assert list(check_pay_runs()) == [
        ("pay run GHOST: nobody made it", False),
        (f"pay run {run.code}: it is gone", False),
    ]


def test_au_04_an_older_state_put_back_is_found(world):
    """Lines and seals of an earlier computation are sound in themselves, but not the ones of the last event."""
    run = make_computed_run(world)
    lines, pools = (list(model.objects.filter(run=run).order_by("pk").values()) for model in (PayLine, PayPool))
    make_base(world.people[0], 700_000)
    pay_runs.compute_run(run=run, by=world.maker, at=AT)
    without_triggers("kpi_payline", "kpi_paypool")
    sql("DELETE FROM kpi_payline")
    sql("DELETE FROM kpi_paypool")
    PayPool.objects.bulk_create(PayPool(**row) for row in pools)
    PayLine.objects.bulk_create(PayLine(**row) for row in lines)
    assert list(check_pay_runs()) == [(f"pay run {run.code}: the run's row (inputs_hash)", False)]


COLUMNS = {
    "kpi_payline": ["base_fen", "share_fen", "extra_fen", "paid_fen", "segment", "number"],
    "kpi_paypool": ["paid_fen"],
    "kpi_payrun": ["total_fen", "reserve_fen", "lines_count"],
}


@pytest.mark.parametrize("seed", range(30))
def test_au_04_random_changes_by_sql_are_all_found(world, seed):
    """Edits, deletions, insertions and swaps; PAY: as many seeds as one likes."""
    settle(make_computed_run(world), world)
    rand = random.Random(seed)
    without_triggers(*COLUMNS)
    kind = rand.choice(["edit", "edit", "delete", "insert", "swap", "seal"])
    number = rand.randint(1, 6)
    if kind == "edit":
        table = rand.choice(list(COLUMNS))
        column = rand.choice(COLUMNS[table])
        where = " WHERE number = %s" if table == "kpi_payline" else ""
        sql(f"UPDATE {table} SET {column} = {column} + {rand.randint(10, 99)}{where}", *([number] if where else []))
    elif kind == "delete":
        sql("DELETE FROM kpi_payline WHERE number = %s", number)
    elif kind == "insert":
        line = PayLine.objects.get(number=number)
        line.pk, line.segment = None, 9
        line.save(force_insert=True)
    elif kind == "seal":
        sql("UPDATE kpi_payline SET seal = %s WHERE number = %s", "0" * 64, number)
    else:
        other = number % 6 + 1
        column = rand.choice(["base_fen", "paid_fen", "raw"])
        values = dict(PayLine.objects.filter(number__in=[number, other]).values_list("number", column))
        for one, two in ((number, other), (other, number)):
            sql(f"UPDATE kpi_payline SET {column} = %s WHERE number = %s", values[two], one)
        if values[number] == values[other]:
            return
    assert False in [sound for _what, sound in check_pay_runs()]


# --- what the database refuses ------------------------------------------------------------------------------------------
def refused(words, text, *values):
    with pytest.raises(DatabaseError, match=words), transaction.atomic():
        sql(text, *values)


@pytest.mark.parametrize("upto", ["submitted", "approved", "exported", "closed"])
def test_mc_15_a_submitted_run_stands_still_in_the_database(world, upto):
    run = settle(make_computed_run(world), world, upto=upto)
    for text in (
        "UPDATE kpi_payline SET paid_fen = 1",
        "DELETE FROM kpi_payline",
        "UPDATE kpi_paypool SET paid_fen = 1",
        "DELETE FROM kpi_paypool",
    ):
        refused("the pay run was submitted", text)
    for column in ("code", "total_fen", "reserve_fen", "lines_hash", "lines_count", "left_out", "variance_note"):
        value = "'[1]'" if column == "left_out" else "'7'" if column in ("code", "lines_hash", "variance_note") else "7"
        refused("submitted|closed", f"UPDATE kpi_payrun SET {column} = {value}")
    refused("submitted", "DELETE FROM kpi_payrun WHERE id = %s", run.pk)
    line = PayLine.objects.get(run=run, number=1)
    line.pk, line.segment, line.number = None, 9, 9
    with pytest.raises(DatabaseError, match="the pay run was submitted"), transaction.atomic():
        line.save(force_insert=True)


def test_mc_15_an_approved_run_does_not_go_back_in_the_database(world):
    settle(make_computed_run(world), world, upto="approved")
    refused("does not go back", "UPDATE kpi_payrun SET state = 'computed'")


def test_mc_15_a_closed_run_takes_no_change_at_all_in_the_database(world):
    settle(make_computed_run(world), world)
    refused("the pay run is closed", "UPDATE kpi_payrun SET export_hash = 'x'")


def test_mc_15_maker_and_checker_are_two_people_in_the_database(world):
    settle(make_computed_run(world), world, upto="submitted")
    refused(
        "pay_run_maker_is_not_checker",
        "UPDATE kpi_payrun SET state = 'approved', checked_by_id = prepared_by_id",
    )
    refused("approved_pay_run_was_checked", "UPDATE kpi_payrun SET state = 'approved'")


def test_mc_15_the_checker_is_not_paid_by_it_in_the_database(world):
    settle(make_computed_run(world), world, upto="submitted")
    refused(
        "who prepares or checks a pay run is not paid by it",
        "UPDATE kpi_payrun SET state = 'approved', checked_by_id = %s",
        world.people[0].user_id,
    )


def test_mc_15_the_preparer_is_not_paid_by_it_in_the_database(world):
    run = make_computed_run(world)
    line = PayLine.objects.get(run=run, number=1)
    line.pk, line.employee, line.number = None, world.maker.employee, 7
    with pytest.raises(DatabaseError, match="who prepares a pay run is not paid by it"), transaction.atomic():
        line.save(force_insert=True)
    sql("UPDATE kpi_payline SET employee_id = %s WHERE number = 1", world.maker.employee.pk)
    refused("who prepares or checks a pay run is not paid by it", "UPDATE kpi_payrun SET state = 'submitted'")


@pytest.mark.parametrize("table", ["kpi_paybase", "kpi_payattendance"])
def test_au_03_what_payroll_gave_is_only_added_to(world, table):
    refused("is append-only", f"DELETE FROM {table}")
    refused("is append-only", f"UPDATE {table} SET source = 'x'")
