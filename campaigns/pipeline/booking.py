"""What a planner run used up, written down: reservations in the allowances, and where each mailbox stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from campaigns.pipeline.limits import RECEIVER_KEY, UNLIMITED
from campaigns.pipeline.seats import Place, Running
from tenants.models import Tenant

# Counted by the hour: because of its mailbox, or because of who runs the recipient's mail.
HOURLY = """(x.hourly OR EXISTS (
    SELECT FROM plan_receiver r WHERE r.organisational = x.organisational AND r.operator = p.operator))"""

# What several tenants share has no tenant. What is counted by the hour is counted in every hour that it is part of,
# limited or not: `hour_at` of the message says so, and gives back to all of them.
RESERVE = f"""
WITH paired AS (
    SELECT p.kind, p.mailbox_id, p.campaign_id, p.operator, x.domain_id, x.account_id, x.quota_id, x.organisational,
        {HOURLY} AS hourly
    FROM plan_pair p JOIN plan_box x ON x.mailbox_id = p.mailbox_id
)
INSERT INTO mailboxes_allowance (tenant_id, scope, key, period_start, label, cap, reserved)
SELECT CASE WHEN used.scope IN ('quota_hour', 'receiver_hour') THEN NULL ELSE %(tenant)s END, used.scope, used.key,
    CASE WHEN used.scope LIKE '%%_hour' THEN %(hour)s WHEN used.scope = 'campaign_total' THEN 'epoch'::timestamptz
        ELSE %(day)s::timestamp AT TIME ZONE 'UTC' END,
    used.label, coalesce(cap.cap, {UNLIMITED}), used.count
FROM (
    SELECT 'mailbox_day' AS scope, mailbox_id AS key, '' AS label, count(*) AS count FROM paired GROUP BY mailbox_id
    UNION ALL SELECT 'campaign_day', campaign_id, '', count(*) FROM paired GROUP BY campaign_id
    UNION ALL SELECT 'campaign_total', campaign_id, '', count(*) FROM paired
        WHERE kind > 0 AND campaign_id = ANY (%(totals)s) GROUP BY campaign_id
    UNION ALL SELECT 'tenant_day', %(tenant)s, '', count(*) FROM paired HAVING count(*) > 0
    UNION ALL SELECT 'domain_day', domain_id, '', count(*) FROM paired GROUP BY domain_id
    UNION ALL SELECT 'mailbox_hour', mailbox_id, '', count(*) FROM paired WHERE hourly GROUP BY mailbox_id
    UNION ALL SELECT 'domain_hour', domain_id, '', count(*) FROM paired WHERE hourly GROUP BY domain_id
    UNION ALL SELECT 'account_hour', account_id, '', count(*) FROM paired WHERE hourly GROUP BY account_id
    UNION ALL SELECT 'quota_hour', quota_id, '', count(*) FROM paired
        WHERE hourly AND quota_id IS NOT NULL GROUP BY quota_id
    UNION ALL SELECT 'receiver_hour', {RECEIVER_KEY.format(organisational="organisational", operator="operator")},
        organisational || ' to ' || operator, count(*)
        FROM paired WHERE hourly GROUP BY organisational, operator
) AS used
LEFT JOIN unnest(%(scopes)s::text[], %(keys)s::bigint[], %(caps)s::int[]) AS cap (scope, key, cap)
    ON cap.scope = used.scope AND cap.key = used.key
ORDER BY 2, 3
ON CONFLICT (scope, key, period_start) DO UPDATE
SET cap = greatest(excluded.cap, mailboxes_allowance.reserved), label = excluded.label,
    reserved = mailboxes_allowance.reserved + excluded.reserved"""

SERVED = "SELECT mailbox_id, count(*), max(due_at) FROM plan_pair GROUP BY mailbox_id"

ROTATE = """
INSERT INTO mailboxes_rotation (tenant_id, mailbox_id, virtual_time, next_free_at, planned_in)
SELECT %(tenant)s, box.*, %(now)s
FROM unnest(%(boxes)s::bigint[], %(virtual)s::float8[], %(free)s::timestamptz[]) AS box
ON CONFLICT (mailbox_id) DO UPDATE
SET virtual_time = excluded.virtual_time, next_free_at = excluded.next_free_at, planned_in = excluded.planned_in"""


def reserve(
    cursor: Any,
    tenant: Tenant,
    campaigns: Sequence[Running],
    places: Mapping[int, Place],
    values: Mapping[str, Any],
) -> None:
    """Count plan_pair into its allowances; the database refuses what would pass a cap, and the run with it."""
    caps = [("tenant_day", tenant.pk, UNLIMITED if tenant.daily_cap is None else tenant.daily_cap)]
    caps += [("campaign_day", campaign.id, campaign.cap) for campaign in campaigns]
    totals = {campaign.id: campaign.total_cap for campaign in campaigns if campaign.total_cap is not None}
    caps += [("campaign_total", pk, cap) for pk, cap in totals.items()]
    caps += [("mailbox_day", pk, place.cap) for pk, place in places.items()]
    shared = {place.caps for place in places.values()}
    days = {of.domain_id: of.domain_day for of in shared if of.domain_day is not None}
    domains = {of.domain_id: of.domain_hour for of in shared if of.domain_hour is not None}
    accounts = {of.account_id: of.account_hour for of in shared if of.account_hour is not None}
    caps += [("domain_day", pk, cap) for pk, cap in days.items()]
    caps += [("domain_hour", pk, cap) for pk, cap in domains.items()]
    caps += [("account_hour", pk, cap) for pk, cap in accounts.items()]
    # A rolling day has no cap of one hour: whoever has the lock has counted the hours before.
    scopes, keys, amounts = zip(*caps, strict=True)
    listed = {"scopes": list(scopes), "keys": list(keys), "caps": list(amounts), "totals": list(totals)}
    cursor.execute(RESERVE, {**values, **listed})


def rotate(cursor: Any, tenant: Tenant, places: Mapping[int, Place], now: datetime) -> None:
    """Move on each mailbox's virtual time and its next free slot by what it really was given."""
    cursor.execute(SERVED)
    served = {pk: (count, last) for pk, count, last in cursor.fetchall()}
    virtual, free = [], []
    for pk, place in places.items():
        count, last = served.get(pk, (0, None))
        virtual.append(place.seat.virtual_time + count / place.seat.weight)
        free.append(place.next_free_at if last is None else last + place.seat.gap)
    cursor.execute(ROTATE, {"tenant": tenant.pk, "now": now, "boxes": list(places), "virtual": virtual, "free": free})


# Who comes next begins where the last one ended: nobody is given the same seconds twice.
TAKE_RATES = """
UPDATE mailboxes_quotagroup g
SET next_free_at = greatest(g.next_free_at, %(now)s) + make_interval(secs => taken.count / g.per_second)
FROM (
    SELECT x.quota_id, count(*) AS count FROM plan_pair p JOIN plan_box x ON x.mailbox_id = p.mailbox_id
    WHERE x.quota_id = ANY (%(groups)s) GROUP BY x.quota_id
) AS taken
WHERE g.id = taken.quota_id"""


def take_rates(cursor: Any, places: Mapping[int, Place], now: datetime) -> None:
    """Book the seconds of groups that are limited by the second; the run has their rows locked."""
    caps = {place.caps for place in places.values()}
    groups = {of.quota_id for of in caps if of.quota_id is not None and of.quota.per_second is not None}
    if groups:
        cursor.execute(TAKE_RATES, {"now": now, "groups": sorted(groups)})
