"""Whether the host of a domain's links leads to the console."""

from __future__ import annotations

from deliverability.dns.findings import Finding, found
from deliverability.dns.resolver import MAX_CNAMES, Resolver


def check(resolver: Resolver, host: str, target: str) -> Finding:
    """Judge whether `host` is a CNAME of `target`, directly or over others, and that the target is there."""
    target = target.lower().removesuffix(".")
    name = host.lower().removesuffix(".")
    way = [name]
    while len(way) <= MAX_CNAMES:
        answer = resolver.ask(name, "CNAME")
        if answer.is_trouble:
            text = f"Where {host} leads could not be read."
            return found("tracking", "unknown", "no_answer", text, "Look again later.", [answer.said])
        if not answer.records or answer.records[0] in way:
            break
        name = answer.records[0]
        way.append(name)
        if name == target:
            return _there(resolver, host, target, way)
    remedy = f"Publish a CNAME of {host} to {target}."
    evidence = [" -> ".join(way)]
    if len(way) == 1:
        return found("tracking", "fail", "no_cname", f"{host} is no CNAME.", remedy, [answer.said])
    return found("tracking", "fail", "elsewhere", f"{host} leads to {name} and not to {target}.", remedy, evidence)


def _there(resolver: Resolver, host: str, target: str, way: list[str]) -> Finding:
    answers = resolver.addresses(target)
    said = [answer.said for answer in answers]
    if any(answer.records for answer in answers):
        return found("tracking", "pass", "sound", f"{host} leads to {target}.", evidence=[" -> ".join(way)])
    if any(answer.is_trouble for answer in answers):
        text = f"{host} leads to {target}, whose address could not be read."
        return found("tracking", "unknown", "no_answer", text, "Look again later.", said)
    return found("tracking", "fail", "no_address", f"{host} leads to {target}, which has no address.", "", said)
