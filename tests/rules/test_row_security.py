"""The wall inside the database: every table of tenants has it, and who signs in as web or worker can't take it down."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.db import Error as DatabaseError
from django.db import connection, models, transaction

from outreach import checks
from tests.rules.test_tenancy import events, our_models, owned

ROLES = [pytest.param("web"), pytest.param("worker", marks=pytest.mark.as_worker)]
PRIVILEGE = "42501"

# What runs with the owner's rights, and why it may: see the comment at each function.
DEFINERS = {
    "app_all_tenants()",
    "app_api_key(text)",
    "app_audit_append(jsonb,bytea)",
    "app_audit_head(bigint)",
    "app_grants_of_user(bigint)",
    "app_invitation_of_token(bytea)",
    "app_tenant_of_slug(text)",
    "campaigns_attempt_months(date,integer)",
    "domains_of_others(bigint,text[],text[])",
    "campaigns_platform_reserved(text[],bigint[],timestamp with time zone[],timestamp with time zone[])",
    "campaigns_platform_stops(timestamp with time zone)",
    "campaigns_platform_suppressed(bytea[])",
    "campaigns_shared_suppressed(bigint,bytea[])",
    "mailboxes_of_others(bigint,text[],text[])",
    "mailboxes_tracking_host(text,integer)",
}


def rows(sql: str, *values: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def refused(sql: str) -> str:
    """The database's own code for a statement that must fail."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    return caught.value.__cause__.sqlstate


def found_by_the_check() -> list[str]:
    return [error.msg for error in run_checks(databases=["default"]) if error.id == "outreach.E003"]


# --- Every table has it -------------------------------------------------------------------------------------


def test_the_rules_know_every_model_of_tenants():
    by_hand = {model for model in our_models() if model._meta.label == "tenants.Tenant"} | set(owned())

    assert {model for model in apps.get_models() if checks.is_of_tenants(model)} == by_hand


@pytest.mark.attack("A26")
@pytest.mark.django_db
@pytest.mark.parametrize("model", [m for m in our_models() if checks.is_of_tenants(m)], ids=lambda m: m._meta.label)
def test_a_table_of_tenants_is_walled(model):
    column = "id" if model._meta.label == "tenants.Tenant" else "tenant_id"
    tables = rows(
        "SELECT oid, relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass OR oid IN "
        "(SELECT relid FROM pg_partition_tree(%s::regclass))",
        model._meta.db_table,
        model._meta.db_table,
    )

    for oid, enabled, forced in tables:
        assert (enabled, forced) == (True, True)
        policies = rows(
            "SELECT polname, polroles::regrole[]::text[], pg_get_expr(polqual, polrelid), "
            "pg_get_expr(polwithcheck, polrelid) FROM pg_policy WHERE polrelid = %s ORDER BY polname",
            oid,
        )
        (owner, owner_roles, *_), (name, roles, seen, written) = policies
        assert (owner, owner_roles, name, roles) == ("owner_rows", ["outreach_owner"], "tenant_rows", ["-"])
        assert seen == written
        assert re.match(rf"\(*{column} = ANY", seen), seen


@pytest.mark.django_db
def test_partitions_made_later_are_walled_too():
    with connection.cursor() as cursor:
        cursor.execute("SELECT campaigns_attempt_months('2031-05-01', 2)")

    made = rows(
        "SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity, "
        "(SELECT array_agg(polname::text ORDER BY polname) FROM pg_policy WHERE polrelid = c.oid) "
        "FROM pg_class c WHERE relkind = 'r' AND relname LIKE 'campaigns\\_attempt\\_2031%%' ORDER BY relname"
    )
    assert made == [(f"campaigns_attempt_2031_{month}", True, ["owner_rows", "tenant_rows"]) for month in ("05", "06")]
    assert found_by_the_check() == []


# --- The system check finds what lacks it ---------------------------------------------------------------------

HOLES = {
    "DROP POLICY tenant_rows ON campaigns_contact": "has no policy tenant_rows that asks for the tenant",
    "ALTER TABLE campaigns_contact DISABLE ROW LEVEL SECURITY": "has no row-level security",
    "ALTER TABLE campaigns_contact NO FORCE ROW LEVEL SECURITY": "lets its owner pass by row-level security",
    "CREATE POLICY all_rows ON campaigns_contact USING (true)": "has another policy that lets rows through: all_rows",
    "ALTER POLICY tenant_rows ON campaigns_contact USING (true)": "has no policy tenant_rows that asks for the tenant",
}


@pytest.mark.as_owner
@pytest.mark.django_db
@pytest.mark.parametrize(("hole", "words"), HOLES.items())
def test_the_check_finds_a_hole(hole, words):
    with connection.cursor() as cursor:
        cursor.execute(hole)

    assert found_by_the_check() == [f"campaigns.Contact: the table campaigns_contact {words}."]


@pytest.mark.as_owner
@pytest.mark.django_db
def test_the_check_finds_a_hole_in_a_partition():
    with connection.cursor() as cursor:
        cursor.execute("DROP POLICY tenant_rows ON campaigns_attempt_rest")

    assert found_by_the_check() == [
        "campaigns.Attempt: the table campaigns_attempt_rest has no policy tenant_rows that asks for the tenant."
    ]


