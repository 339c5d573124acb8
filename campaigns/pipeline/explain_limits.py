"""What is used of each cap that mailboxes have or share, read from the allowances in two queries.

A rolling day is the present UTC hour and the twenty-four before it. What several tenants share is read by a function
that knows only sums, since its rows are nobody's who asks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from campaigns.pipeline.explain_weigh import Left, Why
from campaigns.pipeline.limits import RECEIVER_KEY, ROLLING, rate_left
from mailboxes import quotas
from mailboxes.models import QuotaGroup, ReceiverLimit

if TYPE_CHECKING:
    from campaigns.pipeline.explain_boxes import Row, Times

BY_HOUR = frozenset({"domain_hour", "account_hour", "quota_hour", "quota_rate"})
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # when the one period of a campaign's total began
ROLLS = frozenset({"mailbox_hour", "quota_hour"})

OWN = """
SELECT w.n, coalesce(sum(al.reserved), 0), min(al.period_start) FILTER (WHERE al.reserved > 0)
FROM unnest(%(scopes)s::text[], %(keys)s::bigint[], %(sinces)s::timestamptz[], %(untils)s::timestamptz[])
    WITH ORDINALITY AS w (scope, key, since, until, n)
JOIN mailboxes_allowance al ON al.scope = w.scope AND al.key = w.key
    AND al.period_start >= w.since AND al.period_start <= w.until
GROUP BY w.n"""

OF_PLATFORM = """
SELECT n, reserved, oldest FROM campaigns_platform_reserved(
    %(scopes)s::text[], %(keys)s::bigint[], %(sinces)s::timestamptz[], %(untils)s::timestamptz[])"""

RECEIVER_KEYS = f"""
SELECT organisational, operator, {RECEIVER_KEY.format(organisational="organisational", operator="operator")}
FROM unnest(%s::text[], %s::text[]) AS r (organisational, operator)"""


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a cap is reserved, and when that becomes less; `ends_at` None: not before the period ends."""

    scope: str
    key: int
    cap: int
    used: int
    ends_at: datetime

    @property
    def left(self) -> int:
        return max(self.cap - self.used, 0)


@dataclass(slots=True)
class Limits:
    """Every cap with its use, by (scope, key); the quotas of groups, and what receivers take."""

    uses: dict[tuple[str, int], Use] = field(default_factory=dict)
    groups: dict[int, quotas.Quota] = field(default_factory=dict)
    group_names: dict[int, str] = field(default_factory=dict)
    rates_free_at: dict[int, datetime | None] = field(default_factory=dict)
    hour: datetime = datetime.min.replace(tzinfo=UTC)

    def use(self, scope: str, key: int) -> Use | None:
        return self.uses.get((scope, key))

    def reserved_today(self, mailbox_id: int) -> int:
        found = self.uses.get(("mailbox_day", mailbox_id))
        return found.used if found else 0

    def user_left(self, mailbox_id: int) -> int | None:
        """What its host lets one mailbox send yet; None: no such limit."""
        found = self.uses.get(("mailbox_hour", mailbox_id))
        return found.left if found else None

    def of(self, row: Row) -> tuple[Why, ...]:
        """What a mailbox shares and has a cap for, narrow ones first."""
        scopes = (
            ("domain_hour", row.domain_id, row.domain_hour),
            ("domain_day", row.domain_id, row.domain_day),
            ("account_hour", row.account_id, row.account_hour),
        )
        found: list[Why] = [("cap", scope, key) for scope, key, cap in scopes if cap is not None]
        quota = self.groups.get(row.quota_id or 0)
        if quota is not None and quota.daily is not None:
            found.append(("cap", "quota_hour", row.quota_id or 0))
        if quota is not None and quota.per_second is not None:
            found.append(("cap", "quota_rate", row.quota_id or 0))
        return tuple(found)

    def lefts(self, shared: Iterable[Why], times: Times, closes: datetime) -> dict[Why, Left]:
        """What is left of each in the next run and until the windows close."""
        hours_to_come = max(math.ceil((closes - times.hour) / timedelta(hours=1)) - 1, 0)
        found = {}
        for why in set(shared):
            _, scope, key = why
            if scope == "quota_rate":
                rate = self.groups[key].per_second or 0
                now = rate_left(rate, self.rates_free_at[key], times.now, times.limit)
                found[why] = Left(now, math.floor(rate * (closes - times.now).total_seconds()))
                continue
            use = self.uses[scope, key]
            by_hour = scope in ("domain_hour", "account_hour")
            found[why] = Left(use.left, use.left + use.cap * hours_to_come if by_hour else use.left)
        return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    scope: str
    key: int
    cap: int
    since: datetime
    until: datetime
    of_platform: bool = False


