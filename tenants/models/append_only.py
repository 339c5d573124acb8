"""Tables that take new rows only: a migration operation, and the trigger that stands behind the missing grants.

Web and worker may only read them (outreach.common.roles takes the rest away); rows come from functions that run
with the owner's rights. The trigger is for the owner, who could change everything and must not by accident.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings

from outreach.common import roles
from tenants.models.operations import OnTables

# Part of migrations that have landed: a change is a new function in a new migration.
# Whoever means it says SET LOCAL app.append_only = 'off' first; to web and worker that opens nothing.
FUNCTION = """
CREATE FUNCTION app_append_only() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF current_setting('app.append_only', true) IS DISTINCT FROM 'off' THEN
        RAISE EXCEPTION '% takes new rows only.', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END $$"""
NO_FUNCTION = "DROP FUNCTION app_append_only()"


class AppendOnly(OnTables):
    """No UPDATE, DELETE or TRUNCATE on the tables of these models, and no INSERT by web and worker.

    The tables have to stand in roles.APPEND_ONLY, so that a later GRANT opens none of them again.
    """

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for table in self.tables(app_label, schema_editor, to_state):
            schema_editor.execute(
                f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION app_append_only()"
            )
        users = settings.DATABASE_USERS
        schema_editor.execute(roles.append_only_sql(users["web"], users["worker"]))

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for table in self.tables(app_label, schema_editor, from_state):
            schema_editor.execute(f"DROP TRIGGER append_only ON {table}")

    def describe(self) -> str:
        return f"New rows only in {', '.join(self.model_names)}"
