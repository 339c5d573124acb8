"""When a person's window is open: wall-clock rules turned into instants.

Computed here and handed to SQL as values, since PostgreSQL and Python disagree on the
doubled hour. A wall-clock time that does not exist (spring) is the first valid instant
after it; one that exists twice (autumn) is the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

SEARCH_DAYS = 15  # any weekly window opens within 8 days; the rest is slack for later calendars


@dataclass(frozen=True, slots=True)
class Window:
    """Open from `opens` to `closes` on the weekdays `days` (Monday 0). Equal times: the whole day.

    Where `closes` is earlier than `opens` the window runs over midnight and belongs to the day it opens.
    """

    opens: time
    closes: time
    days: frozenset[int]


@dataclass(frozen=True, slots=True)
class Opening:
    """The window's state at one instant: open until `closes_at`, or closed until `next_opens_at`."""

    opens_at: datetime | None
    closes_at: datetime | None
    next_opens_at: datetime | None

    @property
    def is_open(self) -> bool:
        return self.closes_at is not None


def instant(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """The UTC instant of a wall-clock time; see the module for missing and doubled hours."""
    early = datetime.combine(day, clock, tzinfo=zone).replace(fold=0)
    late = early.replace(fold=1)
    before, after = early.utcoffset(), late.utcoffset()
    if before is None or after is None or before >= after:
        return early.astimezone(UTC)
    naive = datetime.combine(day, clock)
    low = (naive - after).replace(tzinfo=UTC)  # still before the change
    high = (naive - before).replace(tzinfo=UTC)  # already after it
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def opening(window: Window, zone: ZoneInfo, now: datetime) -> Opening:
    """Whether the window is open in that zone at `now`, and when that changes."""
    today = now.astimezone(zone).date()
    for offset in range(-1, SEARCH_DAYS):
        day = today + timedelta(days=offset)
        if day.weekday() not in window.days:
            continue
        opens_at = instant(day, window.opens, zone)
        last = day if window.opens < window.closes else day + timedelta(days=1)
        closes_at = instant(last, window.closes, zone)
        if opens_at <= now < closes_at:
            return Opening(opens_at, closes_at, None)
        if opens_at > now:
            return Opening(None, None, opens_at)
    return Opening(None, None, None)


def day_of(now: datetime, zone: ZoneInfo) -> date:
    """The calendar day at `now` in that zone."""
    return now.astimezone(zone).date()


def day_ends_at(now: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which that zone's calendar day ends."""
    return instant(day_of(now, zone) + timedelta(days=1), time(0), zone)


def hour_of(now: datetime) -> datetime:
    """The start of the UTC hour."""
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
