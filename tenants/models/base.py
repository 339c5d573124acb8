"""What every tenant-owned model shares: the tenant, and keys that can't point across tenants."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.migrations.operations.base import Operation


class TenantForeignKey(models.ForeignKey):
    """A foreign key between two rows of one tenant.

    Django's own constraint would check `id` alone. AddTenantKeys puts
    FOREIGN KEY (tenant_id, x_id) REFERENCES target (tenant_id, id) in its place;
    both together cost twice as much for nothing more. No index comes by itself either:
    each model lists the ones its questions need, since the ledger pays for every one.
    """

    def __init__(self, to: Any, on_delete: Any = models.PROTECT, **kwargs: Any) -> None:
        kwargs["db_constraint"] = False
        kwargs.setdefault("db_index", False)
        super().__init__(to, on_delete=on_delete, **kwargs)


class TenantOwned(models.Model):
    """A row that belongs to one tenant and refers only to rows of the same one."""

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False)

    class Meta:
        abstract = True


class TenantImplied(TenantOwned):
    """A row whose composite keys prove its tenant: no key of its own for it, which every insert would pay."""

    tenant = models.ForeignKey(
        "tenants.Tenant", on_delete=models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )

    class Meta:
        abstract = True


def tenant_keys(model: Any) -> list[TenantForeignKey]:
    """The fields of a model that AddTenantKeys has to turn into composite keys."""
    return [field for field in model._meta.local_fields if isinstance(field, TenantForeignKey)]


class AddTenantKeys(Operation):
    """UNIQUE (tenant_id, id) on the named models, and a composite foreign key for each TenantForeignKey.

    All uniques come first, so that the models of one operation may refer to each other.
    """

    reduces_to_sql = True
    reversible = True

    def __init__(self, *model_names: str, unique: bool = True) -> None:
        self.model_names = model_names
        self.unique = unique

    def deconstruct(self) -> tuple[str, tuple[str, ...], dict[str, bool]]:
        return (type(self).__name__, self.model_names, {"unique": self.unique})

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing changes for Django: the constraints live in the database only."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        models_ = [to_state.apps.get_model(app_label, name) for name in self.model_names]
        if self.unique:
            for model in models_:
                table = model._meta.db_table
                schema_editor.execute(
                    f'ALTER TABLE "{table}" ADD CONSTRAINT "{table}_tenant_key" UNIQUE (tenant_id, id)'
                )
        for model in models_:
            table = model._meta.db_table
            for field in tenant_keys(model):
                target = field.remote_field.model._meta.db_table
                schema_editor.execute(
                    f'ALTER TABLE "{table}" ADD CONSTRAINT "{table}_{field.column}_same_tenant" '
                    f'FOREIGN KEY (tenant_id, "{field.column}") REFERENCES "{target}" (tenant_id, id)'
                )

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        models_ = [from_state.apps.get_model(app_label, name) for name in self.model_names]
        for model in models_:
            table = model._meta.db_table
            for field in tenant_keys(model):
                schema_editor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{table}_{field.column}_same_tenant"')
        if self.unique:
            for model in models_:
                table = model._meta.db_table
                schema_editor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{table}_tenant_key"')

    def describe(self) -> str:
        return f"Keys that can't point across tenants on {', '.join(self.model_names)}"
