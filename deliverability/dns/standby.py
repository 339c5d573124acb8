"""Whether receivers would take mail that leaves by a standby for the domain's own: aligned by SPF or by DKIM."""

from __future__ import annotations

from dataclasses import dataclass

from deliverability.dns import dkim, dmarc, spf
from deliverability.dns.resolver import Resolver
from mailboxes import hosts


@dataclass(frozen=True, slots=True)
class Asked:
    """An account that is to stand in: what SPF has to cover for it, and the selectors by which it signs."""

    account_id: int
    server: str
    spf_terms: tuple[str, ...]
    selectors: tuple[str, ...]


def check(resolver: Resolver, domain: str, envelope: str, asked: Asked) -> tuple[bool | None, str]:
    """(ready, why) of one standby; None when nobody could tell at the moment.

    One of the two is enough, as DMARC has it: the From domain, or one below the same organisation, in the envelope with
    SPF covering the way out, or in a signature whose key is published and long enough.
    """
    said: list[str] = []
    unknown = False
    for selector in asked.selectors:
        findings = dkim.check_selector(resolver, domain, selector)
        levels = {finding.level for finding in findings}
        if levels <= {"pass", "warn"}:
            return True, f"The key {selector}._domainkey.{domain} is published."
        unknown |= "unknown" in levels and "fail" not in levels
        said += [finding.text for finding in findings if finding.level in ("fail", "unknown")][:1]
    if asked.spf_terms and envelope != domain and dmarc.alignment(resolver, "spf", envelope, domain).level != "pass":
        said.append(f"Bounces go to {envelope}, which is not aligned with {domain}.")
    elif asked.spf_terms:
        try:
            found = spf.covers(resolver, envelope, hosts.ways_out(asked.spf_terms))
        except ValueError as error:
            found = []
            said.append(f"What SPF has to cover can't be read: {error}.")
        if found and all(finding.level == "pass" for finding in found):
            return True, f"SPF of {envelope} covers it."
        unknown |= bool(found) and {finding.level for finding in found} <= {"pass", "unknown"}
        said += [finding.text for finding in found if finding.level != "pass"][:1]
    if not asked.selectors and not asked.spf_terms:
        said.append(f"Neither a selector nor what SPF has to cover is known of {asked.server}: set one of them.")
    return (None if unknown else False), " ".join(said)
