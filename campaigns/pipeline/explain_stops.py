"""What stands still as a whole: pulled levers, wishes that wait for a second person, and the machinery itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import redis
from django.conf import settings

from outreach.common import queues

LEASE = "cron"  # whose holder plans and batches

# Of the platform's own stops a tenant's person learns that they hold; label and reason only from a row in sight.
STOPS = """
SELECT s.id, s.scope, s.key, s.operator, s.organisational, s.since, s.until, s.label, s.reason, FALSE
FROM campaigns_stop s
WHERE s.tenant_id = %(tenant)s AND s.lifted_at IS NULL AND (s.until IS NULL OR s.until > %(now)s)
UNION ALL
SELECT p.id, p.scope, p.key, p.operator, p.organisational, p.since, p.until, coalesce(s.label, ''),
    coalesce(s.reason, ''), TRUE
FROM campaigns_platform_stops(%(now)s) p LEFT JOIN campaigns_stop s ON s.id = p.id
ORDER BY 6, 1"""

APPROVALS = """
SELECT id, act, subject_id, asked_at, expires_at, (terms ->> 'contacts')::bigint FROM tenants_approval
WHERE tenant_id = %(tenant)s AND state = 'asked' AND expires_at > %(now)s ORDER BY id"""

MACHINERY = """
SELECT (SELECT until FROM tenants_lease WHERE name = %(lease)s),
    (SELECT started_at FROM campaigns_planrun WHERE tenant_id = %(tenant)s ORDER BY started_at DESC LIMIT 1)"""


@dataclass(frozen=True, slots=True)
class Stop:
    """An open stop. Without a label its row is not for whoever asks."""

    id: int
    scope: str
    key: int | None
    operator: str
    organisational: str
    since: datetime
    until: datetime | None
    label: str
    reason: str
    is_platform: bool


@dataclass(frozen=True, slots=True)
class Stops:
    """The open stops that can concern a tenant, oldest first."""

    rows: Sequence[Stop] = ()

    def by_id(self, pk: int) -> Stop:
        return next(row for row in self.rows if row.id == pk)

    def of_campaign(self, tenant_id: int, pool_id: int | None, campaign_id: int) -> list[Stop]:
        """Those that hold all of a campaign's mail."""
        keys = {"platform": None, "tenant": tenant_id, "pool": pool_id, "campaign": campaign_id}
        return [row for row in self.rows if row.scope in keys and row.key == keys[row.scope]]

    def of_mailbox(self, domain_id: int, account_id: int, quota_id: int | None) -> Stop | None:
        """The first that holds what leaves by that domain, account or quota group."""
        keys = {"domain": domain_id, "account": account_id, "organisation": quota_id}
        return next((row for row in self.rows if row.scope in keys and row.key == keys[row.scope]), None)

    def of_receivers(self, organisational: frozenset[str]) -> dict[str, Stop]:
        """{operator: the stop} where nothing from these sending domains may go to it."""
        found: dict[str, Stop] = {}
        partly: dict[str, set[str]] = {}
        for row in self.rows:
            if row.scope != "receiver":
                continue
            if not row.organisational:
                found.setdefault(row.operator, row)
                continue
            stopped = partly.setdefault(row.operator, set())
            stopped.add(row.organisational)
            if organisational and stopped >= organisational:
                found.setdefault(row.operator, row)
        return found


@dataclass(frozen=True, slots=True)
class Wish:
    """An act that waits for a second person."""

    id: int
    act: str
    subject_id: int
    asked_at: datetime
    expires_at: datetime
    contacts: int | None


@dataclass(frozen=True, slots=True)
class Queue:
    """What Redis says of the workers that send; not `asked` where nobody looked."""

    asked: bool = False
    down: bool = False
    listeners: int = 0

    @property
    def is_read(self) -> bool:
        return not self.asked or (not self.down and self.listeners > 0)


@dataclass(frozen=True, slots=True)
class Machinery:
    """Until when somebody leads, when the tenant was last planned, and whether workers listen."""

    lease_until: datetime | None
    planned_at: datetime | None
    queue: Queue = field(default_factory=Queue)

    def leads(self, now: datetime) -> bool:
        return self.lease_until is not None and self.lease_until > now

    def plans(self, now: datetime, oldest: datetime | None) -> bool:
        """Whether the planner keeps up: it ran lately, or nobody waits for long enough to say that it did not."""
        patience = timedelta(seconds=2 * settings.PLAN_EVERY_SECONDS)
        if oldest is None or oldest > now - patience:
            return True
        return self.planned_at is not None and self.planned_at > now - patience

    @property
    def next_run_at(self) -> datetime | None:
        return self.planned_at and self.planned_at + timedelta(seconds=settings.PLAN_EVERY_SECONDS)


def load(cursor: Any, tenant_id: int, now: datetime) -> Stops:
    cursor.execute(STOPS, {"tenant": tenant_id, "now": now})
    return Stops([Stop(*row) for row in cursor.fetchall()])


def wishes(cursor: Any, tenant_id: int, now: datetime) -> Mapping[tuple[str, int], Wish]:
    """{(act, id of its row): the wish}."""
    cursor.execute(APPROVALS, {"tenant": tenant_id, "now": now})
    return {(row[1], row[2]): Wish(*row) for row in cursor.fetchall()}


def machinery(cursor: Any, tenant_id: int, queue: Queue) -> Machinery:
    cursor.execute(MACHINERY, {"tenant": tenant_id, "lease": LEASE})
    lease_until, planned_at = cursor.fetchone()
    return Machinery(lease_until, planned_at, queue)


def look_at_queue() -> Queue:
    """Ask Redis who reads the send queue; a silent one is an answer."""
    try:
        return Queue(asked=True, listeners=queues.listeners("send"))
    except (redis.RedisError, OSError):
        return Queue(asked=True, down=True)
