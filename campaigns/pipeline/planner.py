"""Who is written to next, from which mailbox, when: one run for one tenant.

A few set-based statements over temp tables, bounded by the slots of the next minutes, in
one transaction under the tenant's advisory lock. The shares are computed in `slots`, the
windows in `windows`; SQL finds, pairs and writes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import connection, transaction

from campaigns.ledger.planning import LOCK_CLASS
from campaigns.models import PlanRun
from campaigns.pipeline import booking, demand, reaper, seats, slots, windows
from campaigns.pipeline.seats import UNLIMITED, Place, Running
from campaigns.pipeline.slots import Seat
from campaigns.services import suppression
from tenants.models import Tenant

log = structlog.get_logger(__name__)

BOOK_RETURNS = """
WITH gone AS (
    DELETE FROM mailboxes_allowancereturn WHERE tenant_id = %(tenant)s RETURNING scope, key, period_start, count
), summed AS (
    SELECT scope, key, period_start, sum(count) AS count FROM gone GROUP BY scope, key, period_start
), booked AS (
    UPDATE mailboxes_allowance al SET reserved = al.reserved - summed.count
    FROM summed
    WHERE al.scope = summed.scope AND al.key = summed.key AND al.period_start = summed.period_start
)
SELECT coalesce(sum(count) FILTER (WHERE scope = 'tenant_day'), 0) FROM summed"""

# Retries and people of one mailbox take its first slots, oldest first, within the campaign's and tenant's day.
BOUND = """
INSERT INTO plan_pair
SELECT kind, message_id, enrolment_id, campaign_id, contact_id, step_id, mailbox_id,
    first_at + gap * (k - 1), closes_at
FROM (
    SELECT d.*, box.first_at, box.gap, box.room, box.domain_left,
        row_number() OVER (PARTITION BY d.mailbox_id ORDER BY d.kind, d.due_at, d.enrolment_id) AS k,
        row_number() OVER (PARTITION BY box.domain_id ORDER BY d.kind, d.due_at, d.enrolment_id) AS of_domain
    FROM (
        SELECT *, row_number() OVER (PARTITION BY campaign_id ORDER BY kind, due_at, enrolment_id) AS n,
            row_number() OVER (ORDER BY kind, due_at, enrolment_id) AS of_tenant
        FROM plan_demand WHERE kind <= %(kind)s AND kind >= %(from_kind)s
    ) AS d
    JOIN unnest(%(boxes)s::bigint[], %(domains)s::bigint[], %(firsts)s::timestamptz[], %(gaps)s::interval[],
        %(rooms)s::int[], %(domain_lefts)s::int[])
        AS box (id, domain_id, first_at, gap, room, domain_left) ON box.id = d.mailbox_id
    JOIN unnest(%(campaigns)s::bigint[], %(lefts)s::int[]) AS c (id, amount) ON c.id = d.campaign_id
    WHERE d.n <= c.amount AND d.of_tenant <= %(tenant_left)s
) AS placed
WHERE k <= room AND of_domain <= domain_left AND first_at + gap * (k - 1) < closes_at"""

TURNS = """
CREATE TEMP TABLE plan_turn ON COMMIT DROP AS
SELECT * FROM (
    SELECT d.enrolment_id, d.campaign_id, d.contact_id, d.step_id, d.pool_id, d.closes_at,
        row_number() OVER (PARTITION BY d.pool_id ORDER BY d.n, d.campaign_id) AS turn
    FROM (
        SELECT *, row_number() OVER (PARTITION BY campaign_id ORDER BY due_at, enrolment_id) AS n
        FROM plan_demand WHERE kind = 2
    ) AS d
    JOIN unnest(%(campaigns)s::bigint[], %(lefts)s::int[]) AS c (id, amount) ON c.id = d.campaign_id
    WHERE d.n <= c.amount
) AS turns
JOIN unnest(%(pools)s::bigint[], %(needs)s::int[]) AS need (pool, most) ON need.pool = turns.pool_id
WHERE turn <= need.most"""

SLOTS = """
CREATE TEMP TABLE plan_slot ON COMMIT DROP AS
SELECT box.pool_id, box.id AS mailbox_id, box.first_at + box.gap * k AS due_at,
    row_number() OVER (PARTITION BY box.pool_id ORDER BY box.virtual_time + (k + 0.5) / box.weight, box.id) AS turn
