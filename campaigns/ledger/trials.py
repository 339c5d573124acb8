"""What stands against a test mail, in the words of the gates that campaign mail passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.db import connection

from campaigns.ledger import gates
from mailboxes.capacity import PROBING_CAP
from mailboxes.services.domain_ramp_sql import TOO_YOUNG
from mailboxes.ways.sql import LEAVES_BY

# Of what the mail is part of: the campaign where there is one, its tenant, everything.
STOPPED = f"""
SELECT CASE
    WHEN t.status <> 'active' THEN 'tenant'
    WHEN c.status IN ('halted', 'cancelled') THEN c.status
    WHEN {gates.CAMPAIGN_STOPPED} THEN 'stop' ELSE '' END
FROM tenants_tenant t
LEFT JOIN campaigns_campaign known ON known.id = %(campaign)s AND known.tenant_id = t.id
CROSS JOIN LATERAL (SELECT known.id, t.id AS tenant_id, coalesce(known.status, '') AS status) AS c
WHERE t.id = %(tenant)s"""

CAP = f"""CASE b.state WHEN 'reserve' THEN floor(least(b.daily_cap, b.ramp_cap) * b.reserve_share)::int
    WHEN 'probing' THEN least(b.daily_cap, b.ramp_cap, {PROBING_CAP}) ELSE least(b.daily_cap, b.ramp_cap) END"""
DAY = "%(day)s::timestamp AT TIME ZONE 'UTC'"

# What campaign mail has reserved of the day, with the tests of the day on top, is still below the cap.
ROOM = f"""(
    {CAP} > coalesce((
        SELECT al.reserved FROM mailboxes_allowance al
        WHERE al.scope = 'mailbox_day' AND al.key = b.id AND al.period_start = {DAY}
    ), 0) + (
        SELECT count(*) FROM campaigns_testsend x
        WHERE x.mailbox_id = b.id AND x.day_on = %(day)s AND x.state <> 'failed' AND x.id <> %(self)s
    ) AND NOT EXISTS (
        SELECT FROM mailboxes_allowance al WHERE al.reserved >= al.cap AND (al.scope, al.key, al.period_start) IN (
            ('mailbox_hour', b.id, %(hour)s), ('domain_hour', b.domain_id, %(hour)s),
            ('account_hour', a.id, %(hour)s), ('tenant_day', b.tenant_id, {DAY}),
            ('domain_day', b.domain_id, {DAY})
        )
    ))"""

# The operator of the tester's domain asked for less mail, from everybody or from this sender.
RESTING = f"""EXISTS (
    SELECT FROM campaigns_stop s JOIN mailboxes_receiverdomain r ON r.name = %(domain)s AND r.operator = s.operator
    WHERE {gates.OPEN_STOP} AND s.scope = 'receiver'
      AND s.organisational IN ('', d.organisational) AND (s.tenant_id IS NULL OR s.tenant_id = b.tenant_id))"""

MAILBOXES = f"""
SELECT id, reason FROM (
SELECT b.id, b.state, b.held_until, b.last_dot_at, CASE
    WHEN NOT {gates.SENDABLE} OR {TOO_YOUNG} THEN 'mailbox'
    WHEN {RESTING} THEN 'receiver'
    WHEN NOT {ROOM} THEN 'no_room' ELSE '' END AS reason
FROM mailboxes_mailbox b
JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY}
WHERE b.tenant_id = %(tenant)s AND b.state <> 'retired'
  AND (%(pool)s::bigint IS NULL OR b.pool_id = %(pool)s) AND (%(mailbox)s::bigint IS NULL OR b.id = %(mailbox)s)
) AS found
ORDER BY reason <> '', state NOT IN ('active', 'ramping'), (held_until > now()) IS TRUE, last_dot_at NULLS FIRST, id
LIMIT 1"""


def stopped(values: Mapping[str, Any]) -> str:
    """`tenant`, `halted`, `cancelled` or `stop`; empty when nothing stops mail of the campaign (None: of none)."""
    with connection.cursor() as cursor:
        cursor.execute(STOPPED, values)
        row = cursor.fetchone()
    return row[0] if row else "tenant"


def mailbox(values: Mapping[str, Any]) -> tuple[int | None, str]:
    """The mailbox for it, of a pool, or that one; the reason when none may send: `mailbox`, `receiver`, `no_room`."""
    with connection.cursor() as cursor:
        cursor.execute(MAILBOXES, {**values, "first_send_after_days": settings.FIRST_SEND_AFTER_DAYS})
        row = cursor.fetchone()
    return row or (None, "mailbox")
