"""The mailboxes of a tenant as the forecast looks at them, each kind once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from django.db import connection

from mailboxes import capacity, quotas
from mailboxes import ramp as rule
from mailboxes.models import RampPlan
from mailboxes.services import ramp
from mailboxes.ways.sql import LEAVES_BY, QUOTA_GROUP
from tenants.models import Tenant

# Of each ramp the last change, whether the last days with mail used their cap, and the last day decided on; a day that
# is not counted yet is taken as used.
BOXES = f"""
SELECT b.id, b.pool_id, b.state, b.daily_cap, b.reserve_share, b.weight * b.health AS weight, b.min_gap_seconds,
    b.state = 'quarantined' OR b.hold <> 'none' OR d.state NOT IN ('verified', 'degraded') OR a.state <> 'active'
        OR b.weight * b.health <= 0 AS stopped,
    greatest(b.blocked_until, a.blocked_until) AS blocked_until,
    b.ramp_id, b.ramp_cap, coalesce(change.day, last.day, %(day)s) AS changed_on,
    coalesce(last.day, %(day)s) AS decided_on, coalesce(recent.used, '{{}}'::bool[]) AS used,
    d.id AS domain_id, d.name AS domain, d.hourly_cap AS domain_hourly, d.daily_cap AS domain_daily,
    d.ramp_id AS domain_ramp, d.ramp_cap AS domain_ramp_cap,
    a.id AS account_id, a.host AS account, a.hourly_cap AS account_hourly,
    q.id AS quota_id, q.name AS quota, q.kind, q.licences, q.is_trial, q.daily_cap AS quota_daily,
    q.user_daily_cap, coalesce(al.reserved, 0) AS reserved
FROM mailboxes_mailbox b
JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY}
LEFT JOIN mailboxes_quotagroup q ON q.id = {QUOTA_GROUP}
LEFT JOIN mailboxes_allowance al ON al.scope = 'mailbox_day' AND al.key = b.id
    AND al.period_start = %(day)s::timestamp AT TIME ZONE 'UTC'
LEFT JOIN LATERAL (
    SELECT day FROM mailboxes_rampday WHERE mailbox_id = b.id AND day <= %(day)s ORDER BY day DESC LIMIT 1
) AS last ON b.ramp_id IS NOT NULL
LEFT JOIN LATERAL (
    SELECT day FROM mailboxes_rampday
    WHERE mailbox_id = b.id AND day <= %(day)s AND kind IN ('start', 'rise', 'step_back', 'restart')
    ORDER BY day DESC LIMIT 1
) AS change ON b.ramp_id IS NOT NULL
LEFT JOIN LATERAL (
    SELECT max(day) AS day FROM mailboxes_rampday
    WHERE mailbox_id = b.id AND day <= %(day)s AND kind IN ('start', 'step_back', 'restart')
) AS begun ON b.ramp_id IS NOT NULL
LEFT JOIN LATERAL (
    SELECT array_agg(used ORDER BY day) AS used FROM (
        SELECT day, coalesce(100 * sent >= {rule.USED_PERCENT} * allowed, TRUE) AS used FROM mailboxes_rampday
        WHERE mailbox_id = b.id AND day < %(day)s AND day >= coalesce(begun.day, day) AND coalesce(sent, 1) > 0
        ORDER BY day DESC LIMIT {rule.LOOKED_AT}
    ) AS days
) AS recent ON b.ramp_id IS NOT NULL
WHERE b.tenant_id = %(tenant)s AND b.state <> 'retired' AND (%(pool)s::bigint IS NULL OR b.pool_id = %(pool)s)
ORDER BY b.id"""  # noqa: S608 - numbers of ours

USED = """
SELECT scope, key, sum(reserved) FROM mailboxes_allowance
WHERE scope = 'domain_day' AND key = ANY (%(domains)s) AND period_start = %(day)s::timestamp AT TIME ZONE 'UTC'
   OR scope = 'quota_hour' AND key = ANY (%(quotas)s) AND period_start > %(now)s - interval '24 hours'
