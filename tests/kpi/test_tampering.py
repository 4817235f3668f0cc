"""Whoever writes past the platform into its tables of reviews, pay and events is found by ``manage.py verify_events``.

Each case changes, deletes, slips in or swaps rows with the triggers and keys of the database out of the way, as somebody
with the right of the database's owner could, and takes it back afterwards. ``TAMPERINGS=1000`` tries that many cases.
"""

import contextlib
import datetime as dt
import io
import os
import random
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, models, transaction

from core.models import Event
from core.periods import Month, MonthField
from kpi.domain import appeals, measures, pay_runs
from kpi.models import (
    Appeal,
    PayLine,
    PayPool,
    PayRun,
    Rating,
    Review,
    ReviewCycle,
    Scorecard,
    ScorecardLine,
)
from tests.factories.kpi import make_published_version
from tests.factories.pay import GIVEN, RULE, make_attendance, make_base, settle
from tests.factories.people import grant, make_user
from tests.factories.reviews import bring, make_branch, on, review_of

pytestmark = pytest.mark.django_db

CASES = int(os.environ.get("TAMPERINGS", "80"))
TABLES = [
    Review,
    Rating,
    Appeal,
    ReviewCycle,
    Scorecard,
    ScorecardLine,
    PayRun,
    PayPool,
    PayLine,
    Event,
]


@pytest.fixture
def house():
    """A branch that was reviewed, contested and paid, through the domain functions."""
    world = make_branch()
    cycle = bring(world, "published")
    appeal = appeals.contest(
        review=review_of(cycle, world.E4), text="不是我的责任。", line="complaints", by=world.E4.user, at=on(13)
    )
    wrong = measures.in_force().get(employee=world.E4, indicator__code="complaints_liable")
    appeals.decide(
        appeal=appeal, uphold=True, text="属实。", corrections={wrong.pk: Decimal(0)}, by=world.hr2.user, at=on(14)
    )
    maker, checker = make_user(), make_user()
    grant(maker, "pay_maker", world.group)
    grant(checker, "pay_checker", world.group)
    for person in world.people:
        make_base(person, 500_000)
        make_attendance(person, 21)
    version = make_published_version(RULE, scope=world.group, code="PAY", family="pay")
    run = pay_runs.make_run(
        code="P1", cycle=cycle, version=version, scope=world.branch, amount_fen=GIVEN, by=maker, at=on(18)
    )
    pay_runs.compute_run(run=run, by=maker, at=on(18))
    run.refresh_from_db()
    settle(run, SimpleNamespace(checker=checker), at=on(18))
    return verify()  # what the rows that the factories wrote plainly (measures, rules) are missing


def verify() -> str:
    """What verify_events names as wrong; nothing when all is sound."""
    said = io.StringIO()
    try:
        call_command("verify_events", stdout=said)
    except SystemExit:
        bad = [line for line in said.getvalue().splitlines() if not line.endswith("sound")]
        return "\n".join(bad) or "failed without saying where"
    return ""


@contextlib.contextmanager
def nobody_guards():
    """The tables without triggers and keys, and everything taken back at the end."""
    point = transaction.savepoint()
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            for (name,) in cursor.fetchall():
                cursor.execute(f'DROP TRIGGER "{name}"')
        else:
            cursor.execute("SET LOCAL session_replication_role = 'replica'")
    try:
        yield
    finally:
        transaction.savepoint_rollback(point)


def other_value(field: models.Field, value, rng: random.Random):
    """Another value that the column takes."""
    if isinstance(field, models.ForeignKey):
        return (value or 0) + rng.randint(1, 3)
    if value is None:
        return None
    if isinstance(field, models.JSONField):
        return {"changed": rng.random()}
    if isinstance(field, models.BooleanField):
        return not value
    if isinstance(field, MonthField):
        return Month.parse(str(value)).plus(rng.choice([-1, 1]))
    if isinstance(field, models.DateTimeField):
        return value + dt.timedelta(seconds=rng.randint(1, 10_000))
    if isinstance(field, models.DateField):
        return value + dt.timedelta(days=rng.randint(1, 30))
    if isinstance(field, models.DecimalField):
        return value + Decimal(1).scaleb(-field.decimal_places) * rng.randint(1, 50)
    if isinstance(field, models.IntegerField):
        return value + rng.randint(1, 500)
    return f"{value}x"[: field.max_length or None] if not str(value).endswith("x") else f"{value}y"


def columns(model) -> list[models.Field]:
    return [field for field in model._meta.concrete_fields if not field.primary_key]


def rows(model) -> list:
    return list(model._default_manager.order_by("pk"))


def is_draft(row, field) -> bool:
    """Words of a rating that was not handed in are still its author's, and sealed with the handing in."""
    return isinstance(row, Rating) and row.submitted_at is None and field.name in {"answers", "comment"}


def edit(model, rng):
    row, field = rng.choice(rows(model)), rng.choice(columns(model))
    if is_draft(row, field):
        return None
    value = getattr(row, field.attname)
    new = other_value(field, value, rng)
    if new == value:
        return None
    model._default_manager.filter(pk=row.pk).update(**{field.attname: new})
    return f"edit {model.__name__} {row.pk} {field.name}: {value!r} → {new!r}"


def delete(model, rng):
    row = rng.choice(rows(model))
    with connection.cursor() as cursor:
        cursor.execute(f'DELETE FROM "{model._meta.db_table}" WHERE id = %s', [row.pk])
    return f"delete {model.__name__} {row.pk}"


def insert(model, rng):
    row = rng.choice(rows(model))
    old = row.pk
    row.pk = None
    for field in columns(model):
        if field.unique or field.name in {"sequence", "segment", "number", "code", "rater", "role"}:
            setattr(row, field.attname, other_value(field, getattr(row, field.attname), rng))
    row.save(force_insert=True)
    return f"insert a copy of {model.__name__} {old}"


def swap(model, rng):
    found, field = rows(model), rng.choice(columns(model))
    if len(found) < 2:
        return None
    one, two = rng.sample(found, 2)
    first, second = getattr(one, field.attname), getattr(two, field.attname)
    if first == second or (is_draft(one, field) and is_draft(two, field)):
        return None
    model._default_manager.filter(pk=one.pk).update(**{field.attname: second})
    model._default_manager.filter(pk=two.pk).update(**{field.attname: first})
    return f"swap {model.__name__} {one.pk} and {two.pk} {field.name}"


def test_au_04_every_change_past_the_platform_is_found(house):
    rng = random.Random(20261122)  # noqa: S311 - no secret
    missed, tried, refused = [], 0, 0
    while tried < CASES:
        how, model = rng.choice([edit, delete, insert, swap]), rng.choice(TABLES)
        with nobody_guards():
            try:
                with transaction.atomic():
                    what = how(model, rng)
            except DatabaseError:
                refused += 1  # by a constraint: it never got in
                continue
            if what is None:
                continue
            tried += 1
            if verify() == house:
                missed.append(what)
    assert missed == [], f"{len(missed)} of {tried} not found, {refused} refused by the database"