FROM unnest(
    %(boxes)s::bigint[], %(pools)s::bigint[], %(firsts)s::timestamptz[], %(gaps)s::interval[],
    %(taken)s::int[], %(counts)s::int[], %(virtual)s::float8[], %(weights)s::float8[]
) AS box (id, pool_id, first_at, gap, taken, count, virtual_time, weight)
CROSS JOIN LATERAL generate_series(box.taken, box.taken + box.count - 1) AS k"""

PAIR = """
INSERT INTO plan_pair
SELECT 2, NULL, t.enrolment_id, t.campaign_id, t.contact_id, t.step_id, s.mailbox_id, s.due_at, t.closes_at
FROM plan_turn t JOIN plan_slot s ON s.pool_id = t.pool_id AND s.turn = t.turn
WHERE s.due_at < t.closes_at"""

REPLAN = """
UPDATE campaigns_message m
SET status = 'planned', due_at = p.due_at, not_after = p.closes_at, day_on = %(day)s, batch_id = NULL, reason = '',
    hour_at = CASE WHEN d.hourly_cap IS NULL THEN NULL ELSE %(hour)s::timestamptz END
FROM plan_pair p
JOIN mailboxes_mailbox b ON b.id = p.mailbox_id
JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
WHERE p.kind = 0 AND m.id = p.message_id AND m.status = 'deferred'"""

# The row lock comes first and in id order; a retry that was closed meanwhile takes no slot.
DROP_LOST_RETRIES = """
WITH picked AS (
    SELECT m.id FROM campaigns_message m JOIN plan_pair p ON p.message_id = m.id
    WHERE m.status = 'deferred' ORDER BY m.id FOR UPDATE OF m
)
DELETE FROM plan_pair p WHERE p.kind = 0 AND NOT EXISTS (SELECT FROM picked WHERE picked.id = p.message_id)"""

# As with retries: an enrolment that ended while this run was thinking gets no message.
DROP_LOST_PEOPLE = """
WITH picked AS (
    SELECT e.id FROM campaigns_enrolment e JOIN plan_pair p ON p.enrolment_id = e.id AND p.kind > 0
    WHERE e.due_at IS NOT NULL ORDER BY e.id FOR UPDATE OF e
)
DELETE FROM plan_pair p WHERE p.kind > 0 AND NOT EXISTS (SELECT FROM picked WHERE picked.id = p.enrolment_id)"""

# A pause or cancel under way can't see what this run writes, so it gets nothing; one that comes later waits for us.
DROP_STOPPING = """
WITH going_on AS (
    SELECT id FROM campaigns_campaign WHERE id = ANY (%(campaigns)s) AND status = 'running'
    ORDER BY id FOR SHARE SKIP LOCKED
)
DELETE FROM plan_pair p WHERE NOT EXISTS (SELECT FROM going_on WHERE going_on.id = p.campaign_id)"""

WRITE_MESSAGES = """
INSERT INTO campaigns_message
    (tenant_id, campaign_id, step_id, enrolment_id, contact_id, mailbox_id, status, reason, due_at, not_after, day_on,
     hour_at, tries, message_id, wire_message_id, reply_text, outcome, planned_at)
SELECT %(tenant)s, p.campaign_id, p.step_id, p.enrolment_id, p.contact_id, p.mailbox_id, 'planned', '', p.due_at,
    p.closes_at, %(day)s, CASE WHEN d.hourly_cap IS NULL THEN NULL ELSE %(hour)s::timestamptz END, 0,
    left(encode(sha256(st.subkey || int8send(p.contact_id)), 'hex'), 26) || '@' || d.name, '', '', '', %(now)s