@pytest.mark.as_owner
@pytest.mark.django_db
def test_the_check_finds_a_new_model_without_a_policy(monkeypatch):
    class Planted(models.Model):
        tenant = models.ForeignKey("tenants.Tenant", on_delete=models.CASCADE, related_name="+")

        class Meta:
            app_label = "deliverability"
            managed = False
            db_table = "planted"
            apps = apps.__class__()

        def __str__(self) -> str:
            return f"{self.pk}"

    known = [*apps.get_models(), Planted]
    monkeypatch.setattr(apps, "get_models", lambda *args, **kwargs: known)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE planted (id bigint, tenant_id bigint)")

    assert found_by_the_check() == ["deliverability.Planted: the table planted has no row-level security."]


@pytest.mark.django_db
def test_the_check_is_content_with_what_the_migrations_made():
    assert found_by_the_check() == []


# --- Nobody but the owner takes it down -----------------------------------------------------------------------

ATTACKS = [
    "TRUNCATE campaigns_contact CASCADE",
    "TRUNCATE campaigns_attempt",
    "ALTER TABLE campaigns_contact ADD COLUMN more text",
    "ALTER TABLE campaigns_contact DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE campaigns_contact NO FORCE ROW LEVEL SECURITY",
    "ALTER TABLE campaigns_contact OWNER TO CURRENT_USER",
    "DROP POLICY tenant_rows ON campaigns_contact",
    "ALTER POLICY tenant_rows ON campaigns_contact USING (true)",
    "CREATE POLICY mine ON campaigns_contact USING (true)",
    "DROP TABLE campaigns_contact",
    "CREATE TABLE public.mine (id int)",
    "CREATE FUNCTION public.app_tenants(int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE OR REPLACE FUNCTION app_tenants() RETURNS bigint[] LANGUAGE sql AS 'SELECT ARRAY[1::bigint]'",
    "ALTER FUNCTION app_all_tenants() SECURITY INVOKER",
    "CREATE VIEW public.mine AS SELECT * FROM campaigns_contact",
    "CREATE TRIGGER mine BEFORE INSERT ON campaigns_contact "
    "EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
    "CREATE TABLE public.mine (LIKE campaigns_contact) PARTITION BY LIST (id)",
    "SET ROLE outreach_owner",
    "SET SESSION AUTHORIZATION outreach_owner",
    "ALTER ROLE CURRENT_USER BYPASSRLS",
    "GRANT outreach_owner TO CURRENT_USER",
    "SELECT app_protect('campaigns_contact'::regclass, 'tenant_id', false)",
    "COPY campaigns_contact TO PROGRAM 'cat'",
]  # fmt: skip


@pytest.mark.attack("A26")
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda text: text[:48])
@pytest.mark.django_db
def test_web_and_worker_cannot_take_the_wall_down(role, attack):
    assert rows("SELECT current_user") == [(f"outreach_{role}",)]

    assert refused(attack) == PRIVILEGE


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.django_db
def test_switching_row_security_off_shows_nothing(role):
    """The setting turns a narrowed answer into an error, as pg_dump wants it; it opens nothing."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL row_security = off")

    assert refused("SELECT * FROM campaigns_contact") == PRIVILEGE


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.django_db
def test_web_and_worker_are_nobody_else(role):
    assert rows(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, "
        "ARRAY(SELECT roleid::regrole::text FROM pg_auth_members WHERE member = r.oid) "
        "FROM pg_roles r WHERE rolname = current_user"
    ) == [(False, False, False, False, False, [])]
    assert rows(
        "SELECT has_schema_privilege(current_user, 'public', 'CREATE'), "
        "has_database_privilege(current_user, current_database(), 'CREATE'), "
        "has_function_privilege(current_user, 'app_protect(regclass, name, boolean)', 'EXECUTE')"
    ) == [(False, False, False)]
    ours = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND "
    assert rows(ours + "relowner = current_user::regrole") == []
    more = "relkind IN ('r', 'p') AND has_table_privilege(current_user, oid, 'TRUNCATE, TRIGGER, REFERENCES')"
    assert rows(ours + more) == []
    assert rows(ours + "relkind IN ('v', 'm')") == []  # a view would read with its owner's rights


@pytest.mark.django_db
def test_what_runs_with_the_owners_rights_is_known_and_finds_its_own_tables():
    found = rows(
        "SELECT p.oid::regprocedure::text, p.proconfig, p.proowner::regrole::text FROM pg_proc p "
        "WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace"
    )
    history = rows("SELECT DISTINCT tgfoid::regprocedure::text FROM pg_trigger WHERE tgname LIKE 'pgtrigger\\_%%'")

    assert {name for name, _settings, _owner in found} == DEFINERS | {name for (name,) in history}
    assert len(history) == 3 * len(events())
    # The temporary schema last: it comes first where it is not named, and everybody may fill it.
    assert {tuple(settings) for _name, settings, _owner in found} == {("search_path=public, pg_temp",)}
    assert {owner for _name, _settings, owner in found} == {"outreach_owner"}
