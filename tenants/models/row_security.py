"""Row-level security as SQL text and as a migration operation: the wall that no query set can forget.

A row is seen, written and pointed to only while its tenant is in `app.tenants`, which holds for one transaction
(outreach.common.postgres). The owner's own policy lets migrations and the small functions below look further.
Policies name no role but the owner, so that a role made later starts inside the wall.
"""

from __future__ import annotations

from typing import Any

from tenants.models.operations import OnTables

# These texts are part of migrations that have landed: a change is a new function in a new migration.
# In a policy these are wrapped in a sub-select: evaluated once for a statement, not once for each row.
FUNCTIONS = """
CREATE FUNCTION app_tenants() RETURNS bigint[] LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT NULLIF(current_setting('app.tenants', true), '')::bigint[]
$$;
CREATE FUNCTION app_platform() RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(current_setting('app.platform', true), '') = 'on'
$$;
-- The owner's: policies of one table, or of one partition of it.
CREATE FUNCTION app_protect(target regclass, tenant_column name, of_platform boolean) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    seen text := format('%I = ANY ((SELECT app_tenants())::bigint[])', tenant_column);
BEGIN
    IF of_platform THEN
        seen := format('%s OR (%I IS NULL AND (SELECT app_platform()))', seen, tenant_column);
    END IF;
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', target);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', target);
    EXECUTE format('CREATE POLICY tenant_rows ON %s USING (%s) WITH CHECK (%s)', target, seen, seen);
    EXECUTE format('CREATE POLICY owner_rows ON %s TO CURRENT_USER USING (true) WITH CHECK (true)', target);
END $$;
REVOKE EXECUTE ON FUNCTION app_protect(regclass, name, boolean) FROM PUBLIC;
-- Ids alone, for those who look for work in all tenants and for staff who have a role in all of them.
CREATE FUNCTION app_all_tenants() RETURNS bigint[] LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT coalesce(array_agg(id ORDER BY id), '{}') FROM tenants_tenant
$$;
-- What a person who signs in may do, asked before any tenant is in scope.
CREATE FUNCTION app_grants_of_user(person bigint) RETURNS TABLE (tenant_id bigint, role varchar)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT m.tenant_id, m.role FROM tenants_membership m
    WHERE m.user_id = person AND m.ended_at IS NULL AND (m.expires_at IS NULL OR m.expires_at > now())
    UNION
    SELECT b.tenant_id, 'break_glass' FROM tenants_breakglass b JOIN tenants_user u ON u.id = b.user_id
    WHERE b.user_id = person AND b.ended_at IS NULL AND b.until > now() AND u.is_superuser
$$;
-- For a superuser who breaks the glass of a tenant, or makes somebody a member of it, by its slug.
CREATE FUNCTION app_tenant_of_slug(wanted text) RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp AS $$
    SELECT id FROM tenants_tenant WHERE slug = wanted
$$;"""

NO_FUNCTIONS = """
DROP FUNCTION app_tenant_of_slug(text);
DROP FUNCTION app_grants_of_user(bigint);
DROP FUNCTION app_all_tenants();
DROP FUNCTION app_protect(regclass, name, boolean);
DROP FUNCTION app_platform();
DROP FUNCTION app_tenants()"""

# Which invitation an opened link means, if it still works: two ids for who has the token, and nothing for others.
INVITATION_FUNCTION = """
CREATE FUNCTION app_invitation_of_token(hashed bytea) RETURNS TABLE (id bigint, tenant_id bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT i.id, i.tenant_id FROM tenants_invitation i
    WHERE i.token_hash = hashed AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > now()
$$;"""
NO_INVITATION_FUNCTION = "DROP FUNCTION app_invitation_of_token(bytea)"


class ProtectTenantRows(OnTables):
    """Row-level security on the tables of these models: ENABLE, FORCE, one policy for tenants, one for the owner."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for model in self.models(app_label, to_state):
            is_tenant = model._meta.label == "tenants.Tenant"
            of_platform = not is_tenant and model._meta.get_field("tenant").null
            schema_editor.execute(
                "SELECT app_protect(%s::regclass, %s, %s)",
                [model._meta.db_table, "id" if is_tenant else "tenant_id", of_platform],
            )

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for table in self.tables(app_label, schema_editor, from_state):
            schema_editor.execute(f"DROP POLICY owner_rows ON {table}")
            schema_editor.execute(f"DROP POLICY tenant_rows ON {table}")
            schema_editor.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
            schema_editor.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")

    def describe(self) -> str:
        return f"Row-level security on {', '.join(self.model_names)}"
