"""What became of mail after it left our hands, as people and other records tell it."""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from campaigns.models import Enrolment, Message
from outreach.common.errors import BadInput, InvalidMove
from tenants.services import audit
from tenants.services.actors import Actor

NOT_SENT = "settled_not_sent"  # Message.reason and Enrolment.stop_reason


@transaction.atomic
def settle(message: Message, *, actor: Actor, sent: bool, evidence: str) -> Message:
    """End the doubt about an uncertain message: it went out, or it did not and never will.

    `evidence` is a sentence for whoever asks later (the host's log, a reply, a bounce), kept with the row.
    Not sent means failed, and the person is not written to again in this campaign: whoever doubts that
    starts another one. Raises InvalidMove when the message is not uncertain (any more), BadInput without
    evidence.
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
    ended = {"status": "done"} if sent else {"status": "stopped", "stop_reason": NOT_SENT}
    Enrolment.objects.filter(pk=row.enrolment_id, status=Enrolment.Status.ACTIVE).update(
        due_at=None, waits_for="", **ended
    )
    audit.record(actor, "message.settled", row, before=before, after=target)
    message.refresh_from_db()
    return message
