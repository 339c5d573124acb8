"""What our migration operations share that change tables in the database and nothing that Django knows of."""

from __future__ import annotations

from typing import Any

from django.db.migrations.operations.base import Operation


class OnTables(Operation):
    """Acts on the tables of the named models, in their order."""

    reduces_to_sql = True
    reversible = True

    def __init__(self, *model_names: str) -> None:
        self.model_names = model_names

    def deconstruct(self) -> tuple[str, tuple[str, ...], dict[str, Any]]:
        return (type(self).__name__, self.model_names, {})

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing changes for Django."""

    def models(self, app_label: str, state: Any) -> list[Any]:
        """The models as they are at that point of the migrations."""
        return [state.apps.get_model(app_label, name) for name in self.model_names]

    def tables(self, app_label: str, schema_editor: Any, state: Any) -> list[str]:
        """Their tables, quoted."""
        return [schema_editor.quote_name(model._meta.db_table) for model in self.models(app_label, state)]
