"""How often somebody was wrong in the last minute, for pages that need no sign-in."""

from __future__ import annotations

from django.core.cache import cache

SECONDS = 60


def too_many(what: str, address: str, most: int) -> bool:
    """Count one wrong try of that network address; True when it had more than `most` in a minute."""
    key = f"wrong:{what}:{address}"
    cache.add(key, 0, timeout=SECONDS)
    try:
        return cache.incr(key) > most
    except ValueError:  # it ran out between the two calls
        return False
