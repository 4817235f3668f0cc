from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("courses", "0007_reminded_for_a_due_day")]
    operations = [
        migrations.AddField("planline", "prepared_at", models.DateTimeField(editable=False, null=True)),
    ]
