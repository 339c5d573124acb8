"""When a person's window is open: wall-clock rules turned into instants.

Computed here and handed to SQL as values, since PostgreSQL and Python disagree on the
doubled hour. A wall-clock time that does not exist (spring) is the first valid instant
after it; one that exists twice (autumn) is the first. A window that lies in a skipped hour
altogether does not open that day. On a public holiday no window opens; one that opened the
evening before and runs over midnight stays open to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from campaigns import calendars
from campaigns.calendars import Calendar

SEARCH_DAYS = 60  # a weekly window opens within 8 days; the rest is for weeks of holidays


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
    """The window's state at one instant: open until `closes_at`, or closed until `next_opens_at`.

    `holiday` is the name of the first holiday without which it would be open, or open sooner.
    """

    opens_at: datetime | None
    closes_at: datetime | None
    next_opens_at: datetime | None
    holiday: str = ""

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


def span(window: Window, zone: ZoneInfo, day: date) -> tuple[datetime, datetime] | None:
    """From when to when the window that belongs to that day is open there; None: it is not."""
    if day.weekday() not in window.days:
        return None
    last = day if window.opens < window.closes else day + timedelta(days=1)
    opens_at, closes_at = instant(day, window.opens, zone), instant(last, window.closes, zone)
    return (opens_at, closes_at) if opens_at < closes_at else None


def opening(window: Window, zone: ZoneInfo, now: datetime, closed: Calendar = calendars.NONE) -> Opening:
    """Whether the window is open in that zone at `now`, and when that changes; on `closed` days it is not."""
    today, holiday = now.astimezone(zone).date(), ""
    for offset in range(-1, SEARCH_DAYS):
        day = today + timedelta(days=offset)
        found = span(window, zone, day)
        if found is None or found[1] <= now:
            continue
        if day in closed:
            holiday = holiday or closed.name_of(day)
        elif found[0] <= now:
            return Opening(*found, None)
        else:
            return Opening(None, None, found[0], holiday)
    return Opening(None, None, None, holiday)


def opening_in(window: Window, place: str, now: datetime) -> Opening:
    """As `opening`, at the place that an enrolment's `zone` names: a clock, and perhaps a country's holidays."""
    found = calendars.parse(place)
    return opening(window, found.zone, now, found.calendar)


def closed_since(window: Window, place: str, now: datetime) -> datetime | None:
    """When the window last closed there, of the days that SEARCH_DAYS can see."""
    found = calendars.parse(place)
    today = now.astimezone(found.zone).date()
    for offset in range(SEARCH_DAYS):
        day = today - timedelta(days=offset)
        times = None if day in found.calendar else span(window, found.zone, day)
        if times is not None and times[1] <= now:
            return times[1]
    return None


def day_of(now: datetime, zone: ZoneInfo) -> date:
    """The calendar day at `now` in that zone."""
    return now.astimezone(zone).date()


def day_ends_at(now: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which that zone's calendar day ends."""
    return instant(day_of(now, zone) + timedelta(days=1), time(0), zone)


def hour_of(now: datetime) -> datetime:
    """The start of the UTC hour."""
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
