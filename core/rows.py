"""Many rows into a table at once, without a model instance for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import connection

from core.batches import batches


def fill(table: str, columns: Iterable[str], values: Iterable[Sequence[Any]]) -> int:
    """This function will put rows into a table as a stream: COPY on PostgreSQL, executemany on SQLite; it returns how many.

    Every column without a default of the database must be given. ``values`` may ask the database nothing while it is read.
    """
    columns, count = list(columns), 0
    names = ", ".join(columns)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            insert = f"INSERT INTO {table} ({names}) VALUES ({', '.join(['%s'] * len(columns))})"  # noqa: S608
            for batch in batches(values, 2000):
                cursor.executemany(insert, batch)
                count += len(batch)
        else:
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in values:
                    copy.write_row(row)
                    count += 1
    return count
