"""What a receiver makes of a domain's SPF record for one client address (RFC 7208, section 4).

Explanations (`exp=`) are read for their syntax and never fetched: they change no result.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal

from deliverability.dns.resolver import Resolver
from deliverability.dns.spf_macros import IP, Circumstances, expand
from deliverability.dns.spf_record import Record, SpfSyntaxError, Term, is_record, parse

Result = Literal["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"]

MAX_LOOK_UPS = 10
MAX_VOID = 2
MAX_NAMES = 10  # of one MX or PTR answer (4.6.4)
_LABEL = re.compile(r"[^.]{1,63}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result, why, and what it took."""

    result: Result
    reason: str
    look_ups: int = 0
    void_look_ups: int = 0


class _Ended(Exception):
    """The evaluation is over, wherever it stood."""

    def __init__(self, result: Result, reason: str) -> None:
        super().__init__(reason)
        self.result, self.reason = result, reason


def evaluate(resolver: Resolver, ip: str, domain: str, sender: str = "", helo: str = "") -> Verdict:
    """Return the verdict on mail of `sender` (an address, or "" for a bounce) that the client `ip` brings.

    Raises ValueError if `ip` is no address; the records can hold anything.
    """
    address: IP = ipaddress.ip_address(ip)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    run = _Run(resolver, address, domain, sender, helo)
    try:
        result, reason = run.check_host(domain.removesuffix("."))
    except _Ended as end:
        result, reason = end.result, end.reason
    return Verdict(result, reason, run.look_ups, run.void)


class _Run:
    def __init__(self, resolver: Resolver, ip: IP, domain: str, sender: str, helo: str) -> None:
        self.resolver, self.ip = resolver, ip
        self.look_ups = self.void = 0
        local, at, host = sender.rpartition("@")
        whole = f"{local or 'postmaster'}@{host or helo or domain}" if at or not sender else f"postmaster@{sender}"
        self.around = Circumstances(ip, whole, helo or domain, self._validated)
        self.names: list[str] | None = None

    def check_host(self, domain: str) -> tuple[Result, str]:
        labels = domain.split(".")
        if len(labels) < 2 or not all(map(_LABEL.fullmatch, labels)) or len(domain) > 253:
            return "none", f"{domain!r} is no full domain name"
        answer = self.resolver.ask(domain, "TXT")
        if answer.is_trouble:
            raise _Ended("temperror", answer.said)
        records = [text for text in answer.records if is_record(text)]
        if not records:
            return "none", f"{domain} has no SPF record"
        if len(records) > 1:
            raise _Ended("permerror", f"{domain} has {len(records)} SPF records")
        try:
            record = parse(records[0])
        except SpfSyntaxError as error:
            raise _Ended("permerror", f"{domain}: {error} ({error.term})") from error
        return self._walk(record, domain)

    def _walk(self, record: Record, domain: str) -> tuple[Result, str]:
        for term in record.mechanisms:
            if self._matches(term, domain):
                return term.result, f"{term.written} of {domain}"  # type: ignore[return-value]
        if record.redirect is None:
            return "neutral", f"nothing in the record of {domain} matches"
        self._count()
        target = expand(record.redirect.target, domain, self.around)
        result, reason = self.check_host(target)
        if result == "none":
            raise _Ended("permerror", f"{record.redirect.written} of {domain}: {reason}")
        return result, reason

    def _matches(self, term: Term, domain: str) -> bool:
        if term.name == "all":
            return True
        if term.network is not None:
            return self.ip in term.network
        self._count()
        target = expand(term.target, domain, self.around) if term.target else domain
        if term.name == "include":
            result, reason = self.check_host(target)
            if result == "none":
                raise _Ended("permerror", f"{term.written} of {domain}: {reason}")
            return result == "pass"
        if term.name == "exists":
            return bool(self._ask(target, "A"))
        if term.name == "ptr":
            return any(within(name, target) for name in self._names_that_prove())
        if term.name == "a":
            return self._is_at(target, term)
        exchanges = self._ask(target, "MX")
        if len(exchanges) > MAX_NAMES:
            raise _Ended("permerror", f"{target} has more than {MAX_NAMES} MX records")
        return any(self._is_at(record.partition(" ")[2], term) for record in exchanges)

    def _is_at(self, name: str, term: Term) -> bool:
        prefix = term.prefix4 if self.ip.version == 4 else term.prefix6
        found = self._ask(name, "A" if self.ip.version == 4 else "AAAA")
        return any(self.ip in ipaddress.ip_network((record, prefix), strict=False) for record in found)

    def _ask(self, name: str, kind: Literal["A", "AAAA", "MX"]) -> tuple[str, ...]:
        answer = self.resolver.ask(name, kind)
        if answer.is_trouble:
            raise _Ended("temperror", answer.said)
        if answer.is_void:
            self.void += 1
            if self.void > MAX_VOID:
                raise _Ended("permerror", f"more than {MAX_VOID} look-ups found nothing, the last one {answer.said}")
        return answer.records

    def _count(self) -> None:
        self.look_ups += 1
        if self.look_ups > MAX_LOOK_UPS:
            raise _Ended("permerror", f"more than {MAX_LOOK_UPS} look-ups")

    def _names_that_prove(self) -> list[str]:
        """Names of the client's address that lead back to it; trouble counts as none (5.5)."""
        if self.names is None:
            kind: Literal["A", "AAAA"] = "A" if self.ip.version == 4 else "AAAA"
            asked = self.resolver.reverse(str(self.ip)).records[:MAX_NAMES]
            self.names = [
                name
                for name in asked
                if any(ipaddress.ip_address(found) == self.ip for found in self.resolver.ask(name, kind).records)
            ]
        return self.names

    def _validated(self, domain: str) -> str:
        names = self._names_that_prove()
        inside = [name for name in names if within(name, domain)]
        exact = [name for name in inside if name == domain.lower()]
        return next(iter([*exact, *inside, *names]), "unknown")


def within(name: str, domain: str) -> bool:
    """Whether a name is the domain or below it."""
    name, domain = name.lower(), domain.lower().removesuffix(".")
    return name == domain or name.endswith(f".{domain}")
