"""What the planner has to work with: running campaigns with their open windows, mailboxes with room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from campaigns.ledger import gates
from campaigns.pipeline import slots, windows
from campaigns.pipeline.slots import Seat

UNLIMITED = 2_000_000_000  # the cap of an allowance where no limit is set: counted all the same
PROBING_CAP = 5  # mails a day of a mailbox on probation

CAMPAIGNS = f"""
SELECT c.id, c.pool_id, c.window_from, c.window_until, c.window_days, c.pace, c.daily_cap, c.zones,
    coalesce(al.reserved, 0), st.id, st.position
FROM campaigns_campaign c
JOIN LATERAL (
    SELECT DISTINCT ON (position) id, position FROM campaigns_step
    WHERE campaign_id = c.id ORDER BY position, version DESC
) AS st ON TRUE
LEFT JOIN mailboxes_allowance al
    ON al.scope = 'campaign_day' AND al.key = c.id AND al.period_start = %(day)s::timestamp AT TIME ZONE 'UTC'
WHERE c.tenant_id = %(tenant)s AND c.status = 'running' AND NOT {gates.CAMPAIGN_STOPPED}
ORDER BY c.id, st.position"""

# least() passes over the ramp_cap of a mailbox without a ramp, which is null.
# Also the mailboxes that may not send now, so that `latest` is the pool's last run and who was in it is known.
SEATS = f"""
SELECT * FROM (
    SELECT b.id, b.pool_id, b.domain_id, b.weight * b.health AS weight,
        CASE b.state WHEN 'reserve' THEN floor(least(b.daily_cap, b.ramp_cap) * b.reserve_share)::int
            WHEN 'probing' THEN least(b.daily_cap, b.ramp_cap, {PROBING_CAP})
            ELSE least(b.daily_cap, b.ramp_cap) END AS cap,
        b.min_gap_seconds,
        greatest(r.next_free_at, b.last_dot_at + make_interval(secs => b.min_gap_seconds)) AS free_at,
        coalesce(r.virtual_time, 0) AS virtual_time,
        coalesce(r.planned_in = max(r.planned_in) OVER (PARTITION BY b.pool_id), FALSE) AS continuing,
        coalesce(al.reserved, 0) AS reserved, d.hourly_cap, coalesce(hour.reserved, 0) AS hour_reserved,
        {gates.SENDABLE} AS sendable
    FROM mailboxes_mailbox b
    JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
    JOIN mailboxes_provideraccount a ON a.id = b.home_id
    LEFT JOIN mailboxes_rotation r ON r.mailbox_id = b.id
    LEFT JOIN mailboxes_allowance al ON al.scope = 'mailbox_day' AND al.key = b.id
        AND al.period_start = %(day)s::timestamp AT TIME ZONE 'UTC'
    LEFT JOIN mailboxes_allowance hour ON hour.scope = 'domain_hour' AND hour.key = b.domain_id
        AND hour.period_start = %(hour)s
    WHERE b.pool_id = ANY (%(pools)s) AND b.state <> 'retired'
) AS every WHERE sendable AND weight > 0 ORDER BY id"""


@dataclass(frozen=True, slots=True)
class StepRef:
    id: int
    position: int


@dataclass(frozen=True, slots=True)
class Running:
    """A running campaign: what it may still plan today, and until when it is open in each zone."""

    id: int
    pool_id: int
    prompt: bool
    left: int
    cap: int
    steps: tuple[StepRef, ...]
    open_until: dict[str, datetime]


def load_campaigns(cursor: Any, tenant_id: int, now: datetime, day: date) -> list[Running]:
    """The tenant's running campaigns with the zones whose window is open now."""
    cursor.execute(CAMPAIGNS, {"tenant": tenant_id, "day": day})
    grouped: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in cursor.fetchall():
        grouped[row[0]].append(row)
    return [_running(rows, now) for rows in grouped.values()]


def _running(rows: Sequence[tuple[Any, ...]], now: datetime) -> Running:
    pk, pool_id, opens, closes, days, pace, daily_cap, zones, reserved, _, _ = rows[0]
    window = windows.Window(opens, closes, frozenset(days))
    open_until = {}
    for zone in zones:
        opening = windows.opening(window, ZoneInfo(zone), now)
        if opening.closes_at is not None:
            open_until[zone] = opening.closes_at
    cap = UNLIMITED if daily_cap is None else daily_cap
    steps = tuple(StepRef(row[9], row[10]) for row in rows)
    return Running(pk, pool_id, pace == "prompt", max(cap - reserved, 0), cap, steps, open_until)


@dataclass(frozen=True, slots=True)
class Place:
    """A seat, and the caps that its allowances carry."""

    seat: Seat
    cap: int
    hourly_cap: int | None
    next_free_at: datetime | None


def load(cursor: Any, campaigns: Iterable[Running], now: datetime, day: date, limit: datetime) -> dict[int, Place]:
    """{mailbox id: place} for every mailbox of the campaigns' pools that has a slot before the limit.

    Slots of a domain with an hourly cap end with the hour, since the next hour has an
    allowance of its own. Who joins or returns starts at the least virtual time of its pool.
    """
    open_campaigns = [campaign for campaign in campaigns if campaign.open_until]
    pools = sorted({campaign.pool_id for campaign in open_campaigns})
    hour = windows.hour_of(now)
    cursor.execute(SEATS, {"pools": pools, "day": day, "hour": hour})
    left = {pool_id: _window_left(open_campaigns, pool_id, now) for pool_id in pools}
    places: dict[int, Place] = {}
    continuing: dict[int, bool] = {}
    for row in cursor.fetchall():
        place, went_on = _place(row, left, now, limit, hour)
        if place is not None:
            places[place.seat.mailbox_id] = place
            continuing[place.seat.mailbox_id] = went_on
    if places:
        for seat in slots.join([place.seat for place in places.values()], continuing):
            places[seat.mailbox_id] = replace(places[seat.mailbox_id], seat=seat)
    return places


def _window_left(campaigns: Iterable[Running], pool_id: int, now: datetime) -> timedelta | None:
    """How long the pool's mail is to last; None where a campaign of it wants to go promptly."""
    of_pool = [campaign for campaign in campaigns if campaign.pool_id == pool_id]
    if any(campaign.prompt for campaign in of_pool):
        return None
    return max(until for campaign in of_pool for until in campaign.open_until.values()) - now


def _place(
    row: tuple[Any, ...], left: dict[int, timedelta | None], now: datetime, limit: datetime, hour: datetime
) -> tuple[Place | None, bool]:
    (
        pk,
        pool_id,
        domain_id,
        weight,
        cap,
        min_gap,
        free_at,
        virtual_time,
        went_on,
        reserved,
        hourly_cap,
        in_hour,
        _,
    ) = row
    cap_left = cap - reserved
    if cap_left <= 0:
        return None, False  # out of rotation until its next day, so that it does not catch up then
    if hourly_cap is not None:
        limit = min(limit, hour + timedelta(hours=1))
    gap = slots.gap(timedelta(seconds=min_gap), left[pool_id], cap_left)
    first_at = max(now, free_at) if free_at else now
    seat = Seat(
        mailbox_id=pk,
        pool_id=pool_id,
        domain_id=domain_id,
        weight=weight * cap,
        virtual_time=virtual_time,
        first_at=first_at,
        gap=gap,
        room=slots.room(first_at, limit, gap, cap_left),
        domain_left=None if hourly_cap is None else max(hourly_cap - in_hour, 0),
    )
    return Place(seat, cap, hourly_cap, free_at), went_on
