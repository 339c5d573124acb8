"""What each mailbox of some pools could send now and today, and what stops it: the planner's seats with their reasons.

The planner asks whether a mailbox may send (`gates.SENDABLE`); here the same fragment decides, and the reason is
looked up only where it says no. Slots come from the planner's own calculation (`slots.gap`, `slots.room`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings

from campaigns.ledger import gates
from campaigns.pipeline import explain_limits, slots
from campaigns.pipeline.explain_limits import Limits
from campaigns.pipeline.explain_stops import Stops
from campaigns.pipeline.explain_weigh import PACE, Box, Why
from mailboxes.capacity import PROBING_CAP
from mailboxes.services.domain_ramp_sql import TOO_YOUNG
from mailboxes.ways.sql import LEAVES_BY, QUOTA_GROUP

BOXES = f"""
SELECT b.id, b.tenant_id, b.pool_id, b.address, b.state, b.hold, b.state_reason, b.weight, b.health,
    b.daily_cap, b.ramp_cap, b.reserve_share,
    CASE b.state WHEN 'reserve' THEN floor(least(b.daily_cap, b.ramp_cap) * b.reserve_share)::int
        WHEN 'probing' THEN least(b.daily_cap, b.ramp_cap, {PROBING_CAP})
        ELSE least(b.daily_cap, b.ramp_cap) END AS cap,
    b.min_gap_seconds, b.blocked_until, b.last_dot_at, b.held_until,
    greatest(r.next_free_at, b.last_dot_at + make_interval(secs => b.min_gap_seconds)) AS free_at,
    coalesce(r.virtual_time, 0) AS virtual_time, r.planned_in,
    d.id, d.name, d.organisational, d.state, d.state_reason, d.hourly_cap, least(d.daily_cap, d.ramp_cap),
    a.id, a.host, a.state, a.state_reason, a.blocked_until, a.hourly_cap,
    {QUOTA_GROUP}, {TOO_YOUNG}, {gates.SENDABLE} AND NOT {TOO_YOUNG} AS sendable
FROM mailboxes_mailbox b
JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY}
LEFT JOIN mailboxes_rotation r ON r.mailbox_id = b.id
WHERE b.pool_id = ANY (%(pools)s) AND b.state <> 'retired' OR b.id = %(mailbox)s
ORDER BY b.id"""


@dataclass(frozen=True, slots=True)
class Row:
    """A mailbox with its domain, account and place in the rotation, as the database has it."""

    id: int
    tenant_id: int
    pool_id: int
    address: str
    state: str
    hold: str
    state_reason: str
    weight: float
    health: float
    daily_cap: int
    ramp_cap: int | None
    reserve_share: float
    cap: int
    min_gap_seconds: int
    blocked_until: datetime | None
    last_dot_at: datetime | None
    held_until: datetime | None
    free_at: datetime | None
    virtual_time: float
    planned_in: datetime | None
    domain_id: int
    domain: str
    organisational: str
    domain_state: str
    domain_reason: str
    domain_hour: int | None
    domain_day: int | None
    account_id: int
    host: str
    account_state: str
    account_reason: str
    account_blocked_until: datetime | None
    account_hour: int | None
    quota_id: int | None
    too_young: bool
    sendable: bool

    @property
    def share_weight(self) -> float:
        """What it counts in its pool's rotation."""
        return self.weight * self.health * self.cap


@dataclass(frozen=True, slots=True)
class Times:
    """When: now, the end of a planner run's look ahead, and for each pool until when mail may leave today.

    `closes` has the pools that are open now; `prompt` those in which a campaign goes as fast as the gaps allow.
    """

    now: datetime
    hour: datetime
    limit: datetime
    day_ends_at: datetime
    closes: Mapping[int, datetime] = field(default_factory=dict)
    prompt: frozenset[int] = frozenset()

    def window_left(self, pool_id: int) -> timedelta | None:
        """How long the pool's mail is to last; None: it needs to last for nothing."""
        if pool_id in self.prompt or pool_id not in self.closes:
            return None
        return self.closes[pool_id] - self.now


