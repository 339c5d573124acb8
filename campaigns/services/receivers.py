"""Receivers that asked for less: their rest, for one organisation's mail to one operator."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from campaigns.ledger import moves
from campaigns.models import Message, Stop
from outreach.common import repeating
from tenants.services import audit
from tenants.services.actors import Actor

OPEN_REST = """
UPDATE campaigns_stop SET until = greatest(until, now() + make_interval(secs => %(seconds)s))
WHERE scope = 'receiver' AND cause = 'answer' AND operator = %(operator)s AND organisational = %(organisational)s
  AND lifted_at IS NULL AND until > now()
RETURNING id"""


@repeating.atomic
def rest(message_id: int, *, actor: Actor, reason: str, text: str = "") -> Stop | None:
    """Write nothing more of this message's organisation to its receiver for HOST_REST_SECONDS.

    All domains of the operator rest together, for it counts us together; mail to others goes on. What this tenant had
    planned there is taken back, what other tenants had is not claimed. None where nobody knows who runs the mail, or
    the rest goes on that began earlier.
    """
    message = Message.objects.select_related("mailbox__domain").get(pk=message_id)
    actor.require("mailboxes.hold", message)
    domain, operator = message.mailbox.domain, message.operator
    if operator in ("", "other"):
        return None
    seconds = timedelta(seconds=settings.HOST_REST_SECONDS)
    values: dict[str, Any] = {
        "seconds": seconds.total_seconds(), "operator": operator, "organisational": domain.organisational,
        "tenant": message.tenant_id,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('receiver rests'))")
        cursor.execute(OPEN_REST, values)
        going_on = cursor.fetchone()
        cursor.execute("SELECT now()")
        at = cursor.fetchone()[0]
    stop = None
    if going_on is None:
        stop = Stop.objects.create(
            scope=Stop.Scope.RECEIVER, operator=operator, organisational=domain.organisational,
            label=f"{domain.organisational} to {operator}", cause=Stop.Cause.ANSWER, reason=f"{reason}: {text}"[:500],
            until=at + seconds,
        )  # fmt: skip
    moves.take_back(
        "m.tenant_id = %(tenant)s AND m.operator = %(operator)s AND m.mailbox_id IN ("
        "SELECT b.id FROM mailboxes_mailbox b JOIN mailboxes_sendingdomain d ON d.id = b.domain_id "
        "WHERE b.tenant_id = %(tenant)s AND d.organisational = %(organisational)s)",
        values,
    )
    audit.record(actor, "receiver.rests", domain, reason=reason, operator=operator, is_new=going_on is None)
    return stop
