"""Where the mail of a domain goes (RFC 5321, 5.1; RFC 7505), asked of DNS alone."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Literal

from deliverability.dns.operators import OTHER, operator
from deliverability.dns.resolver import Resolver

Mail = Literal["", "mx", "address", "null_mx", "no_mx", "dead_mx", "no_domain"]

MAX_HOSTS = 5  # of an MX; who has more of them, all without an address, is not judged


@dataclass(frozen=True, slots=True)
class Receiving:
    """What DNS said of a domain.

    mail: mx; address (no MX, but an address of its own); null_mx (RFC 7505); no_mx (neither); dead_mx (the hosts of
    its MX have no address); no_domain (NXDOMAIN); "" while nobody can tell, and then `trouble` says why (servfail,
    timeout, refused). operator: who runs its mail, "" if that is not known.
    """

    mail: Mail
    operator: str = ""
    trouble: str = ""


def look(resolver: Resolver, domain: str, hosts: MutableMapping[str, bool] | None = None) -> Receiving:
    """Ask about a domain (ASCII); one question for most. A name server's trouble never counts against the domain.

    `hosts` remembers from domain to domain which MX hosts have an address: many domains share few hosts. Hosts of
    known operators are not asked about.
    """
    answer = resolver.ask(domain, "MX")
    if answer.is_trouble:
        return Receiving("", trouble=answer.status)
    if answer.status == "nxdomain":
        return Receiving("no_domain", OTHER)
    named = [host for _, host in answer.exchanges]
    if not named:
        return _own_address(resolver, domain)
    exchanges = [host for host in named if host != "."]
    if not exchanges:
        return Receiving("null_mx", OTHER)
    of = operator(exchanges)
    if of != OTHER:
        return Receiving("mx", of)
    return _by_hosts(resolver, exchanges, {} if hosts is None else hosts)


def _own_address(resolver: Resolver, domain: str) -> Receiving:
    trouble = ""
    for kind in ("A", "AAAA"):
        answer = resolver.ask(domain, kind)
        if answer.records:
            return Receiving("address", OTHER)
        trouble = trouble or (answer.status if answer.is_trouble else "")
    return Receiving("", trouble=trouble) if trouble else Receiving("no_mx", OTHER)


def _by_hosts(resolver: Resolver, exchanges: list[str], known: MutableMapping[str, bool]) -> Receiving:
    trouble = ""
    for host in exchanges[:MAX_HOSTS]:
        if host not in known:
            status = _has_address(resolver, host)
            if isinstance(status, str):
                trouble = trouble or status
                continue
            known[host] = status
        if known[host]:
            return Receiving("mx", OTHER)
    if trouble:
        return Receiving("", OTHER, trouble)
    return Receiving("mx" if len(exchanges) > MAX_HOSTS else "dead_mx", OTHER)


def _has_address(resolver: Resolver, host: str) -> bool | str:
    """Whether it has one; a text says why nobody can tell."""
    trouble = ""
    for kind in ("A", "AAAA"):
        answer = resolver.ask(host, kind)
        if answer.records:
            return True
        if answer.status == "nxdomain":  # there is nothing of any type
            return False
        trouble = trouble or (answer.status if answer.is_trouble else "")
    return trouble or False
