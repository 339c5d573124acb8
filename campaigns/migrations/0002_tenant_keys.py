from django.db import migrations

from tenants.models.base import AddTenantKeys


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0001_initial"), ("mailboxes", "0002_tenant_keys")]
    operations = [
        AddTenantKeys("Contact", "ContactList", "Campaign", "Step", "Enrolment", "Batch"),
        # Nothing refers to these, and an index that nobody asks costs on every insert.
        AddTenantKeys("ListEntry", "Message", "Suppression", unique=False),
    ]
