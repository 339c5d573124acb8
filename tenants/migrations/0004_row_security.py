from django.db import migrations

from tenants.models import ProtectTenantRows
from tenants.models.row_security import FUNCTIONS, NO_FUNCTIONS


class Migration(migrations.Migration):
    """Nobody but the owner sees a row whose tenant is not in scope."""

    dependencies = [("tenants", "0003_membership")]
    operations = [
        migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS),
        ProtectTenantRows("Tenant", "Membership", "BreakGlass"),
    ]
