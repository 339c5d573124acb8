"""Who wants to be written to now: retries, people bound to a mailbox, people who take any.

Read through the demand index by (campaign, open zone), no more rows than there are slots:
the cost follows what is planned. Gates that are final end the enrolment with the reason.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from campaigns.ledger import gates
from campaigns.pipeline import receivers
from campaigns.pipeline.seats import Place, Running
from outreach.common.hashing import Hasher

LOOK_BUDGET = 200_000  # rows a run may look at in vain, beyond four times its slots

TABLES = """
CREATE TEMP TABLE IF NOT EXISTS plan_demand (
    kind smallint NOT NULL, message_id bigint, enrolment_id bigint NOT NULL, campaign_id bigint NOT NULL,
    contact_id bigint NOT NULL, step_id bigint NOT NULL, pool_id bigint NOT NULL, mailbox_id bigint,
    due_at timestamptz NOT NULL, closes_at timestamptz NOT NULL, operator text NOT NULL, address_hash bytea,
    refused text, pair integer, until timestamptz
) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS plan_pair (
    kind smallint NOT NULL, message_id bigint, enrolment_id bigint NOT NULL, campaign_id bigint NOT NULL,
    contact_id bigint NOT NULL, step_id bigint NOT NULL, mailbox_id bigint NOT NULL, due_at timestamptz NOT NULL,
    closes_at timestamptz NOT NULL, operator text NOT NULL
) ON COMMIT DROP;
CREATE TEMP TABLE IF NOT EXISTS plan_step (
    campaign_id bigint NOT NULL, position integer NOT NULL, step_id bigint NOT NULL, subkey bytea NOT NULL
) ON COMMIT DROP"""

# Tables of one transaction; a second run in the same one (tests, back-tests) finds them empty.
EMPTY = "TRUNCATE plan_demand, plan_pair, plan_step"

OPEN = """
    unnest(
        %(campaigns)s::bigint[], %(zones)s::text[], %(pools)s::bigint[], %(closes)s::timestamptz[], %(limits)s::int[]
    ) WITH ORDINALITY AS w (campaign_id, zone, pool_id, closes_at, most, pair)"""

RETRIES = f"""
INSERT INTO plan_demand
SELECT 0, r.id, r.enrolment_id, r.campaign_id, r.contact_id, r.step_id, r.pool_id, r.mailbox_id, r.due_at, r.closes_at,
    r.operator
FROM unnest(%(boxes)s::bigint[], %(rooms)s::int[]) AS box (id, room)
CROSS JOIN LATERAL (
    SELECT m.id, m.enrolment_id, m.campaign_id, m.contact_id, m.step_id, m.mailbox_id, m.due_at, w.pool_id, w.closes_at,
        coalesce(nullif(m.operator, ''), 'other') AS operator
    FROM campaigns_message m
    JOIN campaigns_enrolment e ON e.id = m.enrolment_id
    JOIN {OPEN} ON w.campaign_id = m.campaign_id AND w.zone = e.zone
    WHERE m.mailbox_id = box.id AND m.status = 'deferred' AND m.due_at <= %(limit)s
    ORDER BY m.due_at LIMIT box.room
) AS r"""

PEOPLE = f"""
INSERT INTO plan_demand
SELECT CASE WHEN e.mailbox_id IS NULL THEN 2 ELSE 1 END, NULL, e.id, w.campaign_id, e.contact_id, st.step_id, w.pool_id,
    e.mailbox_id, e.due_at, w.closes_at, coalesce(nullif(ct.operator, ''), 'other'), ct.address_hash,
    CASE WHEN ct.basis_expires_on < %(day)s THEN 'basis_expired' END, w.pair
