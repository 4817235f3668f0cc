"""Duties that exist already get the time of their newest change; lines of the plan that exist already are published."""

from django.db import migrations
from django.db.models import F
from django.db.models.functions import Coalesce
from django.utils import timezone


def fill(apps, schema_editor):
    Enrolment = apps.get_model("courses", "Enrolment")
    PlanLine = apps.get_model("courses", "PlanLine")
    Enrolment.objects.filter(changed_at=None).update(
        changed_at=Coalesce(F("completed_at"), F("started_at"), F("assigned_at"))
    )
    PlanLine.objects.filter(published_at=None).update(published_at=Coalesce(F("opened_at"), timezone.now()))


class Migration(migrations.Migration):
    dependencies = [("courses", "0004_the_month_as_a_record")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