def load(
    cursor: Any,
    rows: Sequence[Row],
    campaigns: Mapping[int, int | None],
    tenants: Mapping[int, int | None],
    totals: Mapping[int, int | None],
    *,
    day: date,
    hour: datetime,
    day_ends_at: datetime,
) -> Limits:
    """The caps of these mailboxes and of what they share, of {campaign: cap}, {tenant: cap} and {campaign: total}."""
    found = Limits(hour=hour)
    group_ids = {row.quota_id for row in rows if row.quota_id is not None}
    if group_ids:
        for group in QuotaGroup.objects.filter(pk__in=group_ids):
            found.groups[group.pk], found.group_names[group.pk] = group.quota, group.name
            found.rates_free_at[group.pk] = group.next_free_at
    label = datetime.combine(day, time(), UTC)
    wanted: dict[tuple[str, int], _Wanted] = {}

    def want(scope: str, key: int, cap: int | None, since: datetime, until: datetime) -> None:
        if cap is not None:
            wanted[scope, key] = _Wanted(scope, key, cap, since, until, scope == "quota_hour")

    for row in rows:
        quota = found.groups.get(row.quota_id or 0, quotas.Quota())
        want("mailbox_day", row.id, row.cap, label, label)
        want("mailbox_hour", row.id, quota.user_daily, hour - ROLLING, hour)
        want("domain_hour", row.domain_id, row.domain_hour, hour, hour)
        want("domain_day", row.domain_id, row.domain_day, label, label)
        want("account_hour", row.account_id, row.account_hour, hour, hour)
        want("quota_hour", row.quota_id or 0, quota.daily, hour - ROLLING, hour)
    for scope, caps in (("campaign_day", campaigns), ("tenant_day", tenants)):
        for key, cap in caps.items():
            want(scope, key, cap, label, label)
    for key, cap in totals.items():
        want("campaign_total", key, cap, EPOCH, EPOCH)
    for each, (used, oldest) in _used(cursor, list(wanted.values())):
        ends_at = hour + timedelta(hours=1) if each.scope.endswith("_hour") else day_ends_at
        if each.scope in ROLLS:
            ends_at = (oldest or hour) + ROLLING + timedelta(hours=1)
        found.uses[each.scope, each.key] = Use(each.scope, each.key, each.cap, used, ends_at)
    return found


def _used(cursor: Any, wanted: Sequence[_Wanted]) -> list[tuple[_Wanted, tuple[int, datetime | None]]]:
    found = []
    for sql, of_platform in ((OWN, False), (OF_PLATFORM, True)):
        part = [each for each in wanted if each.of_platform == of_platform]
        if not part:
            continue
        cursor.execute(
            sql,
            {
                "scopes": [each.scope for each in part],
                "keys": [each.key for each in part],
                "sinces": [each.since for each in part],
                "untils": [each.until for each in part],
            },
        )
        sums = {n: (int(used), oldest) for n, used, oldest in cursor.fetchall()}
        found += [(each, sums.get(n, (0, None))) for n, each in enumerate(part, start=1)]
    return found


def full_receivers(cursor: Any, rows: Iterable[Row], hour: datetime) -> dict[str, Use]:
    """{operator: its fullest count} where none of these mailboxes' sending domains may write to it any more.

    An operator that one of the domains may still write to holds nobody: the planner takes that domain.
    """
    caps = list(ReceiverLimit.objects.exclude(hourly_cap=None, daily_cap=None))
    domains = sorted({row.organisational for row in rows if row.organisational})
    if not caps or not domains:
        return {}
    pairs = [(domain, cap.operator) for cap in caps for domain in domains]
    cursor.execute(RECEIVER_KEYS, [[domain for domain, _ in pairs], [operator for _, operator in pairs]])
    keys = {(domain, operator): key for domain, operator, key in cursor.fetchall()}
    wanted, of = [], []
    for cap in caps:
        for domain in domains:
            for most, since in ((cap.hourly_cap, hour), (cap.daily_cap, hour - ROLLING)):
                if most is not None:
                    wanted.append(_Wanted("receiver_hour", keys[domain, cap.operator], most, since, hour, True))
                    of.append((cap.operator, domain))
    full: dict[str, dict[str, Use]] = {}
    for (each, (used, oldest)), (operator, domain) in zip(_used(cursor, wanted), of, strict=True):
        if used < each.cap:
            continue
        ends_at = hour + timedelta(hours=1)
        if each.since != each.until:
            ends_at = (oldest or hour) + ROLLING + timedelta(hours=1)
        before = full.setdefault(operator, {}).get(domain)
        if before is None or before.ends_at < ends_at:
            full[operator][domain] = Use("receiver_hour", each.key, each.cap, used, ends_at)
    return {
        operator: min(uses.values(), key=lambda use: use.ends_at)
        for operator, uses in full.items()
        if len(uses) == len(domains)
    }
