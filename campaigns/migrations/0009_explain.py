from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

# What holds a tenant's mail may be a row of the platform that its people must not read. These tell no more than that
# it holds: no reason, no label, no number of another tenant, and nothing of what they were not asked about.
FUNCTIONS = """
CREATE FUNCTION campaigns_platform_stops(at timestamptz) RETURNS TABLE (
    id bigint, scope varchar, key bigint, operator varchar, organisational varchar, since timestamptz,
    until timestamptz
) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.id, s.scope, s.key, s.operator, s.organisational, s.since, s.until FROM campaigns_stop s
    WHERE s.tenant_id IS NULL AND s.lifted_at IS NULL AND (s.until IS NULL OR s.until > at)
$$;
CREATE FUNCTION campaigns_platform_reserved(
    scopes text[], keys bigint[], sinces timestamptz[], untils timestamptz[]
) RETURNS TABLE (n bigint, reserved bigint, oldest timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT w.n, sum(al.reserved)::bigint, min(al.period_start) FILTER (WHERE al.reserved > 0)
    FROM unnest(scopes, keys, sinces, untils) WITH ORDINALITY AS w (scope, key, since, until, n)
    JOIN mailboxes_allowance al ON al.scope = w.scope AND al.key = w.key
        AND al.period_start >= w.since AND al.period_start <= w.until
    WHERE al.tenant_id IS NULL GROUP BY w.n
$$;
CREATE FUNCTION campaigns_platform_suppressed(hashes bytea[]) RETURNS SETOF bytea
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT s.hash FROM unnest(hashes) AS own (hash) JOIN campaigns_suppression s ON s.hash = own.hash
    WHERE s.tenant_id IS NULL AND s.lifted_at IS NULL
$$"""

NO_FUNCTIONS = """
DROP FUNCTION campaigns_platform_suppressed(bytea[]);
DROP FUNCTION campaigns_platform_reserved(text[], bigint[], timestamptz[], timestamptz[]);
DROP FUNCTION campaigns_platform_stops(timestamptz)"""


class Migration(migrations.Migration):
    """Who was stopped by what is counted without reading everybody else."""

    atomic = False
    dependencies = [("campaigns", "0008_handover_index"), ("mailboxes", "0007_limits")]
    operations = [
        migrations.RunSQL(FUNCTIONS, NO_FUNCTIONS),
        AddIndexConcurrently(
            "enrolment",
            models.Index(
                fields=["campaign", "stop_reason"], condition=models.Q(status="stopped"), name="enrolment_stopped"
            ),
        ),
    ]
