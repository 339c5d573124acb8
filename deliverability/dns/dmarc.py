"""Whether a DMARC record speaks for a domain, is sound, and gets its reports (RFC 9989, RFC 9990; RFC 7489 before)."""

from __future__ import annotations

import re

from deliverability.dns import tree_walk
from deliverability.dns.dmarc_record import REMOVED, Record
from deliverability.dns.findings import Finding, Level, found
from deliverability.dns.resolver import Resolver
from deliverability.dns.tree_walk import Walk

EXAMPLE = "v=DMARC1; p=none; rua=mailto:dmarc@{domain}"
_ALMOST = re.compile(r"\s*v\s*=\s*dmarc", re.IGNORECASE)
_REPORT = re.compile(r"v[ \t]*=[ \t]*DMARC1(?:[ \t;]|\Z)")


def check(resolver: Resolver, domain: str) -> list[Finding]:
    """Judge the record of the domain, or the one above that counts for it."""
    domain = domain.lower().removesuffix(".")
    own = tree_walk.ask(resolver, domain)
    texts = tree_walk.texts_of(own)
    if own.is_trouble:
        text = f"The DMARC record of {domain} could not be read."
        return [_say("unknown", "no_answer", text, "Look again later.", own.said)]
    if len(texts) > 1:
        text = f"{domain} has {len(texts)} DMARC records; receivers then take none of them."
        return [_say("fail", "several", text, "Leave one.", *texts)]
    if not texts and (almost := [text for text in own.records if _ALMOST.match(text)]):
        text = f"The DMARC record of {domain} does not begin with v=DMARC1; and counts for nothing."
        return [_say("fail", "version", text, "Begin it with exactly v=DMARC1;", *almost)]
    walk = tree_walk.walk(resolver, domain)
    if walk.policy is None:
        if walk.troubles:
            text = f"Whether a DMARC record above {domain} counts for it could not be read."
            return [_say("unknown", "no_answer", text, "Look again later.", *(each.said for each in walk.troubles))]
        remedy = f"Publish at _dmarc.{domain}: {EXAMPLE.format(domain=domain)}"
        return [_say("fail", "missing", f"No DMARC record counts for {domain}.", remedy, own.said)]
    name, record = walk.policy
    findings = [*_policy(resolver, walk, name, record), *_faults(record)]
    return findings + _reports(resolver, name, record) if record.is_applied else findings


def _policy(resolver: Resolver, walk: Walk, name: str, record: Record) -> list[Finding]:
    if not record.is_applied:
        text = f"The DMARC record of {name} has no p= that receivers understand, and counts for nothing."
        return [_say("fail", "no_policy", text, "Put p=none, p=quarantine or p=reject after v=DMARC1;", record.text)]
    findings: list[Finding] = []
    if not record.p:
        text = f"The DMARC record of {name} has no p= that receivers understand: they take p=none, older ones nothing."
        findings.append(_say("warn", "no_policy", text, "Put p= after v=DMARC1;", record.text))
    below = name != walk.domain
    exists = not below or resolver.ask(walk.domain, "A").status != "nxdomain"
    text = f"DMARC asks for {record.wants(below=below, exists=exists)}" + (
        f", by the record of {name}." if below else "."
    )
    findings.append(_say("pass", "sound", text, "", record.text))
    if record.t == "y" or record.pct < 100:
        text = "The DMARC policy is only being tested (t=y, or pct below 100)."
        findings.append(_say("warn", "testing", text, "Take t= and pct= out once reports are clean."))
    return findings


def _faults(record: Record) -> list[Finding]:
    return [
        _say(
            "warn",
            "removed" if fault.tag in REMOVED else "syntax",
            f"The DMARC record, {fault}.",
            "Take it out." if fault.tag in REMOVED else "Correct it.",
            record.text,
        )
        for fault in record.faults
    ]


def _reports(resolver: Resolver, name: str, record: Record) -> list[Finding]:
    findings = []
    if not record.rua:
        text = "Nobody gets DMARC reports: rua= names no mail address."
        findings.append(_say("warn", "no_reports", text, f"Add rua=mailto:dmarc@{name}"))
    receivers = dict.fromkeys(address.rpartition("@")[2] for address in (*record.rua, *record.ruf))
    return [*findings, *filter(None, (_foreign(resolver, name, receiver) for receiver in receivers))]


def _foreign(resolver: Resolver, name: str, receiver: str) -> Finding | None:
    """Reports go to another organization only if that says so in its own DNS (RFC 9990, 4)."""
    if tree_walk.aligned(resolver, receiver, name, strict=False):
        return None
    answer = resolver.ask(f"{name}._report._dmarc.{receiver}", "TXT")
    if any(_REPORT.match(text) for text in answer.records):
        return _say("pass", "reports_taken", f"{receiver} agrees to get the reports of {name}.", "", answer.said)
    if answer.is_trouble:
        text = f"Whether {receiver} agrees to get the reports of {name} could not be read."
        return _say("unknown", "reports_no_answer", text, "Look again later.", answer.said)
    text = f"{receiver} does not agree to get the reports of {name}: receivers send none there."
    remedy = f'Let {receiver} publish "v=DMARC1;" at {answer.name}, or name an address of your own.'
    return _say("warn", "reports_foreign", text, remedy, answer.said)


def alignment(resolver: Resolver, what: str, domain: str, author: str) -> Finding:
    """Whether the domain that `what` (spf or dkim) vouches for stands for the From domain, as its record asks."""
    policy = tree_walk.walk(resolver, author).policy
    strict = policy is not None and (policy[1].adkim if what == "dkim" else policy[1].aspf) == "s"
    how = "strictly" if strict else "relaxed"
    answer = tree_walk.aligned(resolver, domain, author, strict=strict)
    names = {"dkim": "DKIM's d=", "spf": "SPF's domain "}
    if answer is None:
        text = f"Whether {names[what]}{domain} aligns with {author} could not be read."
        return _say("unknown", f"{what}_alignment", text, "Look again later.")
    if answer:
        return _say("pass", f"{what}_alignment", f"{names[what]}{domain} aligns with {author} ({how}).", "")
    text = f"{names[what]}{domain} does not align with {author} ({how}): it does nothing for DMARC."
    return _say("fail", f"{what}_alignment", text, f"Sign, or bounce, with {author} or a domain of its organization.")


def _say(level: Level, code: str, text: str, remedy: str, *evidence: str) -> Finding:
    return found("dmarc", level, code, text, remedy, evidence)
