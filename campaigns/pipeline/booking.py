"""What a planner run used up, written down: reservations in the allowances, and where each mailbox stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from campaigns.pipeline.seats import UNLIMITED, Place, Running
from tenants.models import Tenant

RESERVE = """
INSERT INTO mailboxes_allowance (tenant_id, scope, key, period_start, cap, reserved)
SELECT %(tenant)s, used.scope, used.key,
    CASE WHEN used.scope = 'domain_hour' THEN %(hour)s ELSE %(day)s::timestamp AT TIME ZONE 'UTC' END,
    cap.cap, used.count
FROM (
    SELECT 'mailbox_day' AS scope, mailbox_id AS key, count(*) AS count FROM plan_pair GROUP BY mailbox_id
    UNION ALL SELECT 'campaign_day', campaign_id, count(*) FROM plan_pair GROUP BY campaign_id
    UNION ALL SELECT 'tenant_day', %(tenant)s, count(*) FROM plan_pair HAVING count(*) > 0
    UNION ALL SELECT 'domain_hour', d.id, count(*) FROM plan_pair p
        JOIN mailboxes_mailbox b ON b.id = p.mailbox_id
        JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
        WHERE d.hourly_cap IS NOT NULL GROUP BY d.id
) AS used
JOIN unnest(%(scopes)s::text[], %(keys)s::bigint[], %(caps)s::int[]) AS cap (scope, key, cap)
    ON cap.scope = used.scope AND cap.key = used.key
ORDER BY 2, 3
ON CONFLICT (scope, key, period_start) DO UPDATE
SET cap = greatest(excluded.cap, mailboxes_allowance.reserved),
    reserved = mailboxes_allowance.reserved + excluded.reserved"""

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
    caps += [("mailbox_day", pk, place.cap) for pk, place in places.items()]
    hourly = {place.seat.domain_id: place.hourly_cap for place in places.values() if place.hourly_cap is not None}
    caps += [("domain_hour", pk, cap) for pk, cap in hourly.items()]
    scopes, keys, amounts = zip(*caps, strict=True)
    cursor.execute(RESERVE, {**values, "scopes": list(scopes), "keys": list(keys), "caps": list(amounts)})


def rotate(cursor: Any, tenant: Tenant, places: Mapping[int, Place], counts: Mapping[int, int], now: datetime) -> None:
    """Move on each mailbox's virtual time and its next free slot."""
    served = {pk: place.seat.taken + counts.get(pk, 0) for pk, place in places.items()}
    cursor.execute(
        ROTATE,
        {
            "tenant": tenant.pk,
            "now": now,
            "boxes": list(places),
            "virtual": [place.seat.virtual_time + served[pk] / place.seat.weight for pk, place in places.items()],
            "free": [
                place.seat.first_at + place.seat.gap * served[pk] if served[pk] else place.next_free_at
                for pk, place in places.items()
            ],
        },
    )
