"""Rules of a sequence that need no database: when the next step may go, and which outcome outweighs which."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MOST_DAYS = 3 * 366  # no calendar is closed for longer

# What is heard of a mail, from the weakest to the strongest; a later weaker word changes nothing.
OUTCOMES = (
    "", "soft_bounced", "blocked", "delivered", "auto_replied", "unsubscribed", "replied", "bounced", "complained",
)  # fmt: skip
NOT_RECEIVED = ("soft_bounced", "blocked", "bounced")  # no follow-up may claim to answer such a mail


def outweighs(new: str, old: str) -> bool:
    """Whether the new outcome takes the place of the old one. Raises ValueError for an unknown one."""
    return OUTCOMES.index(new) > OUTCOMES.index(old)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days on which somebody is written to in one zone, from which time of day on.

    `weekdays` are those of the campaign's window (Monday 0; none means all), `holidays` days on which it stays closed.
    """

    zone: ZoneInfo
    opens: time
    weekdays: frozenset[int]
    holidays: Container[date] = frozenset()

    def is_working(self, day: date) -> bool:
        return (not self.weekdays or day.weekday() in self.weekdays) and day not in self.holidays

    def day_after(self, day: date, working_days: int) -> date:
        """The n-th working day after that day, which itself does not count. With 0 the day itself."""
        for offset in range(MOST_DAYS):
            if working_days <= 0:
                return day + timedelta(days=offset)
            working_days -= self.is_working(day + timedelta(days=offset + 1))
        return day + timedelta(days=MOST_DAYS)

    def opening(self, day: date) -> datetime:
        """The instant at which the window opens on that day, or on the first working day after it."""
        if not self.is_working(day):
            day = self.day_after(day, 1)
        return datetime.combine(day, self.opens, tzinfo=self.zone).astimezone(UTC)


def due_at(sent_at: datetime, hours: int, working_days: int, calendar: Calendar) -> datetime:
    """When the step after a mail that left then may go at the earliest.

    Hours count as they pass. Working days count from the day in the person's zone: with two of them a mail of Friday,
    whatever its time, is followed when the window opens on Tuesday, so that a sequence does not creep towards the
    evening. The window itself is the planner's concern.
    """
    moment = sent_at + timedelta(hours=hours)
    if not working_days:
        return moment
    day = calendar.day_after(moment.astimezone(calendar.zone).date(), working_days)
    return calendar.opening(day)
