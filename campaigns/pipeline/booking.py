"""What a planner run used up, written down: reservations in the allowances, and where each mailbox stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from campaigns.pipeline.limits import RECEIVER_KEY, UNLIMITED
from campaigns.pipeline.seats import Place, Running
from tenants.models import Tenant

# What several tenants share has no tenant. An hour counts what has to leave in it: the message says so.
RESERVE = f"""
INSERT INTO mailboxes_allowance (tenant_id, scope, key, period_start, label, cap, reserved)
SELECT CASE WHEN used.scope IN ('quota_hour', 'receiver_hour') THEN NULL ELSE %(tenant)s END, used.scope, used.key,
    CASE WHEN used.scope LIKE '%%_hour' THEN %(hour)s WHEN used.scope = 'campaign_total' THEN 'epoch'::timestamptz
        ELSE %(day)s::timestamp AT TIME ZONE 'UTC' END,
    used.label, coalesce(cap.cap, {UNLIMITED}), used.count
FROM (
    SELECT 'mailbox_day' AS scope, mailbox_id AS key, '' AS label, count(*) AS count FROM plan_pair GROUP BY mailbox_id
    UNION ALL SELECT 'campaign_day', campaign_id, '', count(*) FROM plan_pair GROUP BY campaign_id
    UNION ALL SELECT 'campaign_total', campaign_id, '', count(*) FROM plan_pair
        WHERE kind > 0 AND campaign_id = ANY (%(totals)s) GROUP BY campaign_id
    UNION ALL SELECT 'tenant_day', %(tenant)s, '', count(*) FROM plan_pair HAVING count(*) > 0
    UNION ALL SELECT 'domain_day', x.domain_id, '', count(*) FROM plan_pair p
        JOIN plan_box x ON x.mailbox_id = p.mailbox_id GROUP BY x.domain_id
    UNION ALL SELECT 'mailbox_hour', mailbox_id, '', count(*) FROM plan_pair
        WHERE mailbox_id = ANY (%(users)s) GROUP BY mailbox_id
    UNION ALL SELECT 'domain_hour', x.domain_id, '', count(*) FROM plan_pair p
        JOIN plan_box x ON x.mailbox_id = p.mailbox_id
        WHERE x.domain_id = ANY (%(domains)s) GROUP BY x.domain_id
    UNION ALL SELECT 'account_hour', x.account_id, '', count(*) FROM plan_pair p
        JOIN plan_box x ON x.mailbox_id = p.mailbox_id
        WHERE x.account_id = ANY (%(accounts)s) GROUP BY x.account_id
    UNION ALL SELECT 'quota_hour', x.quota_id, '', count(*) FROM plan_pair p
        JOIN plan_box x ON x.mailbox_id = p.mailbox_id
        WHERE x.quota_id = ANY (%(quotas)s) GROUP BY x.quota_id
    UNION ALL SELECT 'receiver_hour', {RECEIVER_KEY.format(organisational="x.organisational", operator="p.operator")},
        x.organisational || ' to ' || p.operator, count(*)
        FROM plan_pair p JOIN plan_box x ON x.mailbox_id = p.mailbox_id
        JOIN mailboxes_receiverlimit l ON l.operator = p.operator
        GROUP BY x.organisational, p.operator
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
    quotas = {of.quota_id for of in shared if of.quota_id is not None and of.quota.daily is not None}
    users = [pk for pk, place in places.items() if place.user_cap is not None]
    scopes, keys, amounts = zip(*caps, strict=True)
    cursor.execute(
        RESERVE,
        {
            **values,
            "scopes": list(scopes),
            "keys": list(keys),
            "caps": list(amounts),
            "domains": list(domains),
            "accounts": list(accounts),
            "quotas": sorted(quotas),
            "users": users,
            "totals": list(totals),
        },
    )


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
