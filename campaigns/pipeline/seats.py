"""What the planner has to work with: running campaigns with their open windows, mailboxes with room."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.conf import settings

from campaigns.ledger import gates
from campaigns.pipeline import limits, slots, windows
from campaigns.pipeline.limits import UNLIMITED, Caps
from campaigns.pipeline.slots import Limit, Seat
from mailboxes import quotas
from mailboxes.capacity import PROBING_CAP
from mailboxes.models import QuotaGroup
from mailboxes.services.domain_ramp_sql import TOO_YOUNG
from mailboxes.ways.sql import LEAVES_BY, QUOTA_GROUP

# How many people more may be written to first while a canary runs; no row without one.
CANARY = """
    SELECT greatest(k.size - (
        SELECT count(*) FROM campaigns_message m JOIN campaigns_step first ON first.id = m.step_id
        WHERE m.campaign_id = c.id AND m.planned_at >= k.since AND first.position = 1
          AND m.status NOT IN ('suppressed', 'cancelled')
    ), 0) AS people_left
    FROM campaigns_canary k WHERE k.campaign_id = c.id AND k.state = 'running'"""

CAMPAIGNS = f"""
SELECT c.id, c.pool_id, c.window_from, c.window_until, c.window_days, c.pace, c.daily_cap, c.zones,
    coalesce(al.reserved, 0), c.total_cap, total.reserved, canary.people_left, st.id, st.position
FROM campaigns_campaign c
JOIN LATERAL (
    SELECT DISTINCT ON (position) id, position FROM campaigns_step
    WHERE campaign_id = c.id ORDER BY position, version DESC
) AS st ON TRUE
LEFT JOIN mailboxes_allowance al
    ON al.scope = 'campaign_day' AND al.key = c.id AND al.period_start = %(day)s::timestamp AT TIME ZONE 'UTC'
LEFT JOIN mailboxes_allowance total
    ON total.scope = 'campaign_total' AND total.key = c.id AND total.period_start = 'epoch'::timestamptz
LEFT JOIN LATERAL ({CANARY}) AS canary ON TRUE
WHERE c.tenant_id = %(tenant)s AND c.status = 'running' AND NOT {gates.CAMPAIGN_STOPPED}
ORDER BY c.id, st.position"""

# A campaign that is given a total counts from then on; what it wrote before is counted once. What was given back and
# not booked yet is booked after this.
START_TOTALS = """
INSERT INTO mailboxes_allowance (tenant_id, scope, key, period_start, label, cap, reserved)
SELECT c.tenant_id, 'campaign_total', c.id, 'epoch'::timestamptz, '', greatest(c.total_cap, n.count), n.count
FROM campaigns_campaign c CROSS JOIN LATERAL (
    SELECT (
        SELECT count(*) FROM campaigns_message m
        WHERE m.campaign_id = c.id AND m.status NOT IN ('suppressed', 'cancelled')
    ) + coalesce((
        SELECT sum(back.count) FROM mailboxes_allowancereturn back
        WHERE back.tenant_id = c.tenant_id AND back.scope = 'campaign_total' AND back.key = c.id
    ), 0) AS count
) AS n
WHERE c.tenant_id = %(tenant)s AND c.status = 'running' AND c.total_cap IS NOT NULL AND NOT EXISTS (
    SELECT FROM mailboxes_allowance al
    WHERE al.scope = 'campaign_total' AND al.key = c.id AND al.period_start = 'epoch'::timestamptz)
ORDER BY c.id"""

# least() passes over the ramp_cap of a mailbox without a ramp, which is null.
# Also the mailboxes that may not send now, so that `latest` is the pool's last run and who was in it is known.
SEATS = f"""
SELECT * FROM (
    SELECT b.id, b.pool_id, b.weight * b.health AS weight,
        CASE b.state WHEN 'reserve' THEN floor(least(b.daily_cap, b.ramp_cap) * b.reserve_share)::int
            WHEN 'probing' THEN least(b.daily_cap, b.ramp_cap, {PROBING_CAP})
            ELSE least(b.daily_cap, b.ramp_cap) END AS cap,
        b.min_gap_seconds,
        greatest(r.next_free_at, b.last_dot_at + make_interval(secs => b.min_gap_seconds)) AS free_at,
        coalesce(r.virtual_time, 0) AS virtual_time,
        coalesce(r.planned_in = max(r.planned_in) OVER (PARTITION BY b.pool_id), FALSE) AS continuing,
        coalesce(al.reserved, 0) AS reserved,
        d.id, d.organisational, d.hourly_cap, least(d.daily_cap, d.ramp_cap) AS daily_cap,
        a.id, a.hourly_cap, {QUOTA_GROUP} AS quota_group,
        {gates.SENDABLE} AND NOT {TOO_YOUNG} AS sendable
    FROM mailboxes_mailbox b
    JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
    JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY}
    LEFT JOIN mailboxes_rotation r ON r.mailbox_id = b.id
    LEFT JOIN mailboxes_allowance al ON al.scope = 'mailbox_day' AND al.key = b.id
        AND al.period_start = %(day)s::timestamp AT TIME ZONE 'UTC'
    WHERE b.pool_id = ANY (%(pools)s) AND b.state <> 'retired'
) AS every (id, pool_id, weight, cap, min_gap_seconds, free_at, virtual_time, continuing, reserved,
    domain_id, organisational, domain_hour, domain_day, account_id, account_hour, quota_id, sendable)
