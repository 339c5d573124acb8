"""Where a request comes from: proxies are believed only from the networks that TRUSTED_PROXIES names."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from django.conf import settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
SAID_BY_PROXIES = (
    "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT",
    "HTTP_FORWARDED", "HTTP_X_REAL_IP",
)  # fmt: skip


@cache
def networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks of a setting. Raises ValueError."""
    return tuple(ipaddress.ip_network(text.strip()) for text in texts if text.strip())


def is_trusted(address: str) -> bool:
    """Whether the address is a proxy of ours. A unix socket has none: only who may open it speaks there."""
    trusted = networks(tuple(settings.TRUSTED_PROXIES))
    if not address:
        return bool(trusted)
    return _is_in(address, trusted)


def address_of(meta: Mapping[str, Any]) -> str:
    """Who asks: the peer, or the last address in X-Forwarded-For that no proxy of ours has.

    Whatever stands before that one was written by strangers. Empty behind a proxy that names nobody, or no address.
    """
    peer = str(meta.get("REMOTE_ADDR", ""))
    if not is_trusted(peer):
        return peer
    for entry in reversed(str(meta.get("HTTP_X_FORWARDED_FOR", "")).split(",")):
        found = entry.strip()
        if not _is_in(found, networks(tuple(settings.TRUSTED_PROXIES))):
            return found if _is_address(found) else peer
        peer = found
    return peer


def place_of(request: Any) -> str | None:
    """By what tries from one place are counted: the address, of IPv6 the /64 that one customer gets. None: unknown."""
    try:
        address: Any = ipaddress.ip_address(address_of(request.META).partition("%")[0])
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    return str(ipaddress.ip_network((address, 64), strict=False).network_address if address.version == 6 else address)


class TrustedProxies:
    """Middleware, the first: forgets what a request says of proxies unless one of ours brought it.

    After it SECURE_PROXY_SSL_HEADER is safe: who comes by another way can't claim to have come by https.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        if not is_trusted(str(request.META.get("REMOTE_ADDR", ""))):
            for name in SAID_BY_PROXIES:
                request.META.pop(name, None)
        return self.get_response(request)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_in(text: str, found: Iterable[Network]) -> bool:
    try:
        address: Any = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any((mapped or address) in network for network in found)
