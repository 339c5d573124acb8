from django.db import migrations

from tenants.models import ProtectTenantRows

# A partition that is asked by its own name asks its own policies, so each gets them.
PARTITIONS = """
DO $$ DECLARE part regclass; BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'campaigns_attempt'::regclass LOOP
        PERFORM app_protect(part, 'tenant_id', false);
    END LOOP;
END $$;
CREATE OR REPLACE FUNCTION campaigns_attempt_months(first date, months integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    start date;
    part text;
BEGIN
    FOR n IN 0 .. least(months, 24) - 1 LOOP
        start := (date_trunc('month', first::timestamp) + make_interval(months => n))::date;
        part := 'campaigns_attempt_' || to_char(start, 'YYYY_MM');
        IF to_regclass('public.' || part) IS NULL AND NOT EXISTS (
            SELECT FROM campaigns_attempt_rest
            WHERE at >= start::timestamp AT TIME ZONE 'UTC'
              AND at < (start + interval '1 month')::timestamp AT TIME ZONE 'UTC'
        ) THEN
            EXECUTE format(
                'CREATE TABLE %I PARTITION OF campaigns_attempt FOR VALUES FROM (%L) TO (%L)', part,
                start::timestamp AT TIME ZONE 'UTC', (start + interval '1 month')::timestamp AT TIME ZONE 'UTC'
            );
            PERFORM app_protect(part::regclass, 'tenant_id', false);
        END IF;
    END LOOP;
END $$;"""


class Migration(migrations.Migration):
    dependencies = [
        ("campaigns", "0002_tenant_keys"),
        ("mailboxes", "0003_row_security"),
        ("tenants", "0004_row_security"),
    ]
    operations = [
        ProtectTenantRows(
            "Contact",
            "ContactList",
            "ListEntry",
            "Campaign",
            "Step",
            "Enrolment",
            "Batch",
            "Message",
            "Attempt",
            "PlanRun",
            "Suppression",
        ),
        migrations.RunSQL(PARTITIONS, migrations.RunSQL.noop),
    ]
