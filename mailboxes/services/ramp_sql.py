"""The daily job of the ramps in SQL: a statement for each of its parts, whatever the number of mailboxes."""

from __future__ import annotations

from mailboxes.models.ramps import IDLE_DAYS

DAYS_KEPT = IDLE_DAYS[1] + 2  # days of a mailbox that a decision looks at

# The order of ids, as everywhere. A row of a later day means that the tenant's zone went backwards: no second decision.
LOCK = """
SELECT b.id FROM mailboxes_mailbox b
WHERE b.tenant_id = %(tenant)s AND b.ramp_id IS NOT NULL AND b.state <> 'retired'
  AND NOT EXISTS (SELECT FROM mailboxes_rampday d WHERE d.mailbox_id = b.id AND d.day >= %(day)s)
ORDER BY b.id FOR NO KEY UPDATE OF b"""

FIRST_OPEN = """
SELECT min(day) FROM mailboxes_rampday
WHERE tenant_id = %(tenant)s AND day < %(day)s AND day >= %(oldest)s AND sent IS NULL"""

# The planner's allowance of the day knows best what the mailbox might send and what was planned.
CLOSE_DAYS = """
UPDATE mailboxes_rampday d SET sent = found.sent, planned = found.planned, allowed = found.allowed
FROM (
    SELECT d.id, coalesce(c.count, 0) AS sent, coalesce(al.reserved, d.planned, 0) AS planned,
        coalesce(al.cap, d.allowed) AS allowed
    FROM mailboxes_rampday d
    LEFT JOIN unnest(%(boxes)s::bigint[], %(days)s::date[], %(counts)s::int[]) AS c (mailbox_id, day, count)
        ON c.mailbox_id = d.mailbox_id AND c.day = d.day
    LEFT JOIN mailboxes_allowance al ON al.scope = 'mailbox_day' AND al.key = d.mailbox_id
        AND al.period_start = d.day::timestamp AT TIME ZONE 'UTC'
    WHERE d.tenant_id = %(tenant)s AND d.day >= %(since)s AND d.day < %(day)s
) AS found
WHERE found.id = d.id AND (d.sent, d.planned, d.allowed) IS DISTINCT FROM (found.sent, found.planned, found.allowed)"""

HISTORY = """
SELECT b.id, d.day, d.cap, d.allowed, coalesce(d.sent, 0), d.kind
FROM unnest(%(boxes)s::bigint[]) AS b (id)
CROSS JOIN LATERAL (
    SELECT * FROM mailboxes_rampday WHERE mailbox_id = b.id AND day < %(day)s ORDER BY day DESC LIMIT %(most)s
) AS d
ORDER BY b.id, d.day"""

WRITE_DAYS = """
INSERT INTO mailboxes_rampday (tenant_id, mailbox_id, day, cap, allowed, kind, reason, detail, until)
SELECT %(tenant)s, made.id, %(day)s, made.cap, made.allowed, made.kind, made.reason, made.detail, made.until
FROM unnest(%(boxes)s::bigint[], %(caps)s::int[], %(allowed)s::int[], %(kinds)s::text[], %(reasons)s::text[],
    %(details)s::text[], %(untils)s::date[]) AS made (id, cap, allowed, kind, reason, detail, until)
ON CONFLICT (mailbox_id, day) DO NOTHING
RETURNING mailbox_id"""

WRITE_STARTS = """
INSERT INTO mailboxes_rampday (tenant_id, mailbox_id, day, cap, allowed, kind, reason, detail)
SELECT %(tenant)s, made.id, %(day)s, made.cap, made.allowed, 'start', 'started', ''
FROM unnest(%(boxes)s::bigint[], %(caps)s::int[], %(allowed)s::int[]) AS made (id, cap, allowed)
ON CONFLICT (mailbox_id, day) DO UPDATE SET cap = excluded.cap, allowed = excluded.allowed, kind = excluded.kind,
    reason = excluded.reason, detail = '', until = NULL"""

WRITE_CAPS = """
UPDATE mailboxes_mailbox b SET ramp_cap = made.cap, state = made.state
FROM unnest(%(boxes)s::bigint[], %(caps)s::int[], %(states)s::text[]) AS made (id, cap, state)
WHERE b.id = made.id"""