GROUP BY scope, key"""


@dataclass(frozen=True, slots=True)
class Loaded:
    """The fleet, and of each mailbox the place of its group in `fleet.groups`."""

    fleet: capacity.Fleet
    group_of: Mapping[int, int]


def load(tenant: Tenant, now: datetime, *, pool_id: int | None = None) -> Loaded:
    """The tenant's mailboxes that are not retired, of one pool or of all, as they stand at that moment."""
    today = ramp.day_of(tenant, now)
    with connection.cursor() as cursor:
        cursor.execute(BOXES, {"tenant": tenant.pk, "day": today, "pool": pool_id})
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    plans = {plan.pk: plan.rule for plan in RampPlan.objects.filter(tenant=tenant)}
    limits = _limits(rows, plans, today, now)
    groups: dict[capacity.Group, int] = {}
    counts: Counter[int] = Counter()
    reserved: Counter[int] = Counter()
    group_of = {}
    for row in rows:
        place = groups.setdefault(_group(row, plans, limits, tenant, now), len(groups))
        group_of[row["id"]] = place
        counts[place] += 1
        reserved[place] += row["reserved"]
    made = tuple(replace(group, count=counts[n], reserved=reserved[n]) for group, n in groups.items())
    return Loaded(capacity.Fleet(made, limits), group_of)


def standard_plan(tenant: Tenant) -> rule.Plan:
    """The ramp on which a new reserve would begin."""
    found = ramp.find_plan(tenant, ramp.STANDARD)
    return found.rule if found else rule.Plan()


def _group(
    row: dict[str, Any],
    plans: Mapping[int, rule.Plan],
    limits: Mapping[capacity.LimitKey, capacity.Limit],
    tenant: Tenant,
    now: datetime,
) -> capacity.Group:
    blocked = row["blocked_until"]
    keys = (("domain", row["domain_id"]), ("account", row["account_id"]), ("quota", row["quota_id"]))
    return capacity.Group(
        pool_id=row["pool_id"],
        state=row["state"],
        daily_cap=row["daily_cap"],
        ramp=None
        if row["ramp_id"] is None
        else capacity.Ramp(
            plans[row["ramp_id"]], row["ramp_cap"], row["changed_on"], row["decided_on"], tuple(row["used"])
        ),
        reserve_share=row["reserve_share"],
        weight=row["weight"],
        min_gap_seconds=row["min_gap_seconds"],
        user_daily_cap=None if row["quota_id"] is None else _quota(row).user_daily,
        stopped=row["stopped"],
        free_on=ramp.day_of(tenant, blocked) if blocked is not None and blocked > now else None,
        limits=tuple(key for key in keys if key in limits),
    )


def _quota(row: dict[str, Any]) -> quotas.Quota:
    return quotas.of(
        row["kind"], licences=row["licences"], is_trial=row["is_trial"], daily_cap=row["quota_daily"],
        user_daily_cap=row["user_daily_cap"],
    )  # fmt: skip


def _limits(
    rows: list[dict[str, Any]], plans: Mapping[int, rule.Plan], today: date, now: datetime
) -> dict[capacity.LimitKey, capacity.Limit]:
    """Only what limits anything: mailboxes of a domain without a cap are alike whatever their domain."""
    values: dict[str, Any] = {
        "domains": list({row["domain_id"] for row in rows}),
        "quotas": list({row["quota_id"] for row in rows if row["quota_id"] is not None}),
        "day": today,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(USED, values)
        used = {(scope, key): int(count) for scope, key, count in cursor.fetchall()}
    found: dict[capacity.LimitKey, capacity.Limit] = {}
    for row in rows:
        domain, account, quota = (
            ("domain", row["domain_id"]),
            ("account", row["account_id"]),
            ("quota", row["quota_id"]),
        )
        if domain not in found and any(
            row[name] is not None for name in ("domain_hourly", "domain_daily", "domain_ramp_cap")
        ):
            found[domain] = capacity.Limit(
                row["domain"], row["domain_hourly"], row["domain_daily"], _domain_ramp(row, plans, today),
                used.get(("domain_day", row["domain_id"]), 0),
            )  # fmt: skip
        if account not in found and row["account_hourly"] is not None:
            found[account] = capacity.Limit(row["account"], hourly=row["account_hourly"])
        if row["quota_id"] is not None and quota not in found and _quota(row).daily is not None:
            found[quota] = capacity.Limit(
                row["quota"], daily=_quota(row).daily, used_today=used.get(("quota_hour", row["quota_id"]), 0)
            )
    return found


def _domain_ramp(row: dict[str, Any], plans: Mapping[int, rule.Plan], today: date) -> capacity.Ramp | None:
    """A domain's ramp keeps no days of its own: the next step counts from today."""
    if row["domain_ramp"] is None:
        return None
    return capacity.Ramp(plans[row["domain_ramp"]], row["domain_ramp_cap"], today, today, (True,) * rule.LOOKED_AT)
