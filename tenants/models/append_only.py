"""Tables that take new rows only, as a migration operation.

Web and worker may only read them (outreach.common.roles takes the rest away); rows come from functions that run
with the owner's rights. The trigger is for the owner, who could change everything and must not by accident; its
function came with the audit (tenants.models.audit).
"""

from __future__ import annotations

from typing import Any

from django.db.migrations.operations.base import Operation

from outreach.common import roles


class AppendOnly(Operation):
    """No UPDATE, DELETE or TRUNCATE on the tables of these models, and no INSERT by web and worker.

    The tables have to stand in roles.READ_ONLY, so that a later GRANT opens none of them again.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, *model_names: str) -> None:
        self.model_names = model_names

    def deconstruct(self) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        return (type(self).__name__, self.model_names, {})

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing changes for Django: triggers and grants live in the database only."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for table in self._tables(app_label, schema_editor, to_state):
            schema_editor.execute(
                f"CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION app_append_only()"
            )
        roles.revoke(None, schema_editor)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        for table in self._tables(app_label, schema_editor, from_state):
            schema_editor.execute(f"DROP TRIGGER append_only ON {table}")

    def _tables(self, app_label: str, schema_editor: Any, state: Any) -> list[str]:
        models = (state.apps.get_model(app_label, name) for name in self.model_names)
        return [schema_editor.quote_name(model._meta.db_table) for model in models]

    def describe(self) -> str:
        return f"New rows only in {', '.join(self.model_names)}"
