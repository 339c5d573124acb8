"""How often somebody was wrong in the last minute, for pages that need no sign-in."""

from __future__ import annotations

import redis
import structlog
from django.core.cache import caches

log = structlog.get_logger(__name__)
SECONDS = 60


def too_many(what: str, address: str, most: int) -> bool:
    """Count one wrong try of that network address; True when it had more than `most` in a minute.

    Without Redis nothing is counted and nobody held up: tokens are too long to be guessed anyway.
    """
    key, counters = f"wrong:{what}:{address}", caches["counters"]
    try:
        counters.add(key, 0, timeout=SECONDS)
        return counters.incr(key) > most
    except ValueError:  # it ran out between the two calls
        return False
    except (redis.RedisError, OSError) as error:
        log.warning("tries.not_counted", what=what, error=str(error))
        return False
