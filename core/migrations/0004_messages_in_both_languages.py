from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("core", "0003_messages")]

    operations = [
        migrations.AddField("message", "text_other", models.TextField(blank=True, default=""), preserve_default=False),
        migrations.AddField("message", "quiet_from", models.TimeField(null=True)),
        migrations.AddField("message", "quiet_until", models.TimeField(null=True)),
    ]
