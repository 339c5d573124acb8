"""The tenant's record and checklist: written, decided, and asked before a launch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.timezone import now

from outreach.common import hooks, yaml_files
from outreach.common.errors import BadInput
from tenants import checklist
from tenants.models import ChecklistEntry, Tenant, TenantRecord, User
from tenants.services import audit
from tenants.services.actors import Actor

AGREED = ("allowed_countries", "allowed_bases")  # by whom and on what ground mail may go out
FIELDS = tuple(
    field.name for field in TenantRecord._meta.get_fields() if field.name not in ("id", "tenant", "changed_at")
)


def of(tenant: Tenant) -> TenantRecord:
    """The tenant's record, an empty unsaved one where nothing was written yet."""
    return TenantRecord.objects.filter(tenant=tenant).first() or TenantRecord(tenant=tenant)


def lines(tenant: Tenant, today: date | None = None) -> list[checklist.Line]:
    """The checklist as it stands today (UTC)."""
    record = of(tenant)
    decided = ChecklistEntry.objects.filter(tenant=tenant).exclude(state=ChecklistEntry.State.OPEN)
    values = {name: getattr(record, name) for name in FIELDS} | {"postal_address": tenant.postal_address.strip()}
    facts = checklist.Facts(values, frozenset(decided.values_list("key", flat=True)))
    return checklist.judge(facts, today or now().date())


def red(tenant: Tenant, today: date | None = None) -> list[str]:
    """What keeps the tenant from launching, as sentences; empty: nothing does."""
    found = [line.rule for line in lines(tenant, today) if not line.is_green]
    return [f"{tenant.slug}, checklist: {rule.title} is missing. {rule.remedy}" for rule in found]


@transaction.atomic
def write(tenant: Tenant, values: Mapping[str, Any], *, actor: Actor) -> TenantRecord:
    """Change what is named in the tenant's record and leave the rest. Raises BadInput that names the field."""
    actor.require("tenants.set_record", tenant)
    unknown = sorted(set(values) - set(FIELDS))
    if unknown:
        raise BadInput(f"The record has no {unknown[0]!r}; it has {', '.join(FIELDS)}.", field=unknown[0])
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    record = of(tenant)
    before = {name: set(getattr(record, name)) for name in AGREED}
    for name, value in values.items():
        if isinstance(value, str) and not yaml_files.storable(value):
            raise BadInput(f"{name}: has a character that can't be stored.", field=name)
        if isinstance(TenantRecord._meta.get_field(name), ArrayField) and not _is_list_of_text(value):
            raise BadInput(f"{name}: write a list, as in [UA, PL].", field=name)
        setattr(record, name, value)
    try:
        record.full_clean(exclude=["tenant"], validate_constraints=False)
    except ValidationError as error:
        place, messages = next(iter(error.message_dict.items()))
        raise BadInput(f"{place}: {messages[0]}", field=place) from error
    if record.contract_ends_on and record.contract_signed_on and record.contract_ends_on < record.contract_signed_on:
        raise BadInput("contract_ends_on: lies before contract_signed_on.", field="contract_ends_on")
    record.save()
    hooks.call("tenants.record_written", tenant=tenant, fields=frozenset(values))
    after = {name: set(getattr(record, name)) for name in AGREED}
    if before != after:
        hooks.call(
            "tenants.contract_changed", tenant=tenant, fewer=any(before[name] - after[name] for name in AGREED),
            more=any(after[name] - before[name] for name in AGREED),
        )  # fmt: skip
    audit.record(actor, "tenant.record_written", tenant, fields=sorted(values))
    return record


@transaction.atomic
def decide(
    tenant: Tenant, key: str, state: str, *, actor: Actor, note: str = "", on: date | None = None
) -> ChecklistEntry:
    """Settle a row that a person decides: done, not_needed with the reason, or open again. Raises BadInput."""
    entry = _entry(tenant, key, actor)
    if not checklist.BY_KEY[key].is_decided_by_person:
        raise BadInput(f"{key} follows from the record; fill that in.", field="key")
    if state not in ChecklistEntry.State.values:
        raise BadInput(f"{state!r}: write one of {', '.join(ChecklistEntry.State.values)}.", field="state")
    if state == ChecklistEntry.State.NOT_NEEDED and not note.strip():
        raise BadInput("Say why it is not needed.", field="note")
    if not yaml_files.storable(note):
        raise BadInput("The note has a character that can't be stored.", field="note")
    before = entry.state
    entry.state, entry.note = state, note.strip()
    entry.done_on = None if state == ChecklistEntry.State.OPEN else on or now().date()
    entry.save()
    audit.record(actor, "checklist.decided", entry, key=key, before=before, after=state)
    return entry


@transaction.atomic
def assign(tenant: Tenant, key: str, *, actor: Actor, owner: User | None, due_on: date | None) -> ChecklistEntry:
    """Who sees to a row of the checklist, and by when. Raises BadInput."""
    entry = _entry(tenant, key, actor)
    entry.owner, entry.due_on = owner, due_on
    entry.save()
    audit.record(actor, "checklist.assigned", entry, key=key, owner_id=owner and owner.pk)
    return entry


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _entry(tenant: Tenant, key: str, actor: Actor) -> ChecklistEntry:
    actor.require("tenants.set_record", tenant)
    if key not in checklist.BY_KEY:
        raise BadInput(f"There is no row {key!r}; there are {', '.join(checklist.BY_KEY)}.", field="key")
    Tenant.objects.select_for_update(no_key=True).get(pk=tenant.pk)
    return ChecklistEntry.objects.filter(tenant=tenant, key=key).first() or ChecklistEntry(tenant=tenant, key=key)