FROM plan_pair p
JOIN plan_step st ON st.step_id = p.step_id
JOIN mailboxes_mailbox b ON b.id = p.mailbox_id
JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
WHERE p.kind > 0"""

TAKE_PEOPLE = """
UPDATE campaigns_enrolment e SET due_at = NULL, waits_for = 'message', mailbox_id = p.mailbox_id
FROM plan_pair p WHERE p.kind > 0 AND e.id = p.enrolment_id"""


@transaction.atomic
def run(tenant: Tenant, now: datetime, *, horizon_seconds: float | None = None) -> PlanRun | None:
    """Plan the tenant's next minutes; None when another planner is at it or nothing is running.

    `now` is the database's clock or any other instant (forecasts run on other days). All or
    nothing: messages, allowances, enrolments, rotation and the PlanRun are one transaction.
    """
    started = time.monotonic()
    horizon = timedelta(seconds=settings.PLAN_HORIZON_SECONDS if horizon_seconds is None else horizon_seconds)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK_CLASS, tenant.pk % 2**31])
        if not cursor.fetchone()[0]:
            return None
        tenant = Tenant.objects.get(pk=tenant.pk)  # as it is behind the lock: who lowers its cap waits there
        zone = ZoneInfo(tenant.time_zone)
        day = windows.day_of(now, zone)
        limit = min(now + horizon, windows.day_ends_at(now, zone))
        taken_back = reaper.take_back_missed(tenant, now)
        cursor.execute(BOOK_RETURNS, {"tenant": tenant.pk})
        returned = cursor.fetchone()[0]
        campaigns = seats.load_campaigns(cursor, tenant.pk, now, day)
        if tenant.status != Tenant.Status.ACTIVE or not any(campaign.open_until for campaign in campaigns):
            return None
        return _plan(cursor, tenant, campaigns, now, day, limit, taken_back, returned, started)


def _plan(
    cursor: Any, tenant: Tenant, campaigns: Sequence[Running], now: datetime, day: date, limit: datetime,
    taken_back: int, returned: int, started: float,
) -> PlanRun:  # fmt: skip
    places = seats.load(cursor, campaigns, now, day, limit)
    tenant_left = _tenant_left(cursor, tenant, day)
    demand.prepare(cursor, tenant.pk, campaigns, suppression.hasher())
    pairs = demand.open_pairs(campaigns)
    lefts = {campaign.id: campaign.left for campaign in campaigns}
    demand.find_retries(cursor, pairs, places, limit)
    retries = _bind(cursor, places, lefts, tenant_left, kinds=(0, 0))
    if retries:
        cursor.execute(DROP_LOST_RETRIES)
        retries -= cursor.rowcount
    places, lefts = _after_bound(cursor, places, lefts)
    for pair in pairs:
        pair.left = lefts[pair.campaign_id]

    need = _needs(places, tenant_left - retries)
    found = demand.find_people(cursor, tenant.pk, pairs, need, now, day)
    bound = _bind(cursor, places, lefts, tenant_left - retries, kinds=(1, 1))
    if bound:
        places, lefts = _after_bound(cursor, places, lefts)
        need = _needs(places, tenant_left - retries - bound)
    counts = _deal(cursor, places, lefts, need)

    cursor.execute("ANALYZE plan_pair")  # before the first join with it, or a long list is read whole
    cursor.execute(DROP_LOST_PEOPLE)
    cursor.execute(DROP_STOPPING, {"campaigns": list(lefts)})
    values = {"tenant": tenant.pk, "day": day, "hour": windows.hour_of(now), "now": now}
    if retries:
        cursor.execute(REPLAN, values)
    cursor.execute(WRITE_MESSAGES, values)
    planned = cursor.rowcount
    cursor.execute(TAKE_PEOPLE)
    booking.reserve(cursor, tenant, campaigns, places, values)
    booking.rotate(cursor, tenant, places, counts, now)
    return PlanRun.objects.create(
        tenant=tenant,
        started_at=now,
        finished_at=now + timedelta(seconds=time.monotonic() - started),
        seconds=round(time.monotonic() - started, 4),
        looked_at=found.looked_at + retries,
        planned=planned,
        retries=retries,
        returned=returned,
        taken_back=taken_back,
        refused=dict(found.refused),
        limits={
            "slots": sum(need.values()),
            "mailboxes": len(places),
            **({} if tenant.daily_cap is None else {"tenant_left": tenant_left}),
        },
    )


def _tenant_left(cursor: Any, tenant: Tenant, day: date) -> int:
    cursor.execute(
        "SELECT reserved FROM mailboxes_allowance WHERE scope = 'tenant_day' AND key = %s "
        "AND period_start = %s::timestamp AT TIME ZONE 'UTC'",
        [tenant.pk, day],
    )
    row = cursor.fetchone()
    return max((UNLIMITED if tenant.daily_cap is None else tenant.daily_cap) - (row[0] if row else 0), 0)


def _bind(
    cursor: Any,
    places: Mapping[int, Place],
    lefts: Mapping[int, int],
    tenant_left: int,
    kinds: tuple[int, int],
) -> int:
    """Give what belongs to one mailbox its next free slots; return how many found one."""
    boxes = [place.seat for place in places.values() if place.seat.room > place.seat.taken]
    cursor.execute(
        BOUND,
        {
            "from_kind": kinds[0],
            "kind": kinds[1],
            "boxes": [seat.mailbox_id for seat in boxes],
            "domains": [seat.domain_id for seat in boxes],
            "firsts": [seat.first_at + seat.gap * seat.taken for seat in boxes],
            "gaps": [seat.gap for seat in boxes],
            "rooms": [seat.room - seat.taken for seat in boxes],
            "domain_lefts": [_domain_left(places, seat) for seat in boxes],
            "campaigns": list(lefts),
            "lefts": list(lefts.values()),
            "tenant_left": tenant_left,
        },
    )
    return cursor.rowcount


def _domain_left(places: Mapping[int, Place], seat: Seat) -> int:
    """What the seat's domain may still send this hour, after all that its mailboxes were given in this run."""
    if seat.domain_left is None:
        return UNLIMITED
    given = sum(place.seat.taken for place in places.values() if place.seat.domain_id == seat.domain_id)
    return max(seat.domain_left - given, 0)


