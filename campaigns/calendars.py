"""Where a person's day is counted: a time zone, and where a country's public holidays close it, that country too.

Both stand in one text, the enrolment's `zone`: "Europe/Berlin", or "Europe/Berlin DE" where Germany's holidays count.
It is written once, at enrolment, from what the contact, its country and the tenant say.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

import holidays

from campaigns import zones


@dataclass(frozen=True, slots=True)
class Calendar:
    """A country's public holidays, those of the whole country with the days on which they are observed; "": none.

    Holidays of a single region are not among them, nor half days.
    """

    country: str = ""

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and bool(self.country) and day in _of_year(self.country, day.year)

    def name_of(self, day: date) -> str:
        """What the holiday is called, in English where the calendar has that; "" on any other day."""
        return _of_year(self.country, day.year).get(day, "") if self.country else ""


NONE = Calendar()


@dataclass(frozen=True, slots=True)
class Place:
    """A clock and a calendar."""

    zone: ZoneInfo
    calendar: Calendar = NONE


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides on people's places besides themselves: the campaign's `window_zone` and `holidays`, the tenant's."""

    window_zone: str
    holidays: bool
    tenant_zone: str
    tenant_country: str = ""

    def key(self, time_zone: str, country: str) -> str:
        """The place of a contact with that zone and country, "" where one is unknown, as an enrolment has it.

        The zone is the contact's, else its country's, else the tenant's. Holidays are those of the country, else of
        the country whose zone the contact has, else, where nothing is known of the contact, of the tenant's country.
        """
        own = time_zone if time_zone in _known_zones() else ""
        zone = own or zones.zone_of_country(country)
        land = country or zones.country_of_zone(own)
        if not zone:
            zone, land = self.tenant_zone, country or self.tenant_country
        if self.window_zone != "contact":
            zone = self.tenant_zone if self.window_zone == "tenant" else self.window_zone
        return f"{zone} {land}" if self.holidays and has_calendar(land) else zone


@lru_cache(maxsize=4096)
def parse(key: str) -> Place:
    """The place that an enrolment's `zone` names. Raises ZoneInfoNotFoundError for a zone that there is not."""
    zone, _, country = key.partition(" ")
    return Place(ZoneInfo(zone), Calendar(country) if has_calendar(country) else NONE)


def has_calendar(country: str) -> bool:
    """Whether that country's holidays are known."""
    return len(country) == 2 and country in _countries()


@dataclass(frozen=True, slots=True)
class Closed:
    """A day on which the windows in these countries stay shut, which else would open."""

    day: date
    country: str
    name: str


def to_come(keys: Sequence[str], days: Container[int], since: date, most: int = 5, within: int = 90) -> list[Closed]:
    """The next holidays of these places on weekdays of the window, the first `most` of the next `within` days."""
    countries = sorted({parse(key).calendar.country for key in keys} - {""})
    found: list[Closed] = []
    for offset in range(within):
        day = since + timedelta(days=offset)
        if day.weekday() in days:
            found += [Closed(day, of, Calendar(of).name_of(day)) for of in countries if day in Calendar(of)]
        if len(found) >= most:
            break
    return found[:most]


@cache
def _countries() -> frozenset[str]:
    return frozenset(code for code in holidays.list_supported_countries(include_aliases=True) if len(code) == 2)


@cache
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def _of_year(country: str, year: int) -> dict[date, str]:
    return dict(holidays.country_holidays(country, years=year, language=_language(country), expand=False))


@cache
def _language(country: str) -> str | None:
    """English where the calendar speaks it; of several kinds that of the United States, which most have."""
    languages = holidays.country_holidays(country).supported_languages
    return next((each for each in ("en_US", *languages) if each in languages and each.startswith("en")), None)
