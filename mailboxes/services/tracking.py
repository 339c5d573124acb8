"""Tracking hosts: names of clients' domains under which recipients open the links of their mail.

Whether a name is one is asked before anybody is known, with each handshake and each request, and by strangers too: so
answers are kept for a moment, and who asks for many names that are none is no longer looked up for.
"""

from __future__ import annotations

import re
from enum import StrEnum

from django.conf import settings
from django.db import connection

from outreach.common import counting
from outreach.common.caching import Brief

NAME = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])")
LONGEST = 253
LATE_SECONDS = 3600.0  # who may not ask the database any more gets what was known so long ago


class Standing(StrEnum):
    """What a name is: `open` may have a certificate; `kept` only answers those who got mail before; else nothing."""

    OPEN = "open"
    KEPT = "kept"
    NOTHING = ""


# Apart, so that made-up names push no real one out.
_hosts: Brief[Standing] = Brief(30, room=10_000)
_others: Brief[Standing] = Brief(10, room=2_000)
_guessers: Brief[bool] = Brief(counting.WINDOW_SECONDS, room=10_000)


def standing(host: str, *, place: str | None, most_a_minute: int) -> Standing:
    """What this name is now, as of half a minute ago at most.

    `place` is where the question comes from; after `most_a_minute` names that are none it is answered from memory.
    """
    host = host[: LONGEST + 2].lower().removesuffix(".")
    if len(host) > LONGEST or not NAME.fullmatch(host):
        return Standing.NOTHING
    known = _hosts.get(host) or _others.get(host)
    if known is not None:
        return known
    if _guessers.get(place):
        return _hosts.get(host, late=LATE_SECONDS) or Standing.NOTHING
    found = _look_up(host)
    if found is not Standing.NOTHING:
        return _hosts.put(host, found)
    _hosts.drop(host)
    if counting.count(f"tracking_host:{place}") > most_a_minute:
        _guessers.put(place, True)
    return _others.put(host, found)


def _look_up(host: str) -> Standing:
    with connection.cursor() as cursor:  # no tenant is in scope yet: the function says what the name is, not whose
        cursor.execute("SELECT mailboxes_tracking_host(%s, %s)", [host, settings.KEEP_ALIVE_DAYS])
        row = cursor.fetchone()
    return Standing(row[0] or "") if row else Standing.NOTHING


def forget() -> None:
    """Ask the database again at once (tests)."""
    for each in (_hosts, _others, _guessers):
        each.forget()
