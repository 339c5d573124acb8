"""How many requests a key and a tenant may make in a minute, counted in Redis for all processes together."""

from __future__ import annotations

import time
from typing import Any

import redis
import structlog
from django.conf import settings
from django.core.cache import caches
from rest_framework.throttling import BaseThrottle

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 60
REST_SECONDS = 5.0  # how long a silent Redis isn't asked again, so that it costs no request its time-out
_resting_until = 0.0


class KeyAndTenant(BaseThrottle):
    """One window a minute, first for the key and then for the tenant.

    A key beyond its own limit takes nothing from the tenant's. Without Redis requests go on: a limit is for
    fairness, and an outage of the counters must not become one of the API.
    """

    def __init__(self) -> None:
        self.seconds_left = 0.0

    def allow_request(self, request: Any, view: Any) -> bool:
        global _resting_until
        if time.monotonic() < _resting_until:
            return True
        moment = time.time()
        self.seconds_left = WINDOW_SECONDS - moment % WINDOW_SECONDS
        (tenant_id,) = request.actor.within
        limits = {
            f"api:key:{request.actor.key_id}": settings.API_KEY_PER_MINUTE,
            f"api:tenant:{tenant_id}": settings.API_TENANT_PER_MINUTE,
        }
        try:
            return all(_count(name, moment) <= limit for name, limit in limits.items())
        except (redis.RedisError, OSError) as error:
            _resting_until = time.monotonic() + REST_SECONDS
            log.warning("api.not_counted", seconds=REST_SECONDS, error=str(error))
            return True

    def wait(self) -> float:
        return self.seconds_left


def _count(name: str, moment: float) -> int:
    """One more in the window; return how many that makes."""
    window = f"{name}:{int(moment // WINDOW_SECONDS)}"
    counters = caches["counters"]
    counters.add(window, 0, timeout=2 * WINDOW_SECONDS)
    try:
        return counters.incr(window)
    except ValueError:  # flushed in between
        return 1


def forget() -> None:
    """Ask Redis again at once (tests)."""
    global _resting_until
    _resting_until = 0.0
