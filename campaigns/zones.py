"""Which time zone a country's people live by, and which country a zone belongs to: read from tzdata's own tables."""

from __future__ import annotations

from functools import cache
from importlib import resources

# Where most people of a country with several clocks live. Far from there a window opens some hours early or late, and
# still nearer to people's day than by the clock of another country.
MOST_PEOPLE = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CD": "Africa/Kinshasa",
    "CL": "America/Santiago",
    "CN": "Asia/Shanghai",
    "EC": "America/Guayaquil",
    "ES": "Europe/Madrid",
    "FM": "Pacific/Pohnpei",
    "GL": "America/Nuuk",
    "ID": "Asia/Jakarta",
    "KI": "Pacific/Tarawa",
    "MN": "Asia/Ulaanbaatar",
    "MX": "America/Mexico_City",
    "NZ": "Pacific/Auckland",
    "PF": "Pacific/Tahiti",
    "PG": "Pacific/Port_Moresby",
    "PT": "Europe/Lisbon",
    "RU": "Europe/Moscow",
    "UA": "Europe/Kyiv",
    "US": "America/New_York",
    "UZ": "Asia/Tashkent",
}
NOWHERE = frozenset({"AQ", "UM"})  # bases and islands: no clock stands for all


def zone_of_country(country: str) -> str:
    """The IANA zone of an ISO 3166-1 alpha-2 country, "" where none can be told.

    The only zone; else the one where most people live; else, where all clocks agree, the first of the table.
    """
    zones = _zones().get(country, ())
    if not zones or country in NOWHERE:
        return ""
    return MOST_PEOPLE.get(country, zones[0])


def country_of_zone(zone: str) -> str:
    """The country whose zone it is, "" where that is none or not certain: UTC, or an old name of a shared zone."""
    return _countries().get(zone, "")


@cache
def _zones() -> dict[str, tuple[str, ...]]:
    """{country: its zones} in the order of the table."""
    found: dict[str, list[str]] = {}
    for country, _, zone in _rows("zone.tab"):
        found.setdefault(country, []).append(zone)
    return {country: tuple(zones) for country, zones in found.items()}


@cache
def _countries() -> dict[str, str]:
    """{zone: its country}, old names included where the zone that they now point to is of one country alone."""
    found = {zone: country for country, _, zone in _rows("zone.tab")}
    alone = {zone: countries for countries, _, zone in _rows("zone1970.tab") if "," not in countries}
    for line in _lines("tzdata.zi"):
        if line.startswith("L "):
            _, target, name = line.split()
            if target in alone:
                found.setdefault(name, alone[target])
    return found


def _rows(name: str) -> list[list[str]]:
    return [line.split("\t")[:3] for line in _lines(name) if line and not line.startswith("#")]


def _lines(name: str) -> list[str]:
    return (resources.files("tzdata") / "zoneinfo" / name).read_text(encoding="utf-8").splitlines()
