"""Conversations end when a person says so."""

from __future__ import annotations

from datetime import timedelta

from campaigns.ledger import conversation, returns
from campaigns.models import Contact
from campaigns.services import campaigns
from outreach.common import repeating
from outreach.common.errors import BadInput, InvalidMove
from tenants.services import audit
from tenants.services.actors import Actor

MOST_QUIET_DAYS = 3650


@repeating.atomic
def release(contact: Contact, *, actor: Actor, quiet_days: int = 0, reason: str = "") -> Contact:
    """End the conversation: campaigns write again, at once or after so many days ("not interested").

    Whoever is only left alone for a while is released likewise. What the answer ended stays ended. Raises InvalidMove
    for somebody who is neither, BadInput for less than 0 or more than 3650 days.
    """
    actor.require("campaigns.converse", contact)
    if not 0 <= quiet_days <= MOST_QUIET_DAYS:
        raise BadInput(f"quiet_days: from 0 to {MOST_QUIET_DAYS}.", field="quiet_days")
    campaigns.want_plan(contact.tenant_id)  # locks the tenant's row, which comes before all others
    contact = Contact.objects.select_for_update(no_key=True).get(pk=contact.pk)
    now = returns.now()
    is_quiet = contact.quiet_until is not None and contact.quiet_until > now
    if contact.conversation_since is None and not is_quiet:
        raise InvalidMove("Nobody talks with this contact, so there is nothing to end.", source="", target="")
    before = contact.conversation_via or "quiet"
    contact.conversation_since, contact.conversation_via, contact.conversation_ended_at = None, "", now
    contact.quiet_until = now + timedelta(days=quiet_days) if quiet_days else None
    contact.save(
        update_fields=["conversation_since", "conversation_via", "conversation_ended_at", "quiet_until"]
    )  # fmt: skip
    people = conversation.come_back(contact.pk, contact.quiet_until)
    audit.record(
        actor, "contact.released", contact, reason=reason, before=before, quiet_days=quiet_days, campaigns=people
    )
    return contact
