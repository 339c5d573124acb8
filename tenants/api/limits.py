"""How many requests a key and a tenant may make in a minute."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.throttling import BaseThrottle

from outreach.common import counting


class KeyAndTenant(BaseThrottle):
    """One window a minute, first for the key and then for the tenant.

    A key beyond its own limit takes nothing from the tenant's. Without Redis requests go on: a limit is for
    fairness, and an outage of the counters must not become one of the API.
    """

    def __init__(self) -> None:
        self.seconds_left = 0.0

    def allow_request(self, request: Any, view: Any) -> bool:
        self.seconds_left = counting.seconds_left()
        (tenant_id,) = request.actor.within
        limits = {
            f"api:key:{request.actor.key_id}": settings.API_KEY_PER_MINUTE,
            f"api:tenant:{tenant_id}": settings.API_TENANT_PER_MINUTE,
        }
        return all(counting.count(name) <= limit for name, limit in limits.items())

    def wait(self) -> float:
        return self.seconds_left
