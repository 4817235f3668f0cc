"""The database itself keeps every change of a duty (EnrolmentChange); history and closed figures are append-only."""

from django.db import migrations, models

from core.append_only import append_only

WATCHED = ("state", "on_time", "voluntary", "due_at", "unit_id")
COPIED = ("run_id", *WATCHED, "reason", "reason_text", "decided_by_id")

_COPY = (
    f"INSERT INTO courses_enrolmentchange (enrolment_id, at, {', '.join(COPIED)}) "
    f"VALUES (NEW.id, NEW.changed_at, {', '.join('NEW.' + name for name in COPIED)})"
)


def add_triggers(apps, schema_editor):
    present = ", ".join(f"e.{name}" for name in COPIED)
    schema_editor.execute(
        f"INSERT INTO courses_enrolmentchange (enrolment_id, at, {', '.join(COPIED)}) "
        f"SELECT e.id, e.changed_at, {present} FROM courses_enrolment e ORDER BY e.id"
    )
    if schema_editor.connection.vendor == "sqlite":
        changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in WATCHED)
        schema_editor.execute(
            f"CREATE TRIGGER enrolment_made AFTER INSERT ON courses_enrolment BEGIN {_COPY}; END"
        )
        schema_editor.execute(
            f"CREATE TRIGGER enrolment_changed AFTER UPDATE OF {', '.join(WATCHED)} ON courses_enrolment "
            f"WHEN {changed} BEGIN {_COPY}; END"
        )
    else:
        changed = " OR ".join(f"NEW.{name} IS DISTINCT FROM OLD.{name}" for name in WATCHED)
        schema_editor.execute(
            "CREATE FUNCTION courses_keep_change() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {_COPY}; RETURN NULL; END $$"
        )
        schema_editor.execute(
            "CREATE TRIGGER enrolment_made AFTER INSERT ON courses_enrolment "
            "FOR EACH ROW EXECUTE FUNCTION courses_keep_change()"
        )
        schema_editor.execute(
            f"CREATE TRIGGER enrolment_changed AFTER UPDATE OF {', '.join(WATCHED)} ON courses_enrolment "
            f"FOR EACH ROW WHEN ({changed}) EXECUTE FUNCTION courses_keep_change()"
        )


def remove_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for name in ("enrolment_made", "enrolment_changed"):
            schema_editor.execute(f"DROP TRIGGER {name}")
    else:
        for name in ("enrolment_made", "enrolment_changed"):
            schema_editor.execute(f"DROP TRIGGER {name} ON courses_enrolment")
        schema_editor.execute("DROP FUNCTION courses_keep_change()")


class Migration(migrations.Migration):
    dependencies = [("courses", "0005_fill_the_record")]
    operations = [
        # On SQLite this makes the table anew, which would drop triggers: so they come after it, and a migration that
        # ever alters this table again has to put them back (tests/courses/test_models.py finds out).
        migrations.AlterField("enrolment", "changed_at", models.DateTimeField()),
        migrations.RunPython(add_triggers, remove_triggers),
        append_only("courses_enrolmentchange"),
        append_only("courses_closedfigure"),
    ]