WHERE sendable AND weight > 0 ORDER BY id"""


@dataclass(frozen=True, slots=True)
class StepRef:
    id: int
    position: int


@dataclass(frozen=True, slots=True)
class Running:
    """A running campaign: what it may still plan today, and until when it is open in each zone.

    `people_left` is how many more people its canary lets be written to first; None: as many as there are.
    `total_left` is how many messages it may still have, retries apart; `total_cap` None: it is not counted.
    """

    id: int
    pool_id: int
    prompt: bool
    left: int
    cap: int
    steps: tuple[StepRef, ...]
    open_until: dict[str, datetime]
    people_left: int | None = None
    total_cap: int | None = None
    total_left: int = UNLIMITED


def new_people(campaigns: Iterable[Running], lefts: Mapping[int, int]) -> dict[int, int]:
    """What is left of each campaign for people who were not written to yet."""
    of_canary = {each.id: each.people_left for each in campaigns if each.people_left is not None}
    return {pk: min(left, of_canary.get(pk, left)) for pk, left in lefts.items()}


def load_campaigns(cursor: Any, tenant_id: int, now: datetime, day: date) -> list[Running]:
    """The tenant's running campaigns with the zones whose window is open now."""
    cursor.execute(START_TOTALS, {"tenant": tenant_id})
    cursor.execute(CAMPAIGNS, {"tenant": tenant_id, "day": day})
    grouped: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in cursor.fetchall():
        grouped[row[0]].append(row)
    return [_running(rows, now) for rows in grouped.values()]


def _running(rows: Sequence[tuple[Any, ...]], now: datetime) -> Running:
    pk, pool_id, opens, closes, days, pace, daily_cap, zones, reserved, total_cap, total, people_left, _, _ = rows[0]
    window = windows.Window(opens, closes, frozenset(days))
    open_until = {}
    for zone in zones:
        opening = windows.opening_in(window, zone, now)
        if opening.closes_at is not None:
            open_until[zone] = opening.closes_at
    cap = UNLIMITED if daily_cap is None else daily_cap
    steps = tuple(StepRef(row[-2], row[-1]) for row in rows)
    if total is not None and total_cap is None:
        total_cap = UNLIMITED  # once counted it is counted on, so that a total given again finds the true number
    total_left = UNLIMITED if total_cap is None else max(total_cap - (total or 0), 0)
    return Running(
        pk, pool_id, pace == "prompt", max(cap - reserved, 0), cap, steps, open_until, people_left,
        total_cap, total_left,
    )  # fmt: skip


def within_totals(
    campaigns: Iterable[Running], lefts: Mapping[int, int]
) -> tuple[dict[int, int], dict[int, int]]:  # fmt: skip
    """Once retries have their slots: what each campaign's new messages have left, and that as it was before them."""
    now_left = {campaign.id: min(lefts[campaign.id], campaign.total_left) for campaign in campaigns}
    retries = {campaign.id: campaign.left - lefts[campaign.id] for campaign in campaigns}
    return now_left, {pk: left + retries[pk] for pk, left in now_left.items()}


@dataclass(frozen=True, slots=True)
class Place:
    """A seat, the cap of its day, and the caps that it shares. `user_cap` is its host's, of rolling 24 hours."""

    seat: Seat
    cap: int
    caps: Caps
    user_cap: int | None
    next_free_at: datetime | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """{mailbox id: place}, what is left of each limit, and the mailboxes of which more was planned than holds now.

    `organisations` are those of all mailboxes that may send, also of those that have no room left today.
    """

    places: dict[int, Place]
    shared: dict[Limit, int]
    beyond: list[int]
    organisations: frozenset[str]


@dataclass(frozen=True, slots=True)
class Row:
    """A mailbox that may send now, as the database has it."""

    mailbox_id: int
    pool_id: int
    weight: float
    cap: int
    min_gap_seconds: int
    free_at: datetime | None
    virtual_time: float
    continuing: bool
    reserved: int
    domain_id: int
    organisational: str
    domain_hour: int | None
    domain_day: int | None
    account_id: int
    account_hour: int | None
    quota_id: int | None
    sendable: bool

    def caps(self, groups: Mapping[int, QuotaGroup]) -> Caps:
        group = groups.get(self.quota_id or 0)
        return Caps(
            domain_id=self.domain_id,
            organisational=self.organisational,
            domain_hour=self.domain_hour,
            domain_day=self.domain_day,
            account_id=self.account_id,
            account_hour=self.account_hour,
            quota_id=self.quota_id,
            quota=group.quota if group else quotas.Quota(),
            quota_free_at=group.next_free_at if group else None,
        )


