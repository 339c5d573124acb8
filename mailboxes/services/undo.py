"""What an import keeps of each mailbox that it makes or changes, so that it can be taken back."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import CASCADE, Model
from django.utils import timezone

from mailboxes.models import Import, ImportedRow, Mailbox, RampDay, Rotation, SignInTest
from mailboxes.models.imports import PASSWORD_BEFORE
from outreach.common.sealing import Keyring

COMPARED = (
    "pool_id",
    "home_id",
    "display_name",
    "username",
    "daily_cap",
    "min_gap_seconds",
    "hold",
    "tags",
    "signature",
)
KEPT = (*COMPARED, "failures", "state_reason")
RAMP = ("ramp_id", "ramp_cap", "state")  # kept of those whose ramp the import changed
NOTES = (Rotation, RampDay, SignInTest)  # what is written about a mailbox by the way goes with it
SHOWN = {"pool_id": "pool", "home_id": "server", "ramp_id": "ramp", "username": "smtp_username"}


def image(mailbox: Mailbox) -> dict[str, Any]:
    """What an import may change of a mailbox, but the password."""
    return {name: getattr(mailbox, name) for name in KEPT}


def _ramp(mailbox: Mailbox, is_set: bool) -> dict[str, Any]:
    return {name: getattr(mailbox, name) for name in RAMP} if is_set else {}


def digest(mailbox: Mailbox) -> bytes:
    return hashlib.sha256(bytes(mailbox.sealed_password)).digest()


def row(
    of: Import, line: int, mailbox: Mailbox, before: Mapping[str, Any] | None, password: bytes | None, keyring: Keyring
) -> ImportedRow:
    """An unsaved row; `before` None: the mailbox is new. `password` is the one that was replaced, None: none was."""
    ramp_set = mailbox.ramp_id is not None if before is None else "ramp_id" in before
    found = ImportedRow(
        tenant_id=of.tenant_id,
        of=of,
        line=line,
        mailbox_ref=mailbox.pk,
        is_new=before is None,
        before=before or {},
        after=image(mailbox) | _ramp(mailbox, ramp_set) | ({} if password is None else {"password": "replaced"}),
        seal_ref=uuid.uuid4(),
        digest_after=digest(mailbox),
    )
    if password:
        found.sealed_before = keyring.seal(password, PASSWORD_BEFORE.place(of.tenant_id, found.seal_ref))
    return found


def forget(tenant_id: int) -> int:
    """Delete what could undo the tenant's imports of more than UNDO_DAYS ago, passwords too; return how many."""
    old = Import.objects.filter(tenant=tenant_id, undo_until__lte=timezone.now())
    ids = list(old.values_list("pk", flat=True))
    if ids:
        ImportedRow.objects.filter(tenant=tenant_id, of__in=ids).delete()
        Import.objects.filter(pk__in=ids).update(undo_until=None)
    return len(ids)


def referred_to(model: type[Model], ids: Iterable[int]) -> set[int]:
    """Which of these rows others point to, whatever app they belong to.

    NOTES don't count, nor do rows that go with the one they point to, as checks of a domain do.
    """
    found: set[int] = set()
    for relation in model._meta.get_fields(include_hidden=True):
        if not (relation.auto_created and (relation.one_to_many or relation.one_to_one)):
            continue
        field: Any = relation.remote_field
        if field.model not in NOTES and field.remote_field.on_delete is not CASCADE:
            rows = field.model._base_manager.filter(**{f"{field.name}__in": list(ids)}).order_by()
            found.update(rows.values_list(field.attname, flat=True).distinct())
    return found
