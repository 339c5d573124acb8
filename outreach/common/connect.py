"""The only way to dial a host that a tenant named.

A host name is looked up once, every answer must be a public address, and the address
that was judged is the one that is dialled, so a name that points elsewhere a moment
later gains nothing (DNS rebinding). What is refused is never contacted, therefore an
open and a closed port behind it look the same.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import time
from collections.abc import Callable, Collection
from typing import Any

from outreach.common.errors import BadInput, Unavailable

SMTP_PORTS = frozenset({25, 465, 587, 2525})
IMAP_PORTS = frozenset({143, 993})

Resolve = Callable[..., list[tuple[Any, ...]]]

_LITERAL_OR_NAME = re.compile(r"[0-9A-Za-z._-]{1,253}|\[?[0-9A-Fa-f:.]{2,45}\]?")
# Only 2000::/3 is handed out (RFC 4291, IANA registry); inside it these are not what they seem:
# Teredo, ORCHID and benchmarking, documentation, 6to4 (carries any IPv4 address), documentation.
_GLOBAL_IPV6 = ipaddress.IPv6Network("2000::/3")
_NOT_GLOBAL_IPV6 = tuple(
    map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")),
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052: the IPv4 address is in the last 32 bits
_RELAY_6TO4 = ipaddress.IPv4Network("192.88.99.0/24")  # RFC 7526: withdrawn, yet counted as global


def dial(
    host: str,
    port: int,
    timeout: float,
    *,
    allow_loopback: bool = False,
    ports: Collection[int] = SMTP_PORTS,
    resolve: Resolve = socket.getaddrinfo,
) -> socket.socket:
    """Return a connected blocking socket with TCP_NODELAY; its time-out is still `timeout` seconds.

    The addresses of the host share these seconds, so that a dead one leaves time for the next; the look-up itself
    is bounded by the system's resolver.
    Raises BadInput when host or port may not be used, Unavailable when no address answered.
    """
    addresses = _permitted(host, port, allow_loopback, ports, resolve)
    deadline = time.monotonic() + timeout
    failure: OSError | None = None
    for number, (family, address) in enumerate(addresses):
        share = (deadline - time.monotonic()) / (len(addresses) - number)
        if share <= 0:
            break
        try:
            return _open(family, address, share, timeout)
        except OSError as error:
            failure = error
    reason = _reason(failure)
    raise Unavailable(f"{host} port {port} can't be reached: {reason}.", host=host, port=port) from failure


def check_host(
    host: str,
    port: int,
    *,
    allow_loopback: bool = False,
    ports: Collection[int] = SMTP_PORTS,
    resolve: Resolve = socket.getaddrinfo,
) -> None:
    """Refuse at save time what `dial` would refuse now; nothing is contacted but the resolver.

    Raises BadInput, or Unavailable when the look-up failed for the moment.
    """
    _permitted(host, port, allow_loopback, ports, resolve)


def is_public(address: str) -> bool:
    """Whether an address literal belongs to the public internet, also when it hides an IPv4 address."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is None:
            return ip in _GLOBAL_IPV6 and not any(ip in network for network in _NOT_GLOBAL_IPV6)
        ip = inner
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip in _RELAY_6TO4)


def _permitted(
    host: str, port: int, allow_loopback: bool, ports: Collection[int], resolve: Resolve
) -> list[tuple[int, tuple[Any, ...]]]:
    """Look the host up once and return (family, socket address) pairs, each of them allowed."""
    if not _LITERAL_OR_NAME.fullmatch(host):
        raise BadInput("The host must be a host name or an IP address, in ASCII.", host=host)
    if not 0 < port < 65536:
        raise BadInput(f"Port {port} does not exist.", host=host, port=port)
    try:
        answers = resolve(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise Unavailable(f"{host} can't be looked up at the moment.", host=host) from error
        answers = []
    except (OSError, UnicodeError):  # a label longer than 63 octets fails as UnicodeError
        answers = []
    loopback = allow_loopback and bool(answers)
    for _family, _type, _protocol, _name, address in answers:
        literal = str(address[0])
        if allow_loopback and _is_loopback(literal):
            continue
        loopback = False
        if not is_public(literal):
            answers = []
            break
    if not answers:
        # One text for "no such name" and for "not to be contacted": it tells nothing about our own network.
        raise BadInput(f"{host} has no address on the public internet.", host=host)
    if not loopback and port not in ports:
        allowed = ", ".join(map(str, sorted(ports)))
        raise BadInput(f"Port {port} is not one of the allowed ports {allowed}.", host=host, port=port)
    return [(answer[0], answer[4]) for answer in answers]


def _is_loopback(literal: str) -> bool:
    try:
        return ipaddress.ip_address(literal).is_loopback
    except ValueError:
        return False


def _open(family: int, address: tuple[Any, ...], share: float, timeout: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a held-back dot costs 40 ms a mail
        sock.settimeout(share)
        sock.connect(address)
        sock.settimeout(timeout)
    except BaseException:
        sock.close()
        raise
    return sock


def _reason(failure: OSError | None) -> str:
    if failure is None or isinstance(failure, TimeoutError):
        return "no answer in time"
    return (failure.strerror or str(failure)).lower()
