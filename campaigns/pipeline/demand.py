"""Who wants to be written to now: retries, people bound to a mailbox, people who take any.

Read through indexes by mailbox and by (campaign, open zone), no more rows than there are slots: the cost follows
what is planned. Who is found is asked by the gates (campaigns.pipeline.gating).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from campaigns.pipeline import gating, receivers
from campaigns.pipeline.seats import Place, Running
from outreach.common.hashing import Hasher
from tenants.models import Tenant

LOOK_BUDGET = 200_000  # rows a run may look at in vain, beyond four times its slots

TABLES = """
CREATE TEMP TABLE IF NOT EXISTS plan_demand (
    kind smallint NOT NULL, message_id bigint, enrolment_id bigint NOT NULL, campaign_id bigint NOT NULL,
    contact_id bigint NOT NULL, step_id bigint NOT NULL, pool_id bigint NOT NULL, mailbox_id bigint,
    due_at timestamptz NOT NULL, closes_at timestamptz NOT NULL, operator text NOT NULL, address_hash bytea,
    refused text, pair integer, until timestamptz, validity text, company text,
    spelled boolean
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
    r.operator, NULL, {gating.OF_RETRY}, NULL, NULL, ct.validity, ct.company_domain, {gating.SPELLED}
FROM unnest(%(boxes)s::bigint[], %(rooms)s::int[]) AS box (id, room)
CROSS JOIN LATERAL (
    SELECT m.id, m.enrolment_id, m.campaign_id, m.contact_id, m.step_id, m.mailbox_id, m.due_at, w.pool_id, w.closes_at,
        coalesce(nullif(m.operator, ''), 'other') AS operator
    FROM campaigns_message m
    JOIN campaigns_enrolment e ON e.id = m.enrolment_id
    JOIN {OPEN} ON w.campaign_id = m.campaign_id AND w.zone = e.zone
    WHERE m.mailbox_id = box.id AND m.status = 'deferred' AND m.due_at <= %(limit)s
    ORDER BY m.due_at LIMIT box.room
) AS r
JOIN campaigns_contact ct ON ct.id = r.contact_id"""

# What stands in plan_demand for an enrolment `e` of an open pair `w`.
ENROLLED = f"""e.id, w.campaign_id, e.contact_id, st.step_id, w.pool_id, e.mailbox_id, e.due_at, w.closes_at,
    coalesce(nullif(ct.operator, ''), 'other'), ct.address_hash,
    {gating.OF_CONTACT}, w.pair, NULL::timestamptz, ct.validity, ct.company_domain, {gating.SPELLED}"""

# Whoever is in the middle of a thread has a mailbox, and is found by it, however many wait for their first mail.
FOLLOW_UPS = f"""
INSERT INTO plan_demand
SELECT 1, NULL, {ENROLLED}
FROM unnest(%(boxes)s::bigint[], %(rooms)s::int[]) AS box (id, room)
CROSS JOIN LATERAL (
    SELECT e.id, e.campaign_id, e.contact_id, e.mailbox_id, e.step, e.due_at, w.pool_id, w.closes_at, w.pair
    FROM campaigns_enrolment e JOIN {OPEN} ON w.campaign_id = e.campaign_id AND w.zone = e.zone
    WHERE e.mailbox_id = box.id AND e.due_at <= %(now)s ORDER BY e.due_at LIMIT box.room
) AS e
CROSS JOIN LATERAL (SELECT e.campaign_id, e.pool_id, e.closes_at, e.pair) AS w
JOIN plan_step st ON st.campaign_id = e.campaign_id AND st.position = e.step
JOIN campaigns_contact ct ON ct.id = e.contact_id"""

UNBOUND = """
DELETE FROM plan_demand d
WHERE d.kind = 1 AND NOT EXISTS (SELECT FROM plan_pair p WHERE p.kind = 1 AND p.enrolment_id = d.enrolment_id)"""

PEOPLE = f"""
INSERT INTO plan_demand
SELECT 2, NULL, {ENROLLED}
FROM {OPEN}
CROSS JOIN LATERAL (
    SELECT e.id, e.contact_id, e.mailbox_id, e.step, e.due_at FROM campaigns_enrolment e
    WHERE e.campaign_id = w.campaign_id AND e.zone = w.zone AND e.mailbox_id IS NULL AND e.due_at <= %(now)s
    ORDER BY e.due_at LIMIT w.most
) AS e
JOIN plan_step st ON st.campaign_id = w.campaign_id AND st.position = e.step
JOIN campaigns_contact ct ON ct.id = e.contact_id"""


@dataclass(slots=True)
class Found:
    """What a run looked at and what its gates refused."""

    looked_at: int = 0
    refused: Counter[str] = field(default_factory=Counter)


def prepare(cursor: Any, tenant_id: int, campaigns: Sequence[Running], keyed: Hasher, day: date) -> None:
    """Make the run's temp tables, with the key each step's Message-IDs are derived from."""
    cursor.execute(TABLES)
    cursor.execute(EMPTY)
    gating.prepare(cursor, tenant_id, {campaign.pool_id for campaign in campaigns}, day)
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


def values_of(pairs: Sequence[Pair]) -> dict[str, list[Any]]:
    """The pairs as the parameters of OPEN."""
    return {
        "campaigns": [pair.campaign_id for pair in pairs],
        "zones": [pair.zone for pair in pairs],
        "pools": [pair.pool_id for pair in pairs],
        "closes": [pair.closes_at for pair in pairs],
        "limits": [pair.most for pair in pairs],
    }


def find_retries(
    cursor: Any, pairs: Sequence[Pair], places: Mapping[int, Place], now: datetime, day: date, limit: datetime
) -> None:  # fmt: skip
    """Put the deferred messages whose mailbox has slots into plan_demand, and move those who can't be written to."""
    cursor.execute(RETRIES, {**values_of(pairs), **_boxes(places), "now": now, "day": day, "limit": limit})
    gating.set_until(cursor, now)
    receivers.mark(cursor)
    receivers.postpone(cursor, now)


def find_follow_ups(
    cursor: Any, tenant: Tenant, pairs: Sequence[Pair], places: Mapping[int, Place], now: datetime, day: date
) -> Found:
    """Put due enrolments that belong to a mailbox with slots into plan_demand, if they pass the gates."""
    cursor.execute(FOLLOW_UPS, {**values_of(pairs), **_boxes(places), "now": now, "day": day})
    found = Found(looked_at=cursor.rowcount)
    if found.looked_at:
        cursor.execute("ANALYZE plan_demand")
        found.refused.update(gating.ask(cursor, tenant, 1, now))
    return found


def drop_unbound(cursor: Any) -> None:
    """Forget follow-ups that found no slot: what they count for is mail of a later run."""
    cursor.execute(UNBOUND)


def _boxes(places: Mapping[int, Place]) -> dict[str, list[int]]:
    free = [place.seat for place in places.values() if place.seat.room > place.seat.taken]
    return {"boxes": [seat.mailbox_id for seat in free], "rooms": [seat.room - seat.taken for seat in free]}


def find_people(
    cursor: Any, tenant: Tenant, pairs: Sequence[Pair], need: Mapping[int, int], now: datetime, day: date
) -> Found:
    """Put due enrolments that take any mailbox and pass the gates into plan_demand, about as many as each pool needs.

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
        cursor.execute("DELETE FROM plan_demand WHERE kind = 2")
        cursor.execute(PEOPLE, {**values_of(pairs), "now": now, "day": day})
        found.looked_at += cursor.rowcount
        cursor.execute("ANALYZE plan_demand")
        read = _count_by_pair(cursor)
        found.refused.update(gating.ask(cursor, tenant, 2, now))
        if found.looked_at >= budget or not _widen(pairs, need, read, _count_by_pair(cursor)):
            break
    return found


def _count_by_pair(cursor: Any) -> dict[int, int]:
    cursor.execute("SELECT pair, count(*) FROM plan_demand WHERE kind = 2 GROUP BY pair")
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
