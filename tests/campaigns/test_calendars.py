"""Where a person's day is counted: zones of countries, holidays, working days."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import pytest

from campaigns import calendars, sequences, zones
from campaigns.calendars import Calendar, Closed, Terms

WEEK = frozenset(range(5))
GERMANY = Calendar("DE")


@pytest.mark.parametrize(
    ("country", "zone"),
    [
        ("DE", "Europe/Berlin"), ("SE", "Europe/Stockholm"), ("UA", "Europe/Kyiv"), ("US", "America/New_York"),
        ("RU", "Europe/Moscow"), ("AU", "Australia/Sydney"), ("KZ", "Asia/Almaty"), ("AQ", ""), ("UM", ""),
        ("", ""), ("ZZ", ""), ("de", ""),
    ],
)  # fmt: skip
def test_a_country_has_its_zone_or_the_one_of_most_of_its_people(country, zone):
    assert zones.zone_of_country(country) == zone


def test_where_a_country_has_several_clocks_somebody_decided_on_one():
    several = defaultdict(set)
    for country, of_country in zones._zones().items():
        for name in of_country:
            clock = ZoneInfo(name)
            year = [datetime(2027, month, 15, tzinfo=UTC).astimezone(clock).utcoffset() for month in range(1, 13)]
            several[country].add(tuple(year))
    undecided = {country for country, clocks in several.items() if len(clocks) > 1}

    assert undecided <= {*zones.MOST_PEOPLE, *zones.NOWHERE}
    assert set(zones.MOST_PEOPLE.values()) <= available_timezones()
    assert all(zone in zones._zones()[country] for country, zone in zones.MOST_PEOPLE.items())


@pytest.mark.parametrize(
    ("zone", "country"),
    [
        ("Europe/Berlin", "DE"), ("Europe/Stockholm", "SE"), ("Europe/Kiev", "UA"), ("US/Pacific", "US"),
        ("Africa/Asmera", ""), ("UTC", ""), ("Etc/GMT+3", ""), ("", ""),
    ],
)  # fmt: skip
def test_a_zone_tells_its_country_where_that_is_certain(zone, country):
    assert zones.country_of_zone(zone) == country


@pytest.mark.parametrize(
    ("time_zone", "country", "key"),
    [
        ("Europe/Vienna", "AT", "Europe/Vienna AT"),
        ("Europe/Vienna", "DE", "Europe/Vienna DE"),  # lives across the border: the country's own holidays
        ("Europe/Vienna", "", "Europe/Vienna AT"),
        ("", "JP", "Asia/Tokyo JP"),
        ("Mars/Olympus", "JP", "Asia/Tokyo JP"),  # such a zone there is not
        ("Mars/Olympus", "", "Europe/Kyiv UA"),
        ("", "", "Europe/Kyiv UA"),  # nothing is known: the tenant's
        ("", "AQ", "Europe/Kyiv AQ"),
        ("", "ZZ", "Europe/Kyiv"),
        ("UTC", "", "UTC"),
    ],
)
def test_a_contacts_place_is_its_own_else_its_countrys_else_the_tenants(time_zone, country, key):
    assert Terms("contact", True, "Europe/Kyiv", "UA").key(time_zone, country) == key


@pytest.mark.parametrize(
    ("window_zone", "holidays", "key"),
    [
        ("contact", False, "Asia/Tokyo"),
        ("tenant", True, "Europe/Kyiv JP"),
        ("tenant", False, "Europe/Kyiv"),
        ("UTC", True, "UTC JP"),
    ],
)
def test_a_campaign_decides_whose_clock_counts_and_whether_holidays_do(window_zone, holidays, key):
    assert Terms(window_zone, holidays, "Europe/Kyiv", "UA").key("", "JP") == key


def test_a_place_is_a_zone_with_or_without_a_calendar():
    assert calendars.parse("Europe/Berlin") == calendars.Place(ZoneInfo("Europe/Berlin"))
    assert calendars.parse("Europe/Berlin DE") == calendars.Place(ZoneInfo("Europe/Berlin"), GERMANY)
    assert calendars.parse("Europe/Berlin ZZ") == calendars.Place(ZoneInfo("Europe/Berlin"))
    with pytest.raises(ZoneInfoNotFoundError):
        calendars.parse("Mars/Olympus DE")


def test_holidays_are_those_of_the_whole_country():
    assert GERMANY.name_of(date(2027, 12, 25)) == "Christmas Day"
    assert date(2027, 3, 29) in GERMANY  # Easter Monday
    assert date(2027, 1, 6) not in GERMANY  # Epiphany is one of three states only
    assert date(2027, 6, 18) in Calendar("US")  # Juneteenth of a Saturday, observed
    assert date(2027, 12, 25) not in calendars.NONE
    assert calendars.NONE.name_of(date(2027, 12, 25)) == ""


def test_every_zone_with_every_calendar_has_room_in_an_enrolment():
    assert max(len(zone) for zone in available_timezones()) + 3 <= 64


@pytest.mark.parametrize(
    ("day", "n", "expected"),
    [
        (date(2026, 12, 23), 1, date(2026, 12, 24)),
        (date(2026, 12, 23), 2, date(2026, 12, 28)),  # over Christmas and a weekend
        (date(2026, 12, 26), 1, date(2026, 12, 28)),
        (date(2026, 12, 28), 5, date(2027, 1, 5)),
    ],
)
def test_a_sequence_counts_working_days_over_weekends_and_holidays(day, n, expected):
    assert sequences.Calendar(ZoneInfo("UTC"), time(9), WEEK, GERMANY).day_after(day, n) == expected


def test_the_holidays_to_come_are_told_once_for_each_country():
    keys = ["Europe/Berlin DE", "Europe/Busingen DE", "Europe/Vienna AT", "UTC"]

    assert calendars.to_come(keys, WEEK, date(2026, 12, 20), most=3) == [
        Closed(date(2026, 12, 25), "AT", "Christmas Day"),
        Closed(date(2026, 12, 25), "DE", "Christmas Day"),
        Closed(date(2027, 1, 1), "AT", "New Year's Day"),
    ]
    assert calendars.to_come(["UTC"], WEEK, date(2026, 12, 20)) == []