def load(
    cursor: Any, campaigns: Iterable[Running], now: datetime, day: date, limit: datetime, locked: limits.Locked
) -> Loaded:  # fmt: skip
    """The mailboxes of the campaigns' pools that have a slot before the limit, and what is left to share.

    Slots of what is counted by the hour end with the hour, since the next hour has allowances of its own. Who joins or
    returns starts at the least virtual time of its pool.
    """
    open_campaigns = [campaign for campaign in campaigns if campaign.open_until]
    pools = sorted({campaign.pool_id for campaign in open_campaigns})
    hour = windows.hour_of(now)
    cursor.execute(SEATS, {"pools": pools, "day": day, "first_send_after_days": settings.FIRST_SEND_AFTER_DAYS})
    rows = [Row(*row) for row in cursor.fetchall()]
    rows = [row for row in rows if locked.covers(row.quota_id, row.organisational)]
    groups = {group.pk: group for group in QuotaGroup.objects.filter(pk__in={row.quota_id for row in rows})}
    caps = {row.mailbox_id: row.caps(groups) for row in rows}
    users = {pk: of.quota.user_daily for pk, of in caps.items() if of.quota.user_daily is not None}
    users_left = limits.users_left(cursor, users, hour) if users else {}
    window_left = {pool_id: _window_left(open_campaigns, pool_id, now) for pool_id in pools}

    sharing = Counter(row.quota_id for row in rows)
    turn: Counter[int | None] = Counter()
    places: dict[int, Place] = {}
    for row in rows:
        turn[row.quota_id] += 1
        cap_left = min(row.cap - row.reserved, users_left.get(row.mailbox_id, UNLIMITED))
        if cap_left > 0:  # else out of rotation until it has some again, so that it does not catch up then
            ends = min(limit, hour + timedelta(hours=1)) if caps[row.mailbox_id].of_the_hour else limit
            seat = _seat(
                row, caps[row.mailbox_id], cap_left, window_left[row.pool_id], now, ends,
                (turn[row.quota_id] - 1, sharing[row.quota_id]),
            )  # fmt: skip
            place = Place(seat, row.cap, caps[row.mailbox_id], users.get(row.mailbox_id), row.free_at)
            places[row.mailbox_id] = place
    if places:
        continuing = {row.mailbox_id: row.continuing for row in rows}
        for seat in slots.join([place.seat for place in places.values()], continuing):
            places[seat.mailbox_id] = replace(places[seat.mailbox_id], seat=seat)
    shared = {of for of in caps.values() if of.limits}
    label = datetime.combine(day, time(), UTC)
    left = limits.lefts(cursor, shared, hour, label, now, limit)
    beyond = [pk for pk, of in caps.items() if users_left.get(pk, 0) < 0 or any(left[each] < 0 for each in of.limits)]
    organisations = frozenset(row.organisational for row in rows)
    return Loaded(places, {each: max(amount, 0) for each, amount in left.items()}, beyond, organisations)


def _window_left(campaigns: Iterable[Running], pool_id: int, now: datetime) -> timedelta | None:
    """How long the pool's mail is to last; None where a campaign of it wants to go promptly."""
    of_pool = [campaign for campaign in campaigns if campaign.pool_id == pool_id]
    if any(campaign.prompt for campaign in of_pool):
        return None
    return max(until for campaign in of_pool for until in campaign.open_until.values()) - now


def _seat(
    row: Row, caps: Caps, cap_left: int, window_left: timedelta | None, now: datetime, limit: datetime,
    turn: tuple[int, int],
) -> Seat:  # fmt: skip
    gap = slots.gap(timedelta(seconds=row.min_gap_seconds), window_left, cap_left)
    first_at = max(now, row.free_at) if row.free_at else now
    if (per_second := caps.quota.per_second) is not None:
        # Its group keeps to the rate in turns, behind what is planned of it already.
        first_at = max(first_at, max(now, caps.quota_free_at or now) + timedelta(seconds=turn[0] / per_second))
        gap = max(gap, timedelta(seconds=turn[1] / per_second))
    return Seat(
        mailbox_id=row.mailbox_id,
        pool_id=row.pool_id,
        weight=row.weight * row.cap,
        virtual_time=row.virtual_time,
        first_at=first_at,
        gap=gap,
        room=slots.room(first_at, limit, gap, cap_left),
        limits=caps.limits,
    )
