"""How many requests a key, a tenant, and an address without a key may make in a minute."""

from __future__ import annotations

import ipaddress
from typing import Any

from django.conf import settings
from rest_framework.throttling import BaseThrottle

from outreach.common import counting, origins


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


class ByAddress(BaseThrottle):
    """One window a minute for all requests of an address that bring no valid key.

    Requests with a valid one neither count here nor feel it: behind one address stand many systems.
    """

    def __init__(self) -> None:
        self.seconds_left = 0.0

    def allow_request(self, request: Any, view: Any) -> bool:
        self.seconds_left = counting.seconds_left()
        name = f"api:address:{neighbourhood(origins.address_of(request.META))}"
        return counting.count(name) <= settings.API_ADDRESS_PER_MINUTE

    def wait(self) -> float:
        return self.seconds_left


def neighbourhood(address: str) -> str:
    """What one caller can have: an IPv4 address, or a whole /64 of IPv6."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "nowhere"
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
