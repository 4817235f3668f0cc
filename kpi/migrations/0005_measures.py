"""A measure can be taken back (no value), and the files of measures are kept."""

import django.core.serializers.json
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import core.models.jobs
import core.periods
from core.append_only import append_only

# On SQLite altering a table makes it anew, without its triggers.
_REFUSES = append_only("kpi_measure")


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0004_messages_in_both_languages"),
        ("kpi", "0004_rules"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(_REFUSES.reverse_code, _REFUSES.code),
        migrations.AlterField(
            model_name="measure",
            name="value",
            field=models.DecimalField(decimal_places=4, max_digits=14, null=True),
        ),
        migrations.AddConstraint(
            model_name="measure",
            constraint=models.CheckConstraint(
                condition=models.Q(("value__isnull", False), ("supersedes__isnull", False), _connector="OR"),
                name="measure_taken_back_was_there",
            ),
        ),
        append_only("kpi_measure"),
        migrations.CreateModel(
            name="MeasureImport",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("file", models.FileField(storage=core.models.jobs.private_storage, upload_to="measures/")),
                ("file_name", models.CharField(max_length=255)),
                ("month", core.periods.MonthField(null=True)),
                ("state", models.CharField(choices=[("uploaded", "being checked"), ("unreadable", "cannot be read"), ("checked", "checked"), ("applying", "being applied"), ("applied", "applied"), ("undoing", "being taken back"), ("undone", "taken back"), ("discarded", "put aside")], default="uploaded", max_length=10)),
                ("counts", models.JSONField(default=dict)),
                ("report", models.JSONField(default=dict, encoder=django.core.serializers.json.DjangoJSONEncoder)),
                ("written", models.JSONField(default=list)),
                ("reason", models.CharField(blank=True, max_length=300)),
                ("uploaded_at", models.DateTimeField()),
                ("applied_at", models.DateTimeField(null=True)),
                ("undone_at", models.DateTimeField(null=True)),
                ("applied_by", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("job", models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="core.job")),
                ("undone_by", models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("uploaded_by", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL)),
            ],
            options={"ordering": ["-uploaded_at", "-pk"]},
        ),
    ]
