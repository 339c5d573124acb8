"""The audit as a CSV file for people; the signed form for machines is what verify_audit --export writes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any

from django.db import transaction
from django.db.models import QuerySet

from outreach.common import csv_files
from tenants.models import AuditEntry
from tenants.services import actors, audit
from tenants.services.actors import Actor

PERMISSION = "tenants.audit"
COLUMNS = (
    "tenant", "number", "time", "action", "actor", "user", "key", "account", "subject", "subject_id", "before", "after",
    "reason", "facts", "ip", "request", "door", "hash",
)  # fmt: skip


@transaction.atomic
def export_audit(rows: QuerySet[AuditEntry], *, actor: Actor) -> IO[bytes]:
    """Entries of the chains that the actor may read, oldest first. Raises NotAllowed, and BadInput for too many."""
    actor.require(PERMISSION)
    rows = actors.visible_to(actor, rows, PERMISSION).select_related("tenant")
    count = csv_files.count(rows)

    def cells(row: AuditEntry) -> Iterator[Any]:
        yield row.tenant.slug if row.tenant else "platform"
        yield from (row.seq, row.at, row.action, row.actor_kind, row.actor_user_id, row.actor_key_id, row.actor_name)
        yield from (row.subject, row.subject_id)
        yield from (None if value is None else json.dumps(value) for value in (row.before, row.after))
        yield from (row.reason, json.dumps(row.facts), row.ip, row.request_id, row.via, bytes(row.hash).hex())

    made = csv_files.write(csv_files.in_chunks(rows), COLUMNS, cells)
    audit.record(actor, "audit.exported", AuditEntry, rows=count)
    return made
