"""The time zone that goes without saying in a country, from the tables of the time zone database.

The rule: a country with one zone has that one. Of a country with several the zone of DOMINANT holds, where either
all of them show the same clock all year round (Germany has a second zone for one village), or nine of ten
inhabitants or more live by that clock. Everywhere else (US, CA, AU, RU, MX, ID, CD, ...) a country says nothing, and
who asks has to fall back on something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

SAME_CLOCK = {
    "AR": "America/Argentina/Buenos_Aires",
    "CY": "Asia/Nicosia",
    "DE": "Europe/Berlin",
    "KZ": "Asia/Almaty",
    "MH": "Pacific/Majuro",
    "MY": "Asia/Kuala_Lumpur",
    "PS": "Asia/Gaza",
    "UZ": "Asia/Tashkent",
}
# What lives by another clock, in per cent of the inhabitants, rounded up.
NINE_IN_TEN = {
    "BR": "America/Sao_Paulo",  # Amazonas, Acre, Rondonia, Roraima, both Mato Grossos: 7
    "CL": "America/Santiago",  # Magallanes, Aysen, Easter Island: 2
    "CN": "Asia/Shanghai",  # Xinjiang's second, unofficial clock: 2
    "EC": "America/Guayaquil",  # Galapagos: 1
    "ES": "Europe/Madrid",  # Canary Islands: 5
    "GL": "America/Nuuk",  # Pituffik, Danmarkshavn: 2
    "MN": "Asia/Ulaanbaatar",  # Hovd and the west: 10
    "NZ": "Pacific/Auckland",  # Chatham Islands: 1
    "PF": "Pacific/Tahiti",  # Marquesas, Gambier: 5
    "PG": "Pacific/Port_Moresby",  # Bougainville: 4
    "PT": "Europe/Lisbon",  # Azores: 3
    "UA": "Europe/Kyiv",  # Crimea, where another clock is kept: 6
}
DOMINANT: Mapping[str, str] = SAME_CLOCK | NINE_IN_TEN


@cache
def zones_by_country() -> Mapping[str, str]:
    """Every country (ISO 3166-1 alpha-2) whose zone goes without saying, with its IANA name: some 235 of them."""
    zones: dict[str, list[str]] = {}
    text = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            zones.setdefault(country, []).append(zone)
    return {country: found[0] for country, found in zones.items() if len(found) == 1} | DOMINANT


def zone_of_country(country: str) -> str:
    """The zone of a country, "" where it has several that matter, or is unknown."""
    return zones_by_country().get(country, "")
