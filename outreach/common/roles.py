"""The three database roles as SQL text: owner (migrations), web, worker.

None of them is a superuser or may bypass row-level security. Functions here are pure, so that the same
text serves the embedded server, `create_roles`, the first migration and the tests. Names come from
database URLs and are quoted as identifiers.
"""

from __future__ import annotations

from typing import Any

# Web and worker read these and write none of them; their rows come from functions with the owner's rights.
# Each has the operation AppendOnly (tenants.models.append_only) in its migration.
APPEND_ONLY = (
    "pghistory_context",  # comes with pghistory; we keep the context in the events themselves
    "tenants_auditchain",
    "tenants_auditentry",
    "tenants_apikeyevent",
    "tenants_approvalevent",
    "tenants_approvalpolicyevent",
    "tenants_breakglassevent",
    "tenants_checklistentryevent",
    "tenants_invitationevent",
    "tenants_membershipevent",
    "tenants_tenantevent",
    "tenants_tenantrecordevent",
    "tenants_userevent",
    "mailboxes_mailboxevent",
    "mailboxes_poolevent",
    "mailboxes_provideraccountevent",
    "mailboxes_rampplanevent",
    "mailboxes_sendingdomainevent",
    "mailboxes_standbyevent",
    "campaigns_basisruleevent",
    "campaigns_campaignevent",
    "campaigns_contactlistevent",
    "campaigns_stepevent",
    "campaigns_stopevent",
    "campaigns_suppressionlistevent",
    "campaigns_variantevent",
)


IDLE = "5min"


def identifier(name: str) -> str:
    """Return a name quoted for SQL (PostgreSQL 4.1.1: a doubled quote stands for itself)."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def create_roles_sql(owner: str, web: str, worker: str) -> str:
    """Return statements that create the missing ones and take superuser's rights from those that are there.

    Run by a role with CREATEROLE. No password is set: `\\password NAME` in psql does that without leaving
    it in a log. CREATEDB lets the owner make test databases.
    """
    statements = []
    for name in dict.fromkeys((owner, web, worker)):
        extra = " CREATEDB" if name == owner else ""
        found = f"SELECT FROM pg_roles WHERE rolname = {literal(name)}"  # noqa: S608 (quoted just above)
        statements.append(
            f"DO $roles$ BEGIN\n"
            f"  IF NOT EXISTS ({found}) THEN\n"
            f"    CREATE ROLE {identifier(name)} LOGIN NOSUPERUSER NOBYPASSRLS{extra};\n"
            f"  ELSIF EXISTS ({found} AND (rolsuper OR rolbypassrls)) THEN\n"
            f"    ALTER ROLE {identifier(name)} NOSUPERUSER NOBYPASSRLS;\n"
            f"  END IF;\n"
            f"END $roles$;"
        )
    # Whoever holds a lock and falls silent, as the head of a chain, gives it back; owners may migrate for longer.
    statements += [
        f"ALTER ROLE {identifier(name)} SET idle_in_transaction_session_timeout = '{IDLE}';"
        for name in dict.fromkeys((web, worker))
        if name != owner
    ]
    return "\n".join(statements)


def grants_sql(web: str, worker: str) -> str:
    """Return statements that let web and worker read and write all tables, those of later migrations too.

    Run by the owner inside its database. What it opens of the tables that take new rows only is closed again.
    """
    names = ", ".join(identifier(name) for name in dict.fromkeys((web, worker)))
    rows, numbers = "SELECT, INSERT, UPDATE, DELETE", "USAGE, SELECT"
    return "\n".join(
        [
            f"GRANT USAGE ON SCHEMA public TO {names};",
            f"GRANT {rows} ON ALL TABLES IN SCHEMA public TO {names};",
            f"GRANT {numbers} ON ALL SEQUENCES IN SCHEMA public TO {names};",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {rows} ON TABLES TO {names};",
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT {numbers} ON SEQUENCES TO {names};",
            append_only_sql(web, worker),
        ]
    )


def append_only_sql(web: str, worker: str) -> str:
    """Return a statement that leaves web and worker nothing but SELECT on those of APPEND_ONLY that are there.

    Run by the owner, whose own rights stay where it is the same role.
    """
    tables, names = (", ".join(map(literal, each)) for each in (APPEND_ONLY, dict.fromkeys((web, worker))))
    return (
        "DO $closed$ DECLARE kept text; closed text; BEGIN\n"
        f"  FOREACH kept IN ARRAY ARRAY[{tables}] LOOP\n"
        f"    FOREACH closed IN ARRAY ARRAY[{names}] LOOP\n"
        "      IF to_regclass(kept) IS NOT NULL AND closed <> current_user THEN\n"
        "        EXECUTE 'REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ' || quote_ident(kept)\n"
        "          || ' FROM ' || quote_ident(closed);\n"
        "      END IF;\n"
        "    END LOOP;\n"
        "  END LOOP;\n"
        "END $closed$;"
    )


def grant(apps: Any, schema_editor: Any) -> None:
    """For RunPython in a migration: web and worker of the settings may use what the owner makes.

    With one DATABASE_URL for everything there is nobody to grant to, and nothing happens.
    """
    from django.conf import settings

    owner, web, worker = (settings.DATABASE_USERS[role] for role in ("owner", "web", "worker"))
    if {web, worker} != {owner}:
        schema_editor.execute(grants_sql(web, worker))
