"""Who is written to next, from which mailbox, when: one run for one tenant.

A few set-based statements over temp tables, bounded by the slots of the next minutes, in
one transaction under the tenant's advisory lock. The shares are computed in `slots`, the
windows in `windows`; SQL finds, pairs and writes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import connection, transaction

from campaigns.ledger import moves
from campaigns.ledger.planning import LOCK_CLASS
from campaigns.models import PlanRun
from campaigns.pipeline import booking, demand, limits, pairing, reaper, receivers, seats, windows
from campaigns.pipeline.booking import HOURLY
from campaigns.pipeline.limits import UNLIMITED
from campaigns.pipeline.seats import Running
from campaigns.services import suppression
from tenants.models import Tenant

log = structlog.get_logger(__name__)

# In the order in which everybody locks allowances: some are of what another tenant's run counts too.
BOOK_RETURNS = """
WITH gone AS (
    DELETE FROM mailboxes_allowancereturn WHERE tenant_id = %(tenant)s RETURNING scope, key, period_start, count
), summed AS (
    SELECT scope, key, period_start, sum(count) AS count FROM gone GROUP BY scope, key, period_start
), locked AS (
    SELECT al.id, summed.count FROM mailboxes_allowance al
    JOIN summed ON al.scope = summed.scope AND al.key = summed.key AND al.period_start = summed.period_start
    ORDER BY al.scope, al.key, al.period_start FOR NO KEY UPDATE OF al
), booked AS (
    UPDATE mailboxes_allowance al SET reserved = greatest(al.reserved - locked.count, 0)
    FROM locked WHERE al.id = locked.id
)
SELECT coalesce(sum(count) FILTER (WHERE scope = 'tenant_day'), 0) FROM summed"""

# Nothing leaves after the periods that it is counted in; least() passes over null.
NOT_AFTER = f"least(p.closes_at, %(day_ends)s, CASE WHEN {HOURLY} THEN %(hour_ends)s END)"

REPLAN = f"""
UPDATE campaigns_message m
SET status = 'planned', due_at = p.due_at, not_after = {NOT_AFTER}, day_on = %(day)s, batch_id = NULL, reason = '',
    operator = p.operator, account_ref = x.account_id, hour_at = CASE WHEN {HOURLY} THEN %(hour)s::timestamptz END
FROM plan_pair p
JOIN plan_box x ON x.mailbox_id = p.mailbox_id
WHERE p.kind = 0 AND m.id = p.message_id AND m.status = 'deferred'"""

# The row lock comes first and in id order; a retry that was closed or put off meanwhile takes no slot.
DROP_LOST_RETRIES = """
WITH picked AS (
    SELECT m.id FROM campaigns_message m JOIN plan_pair p ON p.message_id = m.id
    WHERE m.status = 'deferred' AND m.due_at <= %(limit)s ORDER BY m.id FOR UPDATE OF m
)
DELETE FROM plan_pair p WHERE p.kind = 0 AND NOT EXISTS (SELECT FROM picked WHERE picked.id = p.message_id)"""

# As with retries: an enrolment that ended, or was put off, while this run was thinking gets no message.
DROP_LOST_PEOPLE = """
WITH picked AS (
    SELECT e.id FROM campaigns_enrolment e JOIN plan_pair p ON p.enrolment_id = e.id AND p.kind > 0
    WHERE e.due_at <= %(now)s ORDER BY e.id FOR UPDATE OF e
)
DELETE FROM plan_pair p WHERE p.kind > 0 AND NOT EXISTS (SELECT FROM picked WHERE picked.id = p.enrolment_id)"""

# A pause or cancel under way can't see what this run writes, so it gets nothing; one that comes later waits for us.
DROP_STOPPING = """
WITH going_on AS (
    SELECT id FROM campaigns_campaign WHERE id = ANY (%(campaigns)s) AND status = 'running'
    ORDER BY id FOR SHARE SKIP LOCKED
)
DELETE FROM plan_pair p WHERE NOT EXISTS (SELECT FROM going_on WHERE going_on.id = p.campaign_id)"""

# Enrolments with consecutive numbers get each wording once, in a turn that the step's key sets anew for every such
# block: shares are even whenever people are enrolled, nobody can guess them, and steps are independent of each other.
VARIANT = """v.ids[1 + mod(
        p.enrolment_id + get_byte(sha256(st.subkey || int8send(p.enrolment_id / cardinality(v.ids))), 0),
        cardinality(v.ids))]"""

WRITE_MESSAGES = f"""
INSERT INTO campaigns_message
    (tenant_id, campaign_id, step_id, enrolment_id, contact_id, mailbox_id, status, reason, due_at, not_after, day_on,
     hour_at, operator, tries, message_id, wire_message_id, reply_text, outcome, planned_at, variant_id, account_ref)
