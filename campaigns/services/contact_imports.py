"""Imports of contacts that were done: found, forgotten in time, and taken back as a whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import IntegrityError, connection
from django.db.models.functions import Now
from django.utils import timezone

from campaigns.models import ContactImport, ImportedContact
from campaigns.services import contact_undo
from outreach.common import repeating, staging
from outreach.common.errors import BadInput, InvalidMove, Missing
from tenants.models import Tenant
from tenants.services import audit, file_imports
from tenants.services.actors import Actor

NAMED = 20  # people who are named for each reason
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('import contacts', %(tenant)s))"


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What became of a whole import: how many were removed again, restored and kept, and who stays for what reason."""

    done: ContactImport
    kept: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def sentences(self) -> list[str]:
        """Who stays, a sentence for each reason; the first NAMED people by name."""
        told = []
        for reason, (count, people) in self.kept.items():
            more = f" and {count - len(people):,} more" if count > len(people) else ""
            told.append(f"{count:,} stay, {reason}: {', '.join(people)}{more}.")
        return told


def find(tenant: Tenant, number: int) -> ContactImport:
    """The tenant's import of that number. Raises Missing."""
    found = ContactImport.objects.filter(tenant=tenant, pk=number).first()
    if found is None:
        raise Missing(f"There is no import of contacts {number} of {tenant}.")
    return found


def columns_of(tenant: Tenant, source: str) -> dict[str, str]:
    """The mapping that the last import of that source used."""
    return file_imports.columns_of(ContactImport.objects.filter(tenant=tenant), source)


def forget(tenant_id: int) -> int:
    """Delete what could undo the tenant's imports of more than 30 days ago; return of how many."""
    old = ContactImport.objects.filter(tenant=tenant_id, undo_until__lte=timezone.now())
    ids = list(old.values_list("pk", flat=True))
    if ids:
        ImportedContact.objects.filter(tenant=tenant_id, of__in=ids).delete()
        ContactImport.objects.filter(pk__in=ids).update(undo_until=None)
    return len(ids)


@repeating.atomic
def roll_back(done: ContactImport, *, actor: Actor, reason: str = "") -> RolledBack:
    """Give everybody whom the import changed back what it had before, and remove whom it brought, with list entries.

    What was changed again since stays as it is now. Of the new ones those stay who are enrolled or were mailed, who are
    in conversation, whom another list has, or whom a later import changed; the answer names them. Raises InvalidMove
    when the import was rolled back already or is too long ago.
    """
    actor.require("campaigns.import_contacts", done)
    with connection.cursor() as cursor:
        cursor.execute(LOCK, {"tenant": done.tenant_id})
    done = ContactImport.objects.select_for_update(no_key=True).get(pk=done.pk)
    done.move_to(ContactImport.State.ROLLED_BACK)
    if done.undo_until is None:
        raise InvalidMove(f"What could undo import {done.pk} was deleted after {file_imports.UNDO_DAYS} days.")
    values = {
        "tenant": done.tenant_id,
        "import": done.pk,
        "list": done.contact_list_id,
        "after": done.entries_after,
        "until": done.entries_until,
        "named": NAMED,
    }
    Tenant.objects.filter(pk=done.tenant_id).update(plan_wanted_at=Now())  # its row before others: lock order
    contact_undo.drop_tables()
    staging.row(contact_undo.LOCK, values)
    staging.execute(contact_undo.FIND, values)
    staging.execute(contact_undo.HAND_ON, values)
    done.restored = staging.execute(contact_undo.RESTORE, values)
    try:
        kept = _remove(done, values)
    except IntegrityError as error:
        raise BadInput("One of the new people was enrolled just now. Try again.") from error
    done.kept = sum(count for count, _ in kept.values())
    done.rows.all().delete()
    done.rolled_back_at, done.undo_until = timezone.now(), None
    done.save(update_fields=["state", "rolled_back_at", "undo_until", "removed", "restored", "kept"])
    counts = {"removed": done.removed, "restored": done.restored, "kept": done.kept}
    audit.record(actor, "contact_import.rolled_back", done, reason=reason, **counts)
    return RolledBack(done, kept)


def _remove(done: ContactImport, values: dict[str, Any]) -> dict[str, tuple[int, list[str]]]:
    """Take entries out of the list and people out of the tenant; say who stays."""
    stays, gone = contact_undo.split_new()
    staging.execute(stays, values)
    staging.execute(gone, values)
    staging.execute("ANALYZE pg_temp.contact_stays, pg_temp.contact_gone", {})
    staging.execute(contact_undo.LEAVE, values)
    staging.execute(contact_undo.REMOVE_ENTRIES, values)
    done.removed = staging.execute(contact_undo.REMOVE, values)
    with connection.cursor() as cursor:
        cursor.execute(contact_undo.STAYING, values)
        return {reason: (count, list(people)) for reason, count, people in cursor.fetchall()}