FROM {OPEN}
CROSS JOIN LATERAL (
    SELECT e.id, e.contact_id, e.mailbox_id, e.step, e.due_at FROM campaigns_enrolment e
    WHERE e.campaign_id = w.campaign_id AND e.zone = w.zone AND e.due_at <= %(now)s
    ORDER BY e.due_at LIMIT w.most
) AS e
JOIN plan_step st ON st.campaign_id = w.campaign_id AND st.position = e.step
JOIN campaigns_contact ct ON ct.id = e.contact_id"""

SUPPRESSED = """
UPDATE plan_demand p SET refused = 'suppressed'
FROM campaigns_suppression s
WHERE p.kind > 0 AND s.hash = p.address_hash AND s.lifted_at IS NULL
  AND (s.tenant_id IS NULL OR s.tenant_id = %(tenant)s) AND (s.campaign_id IS NULL OR s.campaign_id = p.campaign_id)"""

SUPPRESSED_BY_OTHERS = f"""
UPDATE plan_demand p SET refused = 'suppressed'
FROM tenants_tenantrecord own
CROSS JOIN LATERAL campaigns_shared_suppressed(
    own.tenant_id, (SELECT array_agg(DISTINCT address_hash) FROM plan_demand WHERE kind > 0)
) AS shared (hash)
WHERE own.tenant_id = %(tenant)s AND {gates.SHARES} AND p.kind > 0 AND p.address_hash = shared.hash"""

ANY_WIDE = """
SELECT EXISTS (
    SELECT FROM campaigns_suppression s
    WHERE s.kind <> 'address' AND s.lifted_at IS NULL AND (s.tenant_id IS NULL OR s.tenant_id = %(tenant)s))"""

SUPPRESSED_WIDE = """
UPDATE plan_demand p SET refused = 'suppressed'
FROM (
    SELECT d.enrolment_id FROM plan_demand d
    JOIN campaigns_contact ct ON ct.id = d.contact_id
    CROSS JOIN LATERAL unnest(ct.domain_hashes) AS h (hash)
    JOIN campaigns_suppression s ON s.hash = h.hash AND s.kind <> 'address' AND s.lifted_at IS NULL
        AND (s.tenant_id IS NULL OR s.tenant_id = %(tenant)s)
        AND (s.campaign_id IS NULL OR s.campaign_id = d.campaign_id)
    WHERE d.kind > 0
) AS hit WHERE p.enrolment_id = hit.enrolment_id AND p.kind > 0"""

STOP_REFUSED = """
WITH gone AS (
    DELETE FROM plan_demand WHERE refused IS NOT NULL AND until IS NULL RETURNING enrolment_id, refused
), picked AS (
    SELECT e.id, gone.refused FROM campaigns_enrolment e JOIN gone ON gone.enrolment_id = e.id
    ORDER BY e.id FOR UPDATE OF e
), stopped AS (
    UPDATE campaigns_enrolment e
    SET status = 'stopped', stop_reason = picked.refused, due_at = NULL, waits_for = ''
    FROM picked WHERE e.id = picked.id
)
SELECT refused, count(*) FROM gone GROUP BY refused"""


@dataclass(slots=True)
class Found:
    """What a run looked at and what its gates refused."""

    looked_at: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def prepare(cursor: Any, tenant_id: int, campaigns: Sequence[Running], keyed: Hasher) -> None:
    """Make the run's temp tables, with the key each step's Message-IDs are derived from."""
    cursor.execute(TABLES)
    cursor.execute(EMPTY)
    steps = [(campaign.id, step) for campaign in campaigns for step in campaign.steps]
    cursor.execute(
        "INSERT INTO plan_step SELECT * FROM unnest(%s::bigint[], %s::int[], %s::bigint[], %s::bytea[])",
        [
            [campaign_id for campaign_id, _ in steps],
            [step.position for _, step in steps],
            [step.id for _, step in steps],
            [keyed.derive("message-id", tenant_id, campaign_id, step.id) for campaign_id, step in steps],
        ],
    )
    cursor.execute("ANALYZE plan_step")


@dataclass(slots=True)
class Pair:
    """A campaign and one of its open zones; `most` is how many people to read, `left` what its cap allows."""

    campaign_id: int
    pool_id: int
    zone: str
    closes_at: datetime
    left: int
    most: int = 0


def open_pairs(campaigns: Sequence[Running]) -> list[Pair]:
    """Every campaign with each of its zones that is open now."""
    return [
        Pair(campaign.id, campaign.pool_id, zone, closes_at, campaign.left)
        for campaign in campaigns
        for zone, closes_at in sorted(campaign.open_until.items())
    ]


def _values(pairs: Sequence[Pair]) -> dict[str, list[Any]]:
    return {
        "campaigns": [pair.campaign_id for pair in pairs],
        "zones": [pair.zone for pair in pairs],
        "pools": [pair.pool_id for pair in pairs],
        "closes": [pair.closes_at for pair in pairs],
        "limits": [pair.most for pair in pairs],
    }


def find_retries(cursor: Any, pairs: Sequence[Pair], places: Mapping[int, Place], limit: datetime) -> None:
    """Put the deferred messages whose mailbox has slots into plan_demand."""
    boxes = [place.seat for place in places.values() if place.seat.room]
    cursor.execute(
        RETRIES,
        {
            **_values(pairs),
            "boxes": [seat.mailbox_id for seat in boxes],
            "rooms": [seat.room for seat in boxes],
            "limit": limit,
        },
    )


def find_people(
    cursor: Any, tenant_id: int, pairs: Sequence[Pair], need: Mapping[int, int], now: datetime, day: date
) -> Found:
    """Put due enrolments that pass the gates into plan_demand, about as many as each pool needs.

    A pool's need is split over its pairs. Where gates refuse many, or some zones have fewer
    than their part, it looks again with twice the limit, until the need is met, the index is
    exhausted, or the budget is spent.
    """
    found = Found()
    in_pool = Counter(pair.pool_id for pair in pairs)
    for pair in pairs:
        part = math.ceil(need.get(pair.pool_id, 0) / in_pool[pair.pool_id])
        pair.most = min(part, pair.left)
    budget = 4 * sum(need.values()) + LOOK_BUDGET
    while any(pair.most for pair in pairs):
        cursor.execute("DELETE FROM plan_demand WHERE kind > 0")
        cursor.execute(PEOPLE, {**_values(pairs), "now": now, "day": day})
        found.looked_at += cursor.rowcount
        cursor.execute("ANALYZE plan_demand")
        read = _count_by_pair(cursor)
        found.refused.update(_gate(cursor, tenant_id))
        if found.looked_at >= budget or not _widen(pairs, need, read, _count_by_pair(cursor)):
            break
    return found


def _gate(cursor: Any, tenant_id: int) -> Counter[str]:
    """Mark and end what a final gate refuses, move what another one does; return how many by reason."""
    cursor.execute(SUPPRESSED, {"tenant": tenant_id})
    cursor.execute(SUPPRESSED_BY_OTHERS, {"tenant": tenant_id})
    cursor.execute(ANY_WIDE, {"tenant": tenant_id})
    if cursor.fetchone()[0]:
        cursor.execute(SUPPRESSED_WIDE, {"tenant": tenant_id})
    cursor.execute(STOP_REFUSED)
    return Counter(dict(cursor.fetchall())) + receivers.postpone(cursor)


def _count_by_pair(cursor: Any) -> dict[int, int]:
    cursor.execute("SELECT pair, count(*) FROM plan_demand WHERE kind > 0 GROUP BY pair")
    return dict(cursor.fetchall())


def _widen(pairs: Sequence[Pair], need: Mapping[int, int], read: Mapping[int, int], kept: Mapping[int, int]) -> bool:
    """Double the limits of pairs that had as many people as asked for, in pools that still need more."""
    by_pool: Counter[int] = Counter()
    for number, pair in enumerate(pairs, start=1):
        by_pool[pair.pool_id] += kept.get(number, 0)
    again = False
    for number, pair in enumerate(pairs, start=1):
        there_may_be_more = pair.most > 0 and read.get(number, 0) >= pair.most
        if there_may_be_more and by_pool[pair.pool_id] < need.get(pair.pool_id, 0) and kept.get(number, 0) < pair.left:
            pair.most *= 2
            again = True
    return again
