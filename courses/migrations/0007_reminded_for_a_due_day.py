import datetime as dt

from django.db import migrations, models


class Migration(migrations.Migration):
    """A step of the ladder is told once for a due day. Nothing was ever reminded before this, so no row needs the default."""

    dependencies = [("courses", "0006_keep_every_change")]

    operations = [
        migrations.RemoveConstraint("reminderdue", "reminded_once"),
        migrations.AddField(
            "reminderdue", "due_on", models.DateField(default=dt.date(2026, 1, 1)), preserve_default=False
        ),
        migrations.AddConstraint(
            "reminderdue",
            models.UniqueConstraint(fields=["enrolment", "due_on", "days", "to"], name="reminded_once"),
        ),
    ]
