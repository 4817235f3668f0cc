"""The two dialects of SQL in which a roster is compared and written as a set, and the staging tables.

All statements are made of our own constant text; every value goes in as a parameter.
"""
# ruff: noqa: S608 - see above: names of tables and columns are the only text put together here

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.db import connection, models

from people.models import Employee, OrgUnit, Placement, Position, RosterChange

EMPLOYEE = Employee._meta.db_table
UNIT = OrgUnit._meta.db_table
POSITION = Position._meta.db_table
PLACEMENT = Placement._meta.db_table
CHANGE = RosterChange._meta.db_table

STAGE = "roster_stage"
DIFF = "roster_diff"
PINYIN = "roster_pinyin"
REFUSED = "roster_refused"

STAGE_COLUMNS = (
    "n no name unit_id position_id manager_no hired_on left_on email mobile language fault".split()  # noqa: SIM905
)


def is_sqlite() -> bool:
    return connection.vendor == "sqlite"


def differs(left: str, right: str) -> str:
    """Are two values different, an empty one being a value like any other?"""
    return f"{left} IS NOT {right}" if is_sqlite() else f"{left} IS DISTINCT FROM {right}"


def walked(column: str) -> str:
    """The column in a condition that is not to choose the index: SQLite has no statistics to know better by itself."""
    return f"+{column}" if is_sqlite() else column


def has(document: str, key: str) -> str:
    """Does a JSON column have this key, be it with null?"""
    return f"json_type({document}, '$.{key}') IS NOT NULL" if is_sqlite() else f"jsonb_exists({document}, '{key}')"


def value(document: str, key: str, kind: str = "text") -> str:
    """The value of a key of a JSON column; ``kind`` is text, bigint or date."""
    if is_sqlite():
        return f"json_extract({document}, '$.{key}')"
    return f"({document}->>'{key}')::{kind}" if kind != "text" else f"{document}->>'{key}'"


def json_object(pairs: dict[str, str]) -> str:
    inside = ", ".join(f"'{key}', {sql}" for key, sql in pairs.items())
    return f"json_object({inside})" if is_sqlite() else f"jsonb_build_object({inside})"


def day(sql: str) -> str:
    """A day as the text it has in JSON. (SQLite keeps it as text, but a bare date column comes out as a date.)"""
    return f"({sql} || '')" if is_sqlite() else f"to_char({sql}, 'YYYY-MM-DD')"


def truth(sql: str) -> str:
    return sql if is_sqlite() else f"({sql})::int"


def run(sql: str, params: Iterable = ()) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, tuple(params))
        return cursor.rowcount


def one(sql: str, params: Iterable = ()):
    with connection.cursor() as cursor:
        cursor.execute(sql, tuple(params))
        return cursor.fetchone()


def rows(sql: str, params: Iterable = ()) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, tuple(params))
        return cursor.fetchall()


def paged(sql: str, params: tuple = (), size: int = 5000) -> Iterator[tuple]:
    """The rows of a query whose first column is a growing number, a page at a time.

    ``sql`` holds ``%s`` for the number after which a page starts as its first parameter and ends in an ORDER BY it.
    """
    after = -1
    while True:
        page = rows(f"{sql} LIMIT {int(size)}", (after, *params))
        yield from page
        if len(page) < size:
            return
        after = page[-1][0]


def make_staging() -> None:
    """This function will make the empty staging tables of this connection; earlier ones are dropped."""
    day_type = "text" if is_sqlite() else "date"
    drop_staging()
    run(
        f"CREATE TEMPORARY TABLE {STAGE} (n integer PRIMARY KEY, no text, name text, unit_id bigint, position_id bigint,"
        f" manager_no text, hired_on {day_type}, left_on {day_type}, email text, mobile text, language text,"
        " fault smallint NOT NULL)"
    )
    run(f"CREATE TEMPORARY TABLE {REFUSED} (n integer NOT NULL, no text, name text, faults text NOT NULL)")
    if is_sqlite():
        run("PRAGMA temp.cache_size = -16000")


def staged_rows() -> int | None:
    """How many rows the staging table of this connection holds; None without such a table."""
    if is_sqlite():
        there = one("SELECT count(*) FROM sqlite_temp_master WHERE name = %s", [STAGE])[0]
    else:
        there = one("SELECT to_regclass(%s) IS NOT NULL", [f"pg_temp.{STAGE}"])[0]
    return one(f"SELECT count(*) FROM {STAGE}")[0] if there else None


def drop_staging() -> None:
    for table in (STAGE, DIFF, PINYIN, REFUSED):
        run(f"DROP TABLE IF EXISTS {table}")


def reserve_ids(model: type[models.Model], count: int) -> range:
    """This function will give out so many ids of a model that nobody else will get."""
    if not count:
        return range(0)
    table = model._meta.db_table
    if is_sqlite():
        # The caller's transaction holds the only write lock there is.
        known = one("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        last = one(f"SELECT coalesce(max(id), 0) FROM {table}")[0]  # noqa: S608
        last = max(last, known[0] if known else 0)
        if known:
            run("UPDATE sqlite_sequence SET seq = %s WHERE name = %s", [last + count, table])
        else:
            run("INSERT INTO sqlite_sequence (name, seq) VALUES (%s, %s)", [table, last + count])
        return range(last + 1, last + count + 1)
    # Whoever inserts holds ROW EXCLUSIVE before asking for a number, so under this lock nobody draws between our two
    # calls. It is kept to the end of the transaction, which is short after this.
    run(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE")
    sequence = one("SELECT pg_get_serial_sequence(%s, 'id')", [table])[0]
    first = one("SELECT nextval(%s)", [sequence])[0]
    run("SELECT setval(%s, %s)", [sequence, first + count - 1])
    return range(first, first + count)
