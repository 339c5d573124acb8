"""The history beneath the audit: what became of each row of configuration, whoever changed it by whatever way.

`@history.track()` gives a model an event table and three triggers of django-pghistory, one for each kind of
statement. They see bulk updates and SQL by hand as well as `save()`. An event holds the row as it was left (of a
deletion: as it was), of an update in `pgh_before` what the changed columns held until then, and in `pgh_context`
the circumstances (outreach.common.circumstances), which every transaction names anew.

Differences to what pghistory does by itself, and why, are in outreach/decisions/0024-history.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pghistory
import pghistory.models
import pghistory.trigger
import pgtrigger
from django.db import models
from pgtrigger import compiler

CONTEXT = "NULLIF(current_setting('pghistory.context_metadata', true), '')::jsonb"


class OwnersTriggerSql(compiler.UpsertTriggerSql):
    """A trigger whose function writes with the owner's rights, and which nobody can ask to look away.

    Named by migrations: a change of the template is a new class. Without EXECUTE for everybody: who may make
    temporary tables could else hang the function on one of those and write whatever history he likes.
    """

    def get_template(self) -> str:
        return """
            CREATE OR REPLACE FUNCTION {pgid}() RETURNS trigger LANGUAGE plpgsql
            SECURITY DEFINER SET search_path = public, pg_temp AS $$
                BEGIN
                    {func}
                END;
            $$;
            REVOKE EXECUTE ON FUNCTION {pgid}() FROM PUBLIC;
            DROP TRIGGER IF EXISTS {pgid} ON {table};
            CREATE TRIGGER {pgid} {when} {operation} ON {table} {referencing}
                FOR EACH {level} EXECUTE FUNCTION {execute};
            COMMENT ON TRIGGER {pgid} ON {table} IS '{hash}';
        """


class EventTrigger(pghistory.trigger.Event):
    """One INSERT ... SELECT for all the rows of a statement."""

    def get_func(self, model: Any) -> pgtrigger.Func:
        event: Any = self.event_model
        known = {field.name for field in event.pgh_tracked_model._meta.fields}
        values = "old_values" if self.row == "OLD" else "new_values"
        columns = {f.column: f'{values}."{f.column}"' for f in event._meta.fields if f.name in known}
        if event.pgh_tracked_model._meta.label == "tenants.Tenant":
            columns["tenant_id"] = f'{values}."id"'
        columns |= {"pgh_created_at": "NOW()", "pgh_label": f"'{self.label}'", "pgh_context": CONTEXT}
        rows = {"insert": "{cond_new_values}", "delete": "{cond_old_values}"}.get(
            str(self.label), "{cond_joined_values}"
        )
        if self.label == "update":
            columns["pgh_before"] = self._before(event)
        names = ", ".join(f'"{name}"' for name in columns)
        chosen = ", ".join(columns.values())
        table = event._meta.db_table
        return pgtrigger.Func(f'INSERT INTO "{table}" ({names}) SELECT {chosen} FROM {rows}; RETURN NULL;')  # noqa: S608

    def get_func_template_kwargs(self, model: Any) -> dict[str, Any]:
        """A row whose id was changed has no old one beside it, and must not go unseen for that."""
        found = super().get_func_template_kwargs(model)
        joined = found["cond_joined_values"].replace("old_values JOIN", "old_values RIGHT JOIN", 1)
        return found | {"cond_joined_values": joined}

    def _before(self, event: Any) -> str:
        """What the columns that changed held until then, by the names of the fields; null for a secret one."""
        parts = []
        for field in event.pgh_tracked_model._meta.fields:
            if field.name in event.pgh_compared:
                old = "NULL" if field.name in event.pgh_secrets else f'old_values."{field.column}"'
                parts.append(
                    f'CASE WHEN old_values."{field.column}" IS DISTINCT FROM new_values."{field.column}" '
                    f"THEN jsonb_build_object('{field.name}', {old}) ELSE '{{{{}}}}'::jsonb END"
                )
        return " || ".join(parts)

    def compile(self, model: Any) -> compiler.Trigger:
        sql = OwnersTriggerSql(
            pgid=self.get_pgid(model),
            func=self.render_func(model),
            table=model._meta.db_table,
            when=self.when,
            operation=self.operation,
            referencing=self.referencing or "",
            level=pgtrigger.Statement,
        )
        return compiler.Trigger(name=self.name, sql=sql)


class _ByTrigger:
    """Registers EventTrigger in place of pghistory's own."""

    def add_event_trigger(self: Any, event_model: Any) -> None:
        compared = event_model.pgh_compared
        trigger = EventTrigger(
            event_model=event_model,
            label=self.label,
            name=self.label,
            row=self.row,
            operation=self.operation,
            condition=pgtrigger.AnyChange(*compared) if self.label == "update" else None,
            level=pgtrigger.Statement,
        )
        pgtrigger.register(trigger)(event_model.pgh_tracked_model)


class Inserted(_ByTrigger, pghistory.InsertEvent):
    """A row was made."""


class Updated(_ByTrigger, pghistory.UpdateEvent):
    """A row changed in a column that is looked at; other changes leave no event."""


class Deleted(_ByTrigger, pghistory.DeleteEvent):
    """A row was deleted."""


class Event(pghistory.models.Event):
    """What every event table has. `id` is the id of the row that it tells of; no column is a foreign key."""

    pgh_id = models.BigAutoField(primary_key=True)
    pgh_before = models.JSONField(null=True)

    pgh_compared: frozenset[str]  # the fields whose change makes an event
    pgh_secrets: frozenset[str]  # those of them whose values are never kept

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.pgh_label} {self.pgh_id}"


def track(*, without: Iterable[str] = (), secrets: Iterable[str] = ()) -> Callable[[Any], Any]:
    """Keep the history of a model's rows as tables of events (`MailboxEvent` of Mailbox).

    `without` are fields that say nothing about configuration; `secrets` those of which only the change is noted.
    """
    without, secrets = frozenset(without), frozenset(secrets)

    def decorate(model: Any) -> Any:
        kept = [field for field in model._meta.local_fields if field.name not in without | secrets]
        attrs: dict[str, Any] = {
            field.name: models.BigIntegerField(db_column=field.column, null=field.null)
            for field in kept
            if field.is_relation and field.name != "tenant"
        }
        if (owner := _tenant_of(model)) is not None:
            attrs["tenant"] = owner
        attrs["pgh_compared"] = frozenset(field.name for field in kept if not field.primary_key) | secrets
        attrs["pgh_secrets"] = secrets
        name = f"{model.__name__}Event"
        pghistory.create_event_model(
            model,
            Inserted(),
            Updated(),
            Deleted(),
            fields=[field.name for field in kept],
            obj_field=None,  # type: ignore[arg-type]
            context_field=pghistory.ContextJSONField(),
            context_id_field=None,  # type: ignore[arg-type]
            base_model=Event,
            model_name=name,
            attrs=attrs,
            meta={
                "ordering": ("-pgh_id",),
                "default_permissions": (),
                "indexes": [models.Index(fields=["id", "pgh_id"], name=f"{name.lower()}_row")],
            },
            abstract=False,
        )
        return model

    return decorate


def _tenant_of(model: Any) -> models.ForeignKey | None:
    """The field that says whose event it is; None for people, who belong to no tenant."""
    null = False
    if model.__name__ != "Tenant":
        found = [field for field in model._meta.local_fields if field.name == "tenant"]
        if not found:
            return None
        null = found[0].null
    return models.ForeignKey(
        "tenants.Tenant", null=null, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
