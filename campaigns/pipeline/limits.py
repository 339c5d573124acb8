"""What mailboxes share: domains, accounts, quota groups, and receivers; how much of each is left.

A rolling day is counted in whole UTC hours, the present one and the twenty-four before it: at most an hour more than
the host counts, never less. What several tenants share is locked before it is read, in one order, until the run ends.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from campaigns.pipeline.slots import Limit
from mailboxes import quotas
from mailboxes.ways.sql import LEAVES_BY, QUOTA_GROUP

ROLLING = timedelta(hours=24)
UNLIMITED = 2_000_000_000  # the cap of an allowance where no limit is set: counted all the same
OTHER = "other"  # who runs a recipient's mail, while nobody has looked

# A receiver is no row: this number stands for an organisational sending domain and an operator.
RECEIVER_KEY = "hashtextextended({organisational} || ' ' || {operator}, 0)"

LOCK_GROUPS = f"""
SELECT g.id FROM mailboxes_quotagroup g WHERE g.id IN (
    SELECT {QUOTA_GROUP} FROM mailboxes_mailbox b
    JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY} WHERE b.tenant_id = %(tenant)s AND b.state <> 'retired')
ORDER BY g.id FOR NO KEY UPDATE"""

ORGANISATIONS = """
SELECT DISTINCT organisational FROM mailboxes_sendingdomain WHERE tenant_id = %(tenant)s AND state <> 'retired'"""

LOCK_RECEIVERS = f"""
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT {RECEIVER_KEY.format(organisational="d.organisational", operator="l.operator")} AS key
    FROM unnest(%(organisations)s::text[]) AS d (organisational) CROSS JOIN mailboxes_receiverlimit l
    WHERE l.hourly_cap > 0 OR l.daily_cap > 0
    ORDER BY key
) AS each"""

USED = """
SELECT w.n, coalesce(sum(al.reserved), 0)
FROM unnest(%(scopes)s::text[], %(keys)s::bigint[], %(sinces)s::timestamptz[], %(untils)s::timestamptz[])
    WITH ORDINALITY AS w (scope, key, since, until, n)
JOIN mailboxes_allowance al
    ON al.scope = w.scope AND al.key = w.key AND al.period_start >= w.since AND al.period_start <= w.until
GROUP BY w.n"""


@dataclass(frozen=True, slots=True)
class Counted:
    """One count of allowances: of `scope` and `key`, over the periods from `since` to `until`, both included."""

    scope: str
    key: int
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Locked:
    """What this run alone may count until it ends: quota groups, and what organisations send to receivers."""

    groups: frozenset[int]
    organisations: frozenset[str]

    def covers(self, quota_id: int | None, organisational: str) -> bool:
        """Whether a mailbox that is part of these may be planned; one that joined a moment ago waits for a run."""
        return (quota_id is None or quota_id in self.groups) and organisational in self.organisations


class _Anything(Locked):
    def covers(self, quota_id: int | None, organisational: str) -> bool:
        return True


ANYTHING = _Anything(frozenset(), frozenset())  # for who only looks and plans nothing


def lock(cursor: Any, tenant_id: int) -> Locked:
    """Let no other tenant's run count what this tenant's mailboxes share with its own."""
    cursor.execute(LOCK_GROUPS, {"tenant": tenant_id})
    groups = [pk for (pk,) in cursor.fetchall()]
    cursor.execute(ORGANISATIONS, {"tenant": tenant_id})
    organisations = [name for (name,) in cursor.fetchall()]
    cursor.execute(LOCK_RECEIVERS, {"organisations": organisations})
    return Locked(frozenset(groups), frozenset(organisations))


def used(cursor: Any, counted: Sequence[Counted]) -> list[int]:
    """What is reserved of each, in their order."""
    if not counted:
        return []
    cursor.execute(
        USED,
        {
            "scopes": [each.scope for each in counted],
            "keys": [each.key for each in counted],
            "sinces": [each.since for each in counted],
            "untils": [each.until for each in counted],
        },
    )
    sums = dict(cursor.fetchall())
    return [int(sums.get(n, 0)) for n in range(1, len(counted) + 1)]


@dataclass(frozen=True, slots=True)
class Caps:
    """What a mailbox shares, with the caps of it; None: no limit. `day` of a domain is of the tenant's zone."""

    domain_id: int
    organisational: str
    domain_hour: int | None
    domain_day: int | None
    account_id: int
    account_hour: int | None
    quota_id: int | None
    quota: quotas.Quota
    quota_free_at: datetime | None = None  # until when the seconds of its quota are planned already

    @property
    def of_the_hour(self) -> bool:
        """Whether its mail is counted by the hour, so that it has to leave in the hour it was planned for."""
        by_quota = self.quota_id is not None and self.quota != quotas.Quota()
        return by_quota or self.domain_hour is not None or self.account_hour is not None

    @property
    def limits(self) -> tuple[Limit, ...]:
        found: list[Limit] = []
        if self.domain_hour is not None or self.domain_day is not None:
            found.append(("domain", self.domain_id))
        if self.account_hour is not None:
            found.append(("account", self.account_id))
        if self.quota_id is not None and (self.quota.daily is not None or self.quota.per_second is not None):
            found.append(("quota", self.quota_id))
        return tuple(found)


def rate_left(per_second: float, free_at: datetime | None, now: datetime, limit: datetime) -> int:
    """How many messages of a rate per second one run may plan before the limit, after those planned already.

    No more than half of them, rounded up, so that tenants that share it all come to their turn.
    """
    seconds = (limit - max(now, free_at or now)).total_seconds()
    return math.ceil(math.floor(max(per_second * seconds, 0)) / 2)


def lefts(
    cursor: Any, caps: Iterable[Caps], hour: datetime, day_label: datetime, now: datetime, limit: datetime
) -> dict[Limit, int]:  # fmt: skip
    """How much is left of each limit that these share, below 0 where its cap was lowered under what was reserved."""
    known: dict[tuple[str, int], tuple[Limit, int, datetime, datetime]] = {}
    rates: dict[Limit, int] = {}
    for each in caps:
        domain, account = ("domain", each.domain_id), ("account", each.account_id)
        if each.domain_hour is not None:
            known["domain_hour", each.domain_id] = (domain, each.domain_hour, hour, hour)
        if each.domain_day is not None:
            known["domain_day", each.domain_id] = (domain, each.domain_day, day_label, day_label)
        if each.account_hour is not None:
            known["account_hour", each.account_id] = (account, each.account_hour, hour, hour)
        if each.quota_id is not None:
            quota = ("quota", each.quota_id)
            if each.quota.daily is not None:
                known["quota_hour", each.quota_id] = (quota, each.quota.daily, hour - ROLLING, hour)
            if each.quota.per_second is not None:
                rates[quota] = rate_left(each.quota.per_second, each.quota_free_at, now, limit)
    counted = [Counted(scope, key, since, until) for (scope, key), (_, _, since, until) in known.items()]
    found = dict(rates)
    for (of, cap, _, _), taken in zip(known.values(), used(cursor, counted), strict=True):
        found[of] = min(found.get(of, UNLIMITED), cap - taken)
    return found


def users_left(cursor: Any, users: Mapping[int, int], hour: datetime) -> dict[int, int]:
    """{mailbox id: what its host lets it send yet}, of {mailbox id: messages in 24 hours}; below 0: a lowered cap."""
    counted = [Counted("mailbox_hour", pk, hour - ROLLING, hour) for pk in users]
    return {pk: users[pk] - taken for pk, taken in zip(users, used(cursor, counted), strict=True)}
