"""What the database knows of its own tables when it plans a query."""

from django.db import connection


def gather_statistics() -> None:
    """This function will let PostgreSQL look at its tables now; nothing on other databases.

    A server does it by itself some time after a change, but sees nothing of a transaction that is still going on: one that
    writes a whole company and reads it back would be planned as if every table were empty.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
