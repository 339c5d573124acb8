"""What is heard of one mail, written to its row: the strongest word stays, and evidence ends doubt."""

from __future__ import annotations

from datetime import datetime

from django.db import connection
from django.db.models.functions import Now

from campaigns import sequences
from campaigns.ledger import following
from campaigns.models import Message

HEARD_OF = (Message.Status.SENT, Message.Status.COMMITTING, Message.Status.UNCERTAIN)  # of others nothing can be


def now() -> datetime:
    """The database's clock, by which leases, slots and delays are kept."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def note(message: Message, outcome: str, *, reason: str = "") -> bool:
    """Put down an outcome of a locked message unless a stronger one is known; whether anything changed.

    An uncertain one was sent then, and its sequence goes on from the time of its slot.
    """
    changed = []
    if sequences.outweighs(outcome, message.outcome):
        message.outcome, message.outcome_reason, message.outcome_at = outcome, reason[:60], Now()
        changed += ["outcome", "outcome_reason", "outcome_at"]
    if outcome == Message.Outcome.REPLIED and message.replied_at is None:
        message.replied_at = Now()
        changed.append("replied_at")
    if outcome == Message.Outcome.UNSUBSCRIBED and message.opted_out_at is None:
        message.opted_out_at = Now()
        changed.append("opted_out_at")
    if message.status == Message.Status.UNCERTAIN:
        message.status, message.reason, message.sent_at = Message.Status.SENT, "", Now()
        changed += ["status", "reason", "sent_at"]
    if changed:
        message.save(update_fields=changed)
    if "status" in changed:
        go_on(message)
    return bool(changed)


def go_on(message: Message) -> None:
    """Let the sequence go on after a locked message that turned out to be sent."""
    with connection.cursor() as cursor:
        following.advance(cursor, {message.pk: message.due_at}, not_before=now())


# Of many mails at once, all of the same weight. Those in doubt are left to `note`, one by one.
DELIVERED = f"""
UPDATE campaigns_message m SET outcome = 'delivered', outcome_at = now()
WHERE m.id IN (
    SELECT id FROM campaigns_message
    WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s) AND status IN ('sent', 'committing')
      AND outcome IN ({", ".join(f"'{one}'" for one in sequences.OUTCOMES if sequences.outweighs("delivered", one))})
    ORDER BY id FOR UPDATE)"""


def note_delivered(tenant_id: int, message_ids: list[int]) -> int:
    """Put down of these that they were delivered; return of how many that was news."""
    with connection.cursor() as cursor:
        cursor.execute(DELIVERED, {"tenant": tenant_id, "ids": message_ids})
        return cursor.rowcount
