"""A contact in conversation, in rows: what is held back, what ends, and what comes back afterwards.

The services lock the contact first, then `lock` what is touched, messages by id; enrolments come after messages, as
everywhere.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import connection

from campaigns.ledger import moves

OF_CONTACT = "m.contact_id = %(contact)s"
# Colleagues: the same company, in the campaign that was answered, where it wants that.
COLLEAGUES = """(
    SELECT other.id FROM campaigns_contact own
    JOIN campaigns_contact other ON other.tenant_id = own.tenant_id AND other.company_domain = own.company_domain
    JOIN campaigns_campaign c ON c.id = %(campaign)s AND c.stop_on_colleague
    WHERE own.id = %(contact)s AND own.company_domain <> '' AND other.id <> own.id)"""
WAITING = "m.status IN ('planned', 'claimed', 'deferred')"

LOCK = f"""
SELECT m.id FROM campaigns_message m WHERE m.id IN (
    SELECT %(message)s::bigint
    UNION ALL SELECT m.id FROM campaigns_message m WHERE m.contact_id = %(contact)s AND {WAITING}
    UNION ALL SELECT m.id FROM campaigns_message m
        WHERE m.contact_id IN {COLLEAGUES} AND m.campaign_id = %(campaign)s AND {WAITING}
) ORDER BY m.id FOR UPDATE"""

# Those whose time has come; the others find the conversation at the planner's gate when theirs comes.
WAIT = """
UPDATE campaigns_enrolment e SET due_at = now() + interval '1 day', waits_for = 'conversation'
WHERE e.id IN (
    SELECT id FROM campaigns_enrolment WHERE contact_id = %(contact)s AND status = 'active' AND due_at <= now()
    ORDER BY id FOR UPDATE)"""

END = """
UPDATE campaigns_enrolment e SET status = 'stopped', stop_reason = %(reason)s, due_at = NULL, waits_for = ''
WHERE e.id IN (
    SELECT id FROM campaigns_enrolment
    WHERE campaign_id = %(campaign)s AND status = 'active' AND contact_id {whom} ORDER BY id FOR UPDATE)"""

# What a planner wrote while the above waited for its rows.
PLANNED_MEANWHILE = """
SELECT EXISTS (
    SELECT FROM campaigns_message m WHERE m.contact_id = %(contact)s AND m.status IN ('planned', 'claimed'))"""

AGAIN = """
UPDATE campaigns_enrolment e
SET due_at = coalesce(%(until)s, now()),
    waits_for = CASE WHEN %(until)s::timestamptz IS NULL THEN '' ELSE e.waits_for END
WHERE e.id IN (
    SELECT id FROM campaigns_enrolment
    WHERE contact_id = %(contact)s AND status = 'active' AND due_at IS NOT NULL AND waits_for = 'conversation'
    ORDER BY id FOR UPDATE)"""

# Its time to be given up begins anew: nothing could be tried meanwhile.
RETRY_AGAIN = """
UPDATE campaigns_message m
SET due_at = coalesce(%(until)s, now()), planned_at = coalesce(%(until)s, now()),
    reason = CASE WHEN %(until)s::timestamptz IS NULL THEN '' ELSE m.reason END
WHERE m.id IN (
    SELECT id FROM campaigns_message
    WHERE contact_id = %(contact)s AND status = 'deferred' AND reason = 'conversation' ORDER BY id FOR UPDATE)"""


def lock(contact_id: int, *, message_id: int | None = None, campaign_id: int | None = None) -> None:
    """Lock the message and all that waits for the contact, and with a campaign what waits for colleagues in it."""
    _execute(LOCK, {"contact": contact_id, "message": message_id, "campaign": campaign_id})


def hold(contact_id: int) -> int:
    """Take back what waits for the contact in every campaign; its enrolments wait for the conversation's end."""
    values = {"contact": contact_id}
    held = moves.hold(OF_CONTACT, values)
    _execute(WAIT, values)
    with connection.cursor() as cursor:
        cursor.execute(PLANNED_MEANWHILE, values)
        if cursor.fetchone()[0]:
            held += moves.hold(OF_CONTACT, values)
    return held


def end(contact_id: int, campaign_id: int, reason: str) -> int:
    """End the contact's way through one campaign, what waits included; return how many enrolments ended."""
    return _end(contact_id, campaign_id, reason, "= %(contact)s")


def end_colleagues(contact_id: int, campaign_id: int, reason: str) -> int:
    """The same for the contact's colleagues, where the campaign stops for them."""
    return _end(contact_id, campaign_id, reason, f"IN {COLLEAGUES}")


def _end(contact_id: int, campaign_id: int, reason: str, whom: str) -> int:
    values = {"contact": contact_id, "campaign": campaign_id}

    def close() -> int:
        where = f"m.campaign_id = %(campaign)s AND m.contact_id {whom}"
        return moves.close(where, values, status="cancelled", reason=reason)

    ended = close()
    ended += _execute(END.format(whom=whom), {**values, "reason": reason})
    close()  # what a planner wrote while we waited for its enrolments
    return ended


def come_back(contact_id: int, until: datetime | None) -> int:
    """Let those go on who waited for the conversation, at once or from then on; return how many enrolments."""
    values: dict[str, Any] = {"contact": contact_id, "until": until}
    _execute(RETRY_AGAIN, values)
    return _execute(AGAIN, values)


def _execute(sql: str, values: dict[str, Any]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.rowcount
