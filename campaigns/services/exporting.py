"""People, suppressions and messages as CSV files (outreach.common.csv_files), each with its line in the audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import IO, Any

from django.db import transaction
from django.db.models import F, Func, QuerySet

from campaigns.models import Campaign, Contact, ContactList, ListEntry, Message, Suppression, SuppressionList
from campaigns.services import contact_rows
from outreach.common import csv_files
from outreach.common.csv_files import Cells
from outreach.common.errors import NotAllowed
from tenants.models import Tenant
from tenants.services import actors, approvals, audit
from tenants.services.actors import Actor

PERMISSION = "campaigns.export"

SUPPRESSION_COLUMNS = (
    "entry", "hash", "kind", "scope", "list", "reason", "source", "proof", "via", "created_at", "lifted_at",
    "lift_reason",
)  # fmt: skip
MESSAGE_COLUMNS = (
    "campaign", "recipient", "sender", "status", "reason", "outcome", "tries", "due_at", "sent_at", "message_id",
    "reply_text",
)  # fmt: skip


@transaction.atomic
def export_contacts(rows: QuerySet[Contact], *, actor: Actor) -> IO[bytes]:
    """Contacts in the columns that import_contacts takes, free fields included.

    Rows of tenants in which the actor may not export are left out. Raises NotAllowed when it may nowhere,
    BadInput when there are more rows than one file takes.
    """
    rows = _allowed(rows, actor)
    free = sorted(rows.order_by().annotate(key=_keys()).values_list("key", flat=True).distinct())
    known = contact_rows.SHAPE.known

    def cells(row: Contact) -> Iterator[Any]:
        yield from (contact_rows.cell(row, name) for name in known)
        yield from (row.fields.get(name, "") for name in free)

    return _file(rows, (*known, *free), cells, actor=actor, action="contacts.exported")


def export_lists(rows: QuerySet[ContactList], *, actor: Actor) -> IO[bytes]:
    """The contacts of these lists, each once, as export_contacts writes them."""
    entries = ListEntry.objects.filter(contact_list__in=rows.order_by().values("pk"))
    return export_contacts(Contact.objects.filter(pk__in=entries.values("contact_id")), actor=actor)


@transaction.atomic
def export_suppressions(rows: QuerySet[Suppression], *, actor: Actor) -> IO[bytes]:
    """Entries in force and lifted ones. Domains are plain; of an address there are the mask and the keyed hash, as
    nobody knows it in full any more. Whoever has HASH_KEY can tell by the hash whether an address is among them.

    Raises as export_contacts does. Entries of the platform are for those who may make them.
    """
    rows = _allowed(rows, actor)
    if not actor.can("campaigns.suppress_platform"):
        rows = rows.exclude(tenant=None)

    def cells(row: Suppression) -> Iterator[Any]:
        yield f"*.{row.domain}" if row.kind == Suppression.Kind.WILDCARD else row.hint or row.domain
        yield bytes(row.hash).hex()
        yield from (row.kind, row.scope, row.suppression_list.name if row.suppression_list else "")
        yield from (getattr(row, name) for name in SUPPRESSION_COLUMNS[5:])

    rows = rows.select_related("suppression_list")
    return _file(rows, SUPPRESSION_COLUMNS, cells, actor=actor, action="suppressions.exported", people=False)


def export_suppression_lists(rows: QuerySet[SuppressionList], *, actor: Actor) -> IO[bytes]:
    """The entries of these lists as export_suppressions writes them."""
    entries = Suppression.objects.filter(suppression_list__in=rows.order_by().values("pk"))
    return export_suppressions(entries, actor=actor)


@transaction.atomic
def export_messages(rows: QuerySet[Campaign], *, actor: Actor) -> IO[bytes]:
    """The messages of these campaigns: who, from whom, and what became of each. Raises as export_contacts does."""
    messages = Message.objects.filter(campaign__in=rows.order_by().values("pk"))
    messages = _allowed(messages, actor).select_related("campaign", "contact", "mailbox")

    def cells(row: Message) -> Iterator[Any]:
        yield from (row.campaign.name, row.contact.email, row.mailbox.address)
        yield from (getattr(row, name) for name in MESSAGE_COLUMNS[3:])

    return _file(messages, MESSAGE_COLUMNS, cells, actor=actor, action="messages.exported")


def _allowed(rows: QuerySet[Any], actor: Actor) -> QuerySet[Any]:
    """The rows of the tenants in which the actor may export. Raises NotAllowed, BadInput."""
    actor.require(PERMISSION)
    allowed = actors.visible_to(actor, rows, PERMISSION)
    if not csv_files.count(allowed) and rows.exists():
        raise NotAllowed(f"{actor.label} may not do {PERMISSION} with any of these rows.", permission=PERMISSION)
    return allowed


def _keys() -> Func:
    return Func(F("fields"), function="jsonb_object_keys")


def _file(
    rows: QuerySet[Any], columns: Sequence[str], cells: Cells, *, actor: Actor, action: str, people: bool = True
) -> IO[bytes]:
    """The file, at its beginning, and a line in the audit of each tenant that had rows in it.

    With many `people` in it a second person has to agree, tenant by tenant. Raises NeedsApproval.
    """
    counts: Counter[int | None] = Counter()

    def counted(row: Any) -> Iterable[Any]:
        counts[row.tenant_id] += 1
        return cells(row)

    made = csv_files.write(csv_files.in_chunks(rows), columns, counted)
    with ExitStack() as if_refused:
        if_refused.callback(made.close)
        tenants = list(Tenant.objects.filter(pk__in=[pk for pk in counts if pk]).order_by("pk"))
        for tenant in tenants if people else ():
            approvals.require(actor, "people.export", tenant, rows=counts[tenant.pk])
        if counts[None]:  # the platform's chain before any tenant's, as everywhere
            audit.record(actor, action, rows.model, rows=counts[None])
        for tenant in tenants:
            audit.record(actor, action, tenant, rows=counts[tenant.pk])
        if_refused.pop_all()
    return made
