"""What became of mail after it left our hands, as people, hosts and other records tell it.

Every act may be repeated: what is known already changes nothing. An outcome of an uncertain mail is evidence
that it went out. What is heard of a mail that was never handed over (planned, refused, cancelled) is not ours.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models.functions import Now

from campaigns.ledger import conversation, returns
from campaigns.models import Contact, Enrolment, Message, Suppression
from campaigns.services import suppression
from outreach.common import repeating
from outreach.common.errors import BadInput, InvalidMove
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

NOT_SENT = "settled_not_sent"  # Message.reason and Enrolment.stop_reason
# How a mail bounced, in the words of delivery events: what its row says then, and whether its sequence ends.
BOUNCES = {
    "hard": (Message.Outcome.BOUNCED, True),
    "soft": (Message.Outcome.SOFT_BOUNCED, False),
    "sender": (Message.Outcome.BLOCKED, True),
}


@transaction.atomic
def settle(message: Message, *, actor: Actor, sent: bool, evidence: str) -> Message:
    """End the doubt about an uncertain message: it went out, or it did not and never will.

    `evidence` is a sentence for whoever asks later (the host's log, a reply, a bounce), kept with the row.
    Sent means that its sequence goes on. Not sent means failed, and the person is not written to again in this
    campaign: whoever doubts that starts another one. Raises InvalidMove when the message is not uncertain (any
    more), BadInput without evidence.
    """
    actor.require("campaigns.settle", message)
    if not evidence.strip():
        raise BadInput("Say how it is known: without evidence the doubt stays.", field="evidence")
    row = Message.objects.select_for_update(of=("self",), no_key=True).select_related("enrolment").get(pk=message.pk)
    target = Message.Status.SENT if sent else Message.Status.FAILED
    if row.status != Message.Status.UNCERTAIN:
        raise InvalidMove(
            f"Message {row.pk} is {row.get_status_display()}; only an uncertain one can be settled.",
            source=row.status,
            target=target,
        )
    before = row.status
    row.status, row.reason = target, "" if sent else NOT_SENT
    row.reply_text = evidence.strip()[:500]
    if sent:
        row.sent_at = Now()
    row.save(update_fields=["status", "reason", "reply_text", "sent_at"])
    if sent:
        returns.go_on(row)
    else:
        _end(row, NOT_SENT)
    audit.record(actor, "message.settled", row, before=before, after=target)
    message.refresh_from_db()
    return message


def delivered(tenant: Tenant, message_ids: Sequence[int], *, actor: Actor) -> int:
    """Note of the tenant's messages that their receivers took them in; return of how many that was news.

    Millions in number and without consequence, so they are no entries of the audit.
    """
    actor.require("campaigns.settle", tenant)
    with transaction.atomic():
        news = returns.note_delivered(tenant.pk, sorted(message_ids))
        doubtful = Message.objects.select_for_update(no_key=True).filter(
            tenant=tenant, pk__in=message_ids, status=Message.Status.UNCERTAIN
        )
        return news + sum(returns.note(row, Message.Outcome.DELIVERED) for row in doubtful.order_by("pk"))


@repeating.atomic
def bounced(message: Message, *, actor: Actor, kind: str, reason: str = "", via: str = "bounce") -> Message:
    """Note that a receiver gave the mail back: `kind` is hard, soft or sender (our fault, not the person's).

    Hard means that the address is suppressed for the tenant and everything to it stops. After a soft one the sequence
    goes on, but claims no more that this mail was seen; one because of us ends it. `reason` is one word of the
    classification. Raises BadInput for another kind.
    """
    actor.require("campaigns.settle", message)
    if kind not in BOUNCES:
        raise BadInput(f"kind: {kind!r} is none of {', '.join(BOUNCES)}.", field="kind")
    outcome, ends = BOUNCES[kind]
    contact, row = _locked(message)
    if row.status not in returns.HEARD_OF or not returns.note(row, outcome, reason=reason):
        return row
    if ends:
        _end(row, "bounced" if kind == "hard" else "blocked")
    if kind == "hard":
        _suppress(contact, row, Suppression.Reason.HARD_BOUNCE, via, actor)
    audit.record(actor, "message.bounced", row, reason=reason, kind=kind, via=via)
    return row


@repeating.atomic
def complained(message: Message, *, actor: Actor, via: str = "feedback") -> Message:
    """Note that the recipient called the mail spam: nothing more of the tenant goes to that person."""
    actor.require("campaigns.settle", message)
    contact, row = _locked(message)
    if row.status not in returns.HEARD_OF or not returns.note(row, Message.Outcome.COMPLAINED):
        return row
    _end(row, "complained")
    _suppress(contact, row, Suppression.Reason.COMPLAINT, via, actor)
    audit.record(actor, "message.complained", row, via=via)
    return row


@repeating.atomic
def unsubscribed(tenant_id: int, message_pk: int, *, actor: Actor, via: str) -> bool:
    """Opt the recipient of a message out of everything its tenant sends, now and later; safe to repeat.

    False when there is no such message (its row is older than the time that links live).
    """
    found = Message.objects.filter(tenant_id=tenant_id, pk=message_pk).first()
    if found is None:
        return False
    actor.require("campaigns.suppress", found)
    _, row = _locked(found)
    if row.status in returns.HEARD_OF and returns.note(row, Message.Outcome.UNSUBSCRIBED):
        _end(row, "unsubscribed")
    return suppression.unsubscribe(tenant_id, message_pk, actor=actor, via=via)


def _locked(message: Message) -> tuple[Contact, Message]:
    """The contact and the message, locked in the ledger's order with all that waits for that contact."""
    contact = Contact.objects.select_for_update(no_key=True).get(pk=message.contact_id)
    conversation.lock(contact.pk, message_id=message.pk)
    return contact, Message.objects.get(pk=message.pk)


def _end(message: Message, reason: str) -> None:
    """End the way of the message's person through its campaign."""
    if Enrolment.objects.filter(pk=message.enrolment_id, status=Enrolment.Status.ACTIVE).exists():
        conversation.end(message.contact_id, message.campaign_id, reason)


def _suppress(contact: Contact, message: Message, reason: str, via: str, actor: Actor) -> None:
    tenant = Tenant.objects.get(pk=message.tenant_id)
    suppression.suppress(tenant, [contact.email_key], actor=actor, reason=reason, via=via, message_ref=message.pk)
