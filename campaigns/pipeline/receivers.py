"""Who runs the recipients' mail: one patience for all the domains of one operator.

An organisational sending domain may send only so much to an operator in an hour and in rolling 24 hours
(mailboxes.ReceiverLimit), and nothing while a stop of that receiver is open. Whoever can't be written to for that
reason is moved to the moment at which it can change, so that the demand index holds only rows worth a look.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from campaigns.pipeline.limits import RECEIVER_KEY, UNLIMITED
from campaigns.pipeline.seats import Loaded

LOOK_AGAIN = timedelta(hours=1)  # where nobody knows until when

TABLES = """
CREATE TEMP TABLE IF NOT EXISTS plan_box (
    mailbox_id bigint PRIMARY KEY, pool_id bigint NOT NULL, organisational text NOT NULL, domain_id bigint NOT NULL,
    account_id bigint NOT NULL, quota_id bigint, hourly boolean NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS plan_receiver (
    organisational text NOT NULL, operator text NOT NULL, amount bigint NOT NULL, until timestamptz
) ON COMMIT DROP;
TRUNCATE plan_box, plan_receiver"""

BOXES = """
INSERT INTO plan_box SELECT * FROM unnest(%(boxes)s::bigint[], %(pools)s::bigint[], %(organisations)s::text[],
    %(domains)s::bigint[], %(accounts)s::bigint[], %(quotas)s::bigint[], %(hourly)s::boolean[])"""

# What is left, and the moment at which there can be more; an hour leaves the rolling day 25 hours after it began.
RECEIVERS = f"""
INSERT INTO plan_receiver
SELECT DISTINCT ON (organisational, operator) organisational, operator, amount, until FROM (
    SELECT o.organisational, l.operator, least(of.hour_left, of.day_left) AS amount,
        CASE WHEN of.hour_left <= of.day_left THEN %(hour)s + interval '1 hour'
            ELSE coalesce(taken.first, %(hour)s) + interval '25 hours' END AS until
    FROM unnest(%(organisations)s::text[]) AS o (organisational)
    CROSS JOIN mailboxes_receiverlimit l
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(al.reserved), 0) AS day,
            coalesce(sum(al.reserved) FILTER (WHERE al.period_start = %(hour)s), 0) AS hour,
            min(al.period_start) FILTER (WHERE al.reserved > 0) AS first
        FROM mailboxes_allowance al
        WHERE al.scope = 'receiver_hour' AND al.period_start >= %(hour)s - interval '24 hours'
          AND al.period_start <= %(hour)s
          AND al.key = {RECEIVER_KEY.format(organisational="o.organisational", operator="l.operator")}
    ) AS taken
    CROSS JOIN LATERAL (
        SELECT coalesce(l.hourly_cap, {UNLIMITED}) - taken.hour AS hour_left,
            coalesce(l.daily_cap, {UNLIMITED}) - taken.day AS day_left
    ) AS of
    WHERE l.hourly_cap IS NOT NULL OR l.daily_cap IS NOT NULL
    UNION ALL
    SELECT o.organisational, s.operator, CASE WHEN covered THEN 0 ELSE {UNLIMITED} END,
        CASE WHEN covered THEN coalesce(s.until, %(again)s) END
    FROM unnest(%(organisations)s::text[]) AS o (organisational)
    JOIN campaigns_stop s ON s.scope = 'receiver'
    CROSS JOIN LATERAL (SELECT s.organisational IN ('', o.organisational) AS covered) AS c
    WHERE s.lifted_at IS NULL AND (s.until IS NULL OR s.until > %(now)s)
      AND (s.tenant_id IS NULL OR s.tenant_id = %(tenant)s)
) AS each
ORDER BY organisational, operator, amount, until DESC NULLS LAST"""

# Also of mailboxes that have no room left today: what they have waiting counts.
BEYOND = """
SELECT coalesce(array_agg(DISTINCT b.id), '{}'), coalesce(array_agg(DISTINCT r.operator), '{}')
FROM plan_receiver r
JOIN mailboxes_sendingdomain d ON d.organisational = r.organisational AND d.tenant_id = %(tenant)s
JOIN mailboxes_mailbox b ON b.domain_id = d.id WHERE r.amount < 0"""

# Bound to a mailbox whose organisation has nothing left there; and those who take any, beyond what all have together.
FULL_FOR_BOUND = """
UPDATE plan_demand d SET refused = 'receiver', until = r.until
FROM plan_box b JOIN plan_receiver r ON r.organisational = b.organisational AND r.amount <= 0
WHERE d.kind < 2 AND d.refused IS NULL AND b.mailbox_id = d.mailbox_id AND r.operator = d.operator"""

FULL_FOR_ANY = """
UPDATE plan_demand d SET refused = 'receiver', until = ranked.until
FROM (
    SELECT each.enrolment_id, of_pool.amount, of_pool.until, row_number() OVER (
        PARTITION BY each.pool_id, each.operator ORDER BY each.due_at, each.enrolment_id) AS n
    FROM plan_demand each
    JOIN (
        SELECT o.pool_id, r.operator, sum(greatest(r.amount, 0)) AS amount, min(r.until) AS until
        FROM (SELECT DISTINCT pool_id, organisational FROM plan_box) AS o
        JOIN plan_receiver r ON r.organisational = o.organisational GROUP BY o.pool_id, r.operator
    ) AS of_pool ON of_pool.pool_id = each.pool_id AND of_pool.operator = each.operator
    WHERE each.kind = 2 AND each.refused IS NULL
) AS ranked
WHERE d.kind = 2 AND d.enrolment_id = ranked.enrolment_id AND ranked.n > ranked.amount"""

POSTPONE_PEOPLE = """
WITH gone AS (
    DELETE FROM plan_demand WHERE until IS NOT NULL AND kind > 0 RETURNING enrolment_id, refused, until
), picked AS (
    SELECT e.id, gone.refused, gone.until FROM campaigns_enrolment e JOIN gone ON gone.enrolment_id = e.id
    WHERE e.due_at IS NOT NULL ORDER BY e.id FOR UPDATE OF e
), moved AS (
    UPDATE campaigns_enrolment e SET due_at = picked.until, waits_for = picked.refused
    FROM picked WHERE e.id = picked.id
)
SELECT refused, count(*) FROM gone GROUP BY refused"""

# One whose own time has not come keeps it; the reason says which ones may be called back before the new time.
POSTPONE_RETRIES = """
WITH gone AS (
    DELETE FROM plan_demand WHERE until IS NOT NULL AND kind = 0 RETURNING message_id, due_at, refused, until
), picked AS (
    SELECT m.id, gone.refused, gone.until FROM campaigns_message m JOIN gone ON gone.message_id = m.id
    WHERE m.status = 'deferred' AND gone.due_at <= %(now)s ORDER BY m.id FOR UPDATE OF m
)
UPDATE campaigns_message m SET due_at = picked.until, reason = picked.refused
FROM picked WHERE m.id = picked.id"""

COUNT = """
UPDATE plan_receiver r SET amount = r.amount - taken.count
FROM (
    SELECT b.organisational, p.operator, count(*) AS count
    FROM plan_pair p JOIN plan_box b ON b.mailbox_id = p.mailbox_id
    WHERE p.kind = %(kind)s GROUP BY b.organisational, p.operator
) AS taken
WHERE taken.organisational = r.organisational AND taken.operator = r.operator"""

# Only of the receivers that somebody of this run's people is at.
LEFTS = """
SELECT r.organisational, r.operator, greatest(r.amount, 0) FROM plan_receiver r
WHERE r.operator IN (SELECT DISTINCT d.operator FROM plan_demand d WHERE d.kind = 2)"""


def prepare(cursor: Any, tenant_id: int, loaded: Loaded, now: datetime, hour: datetime) -> None:
    """Make the run's table of mailboxes, and what each organisation may still send to each receiver."""
    places = loaded.places
    cursor.execute(TABLES)
    caps = [place.caps for place in places.values()]
    cursor.execute(
        BOXES,
        {
            "boxes": list(places),
            "pools": [place.seat.pool_id for place in places.values()],
            "organisations": [of.organisational for of in caps],
            "domains": [of.domain_id for of in caps],
            "accounts": [of.account_id for of in caps],
            "quotas": [of.quota_id for of in caps],
            "hourly": [of.of_the_hour for of in caps],
        },
    )
    cursor.execute(
        RECEIVERS,
        {
            "tenant": tenant_id,
            "organisations": sorted(loaded.organisations),
            "now": now,
            "hour": hour,
            "again": now + LOOK_AGAIN,
        },
    )
    cursor.execute("ANALYZE plan_box, plan_receiver")


def beyond(cursor: Any, tenant_id: int) -> tuple[list[int], list[str]]:
    """Mailboxes and operators between which more is planned than a lowered limit lets out."""
    cursor.execute(BEYOND, {"tenant": tenant_id})
    boxes, operators = cursor.fetchone()
    return boxes, operators


def mark(cursor: Any) -> None:
    """Mark in plan_demand whose receiver takes no more now, and until when."""
    cursor.execute(FULL_FOR_BOUND)
    cursor.execute(FULL_FOR_ANY)


def postpone(cursor: Any, now: datetime) -> Counter[str]:
    """Move those in plan_demand who can't be written to now; return how many people by reason."""
    cursor.execute(POSTPONE_RETRIES, {"now": now})
    cursor.execute(POSTPONE_PEOPLE)
    return Counter(dict(cursor.fetchall()))


def count(cursor: Any, kind: int) -> None:
    """Take what was paired of that kind from what is left."""
    cursor.execute(COUNT, {"kind": kind})


def lefts(cursor: Any) -> dict[tuple[str, str], int]:
    """{(organisational domain, operator): what is left} of the receivers that people without a mailbox are at."""
    cursor.execute(LEFTS)
    return {(organisational, operator): amount for organisational, operator, amount in cursor.fetchall()}
