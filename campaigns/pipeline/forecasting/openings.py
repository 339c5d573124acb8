"""When which campaign is open in which zone: the days to come cut into stretches in which nothing opens or closes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from campaigns import calendars
from campaigns.calendars import Place
from campaigns.pipeline import windows
from campaigns.pipeline.forecasting.terms import Work

LONGEST = timedelta(hours=4)  # of a stretch; shorter ones cost more and change finishing days by hours at most

Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class Lane:
    """A campaign in zones whose windows open and close at the same moments; `zones` is how many of them."""

    work: int
    zones: int
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the n-th day; `open` lists the lanes open all the time, each with when its window closes."""

    n: int
    begins: datetime
    ends: datetime
    open: tuple[tuple[int, datetime], ...]

    @property
    def seconds(self) -> float:
        return (self.ends - self.begins).total_seconds()

    @property
    def middle(self) -> datetime:
        return self.begins + (self.ends - self.begins) / 2


def intervals(window: windows.Window, place: Place, since: datetime, until: datetime) -> list[Interval]:
    """When the window is open at that place between two moments."""
    found = []
    day = since.astimezone(place.zone).date() - timedelta(days=1)
    last = until.astimezone(place.zone).date()
    while day <= last:
        times = None if day in place.calendar else windows.span(window, place.zone, day)
        if times is not None and times[1] > since and times[0] < until:
            found.append((max(times[0], since), min(times[1], until)))
        day += timedelta(days=1)
    return found


def lanes(work: Sequence[Work], since: datetime, until: datetime) -> tuple[list[Lane], dict[tuple[int, str], int]]:
    """The lanes of all campaigns, and the place of the lane of each (campaign, zone)."""
    found: dict[tuple[int, tuple[Interval, ...]], list[str]] = {}
    for n, one in enumerate(work):
        for zone in sorted({demand.zone for demand in (*one.demand, *one.booked)}):
            key = (n, tuple(intervals(one.window, calendars.parse(zone), since, until)))
            found.setdefault(key, []).append(zone)
    made: list[Lane] = []
    place: dict[tuple[int, str], int] = {}
    for (n, open_), zones in found.items():
        place |= {(n, zone): len(made) for zone in zones}
        made.append(Lane(n, len(zones), open_))
    return made, place


def day_starts(days: Iterable[date], zone: ZoneInfo) -> list[datetime]:
    """The moments at which these days begin in that zone, and the last one's end."""
    dates = list(days)
    return [windows.instant(day, time(0), zone) for day in (*dates, dates[-1] + timedelta(days=1))]


def stretches(made: Sequence[Lane], starts: Sequence[datetime], now: datetime) -> list[Stretch]:
    """All stretches from now on in which a lane is open, in order; none crosses the end of a day."""
    edges = {edge for lane in made for interval in lane.intervals for edge in interval}
    edges |= {now, *starts[1:]}
    ordered = sorted(edge for edge in edges if now <= edge <= starts[-1])
    found, cursors, n = [], [0] * len(made), 0
    for begins, ends in zip(ordered, ordered[1:], strict=False):
        while begins >= starts[n + 1]:
            n += 1
        open_ = []
        for place, lane in enumerate(made):
            while cursors[place] < len(lane.intervals) and lane.intervals[cursors[place]][1] <= begins:
                cursors[place] += 1
            if cursors[place] < len(lane.intervals) and lane.intervals[cursors[place]][0] <= begins:
                open_.append((place, lane.intervals[cursors[place]][1]))
        if open_:
            parts = -(-(ends - begins) // LONGEST)
            step = (ends - begins) / parts
            cuts = [begins + step * part for part in range(parts)] + [ends]
            found += [Stretch(n, *pair, tuple(open_)) for pair in zip(cuts, cuts[1:], strict=False)]
    return found


def open_seconds(made: Sequence[Stretch], of: set[int], days: int) -> list[float]:
    """How long on each day at least one of these lanes is open."""
    found = [0.0] * days
    for stretch in made:
        if any(place in of for place, _ in stretch.open):
            found[stretch.n] += stretch.seconds
    return found