@dataclass(frozen=True, slots=True)
class Seat:
    """A mailbox's row with what came of it."""

    row: Row
    box: Box
    gap: timedelta
    first_at: datetime
    cap_left: int
    user_left: int | None


def load(cursor: Any, pools: Iterable[int], day: date, mailbox_id: int = 0) -> list[Row]:
    """The mailboxes of these pools that are not retired, and the one asked for in any state."""
    cursor.execute(
        BOXES,
        {
            "pools": list(pools),
            "mailbox": mailbox_id,
            "day": day,
            "first_send_after_days": settings.FIRST_SEND_AFTER_DAYS,
        },
    )
    return [Row(*row) for row in cursor.fetchall()]


def seats(
    rows: Sequence[Row], limits: Limits, stops: Stops, waiting_approvals: frozenset[tuple[str, int]], times: Times
) -> dict[int, Seat]:
    """{mailbox id: seat}."""
    return {row.id: _seat(row, limits, stopped_by(row, stops, waiting_approvals, times.now), times) for row in rows}


def _seat(row: Row, limits: Limits, stopped: Why | None, times: Times) -> Seat:
    cap_left = max(row.cap - limits.reserved_today(row.id), 0)
    user_left = limits.user_left(row.id)
    left = cap_left if user_left is None else min(cap_left, user_left)
    first_at = max(times.now, row.free_at) if row.free_at else times.now
    gap = slots.gap(timedelta(seconds=row.min_gap_seconds), times.window_left(row.pool_id), left)
    closes = min(times.closes.get(row.pool_id, times.day_ends_at), times.day_ends_at)
    shared = limits.of(row)
    limit = times.limit
    if any(scope in explain_limits.BY_HOUR for _, scope, _ in shared) or user_left is not None:
        limit = min(limit, times.hour + timedelta(hours=1))
    today = slots.room(first_at, closes, gap, left)
    narrow: Why = ("cap", "mailbox_day", row.id)
    if user_left is not None and user_left < cap_left:
        narrow = ("cap", "mailbox_hour", row.id)
    if today < left:
        narrow = PACE
    box = Box(
        mailbox_id=row.id,
        now=min(slots.room(first_at, limit, gap, left), today),
        today=today,
        cap=row.cap,
        narrow=_merged(narrow),
        stopped=stopped,
        lost=left,
        limits=shared,
    )
    return Seat(row, box, gap, first_at, cap_left, user_left)


def _merged(why: Why) -> Why:
    """The own caps of many mailboxes are one cause."""
    kind, name, _ = why
    return kind, name, 0


def stopped_by(row: Row, stops: Stops, waiting_approvals: frozenset[tuple[str, int]], now: datetime) -> Why | None:
    """What keeps a mailbox from sending whatever its caps; the first in the order of the causes."""
    stop = stops.of_mailbox(row.domain_id, row.account_id, row.quota_id)
    if stop is not None:
        return ("stop", stop.scope, stop.id)
    if row.sendable and row.weight * row.health > 0 and row.state != "retired":
        return None
    if row.state == "quarantined" and ("mailbox.release", row.id) in waiting_approvals:
        return ("approval", "mailbox.release", 0)
    if row.account_state != "active" and ("account.reopen", row.account_id) in waiting_approvals:
        return ("approval", "account.reopen", row.account_id)
    if row.domain_state not in ("verified", "degraded"):
        return ("domain", row.domain_state, row.domain_id)
    if row.too_young:
        return ("domain", "too_young", row.domain_id)
    return ("circuit", *_circuit(row, now))


def _circuit(row: Row, now: datetime) -> tuple[str, int]:
    if row.state in ("quarantined", "retired"):
        return row.state, 0
    if row.hold != "none":
        return row.hold, 0
    if row.account_state != "active":
        return f"account_{row.account_state}", row.account_id
    if row.account_blocked_until is not None and row.account_blocked_until > now:
        return "account_blocked", row.account_id
    if row.weight * row.health <= 0:
        return "no_health", 0
    return "mailbox_blocked", 0
