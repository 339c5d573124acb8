"""What a forecast is made from and what it says, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from campaigns import sequences
from campaigns.calendars import Place
from campaigns.pipeline.windows import Window
from mailboxes import capacity


class Limit(StrEnum):
    """What keeps a campaign from sending more on a day. A limit that several share is named by its own name."""

    MAILBOXES = "mailbox_day"
    GAP = "gap"
    CAMPAIGN = "campaign_day"
    TOTAL = "campaign_total"
    TENANT = "tenant_day"
    SHARED = "shared"
    NO_MAILBOX = "no_mailbox"
    STOPPED = "stopped_mailboxes"  # follow-ups whose mailbox is stopped, and nothing else is left
    FOLLOW_UPS = "follow_ups"  # everybody waits for the time of the next message
    WINDOW = "window"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """So many people of one enrolment zone whose next message is the step-th (from 0) and due at that moment."""

    zone: str
    step: int
    count: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Work:
    """A campaign: its window, what it still has to send, and what of that belongs to which mailboxes.

    `delays` are hours of each step after the one before, `delay_days` working days besides. `booked` are messages
    that have a slot today already. `bound` tells by the place of their group how many people belong to which
    mailboxes; those of `stopped` belong to mailboxes that send nothing at present, and are not in `demand`.
    `total_left` is how many messages it may have besides what is booked.
    """

    id: int
    name: str
    pool_id: int
    window: Window
    delays: tuple[int, ...]
    demand: tuple[Demand, ...] = ()
    booked: tuple[Demand, ...] = ()
    bound: Mapping[int, int] = field(default_factory=dict)
    stopped: int = 0
    prompt: bool = False
    daily_cap: int | None = None
    reserved: int = 0
    total_left: int | None = None
    status: str = "running"
    delay_days: tuple[int, ...] = ()

    def due_at(self, step: int, sent_at: datetime, place: Place) -> datetime:
        """When that step (from 0) may follow one that left then."""
        days = self.delay_days[step] if self.delay_days else 0
        open_days = sequences.Calendar(place.zone, self.window.opens, self.window.days, place.calendar)
        return sequences.due_at(sent_at, self.delays[step], days, open_days)


@dataclass(frozen=True, slots=True)
class World:
    """All that one tenant has to send and to send it from. `zone` is the tenant's, whose days count."""

    zone: ZoneInfo
    work: tuple[Work, ...]
    fleet: capacity.Fleet
    daily_cap: int | None = None
    reserved: int = 0
    pools: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CampaignDay:
    """`sent` mails on that day; `waiting` are due at its end; `limit` is why, `limit_name` whose."""

    day: date
    sent: int
    waiting: int
    limit: Limit
    limit_name: str = ""


@dataclass(frozen=True, slots=True)
class CampaignForecast:
    """`done_on` is the day of the last mail, None beyond the days looked at; `left` mails remain then."""

    id: int
    name: str
    status: str
    pool_id: int
    total: int
    left: int
    stopped: int
    done_on: date | None
    limit: Limit
    limit_name: str
    days: tuple[CampaignDay, ...]


@dataclass(frozen=True, slots=True)
class PoolDay:
    """Messages: what the pool could send while its campaigns are open, what wants to go, what went, what is short."""

    day: date
    capacity: int
    demand: int
    sent: int
    shortfall: int


@dataclass(frozen=True, slots=True)
class PoolForecast:
    """`short_on` is the first day on which the pool is short, by `short_by` messages.

    Promoting its reserves by then closes `promotable` of that; besides, `reserves` mailboxes that begin the standard
    ramp today and are in full rotation by then close the rest, or `reserves_at_share` if they stay reserves (None:
    their share is less than one mail). Where `limit_name` stands they have to leave by something else than that.
    """

    id: int
    name: str
    days: tuple[PoolDay, ...]
    short_on: date | None = None
    short_by: int = 0
    promotable: int = 0
    reserves: int = 0
    reserves_at_share: int | None = 0
    limit_name: str = ""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is to come on `days`, the first of them as far as it is left at `made_at`."""

    made_at: datetime
    days: tuple[date, ...]
    campaigns: tuple[CampaignForecast, ...]
    pools: tuple[PoolForecast, ...]
