"""Windows, with the hours that clocks skip and repeat."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from campaigns.calendars import Calendar
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


@pytest.mark.parametrize(
    ("window", "now", "opens", "holiday"),
    [
        (Window(time(9), time(17), EVERY_DAY), "2026-12-25T10:00", "2026-12-27T08:00", "Christmas Day"),
        (Window(time(9), time(17), EVERY_DAY), "2026-12-24T16:00", "2026-12-27T08:00", "Christmas Day"),
        (Window(time(9), time(17), EVERY_DAY), "2026-12-24T07:00", "2026-12-24T08:00", ""),
        (Window(time(9), time(17), EVERY_DAY), "2026-12-26T16:00", "2026-12-27T08:00", ""),
        (Window(time(9), time(17), frozenset(range(5))), "2026-12-25T10:00", "2026-12-28T08:00", "Christmas Day"),
        (Window(time(9), time(17), frozenset(range(5))), "2026-12-26T10:00", "2026-12-28T08:00", ""),
        (Window(time(9), time(17), frozenset({4})), "2026-12-24T10:00", "2027-01-08T08:00", "Christmas Day"),
        (Window(time(22), time(6), EVERY_DAY), "2026-12-25T06:00", "2026-12-27T21:00", "Christmas Day"),
    ],
)
def test_a_holiday_opens_no_window_and_is_named(window, now, opens, holiday):
    opening = windows.opening(window, BERLIN, utc(now), Calendar("DE"))

    assert (opening.is_open, opening.next_opens_at, opening.holiday) == (False, utc(opens), holiday)
    assert windows.opening_in(window, "Europe/Berlin DE", utc(now)) == opening
    assert windows.opening_in(window, "Europe/Berlin DE", utc(opens)).is_open


def test_a_window_over_midnight_belongs_to_the_day_it_opens():
    night = Window(time(22), time(6), EVERY_DAY)

    before = windows.opening_in(night, "Europe/Berlin DE", utc("2026-12-25T02:00"))  # Christmas has begun
    assert before.closes_at == utc("2026-12-25T05:00")
    assert not windows.opening_in(night, "Europe/Berlin DE", utc("2026-12-27T02:00")).is_open  # of Boxing Day


@pytest.mark.parametrize(
    ("now", "closed"),
    [
        ("2026-12-24T16:00", "2026-12-24T16:00"),
        ("2026-12-26T10:00", "2026-12-24T16:00"),
        ("2026-12-24T15:59", "2026-12-23T16:00"),
    ],
)
def test_when_a_window_closed_last_passes_over_holidays(now, closed):
    office = Window(time(9), time(17), EVERY_DAY)

    assert windows.closed_since(office, "Europe/Berlin DE", utc(now)) == utc(closed)


@pytest.mark.fault("F23")
def test_a_window_inside_the_skipped_hour_does_not_open_that_day():
    nightly = Window(time(2, 15), time(2, 45), EVERY_DAY)

    opening = windows.opening(nightly, BERLIN, utc("2027-03-28T00:00"))

    assert (opening.is_open, opening.next_opens_at) == (False, utc("2027-03-29T00:15"))


@pytest.mark.fault("F23")
def test_a_day_of_the_change_has_its_own_length():
    spring, autumn = utc("2027-03-28T10:00"), utc("2027-10-31T10:00")

    assert windows.day_ends_at(spring, BERLIN) - windows.instant(date(2027, 3, 28), time(0), BERLIN) == (
        utc("2026-01-01T23:00") - utc("2026-01-01T00:00")
    )
    assert windows.day_ends_at(autumn, BERLIN) - windows.instant(date(2027, 10, 31), time(0), BERLIN) == (
        utc("2026-01-02T01:00") - utc("2026-01-01T00:00")
    )
