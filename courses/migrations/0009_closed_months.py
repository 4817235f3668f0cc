"""A closed month stands still: its row, its signatures and its figures are refused every change by the database."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

_CLOSED = "(SELECT state FROM courses_monthclose WHERE id = {row}.close_id) = 'closed'"
# (name of the trigger, table, verb, when)
TRIGGERS = [
    ("closed_month_no_update", "courses_monthclose", "UPDATE", "OLD.state = 'closed'"),
    ("closed_month_no_delete", "courses_monthclose", "DELETE", "OLD.state = 'closed'"),
    ("closed_figure_no_insert", "courses_closedfigure", "INSERT", _CLOSED.format(row="NEW")),
    ("closed_sign_off_no_insert", "courses_signoff", "INSERT", _CLOSED.format(row="NEW")),
    (
        "closed_sign_off_no_update",
        "courses_signoff",
        "UPDATE",
        f"{_CLOSED.format(row='OLD')} OR {_CLOSED.format(row='NEW')}",
    ),
    ("closed_sign_off_no_delete", "courses_signoff", "DELETE", _CLOSED.format(row="OLD")),
]


def add_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for name, table, verb, when in TRIGGERS:
            schema_editor.execute(
                f"CREATE TRIGGER {name} BEFORE {verb} ON {table} WHEN {when} "
                "BEGIN SELECT RAISE(ABORT, 'the month is closed'); END"
            )
        return
    # PostgreSQL allows no subquery in the condition of a trigger: the function asks.
    schema_editor.execute(
        "CREATE FUNCTION courses_month_is_closed() RETURNS trigger LANGUAGE plpgsql AS $$ "
        "BEGIN RAISE EXCEPTION 'the month is closed'; END $$"
    )
    schema_editor.execute(
        "CREATE FUNCTION courses_part_of_closed_month() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF TG_OP <> 'INSERT' AND (SELECT state FROM courses_monthclose WHERE id = OLD.close_id) = 'closed' "
        "OR TG_OP <> 'DELETE' AND (SELECT state FROM courses_monthclose WHERE id = NEW.close_id) = 'closed' "
        "THEN RAISE EXCEPTION 'the month is closed'; END IF; "
        "IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END $$"
    )
    for name, table, verb, when in TRIGGERS:
        own = table == "courses_monthclose"
        function = "courses_month_is_closed()" if own else "courses_part_of_closed_month()"
        schema_editor.execute(
            f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW "
            f"{f'WHEN ({when}) ' if own else ''}EXECUTE FUNCTION {function}"
        )


def remove_triggers(apps, schema_editor):
    postgresql = schema_editor.connection.vendor != "sqlite"
    for name, table, _verb, _when in TRIGGERS:
        schema_editor.execute(f"DROP TRIGGER {name}{f' ON {table}' if postgresql else ''}")
    if postgresql:
        for name in ("courses_month_is_closed", "courses_part_of_closed_month"):
            schema_editor.execute(f"DROP FUNCTION {name}()")


class Migration(migrations.Migration):
    dependencies = [("courses", "0008_plan_line_prepared")]
    operations = [
        migrations.RemoveConstraint("monthclose", "closed_month_is_sealed"),
        migrations.AddField("monthclose", "newest_change", models.BigIntegerField(null=True)),
        migrations.AddField(
            "signoff",
            "signed_from",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="people.orgunit"
            ),
        ),
        migrations.AddConstraint(
            "monthclose",
            models.CheckConstraint(
                condition=Q(
                    Q(("closed_at__isnull", False), ("newest_change__isnull", False), ("state", "closed"))
                    & Q(("digest", ""), _negated=True),
                    Q(("closed_at", None), ("digest", ""), ("newest_change", None), ("state", "signing")),
                    _connector="OR",
                ),
                name="closed_month_is_sealed",
            ),
        ),
        # After the tables took their form: on SQLite altering one makes it anew and drops its triggers.
        migrations.RunPython(add_triggers, remove_triggers),
    ]
