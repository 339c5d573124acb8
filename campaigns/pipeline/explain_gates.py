"""The planner's gates, asked by its own statements about people who are only looked at.

They stand in the run's temp tables as they would in a run; what the gates mark there is read, and nothing moves. The
caller's transaction sees the tenant's rows and those of the platform (isolation), or platform entries are missed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from campaigns.pipeline import demand, gating, limits, receivers, seats, windows
from campaigns.pipeline.demand import ENROLLED, OPEN
from tenants.models import Tenant

# The step is nothing that a gate asks about.
FIRST_OF_ZONE = f"""
INSERT INTO plan_demand
SELECT CASE WHEN e.mailbox_id IS NULL THEN 2 ELSE 1 END, NULL, {ENROLLED}
FROM {OPEN}
CROSS JOIN LATERAL (
    (SELECT e.id, e.contact_id, e.mailbox_id, e.due_at FROM campaigns_enrolment e
    WHERE e.campaign_id = w.campaign_id AND e.zone = w.zone AND e.due_at <= %(now)s AND e.mailbox_id IS NOT NULL
    ORDER BY e.due_at LIMIT w.most)
    UNION ALL
    (SELECT e.id, e.contact_id, e.mailbox_id, e.due_at FROM campaigns_enrolment e
    WHERE e.campaign_id = w.campaign_id AND e.zone = w.zone AND e.due_at <= %(now)s AND e.mailbox_id IS NULL
    ORDER BY e.due_at LIMIT w.most)
) AS e
CROSS JOIN LATERAL (SELECT 0::bigint AS step_id) AS st
JOIN campaigns_contact ct ON ct.id = e.contact_id"""

NAMED = f"""
INSERT INTO plan_demand
SELECT CASE WHEN e.mailbox_id IS NULL THEN 2 ELSE 1 END, NULL, {ENROLLED}
FROM campaigns_enrolment e
JOIN {OPEN} ON w.campaign_id = e.campaign_id AND w.zone = e.zone
CROSS JOIN LATERAL (SELECT 0::bigint AS step_id) AS st
JOIN campaigns_contact ct ON ct.id = e.contact_id
WHERE e.id = ANY (%(enrolments)s) AND e.due_at <= %(now)s"""

COUNTED = """
SELECT campaign_id, mailbox_id, operator, refused, count(*) FROM plan_demand GROUP BY 1, 2, 3, 4"""

MARKED = "SELECT enrolment_id, refused, until FROM plan_demand"

# Follow-ups take what their receivers have left before anybody else does.
RECEIVED = """
WITH ranked AS (
    SELECT d.enrolment_id, b.organisational, d.operator, r.amount, r.until, row_number() OVER (
        PARTITION BY b.organisational, d.operator ORDER BY d.due_at, d.enrolment_id) AS n
    FROM plan_demand d
    JOIN plan_box b ON b.mailbox_id = d.mailbox_id
    JOIN plan_receiver r ON r.organisational = b.organisational AND r.operator = d.operator
    WHERE d.kind = 1 AND d.refused IS NULL
), full_ones AS (
    UPDATE plan_demand d SET refused = 'receiver', until = ranked.until
    FROM ranked WHERE d.kind = 1 AND d.enrolment_id = ranked.enrolment_id AND ranked.n > ranked.amount
)
UPDATE plan_receiver r SET amount = r.amount - taken.count
FROM (SELECT organisational, operator, count(*) AS count FROM ranked WHERE n <= amount GROUP BY 1, 2) AS taken
WHERE taken.organisational = r.organisational AND taken.operator = r.operator"""

STANDING = """
SELECT e.id, e.status, e.stop_reason, e.due_at, e.waits_for, e.zone, e.campaign_id
FROM campaigns_enrolment e WHERE e.id = ANY (%(enrolments)s)"""


def count_first(cursor: Any, tenant: Tenant, values: Mapping[str, Any], now: datetime, day: date) -> list[Any]:
    """(campaign, mailbox, operator, gate or None, people) of those whom the planner would look at first.

    `values` are lists of equal length: campaigns, zones, pools, closes, limits. Receivers are not asked.
    """
    _begin(cursor, tenant, values["pools"], day)
    cursor.execute(FIRST_OF_ZONE, {**values, "now": now, "day": day})
    for kind in (1, 2):
        gating.mark(cursor, tenant, kind, now)
    cursor.execute(COUNTED)
    return list(cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Verdict:
    """What decides about one enrolment, by the planner's name for it, and when it asks again; None: it does not.

    "slot": every gate lets it pass, and it waits for room in a mailbox. "message": a mail of it is under way.
    """

    gate: str
    until: datetime | None = None


def of_enrolments(cursor: Any, tenant: Tenant, ids: Collection[int], now: datetime) -> dict[int, Verdict]:
    """What decides about each of these enrolments of a tenant in a planner run at that moment."""
    zone = ZoneInfo(tenant.time_zone)
    day = windows.day_of(now, zone)
    cursor.execute(STANDING, {"enrolments": sorted(ids)})
    rows = cursor.fetchall()
    running = {}
    if tenant.status == Tenant.Status.ACTIVE:
        running = {each.id: each for each in seats.load_campaigns(cursor, tenant.pk, now, day)}
    marked = _marked(cursor, tenant, list(running.values()), sorted(ids), now, day)
    found = {}
    for pk, status, reason, due_at, waits_for, place, campaign_id in rows:
        if status != "active":
            found[pk] = Verdict(reason or status)
        elif due_at is None:
            found[pk] = Verdict(waits_for or "message")
        elif campaign_id not in running:
            found[pk] = Verdict("campaign")
        elif due_at > now:
            found[pk] = Verdict(waits_for or "due", due_at)
        elif place not in running[campaign_id].open_until:
            found[pk] = Verdict("window")
        else:
            gate, until = marked[pk]
            found[pk] = Verdict(gate or "slot", until)
    return found


def _marked(
    cursor: Any, tenant: Tenant, running: Sequence[seats.Running], ids: list[int], now: datetime, day: date
) -> dict[int, tuple[str | None, datetime | None]]:
    pairs = demand.open_pairs(running)
    _begin(cursor, tenant, [pair.pool_id for pair in pairs], day)
    cursor.execute(NAMED, {**demand.values_of(pairs), "enrolments": ids, "now": now, "day": day})
    limit = now + timedelta(seconds=settings.PLAN_HORIZON_SECONDS)
    loaded = seats.load(cursor, running, now, day, limit, limits.ANYTHING)
    receivers.prepare(cursor, tenant.pk, loaded, now, windows.hour_of(now))
    gating.mark(cursor, tenant, 1, now)
    cursor.execute(RECEIVED)
    gating.mark(cursor, tenant, 2, now)
    receivers.mark(cursor)
    cursor.execute(MARKED)
    return {pk: (gate, until) for pk, gate, until in cursor.fetchall()}


def _begin(cursor: Any, tenant: Tenant, pool_ids: Collection[int], day: date) -> None:
    cursor.execute(demand.TABLES)
    cursor.execute(demand.EMPTY)
    gating.prepare(cursor, tenant.pk, set(pool_ids), day)
