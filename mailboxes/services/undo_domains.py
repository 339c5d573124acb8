"""What an import keeps of each domain that it makes or changes, and how that is taken back: all rows or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django.db import IntegrityError

from mailboxes.models import Import, ImportedRow, SendingDomain
from mailboxes.services import domains, undo
from outreach.common import hooks
from outreach.common.errors import BadInput, InvalidMove

NAMED = 20  # rows that stand in a refusal's sentence; its details have all


def image(domain: SendingDomain) -> dict[str, Any]:
    """What an import may change of a domain, as JSON keeps it."""
    values = {name: getattr(domain, name) for name in domains.CHANGEABLE}
    return {name: value.isoformat() if isinstance(value, date) else value for name, value in values.items()}


def note(of: Import, line: int, domain: SendingDomain, before: Mapping[str, Any] | None) -> ImportedRow:
    """An unsaved row; `before` None: the domain is new."""
    return ImportedRow(
        tenant_id=of.tenant_id,
        of=of,
        line=line,
        domain_ref=domain.pk,
        is_new=before is None,
        before=before or {},
        after=image(domain),
    )


def restore(done: Import) -> dict[str, int]:
    """Give every domain back what it had before, and delete the new ones; return how many of each.

    Raises InvalidMove, with all rows in its details, when one was changed, blocked, retired or came into use since.
    """
    rows = list(done.rows.order_by("domain_ref"))
    refs = [row.ref for row in rows]
    found = SendingDomain.objects.filter(tenant=done.tenant_id, pk__in=refs).order_by("pk")
    known = {row.pk: row for row in found.select_for_update(no_key=True)}
    _refuse_changed(done, rows, known)
    lowered, changed, new = [], [], []
    for row in rows:
        domain = known[row.ref]
        if row.is_new:
            new.append(domain.pk)
            continue
        if any(domains.is_lower(row.before[name], getattr(domain, name)) for name in domains.NUMBERS):
            lowered += domains.mailboxes_of(domain)
        for name, value in row.before.items():
            setattr(domain, name, date.fromisoformat(value) if value and name in domains.DATES else value)
        domain.check_due_at = None
        changed.append(domain)
    SendingDomain.objects.bulk_update(changed, [*domains.CHANGEABLE, "check_due_at"], batch_size=100)
    try:
        SendingDomain.objects.filter(pk__in=new).delete()
    except IntegrityError as error:
        raise BadInput("One of the new domains came into use just now. Try again.") from error
    if lowered:
        hooks.call("mailboxes.cap_lowered", mailbox_ids=sorted(lowered), reason="import rolled back")
    return {"restored": len(changed), "deleted": len(new)}


def _refuse_changed(done: Import, rows: Sequence[ImportedRow], known: dict[int, SendingDomain]) -> None:
    in_use = undo.referred_to(SendingDomain, [row.ref for row in rows if row.is_new])
    told = []
    for row in sorted(rows, key=lambda row: row.line):
        domain = known.get(row.ref)
        if domain is None:
            names = ["the domain"]
        elif domain.state in (SendingDomain.State.RETIRED, SendingDomain.State.BLOCKED):
            names = ["state"]
        else:
            now = image(domain)
            names = [name for name in domains.CHANGEABLE if now[name] != row.after[name]]
            if row.is_new and domain.pk in in_use:
                names.append("it has mailboxes; take their import back first")
        if names:
            told.append(f"line {row.line}, {domain or f'domain {row.ref}'}: {', '.join(names)}")
    if told:
        more = f"; and {len(told) - NAMED:,} more" if len(told) > NAMED else ""
        raise InvalidMove(
            f"Import {done.pk} can't be rolled back, since these were changed since: {'; '.join(told[:NAMED])}{more}.",
            rows=told,
        )
