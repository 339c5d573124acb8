"""By which account each mail left: a mailbox may have several ways out."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0019_clicks"),
    ]

    operations = [
        migrations.AddField(
            model_name="attempt",
            name="account_ref",
            field=models.BigIntegerField(blank=True, help_text="Id of the account by which it was tried.", null=True),
        ),
        migrations.AddField(
            model_name="message",
            name="account_ref",
            field=models.BigIntegerField(
                blank=True,
                help_text="Id of the account by which it leaves, or left; empty: its mailbox's own.",
                null=True,
            ),
        ),
    ]
