"""Signatures stand below mails now; their help says so."""

from django.db import migrations, models

SIGNATURE = models.TextField(blank=True, help_text="Plain text, below every mail.", max_length=2000)


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0014_receiver_mail")]

    operations = [
        migrations.AlterField(model_name="mailbox", name="signature", field=SIGNATURE),
        migrations.AlterField(model_name="mailboxevent", name="signature", field=SIGNATURE),
    ]
