"""The event chain finds every direct edit, deletion, insertion and swap, and names the first bad row."""

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from core.events import ChainFault, record_event, verify_chain
from core.models import ChainHead, Event
from people.models import OrgUnit

pytestmark = pytest.mark.django_db


@pytest.fixture
def chain(at):
    unit = OrgUnit.add_root(code="G", name="集团")
    for number in range(5):
        record_event(
            chain="test",
            action="renamed",
            subject=unit,
            actor=None,
            at=at,
            before={"name": number},
            after={"day": at.date()},
        )


def _raw(sql, *values):
    """Change rows behind the platform's back: the triggers that refuse it are taken off first."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER IF EXISTS core_event_no_update")
            cursor.execute("DROP TRIGGER IF EXISTS core_event_no_delete")
        else:
            cursor.execute("DROP TRIGGER IF EXISTS core_event_append_only ON core_event")
        cursor.execute(sql, values)


def test_au_04_chain_is_sound_and_gapless(chain):
    assert verify_chain("test") == (5, None)
    assert list(Event.objects.values_list("sequence", flat=True)) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("sql", "values", "fault"),
    [
        ("UPDATE core_event SET reason = %s WHERE sequence = 3", ["x"], (3, "content does not match its seal")),
        ("DELETE FROM core_event WHERE sequence = 2", [], (2, "missing")),
        (
            "DELETE FROM core_event WHERE sequence = 5",
            [],
            (5, "rows after this one were cut off, or the head was changed"),
        ),
        ("UPDATE core_event SET sequence = 9 WHERE sequence = 4", [], (4, "missing")),
        (
            "UPDATE core_chainhead SET sequence = 4",
            [],
            (6, "rows after this one were cut off, or the head was changed"),
        ),
    ],
)
def test_au_04_direct_changes_are_found(chain, sql, values, fault):
    _raw(sql, *values)
    assert verify_chain("test")[1] == ChainFault("test", *fault)


def test_au_04_swapped_rows_are_found(chain):
    _raw("UPDATE core_event SET sequence = sequence + 100 WHERE sequence IN (2, 3)")
    _raw("UPDATE core_event SET sequence = 105 - sequence WHERE sequence > 100")
    assert verify_chain("test")[1] == ChainFault("test", 2, "does not follow the row before it")


@pytest.mark.parametrize("read", ["core_event", "core_chainhead"])
def test_au_07_a_chain_that_grows_while_it_is_checked_is_sound(chain, at, read):
    """As the worker checks it at night: somebody may be at work between its looks at the rows and at the head."""
    unit, grown = OrgUnit.objects.get(), []

    def meanwhile(execute, sql, *rest):
        if sql.startswith("SELECT") and f'FROM "{read}"' in sql and len(grown) < 2:
            grown.append(sql)
            record_event(chain="test", action="renamed", subject=unit, actor=None, at=at)
        return execute(sql, *rest)

    with connection.execute_wrapper(meanwhile):
        assert verify_chain("test") == (7, None)
    assert len(grown) == 2


@pytest.mark.parametrize("sql", ["UPDATE core_event SET reason = 'x'", "DELETE FROM core_event"])
def test_au_03_ledger_refuses_update_and_delete(chain, sql):
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def test_verify_events_command_names_the_row_and_exits_1(chain, capsys):
    call_command("verify_events")
    assert capsys.readouterr().out == "test: 5 rows, sound\n"
    _raw("UPDATE core_event SET action = 'x' WHERE sequence = 4")
    with pytest.raises(SystemExit) as stop:
        call_command("verify_events", "test")
    assert stop.value.code == 1
    assert capsys.readouterr().out == "test: row 4 content does not match its seal (3 rows before it are sound)\n"


def test_two_chains_do_not_mix(chain, at):
    record_event(chain="other", action="made", subject=OrgUnit.objects.get(), actor=None, at=at)
    assert (verify_chain("other"), ChainHead.objects.count()) == ((1, None), 2)
