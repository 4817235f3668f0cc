"""Attendance, files and seals of pay; a further run for whom the first one left out; a reserve that never goes below zero."""

import core.models.jobs
import core.periods
import django.core.serializers.json
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from core.append_only import append_only, refuse


# The run that the run of a line corrects; none for a line of a regular run.
_CORRECTED = "(SELECT own.corrects_id FROM kpi_payrun AS own WHERE own.id = NEW.run_id)"


class Migration(migrations.Migration):

    dependencies = [
        ('kpi', '0005_measures'),
        ('people', '0007_leaner_indexes'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='PayAttendance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('first_month', core.periods.MonthField()),
                ('last_month', core.periods.MonthField()),
                ('attended', models.DecimalField(decimal_places=2, max_digits=6)),
                ('attended_of', models.DecimalField(decimal_places=2, max_digits=6)),
                ('source', models.CharField(max_length=200)),
                ('at', models.DateTimeField()),
            ],
            options={
                'ordering': ['employee', 'first_month', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='PayFile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('bases', 'bases'), ('attendance', 'attendance'), ('answers', 'payroll’s answers')], max_length=10)),
                ('file', models.FileField(storage=core.models.jobs.private_storage, upload_to='pay/')),
                ('name', models.CharField(max_length=150)),
                ('digest', models.CharField(max_length=64)),
                ('first_month', core.periods.MonthField(null=True)),
                ('last_month', core.periods.MonthField(null=True)),
                ('uploaded_at', models.DateTimeField()),
                ('applied_at', models.DateTimeField(null=True)),
                ('applied_rows', models.PositiveIntegerField(default=0)),
            ],
            options={
                'ordering': ['-uploaded_at', '-pk'],
            },
        ),
        migrations.AlterModelOptions(
            name='payline',
            options={'ordering': ['run', 'number']},
        ),
        migrations.RemoveConstraint(
            model_name='payrun',
            name='one_regular_run_of_a_cycle',
        ),
        migrations.AddField(
            model_name='payline',
            name='number',
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='payline',
            name='seal',
            field=models.CharField(max_length=64, null=True),
        ),
        migrations.AddField(
            model_name='paypool',
            name='seal',
            field=models.CharField(max_length=64, null=True),
        ),
        migrations.AddField(
            model_name='payrun',
            name='checker',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='payrun',
            name='follows',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='followed_by', to='kpi.payrun'),
        ),
        migrations.AddField(
            model_name='payrun',
            name='left_out',
            field=models.JSONField(encoder=django.core.serializers.json.DjangoJSONEncoder, null=True),
        ),
        migrations.AddIndex(
            model_name='payline',
            index=models.Index(fields=['run', 'number'], name='pay_line_in_run'),
        ),
        migrations.AddConstraint(
            model_name='payrun',
            constraint=models.UniqueConstraint(condition=models.Q(('follows', None), ('kind', 'regular')), fields=('cycle', 'scope'), name='one_regular_run_of_a_cycle'),
        ),
        migrations.AddConstraint(
            model_name='payrun',
            constraint=models.UniqueConstraint(condition=models.Q(('follows__isnull', False)), fields=('follows',), name='one_run_follows_another'),
        ),
        migrations.AddField(
            model_name='payattendance',
            name='by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='payattendance',
            name='employee',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='pay_attendances', to='people.employee'),
        ),
        migrations.AddField(
            model_name='payfile',
            name='run',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='files', to='kpi.payrun'),
        ),
        migrations.AddField(
            model_name='payfile',
            name='uploaded_by',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='payattendance',
            index=models.Index(fields=['employee', 'first_month', 'last_month'], name='pay_attendance_of'),
        ),
        migrations.AddConstraint(
            model_name='payattendance',
            constraint=models.CheckConstraint(condition=models.Q(('attended__gte', 0), ('attended__lte', models.F('attended_of')), ('attended_of__gt', 0)), name='pay_attendance_is_a_share'),
        ),
        migrations.AddConstraint(
            model_name='payattendance',
            constraint=models.CheckConstraint(condition=models.Q(('last_month__gte', models.F('first_month'))), name='pay_attendance_in_order'),
        ),
        append_only("kpi_payattendance"),
        refuse(
            "kpi_payrun_no_change_of_more",
            "kpi_payrun",
            "UPDATE",
            "OLD.state NOT IN ('draft', 'computed')",
            says="the pay run was submitted",
            changing=("follows_id", "left_out", "computed_at", "variance", "variance_note", "variance_signed_by_id"),
        ),
        *(
            refuse(
                f"kpi_payline_reserve_{verb.lower()}",
                "kpi_payline",
                verb,
                f"NEW.paid_fen > 0 AND {_CORRECTED} IS NOT NULL AND (SELECT COALESCE(SUM(line.paid_fen), 0)"
                " FROM kpi_payline AS line JOIN kpi_payrun AS run ON run.id = line.run_id"
                f" WHERE run.corrects_id = {_CORRECTED} AND line.id <> COALESCE(NEW.id, -1)) + NEW.paid_fen"
                f" > (SELECT run.reserve_fen FROM kpi_payrun AS run WHERE run.id = {_CORRECTED})",
                says="the reserve of the pay run is used up",
            )
            for verb in ("INSERT", "UPDATE")
        ),
    ]
