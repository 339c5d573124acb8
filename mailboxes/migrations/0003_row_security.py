from django.db import migrations

from tenants.models import ProtectTenantRows

# An import has to know of a row that it can't see: addresses and domains are unique over all tenants.
OF_OTHERS = """
CREATE FUNCTION mailboxes_of_others(own bigint, keys text[], domains text[]) RETURNS TABLE (kind text, name text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT 'address', address_key FROM mailboxes_mailbox WHERE address_key = ANY (keys) AND tenant_id <> own
    UNION ALL
    SELECT 'domain', d.name FROM mailboxes_sendingdomain d WHERE d.name = ANY (domains) AND d.tenant_id <> own
$$"""


class Migration(migrations.Migration):
    dependencies = [("mailboxes", "0002_tenant_keys"), ("tenants", "0004_row_security")]
    operations = [
        ProtectTenantRows(
            "Pool", "SendingDomain", "ProviderAccount", "Mailbox", "Rotation", "Allowance", "AllowanceReturn"
        ),
        migrations.RunSQL(OF_OTHERS, "DROP FUNCTION mailboxes_of_others(bigint, text[], text[])"),
    ]
