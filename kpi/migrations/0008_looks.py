"""One table for every look at another person: what was kept of pay is kept of results as well."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from core.append_only import append_only

_of_pay = append_only("kpi_payview")


class Migration(migrations.Migration):
    dependencies = [
        ("kpi", "0007_recognition"),
        ("people", "0007_leaner_indexes"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        # The triggers go first: on SQLite a table that gets a column is written anew, and theirs carry its old name.
        migrations.RunPython(_of_pay.reverse_code, _of_pay.code),
        migrations.RenameModel("PayView", "Look"),
        migrations.AlterField(
            model_name="look",
            name="employee",
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="looks", to="people.employee"),
        ),
        migrations.AddField(
            model_name="look",
            name="about",
            field=models.CharField(choices=[("pay", "Pay"), ("result", "Result")], default="pay", max_length=6),
            preserve_default=False,
        ),
        migrations.AddIndex(
            model_name="look",
            index=models.Index(fields=["employee", "about", "at"], name="look_at_employee"),
        ),
        append_only("kpi_look"),
    ]
