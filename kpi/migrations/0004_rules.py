"""Who changed a draft of a rule last, and how often: that person does not publish it either."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Q

from core.append_only import refuse

_STANDS_STILL = [
    refuse(
        f"kpi_rule_no_{verb.lower()}",
        "kpi_ruleversion",
        verb,
        "OLD.state = 'published'",
        says="a published rule does not change",
    )
    for verb in ("UPDATE", "DELETE")
]


def _without(operation: migrations.RunPython) -> migrations.RunPython:
    """The same the other way round: SQLite makes the table anew and would lose its triggers unseen."""
    return migrations.RunPython(operation.reverse_code, operation.code)


class Migration(migrations.Migration):
    dependencies = [("kpi", "0003_scorecards"), migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations = [
        *(_without(operation) for operation in _STANDS_STILL),
        migrations.AddField(
            "ruleversion",
            "edited_by",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField("ruleversion", "revision", models.PositiveIntegerField(default=1)),
        migrations.AddConstraint(
            "ruleversion",
            models.CheckConstraint(
                condition=Q(published_by=None) | Q(edited_by=None) | ~Q(published_by=F("edited_by")),
                name="rule_not_published_by_editor",
            ),
        ),
        *_STANDS_STILL,
    ]
