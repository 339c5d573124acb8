from django.db import migrations

from tenants.models.base import AddTenantKeys


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0001_initial")]
    operations = [
        AddTenantKeys("Pool", "SendingDomain", "ProviderAccount", "Mailbox"),
        AddTenantKeys("Rotation", unique=False),
    ]
