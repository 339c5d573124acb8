"""The three database roles as SQL text: owner (migrations), web, worker.

None of them is a superuser or may bypass row-level security. Functions here are pure, so that the same
text serves the embedded server, `create_roles`, the first migration and the tests. Names come from
database URLs and are quoted as identifiers.
"""

from __future__ import annotations

from typing import Any

# Tables that web and worker only read: rows come through functions of the owner (tenants.models.audit, .history).
READ_ONLY = (
    "tenants_auditentry",
    "tenants_auditchain",
    "tenants_apikeyevent",
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
    "mailboxes_sendingdomainevent",
    "campaigns_campaignevent",
    "campaigns_contactlistevent",
    "campaigns_stepevent",
    "pghistory_context",  # comes with pghistory; we keep the context in the events themselves
)


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
    return "\n".join(statements)


def grants_sql(web: str, worker: str) -> str:
    """Return statements that let web and worker read and write all tables, those of later migrations too.

    Run by the owner inside its database. Rows of other tenants are kept from them by policies, and READ_ONLY
    tables by taking the rights away again.
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
            revokes_sql(web, worker),
        ]
    )


def revokes_sql(web: str, worker: str) -> str:
    """Return a statement that leaves web and worker nothing but reading in those of READ_ONLY that exist.

    Run by the owner, whose own rights stay even where one of them is the same role: its functions write there.
    """
    tables, names = (", ".join(map(literal, each)) for each in (READ_ONLY, dict.fromkeys((web, worker))))
    return (
        f"DO $revokes$ DECLARE name text; closed text; BEGIN\n"
        f"  FOREACH name IN ARRAY ARRAY[{tables}] LOOP\n"
        f"    FOREACH closed IN ARRAY ARRAY[{names}] LOOP\n"
        f"      CONTINUE WHEN to_regclass(name) IS NULL OR closed = current_user;\n"
        f"      EXECUTE 'REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON ' || name || ' FROM ' || quote_ident(closed);\n"
        f"    END LOOP;\n"
        f"  END LOOP;\n"
        f"END $revokes$;"
    )


def grant(apps: Any, schema_editor: Any) -> None:
    """For RunPython in a migration: web and worker of the settings may use what the owner makes.

    With one DATABASE_URL for everything there is nobody to grant to, and nothing happens.
    """
    from django.conf import settings

    owner, web, worker = (settings.DATABASE_USERS[role] for role in ("owner", "web", "worker"))
    if {web, worker} != {owner}:
        schema_editor.execute(grants_sql(web, worker))


def revoke(apps: Any, schema_editor: Any) -> None:
    """For RunPython in a migration that makes READ_ONLY tables."""
    from django.conf import settings

    owner, web, worker = (settings.DATABASE_USERS[role] for role in ("owner", "web", "worker"))
    if {web, worker} != {owner}:
        schema_editor.execute(revokes_sql(web, worker))
