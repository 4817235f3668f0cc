"""Makes tables refuse changes in the database itself (TRUST AU-03, MC-15). For migrations."""

from django.db import migrations


def append_only(table: str) -> migrations.RunPython:
    """An operation that puts triggers on ``table``: on SQLite RAISE(ABORT), on PostgreSQL an exception."""

    def add(apps, schema_editor):
        if schema_editor.connection.vendor == "sqlite":
            for verb in ("UPDATE", "DELETE"):
                schema_editor.execute(
                    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )
        else:
            schema_editor.execute(
                f"CREATE OR REPLACE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
            )
            schema_editor.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                f"FOR EACH ROW EXECUTE FUNCTION {table}_refuse()"
            )

    def remove(apps, schema_editor):
        if schema_editor.connection.vendor == "sqlite":
            for verb in ("update", "delete"):
                schema_editor.execute(f"DROP TRIGGER {table}_no_{verb}")
        else:
            schema_editor.execute(f"DROP TRIGGER {table}_append_only ON {table}")
            schema_editor.execute(f"DROP FUNCTION {table}_refuse()")

    return migrations.RunPython(add, remove)


def refuse(
    name: str, table: str, verb: str, when: str, *, says: str, changing: tuple[str, ...] = ()
) -> migrations.RunPython:
    """An operation that makes the database refuse a ``verb`` (INSERT, UPDATE, DELETE) on ``table`` where ``when`` holds.

    ``when`` is a condition over OLD and NEW that both databases read alike and may ask other tables; with ``changing`` it
    refuses only what changes one of these columns. ``says`` is the message. For migrations.
    """

    def add(apps, schema_editor):
        sqlite = schema_editor.connection.vendor == "sqlite"
        differs = " OR ".join(f"NEW.{c} IS {'NOT' if sqlite else 'DISTINCT FROM'} OLD.{c}" for c in changing)
        condition = f"({when}) AND ({differs})" if changing else when
        if sqlite:
            schema_editor.execute(
                f"CREATE TRIGGER {name} BEFORE {verb} ON {table} WHEN {condition} BEGIN SELECT RAISE(ABORT, '{says}'); END"
            )
        else:
            # The function asks and not the trigger's own condition: PostgreSQL allows no subquery there.
            row = "OLD" if verb == "DELETE" else "NEW"
            schema_editor.execute(
                f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS "
                f"$$ BEGIN IF {condition} THEN RAISE EXCEPTION '{says}'; END IF; RETURN {row}; END $$"
            )
            schema_editor.execute(
                f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
            )

    def remove(apps, schema_editor):
        if schema_editor.connection.vendor == "sqlite":
            schema_editor.execute(f"DROP TRIGGER {name}")
        else:
            schema_editor.execute(f"DROP TRIGGER {name} ON {table}")
            schema_editor.execute(f"DROP FUNCTION {name}()")

    return migrations.RunPython(add, remove)
