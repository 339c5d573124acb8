"""Whether an address of our own has a name that leads back to it (receivers refuse mail from others)."""

from __future__ import annotations

import ipaddress

from deliverability.dns.findings import Finding, found
from deliverability.dns.resolver import Resolver

MAX_NAMES = 10


def check(resolver: Resolver, ip: str) -> Finding:
    """Judge reverse and forward DNS of an address. Raises ValueError if it is none."""
    answer = resolver.reverse(ip)
    if answer.is_trouble:
        return found(
            "ptr", "unknown", "no_answer", f"The name of {ip} could not be read.", "Look again later.", [answer.said]
        )
    remedy = f"Let whoever hands out {ip} set its PTR to a host name whose address is {ip}."
    if not answer.records:
        return found("ptr", "fail", "missing", f"{ip} has no name.", remedy, [answer.said])
    forward = [(name, resolver.ask(name, "AAAA" if ":" in ip else "A")) for name in answer.records[:MAX_NAMES]]
    said = [back.said for _, back in forward]
    for name, back in forward:
        if _same(ip) in map(_same, back.records):
            return found("ptr", "pass", "sound", f"{ip} is {name}, and that name leads back.", evidence=[answer.said])
    if any(back.is_trouble for _, back in forward):
        return found("ptr", "unknown", "no_answer", f"The names of {ip} could not be read.", "Look again later.", said)
    return found("ptr", "fail", "one_way", f"No name of {ip} leads back to it.", remedy, said)


def _same(ip: str) -> str:
    return str(ipaddress.ip_address(ip))