def _after_bound(
    cursor: Any, places: Mapping[int, Place], lefts: Mapping[int, int]
) -> tuple[dict[int, Place], dict[int, int]]:
    """Places and campaign caps with what plan_pair has taken so far."""
    cursor.execute("SELECT mailbox_id, campaign_id, count(*) FROM plan_pair GROUP BY mailbox_id, campaign_id")
    by_box: Counter[int] = Counter()
    by_campaign: Counter[int] = Counter()
    for mailbox_id, campaign_id, count in cursor.fetchall():
        by_box[mailbox_id] += count
        by_campaign[campaign_id] += count
    updated = {
        pk: replace(place, seat=replace(place.seat, taken=by_box[pk])) if by_box[pk] else place
        for pk, place in places.items()
    }
    return updated, {pk: left - by_campaign[pk] for pk, left in lefts.items()}


def _needs(places: Mapping[int, Place], tenant_left: int) -> dict[int, int]:
    """{pool id: free slots}, within each domain's hour; cut in proportion where the tenant's day allows fewer."""
    need: Counter[int] = Counter()
    hours: dict[int, int] = {}
    for place in places.values():
        seat = place.seat
        free = max(seat.room - seat.taken, 0)
        if seat.domain_left is not None:
            left = hours[seat.domain_id] if seat.domain_id in hours else _domain_left(places, seat)
            free = min(free, left)
            hours[seat.domain_id] = left - free
        need[seat.pool_id] += free
    total, left = sum(need.values()), max(tenant_left, 0)
    if total > left:
        for pool_id in list(need):
            share = need[pool_id] * left // total if total else 0
            total, left = total - need[pool_id], left - share
            need[pool_id] = share
    return dict(need)


def _deal(
    cursor: Any, places: Mapping[int, Place], lefts: Mapping[int, int], need: Mapping[int, int]
) -> dict[int, int]:
    """Pair people who take any mailbox with the slots they are due; return {mailbox id: slots}."""
    cursor.execute("DROP TABLE IF EXISTS plan_turn, plan_slot")
    cursor.execute(
        TURNS,
        {
            "campaigns": list(lefts),
            "lefts": list(lefts.values()),
            "pools": list(need),
            "needs": list(need.values()),
        },
    )
    cursor.execute("SELECT pool_id, count(*) FROM plan_turn GROUP BY pool_id")
    counts: dict[int, int] = {}
    for pool_id, wanted in cursor.fetchall():
        counts |= slots.share(_seats_of(places, pool_id, counts), wanted)
    boxes = [places[pk].seat for pk in counts]
    cursor.execute(
        SLOTS,
        {
            "boxes": [seat.mailbox_id for seat in boxes],
            "pools": [seat.pool_id for seat in boxes],
            "firsts": [seat.first_at for seat in boxes],
            "gaps": [seat.gap for seat in boxes],
            "taken": [seat.taken for seat in boxes],
            "counts": [counts[seat.mailbox_id] for seat in boxes],
            "virtual": [seat.virtual_time for seat in boxes],
            "weights": [seat.weight for seat in boxes],
        },
    )
    cursor.execute("ANALYZE plan_turn, plan_slot")
    cursor.execute(PAIR)
    return counts


def _seats_of(places: Mapping[int, Place], pool_id: int, dealt: Mapping[int, int]) -> list[Seat]:
    """The pool's seats; a domain that other pools use as well has that much less left in its hour."""
    elsewhere: Counter[int] = Counter()
    for pk, place in places.items():
        if place.seat.pool_id != pool_id:
            elsewhere[place.seat.domain_id] += place.seat.taken + dealt.get(pk, 0)
    return [
        place.seat
        if place.seat.domain_left is None
        else replace(place.seat, domain_left=max(place.seat.domain_left - elsewhere[place.seat.domain_id], 0))
        for place in places.values()
        if place.seat.pool_id == pool_id
    ]
