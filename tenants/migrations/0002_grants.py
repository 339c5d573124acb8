from django.db import migrations

from outreach.common import roles


class Migration(migrations.Migration):
    """Web and worker may read and write the tables so far and, by default privileges, those to come."""

    dependencies = [("tenants", "0001_initial")]
    run_before = [("mailboxes", "0001_initial")]
    operations = [migrations.RunPython(roles.grant, migrations.RunPython.noop)]
