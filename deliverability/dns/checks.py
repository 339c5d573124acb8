"""All checks of one sending domain, in the order in which a person puts them right."""

from __future__ import annotations

from collections.abc import Sequence

from deliverability.dns import dkim, dmarc, mx, ptr, spf, tracking
from deliverability.dns.findings import Finding, found
from deliverability.dns.resolver import Resolver


def check(
    resolver: Resolver,
    domain: str,
    *,
    selectors: Sequence[str] = (),
    ips: Sequence[str] = (),
    ways_out: Sequence[str] = (),
    links: tuple[str, str] | None = None,
) -> list[Finding]:
    """Judge `domain` (ASCII). `ips` are addresses that mail leaves by: their SPF results and their names.

    `ways_out` as in `spf.covers`; `links` is (host of the links, what it has to lead to).
    Raises ValueError for a selector or an address that can't be one; DNS can say what it likes.
    """
    findings = mx.check(resolver, domain)
    findings += spf.check(resolver, domain)
    findings += [spf.client(resolver, domain, ip) for ip in ips]
    findings += spf.covers(resolver, domain, ways_out)
    if selectors:
        findings += dkim.check(resolver, domain, selectors)
    else:
        text = "No key was looked at, since no selector was named."
        findings.append(
            found("dkim", "warn", "no_selector", text, "Name the selector that signs: s= in a mail's header.")
        )
    findings += dmarc.check(resolver, domain)
    findings += [ptr.check(resolver, ip) for ip in ips]
    if links:
        findings.append(tracking.check(resolver, *links))
    return findings