SELECT %(tenant)s, p.campaign_id, p.step_id, p.enrolment_id, p.contact_id, p.mailbox_id, 'planned', '', p.due_at,
    {NOT_AFTER}, %(day)s, CASE WHEN {HOURLY} THEN %(hour)s::timestamptz END, p.operator, 0,
    left(encode(sha256(st.subkey || int8send(p.contact_id)), 'hex'), 26) || '@' || d.name, '', '', '', %(now)s,
    {VARIANT}, x.account_id
FROM plan_pair p
JOIN plan_step st ON st.step_id = p.step_id
LEFT JOIN (
    SELECT step_id, array_agg(id ORDER BY label, id) AS ids FROM campaigns_variant
    WHERE step_id IN (SELECT step_id FROM plan_step) GROUP BY step_id
) AS v ON v.step_id = p.step_id
JOIN plan_box x ON x.mailbox_id = p.mailbox_id
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
        locked = limits.lock(cursor, tenant.pk)
        taken_back = reaper.take_back_missed(tenant, now)
        cursor.execute(BOOK_RETURNS, {"tenant": tenant.pk})
        returned = cursor.fetchone()[0]
        campaigns = seats.load_campaigns(cursor, tenant.pk, now, day)
        if tenant.status != Tenant.Status.ACTIVE or not any(campaign.open_until for campaign in campaigns):
            return None
        times = Times(now, day, limit, windows.day_ends_at(now, zone))
        return _plan(cursor, tenant, campaigns, times, locked, taken_back, returned, started)


@dataclass(frozen=True, slots=True)
class Times:
    """When a run plans: from `now` to `limit`, on the tenant's `day`, which ends at `day_ends_at`."""

    now: datetime
    day: date
    limit: datetime
    day_ends_at: datetime

    @property
    def hour(self) -> datetime:
        return windows.hour_of(self.now)

    @property
    def hour_ends_at(self) -> datetime:
        return self.hour + timedelta(hours=1)


