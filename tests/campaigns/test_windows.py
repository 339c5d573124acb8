"""Windows, with the hours that clocks skip and repeat."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from campaigns.pipeline import windows
from campaigns.pipeline.windows import Window

BERLIN = ZoneInfo("Europe/Berlin")
EVERY_DAY = frozenset(range(7))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.fault("F23")
@pytest.mark.parametrize(
    ("day", "clock", "expected"),
    [
        (date(2027, 3, 28), time(1, 59), "2027-03-28T00:59"),
        (date(2027, 3, 28), time(2, 30), "2027-03-28T01:00"),  # skipped: the first instant after
        (date(2027, 3, 28), time(3, 0), "2027-03-28T01:00"),
        (date(2027, 10, 31), time(2, 30), "2027-10-31T00:30"),  # twice: the first
        (date(2027, 10, 31), time(3, 0), "2027-10-31T02:00"),
        (date(2026, 11, 24), time(9, 0), "2026-11-24T08:00"),
    ],
)
def test_a_wall_clock_time_is_one_instant(day, clock, expected):
    assert windows.instant(day, clock, BERLIN) == utc(expected)


@pytest.mark.parametrize(
    ("window", "now", "closes", "next_opens"),
    [
        (Window(time(9), time(17), EVERY_DAY), "2026-11-24T08:00", "2026-11-24T16:00", None),
        (Window(time(9), time(17), EVERY_DAY), "2026-11-24T07:59", None, "2026-11-24T08:00"),
        (Window(time(9), time(17), EVERY_DAY), "2026-11-24T16:00", None, "2026-11-25T08:00"),
        (Window(time(9), time(17), frozenset({0})), "2026-11-24T12:00", None, "2026-11-30T08:00"),
        (Window(time(22), time(6), EVERY_DAY), "2026-11-24T02:00", "2026-11-24T05:00", None),
        (Window(time(22), time(6), frozenset({0})), "2026-11-24T02:00", "2026-11-24T05:00", None),
        (Window(time(0), time(0), EVERY_DAY), "2026-11-24T12:00", "2026-11-24T23:00", None),
        (Window(time(9), time(17), frozenset()), "2026-11-24T12:00", None, None),
    ],
)
def test_a_window_is_open_or_says_when(window, now, closes, next_opens):
    opening = windows.opening(window, BERLIN, utc(now))

    assert opening.closes_at == (utc(closes) if closes else None)
    assert opening.next_opens_at == (utc(next_opens) if next_opens else None)
    assert opening.is_open is bool(closes)


@pytest.mark.fault("F23")
def test_a_day_of_the_change_has_its_own_length():
    spring, autumn = utc("2027-03-28T10:00"), utc("2027-10-31T10:00")

    assert windows.day_ends_at(spring, BERLIN) - windows.instant(date(2027, 3, 28), time(0), BERLIN) == (
        utc("2026-01-01T23:00") - utc("2026-01-01T00:00")
    )
    assert windows.day_ends_at(autumn, BERLIN) - windows.instant(date(2027, 10, 31), time(0), BERLIN) == (
        utc("2026-01-02T01:00") - utc("2026-01-01T00:00")
    )
