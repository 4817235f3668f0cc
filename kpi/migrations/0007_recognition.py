"""Photographs beside awards, and the wall of fame as a page."""

import django.db.models.deletion
import wagtail.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0004_messages_in_both_languages"),
        ("kpi", "0006_pay"),
        ("wagtailcore", "0098_apitoken"),
    ]

    operations = [
        migrations.CreateModel(
            name="HonourWallPage",
            fields=[
                (
                    "page_ptr",
                    models.OneToOneField(
                        auto_created=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                        to="wagtailcore.page",
                    ),
                ),
                ("intro", wagtail.fields.RichTextField(blank=True, verbose_name="introduction")),
            ],
            options={
                "verbose_name": "wall of fame",
            },
            bases=("wagtailcore.page",),
        ),
        # A column that may be empty is added without making the table anew, so its trigger stays (tested).
        migrations.AddField(
            model_name="award",
            name="photo",
            field=models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="core.picture"
            ),
        ),
    ]
