"""Erasure: a person asks to be forgotten. Personal data goes, the keyed hash stays and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from campaigns.ledger import moves, planning
from campaigns.models import Contact, Enrolment, ImportedContact, ListEntry, Message
from campaigns.services import campaigns, contact_imports, contacts, sharing, suppression
from outreach.common import addresses, repeating, staging
from outreach.common.errors import InvalidMove
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

ERASED = "erased"  # Contact.validity_reason, Enrolment.stop_reason, Message.reason, Suppression.via
NOBODY = "erased-{}@erased.invalid"  # RFC 6761: no mail can ever get there

# Hosts repeat the address in their answers.
ANSWERS = """
UPDATE campaigns_message SET reply_text = '' WHERE id IN (
    SELECT id FROM campaigns_message WHERE contact_id = %(contact)s AND reply_text <> '' ORDER BY id FOR UPDATE)"""
TRIES = """
UPDATE campaigns_attempt SET text = '' WHERE text <> '' AND message_ref IN (
    SELECT id FROM campaigns_message WHERE contact_id = %(contact)s)"""


@dataclass(frozen=True, slots=True)
class Erased:
    """What was found: contacts, their places in lists, their messages that waited, entries that had words."""

    contacts: int = 0
    lists: int = 0
    cancelled: int = 0
    entries: int = 0


@repeating.atomic
def erase(contact: Contact, *, actor: Actor, reason: str) -> Erased:
    """Forget a contact: nothing that could name or reach the person is left in its tenant, and nobody imports it again.

    The row stays without the person, since messages point to it: the ledger goes on telling how many went out and what
    became of them. What waits is cancelled, list places and undo data go, and an opt-out of the keyed hash holds, of
    which nobody can read the address. Raises NotAllowed; InvalidMove for a contact that is erased already.
    """
    actor.require("campaigns.erase", contact)
    tenant = Tenant.objects.get(pk=contact.tenant_id)
    _wait(tenant)
    contact = Contact.objects.select_for_update(no_key=True).get(pk=contact.pk)
    if contact.validity_reason == ERASED:
        raise InvalidMove("This contact is erased already.", source=ERASED, target=ERASED)
    done = _erase(tenant, [contact], contacts.hashes(suppression.hasher(), addresses.parse(contact.email)))
    _record(tenant, contact, done, actor, reason)
    return done


@repeating.atomic
def erase_address(tenant: Tenant, address: str, *, actor: Actor, reason: str) -> Erased:
    """As `erase`, of whoever has this address, in whatever way it is written; it is blocked even if nobody has.

    Raises NotAllowed, and BadInput for what is no address.
    """
    actor.require("campaigns.erase", tenant)
    keys, own = contacts.keys_of(address), contacts.hashes(suppression.hasher(), addresses.parse(address.strip()))
    _wait(tenant)
    rows = Contact.objects.select_for_update(no_key=True).filter(tenant=tenant, email_key__in=keys).order_by("pk")
    done = _erase(tenant, list(rows), own)
    _record(tenant, tenant, done, actor, reason)
    return done


def _wait(tenant: Tenant) -> None:
    """Nobody imports, edits or plans the tenant's people until this transaction ends."""
    staging.row(contact_imports.LOCK, {"tenant": tenant.pk})
    campaigns.want_plan(tenant.pk)
    planning.wait(tenant.pk)


def _erase(tenant: Tenant, people: Sequence[Contact], hashes: Sequence[bytes]) -> Erased:
    """The first hash is whose the address is; those of the contacts' other spellings are theirs too."""
    spelt = [bytes(each) for person in people for each in (person.address_hash, *person.domain_hashes)]
    entries = suppression.keep_hashes_alone(tenant, [*hashes, *spelt], via=ERASED)
    cancelled, lists = suppression.push(tenant.pk, [hashes[0]]), 0
    for person in people:
        cancelled += moves.close(
            "m.contact_id = %(contact)s", {"contact": person.pk}, status=Message.Status.CANCELLED, reason=ERASED
        )
        active = Enrolment.objects.filter(contact=person, status=Enrolment.Status.ACTIVE)
        active.update(status=Enrolment.Status.STOPPED, stop_reason=ERASED, due_at=None, waits_for="")
        for sql in (ANSWERS, TRIES):
            staging.execute(sql, {"contact": person.pk})
        ImportedContact.objects.filter(tenant=tenant, contact_ref=person.pk).delete()
        lists += ListEntry.objects.filter(contact=person).delete()[0]
        Contact.objects.filter(pk=person.pk).update(**_nobody(person))
    sharing.ring(tenant)
    return Erased(len(people), lists, cancelled, entries)


def _nobody(person: Contact) -> dict[str, Any]:
    """The columns of a contact whom nobody knows. Which import brought it is about a file, and canaries ask."""
    email = NOBODY.format(person.pk)
    return {
        "email": email, "email_key": email, "address_hash": suppression.hasher().address(email), "domain_hashes": [],
        "operator": "", "first_name": "", "last_name": "", "company": "", "company_domain": "", "country": "",
        "time_zone": "", "source": ERASED, "basis_evidence": "", "basis_terms": [], "fields": {}, "tags": [],
        "validity": Contact.Validity.INVALID, "validity_reason": ERASED, "conversation_since": None,
        "conversation_via": "", "conversation_ended_at": None, "quiet_until": None,
    }  # fmt: skip


def _record(tenant: Tenant, subject: Any, done: Erased, actor: Actor, reason: str) -> None:
    facts = {"contacts": done.contacts, "lists": done.lists, "cancelled": done.cancelled, "entries": done.entries}
    audit.record(actor, "contact.erased", subject, reason=reason, **facts)