def _plan(
    cursor: Any, tenant: Tenant, campaigns: Sequence[Running], times: Times, locked: limits.Locked, taken_back: int,
    returned: int, started: float,
) -> PlanRun:  # fmt: skip
    now, day, limit, hour, hour_ends = times.now, times.day, times.limit, times.hour, times.hour_ends_at
    loaded = seats.load(cursor, campaigns, now, day, limit, locked)
    receivers.prepare(cursor, tenant.pk, loaded, now, hour)
    if lowered := _take_back_beyond(cursor, tenant, loaded):
        taken_back += lowered
        loaded = seats.load(cursor, campaigns, now, day, limit, locked)
        receivers.prepare(cursor, tenant.pk, loaded, now, hour)
    places, shared = loaded.places, loaded.shared
    tenant_left = _tenant_left(cursor, tenant, day)
    demand.prepare(cursor, tenant.pk, campaigns, suppression.hasher(), day)
    pairs = demand.open_pairs(campaigns)
    at_first = {campaign.id: campaign.left for campaign in campaigns}
    demand.find_retries(cursor, pairs, places, now, day, limit)
    retries = pairing.bind(cursor, places, shared, at_first, tenant_left, 0, hour_ends)
    if retries:
        cursor.execute(DROP_LOST_RETRIES, {"limit": limit})
        retries -= cursor.rowcount
        receivers.count(cursor, 0)
    places, lefts = pairing.after_bound(cursor, places, at_first)
    lefts, at_first = seats.within_totals(campaigns, lefts)
    for pair in pairs:
        pair.left = lefts[pair.campaign_id]

    slots = sum(pairing.needs(places, shared, tenant_left - retries).values())
    follow_ups = demand.find_follow_ups(cursor, tenant, pairs, places, now, day)
    bound = pairing.bind(cursor, places, shared, lefts, tenant_left - retries, 1, hour_ends)
    demand.drop_unbound(cursor)
    if bound:
        receivers.count(cursor, 1)
        places, lefts = pairing.after_bound(cursor, places, at_first)
    new_people = seats.new_people(campaigns, lefts)
    for pair in pairs:
        pair.left = new_people[pair.campaign_id]
    need = pairing.needs(places, shared, tenant_left - retries - bound)
    found = demand.find_people(cursor, tenant, pairs, need, now, day)
    pairing.deal(cursor, places, shared, new_people, need, hour_ends)

    cursor.execute("ANALYZE plan_pair")  # before the first join with it, or a long list is read whole
    cursor.execute(DROP_LOST_PEOPLE, {"now": now})
    cursor.execute(DROP_STOPPING, {"campaigns": list(lefts)})
    full = pairing.bounds(cursor, places, shared, at_first)
    values = {
        "tenant": tenant.pk, "day": day, "hour": hour, "now": now, "hour_ends": hour_ends,
        "day_ends": times.day_ends_at,
    }  # fmt: skip
    if retries:
        cursor.execute(REPLAN, values)
    cursor.execute(WRITE_MESSAGES, values)
    planned = cursor.rowcount
    cursor.execute(TAKE_PEOPLE)
    booking.reserve(cursor, tenant, campaigns, places, values)
    booking.rotate(cursor, tenant, places, now)
    booking.take_rates(cursor, places, now)
    return PlanRun.objects.create(
        tenant=tenant,
        started_at=now,
        finished_at=now + timedelta(seconds=time.monotonic() - started),
        seconds=round(time.monotonic() - started, 4),
        looked_at=found.looked_at + follow_ups.looked_at + retries,
        planned=planned,
        retries=retries,
        returned=returned,
        taken_back=taken_back,
        refused=dict(found.refused + follow_ups.refused),
        limits={
            "slots": slots,
            "mailboxes": len(places),
            **full,
            **({} if tenant.daily_cap is None else {"tenant_left": tenant_left}),
        },
    )


def _take_back_beyond(cursor: Any, tenant: Tenant, loaded: seats.Loaded) -> int:
    """Take back what was planned before a cap that several share was lowered; this run plans it anew, if it fits."""
    back = 0
    if loaded.beyond:
        back = moves.take_back("m.mailbox_id = ANY (%(boxes)s)", {"boxes": loaded.beyond}, claimed=False)
    boxes, operators = receivers.beyond(cursor, tenant.pk)
    if boxes:
        where = "m.mailbox_id = ANY (%(boxes)s) AND m.operator = ANY (%(operators)s)"
        back += moves.take_back(where, {"boxes": boxes, "operators": operators}, claimed=False)
    if back:
        cursor.execute(BOOK_RETURNS, {"tenant": tenant.pk})
    return back


def _tenant_left(cursor: Any, tenant: Tenant, day: date) -> int:
    cursor.execute(
        "SELECT reserved FROM mailboxes_allowance WHERE scope = 'tenant_day' AND key = %s "
        "AND period_start = %s::timestamp AT TIME ZONE 'UTC'",
        [tenant.pk, day],
    )
    row = cursor.fetchone()
    return max((UNLIMITED if tenant.daily_cap is None else tenant.daily_cap) - (row[0] if row else 0), 0)
