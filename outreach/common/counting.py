"""How often something happened in the current minute, counted in Redis for all processes together."""

from __future__ import annotations

import time

import redis
import structlog
from django.core.cache import caches

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 60
REST_SECONDS = 5.0  # how long a silent Redis isn't asked again, so that it costs no request its time-out
_resting_until = 0.0


def seconds_left() -> float:
    """Until the next window."""
    return WINDOW_SECONDS - time.time() % WINDOW_SECONDS


def count(name: str) -> int:
    """One more in this minute; return how many that makes. Without Redis nothing counts: the answer is 0."""
    global _resting_until
    if time.monotonic() < _resting_until:
        return 0
    window, counters = f"{name}:{int(time.time() // WINDOW_SECONDS)}", caches["counters"]
    try:
        counters.add(window, 0, timeout=2 * WINDOW_SECONDS)
        return counters.incr(window)
    except ValueError:  # flushed in between
        return 1
    except (redis.RedisError, OSError) as error:
        _resting_until = time.monotonic() + REST_SECONDS
        log.warning("counting.without_redis", seconds=REST_SECONDS, error=str(error))
        return 0


def forget() -> None:
    """Ask Redis again at once (tests)."""
    global _resting_until
    _resting_until = 0.0
