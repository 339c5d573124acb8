"""The zone that goes without saying in a country."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import resources
from zoneinfo import ZoneInfo, available_timezones

import pytest

from campaigns import zones
from campaigns.services import contact_rows


@pytest.mark.parametrize(
    ("country", "zone"),
    [
        ("FR", "Europe/Paris"),
        ("DE", "Europe/Berlin"),
        ("ES", "Europe/Madrid"),
        ("UA", "Europe/Kyiv"),
        ("GB", "Europe/London"),
        ("IN", "Asia/Kolkata"),
        ("US", ""),
        ("AU", ""),
        ("RU", ""),
        ("MX", ""),
        ("", ""),
        ("XX", ""),
    ],
)
def test_a_country_has_a_zone_only_where_it_goes_without_saying(country, zone):
    assert zones.zone_of_country(country) == zone


def test_all_are_countries_and_zones_that_are_known():
    found = zones.zones_by_country()

    assert set(found) <= contact_rows.countries()
    assert set(found.values()) <= available_timezones()
    assert len(found) > 230


def test_the_countries_said_to_have_one_clock_have_one():
    lines = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    hours = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=5 * n) for n in range(146)]

    for country in zones.SAME_CLOCK:
        own = [ZoneInfo(row[2]) for row in rows if row[0] == country]
        clocks = {tuple(hour.astimezone(zone).utcoffset() for hour in hours) for zone in own}
        assert (country, len(own) > 1, len(clocks)) == (country, True, 1)
