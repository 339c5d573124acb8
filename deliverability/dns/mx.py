"""Whether a domain receives mail (RFC 5321, 5.1; RFC 7505): replies and complaints have to reach us."""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from deliverability.dns.findings import Finding, Level, found
from deliverability.dns.operators import operator
from deliverability.dns.resolver import Resolver

MAX_HOSTS = 20
PUBLISH = "Publish an MX record that names the host which takes the replies."


def check(resolver: Resolver, domain: str) -> list[Finding]:
    """Judge the MX records and each host that they name."""
    answer = resolver.ask(domain, "MX")
    if answer.is_trouble:
        return [
            _say("unknown", "no_answer", f"The MX of {domain} could not be read.", "Look again later.", answer.said)
        ]
    if answer.status == "nxdomain":
        return [
            _say("fail", "no_domain", f"{domain} does not exist.", "Register it, or correct the name.", answer.said)
        ]
    hosts = [host for _, host in answer.exchanges]
    if not hosts:
        return [_implicit(resolver, domain)]
    if "." in hosts:
        text = f"{domain} says that it receives no mail (null MX)."
        return [_say("fail", "null_mx", text, PUBLISH, answer.said)]
    judged = [_host(resolver, host) for host in hosts[:MAX_HOSTS]]
    findings = [finding for finding in judged if finding]
    if None in judged:  # one good host takes the mail while another is gone
        findings = [replace(each, level="warn") if each.code == "mx_unresolved" else each for each in findings]
    levels = {finding.level for finding in findings}
    if not levels & {"fail", "unknown"}:
        text = f"{domain} receives mail at {hosts[0]} ({operator(hosts)})."
        findings.insert(0, _say("pass", "receives", text, "", answer.said))
    return findings


def _implicit(resolver: Resolver, domain: str) -> Finding:
    answers = resolver.addresses(domain)
    said = [answer.said for answer in answers]
    if any(answer.records for answer in answers):
        text = f"{domain} has no MX: mail goes to its own address, where most often a web server stands."
        return _say("warn", "implicit_mx", text, PUBLISH, *said)
    if any(answer.is_trouble for answer in answers):
        return _say("unknown", "no_answer", f"{domain} has no MX, and its addresses could not be read.", "", *said)
    return _say("fail", "no_mx", f"{domain} has neither an MX nor an address: it receives no mail.", PUBLISH, *said)


def _host(resolver: Resolver, host: str) -> Finding | None:
    """What is wrong with a host that an MX names."""
    if _is_literal(host):
        text = f"The MX names an address, {host}; it has to name a host."
        return _say("fail", "mx_is_ip", text, "Give the address a name, and put that into the MX.")
    alias = resolver.ask(host, "CNAME")
    if alias.records:
        text = f"The MX names {host}, which is only a CNAME of {alias.records[0]} (RFC 2181, 10.3, forbids it)."
        return _say("fail", "mx_is_cname", text, f"Put {alias.records[0]} into the MX.")
    answers = resolver.addresses(host)
    said = [answer.said for answer in answers]
    if any(answer.records for answer in answers):
        return None
    if any(answer.is_trouble for answer in answers):
        return _say("unknown", "no_answer", f"The address of {host} could not be read.", "Look again later.", *said)
    return _say("fail", "mx_unresolved", f"The MX names {host}, which has no address.", "Correct or remove it.", *said)


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _say(level: Level, code: str, text: str, remedy: str, *evidence: str) -> Finding:
    return found("mx", level, code, text, remedy, evidence)
