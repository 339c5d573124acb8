"""What the findings of a check mean for a domain: whether it may send, and who has to do something about each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from deliverability.dns.findings import Finding, worst

Outcome = Literal["sound", "failed", "unknown"]
Who = Literal["dns", "registrar", "ops", "nobody"]

DECISIVE = frozenset({"mx", "spf", "dkim", "dmarc"})
REASON_CHARS = 500
# Whose turn it is where that is not whoever runs the domain's DNS.
_REGISTRAR = {("mx", "no_domain")}
_OPS = {("spf", "way_out_unknown"), ("dkim", "no_selector")}


def outcome(findings: Iterable[Finding]) -> Outcome:
    """`failed` if one of SPF, DKIM, DMARC, MX fails; `unknown` if nothing fails but one could not be told."""
    level = worst(finding for finding in findings if finding.check in DECISIVE)
    return "failed" if level == "fail" else "unknown" if level == "unknown" else "sound"


def reason(findings: Iterable[Finding]) -> str:
    """The decisive findings that stand against a domain, as one text: what fails, else what could not be told."""
    decisive = [finding for finding in findings if finding.check in DECISIVE]
    for level in ("fail", "unknown"):
        texts = list(dict.fromkeys(finding.text for finding in decisive if finding.level == level))
        if texts:
            text = " ".join(texts)
            return text if len(text) <= REASON_CHARS else f"{text[: REASON_CHARS - 3]}..."
    return ""


@dataclass(frozen=True, slots=True)
class Move:
    """What a check makes of a domain: the state from now on, and why, "" where nothing stands against it."""

    state: str
    reason: str


def judge(state: str, findings: Iterable[Finding], *, failed_before: bool) -> Move | None:
    """Return the state that follows from a check, or None where a check changes nothing.

    `failed_before`: another check failed long enough before, and none was sound since. What could not be told never
    degrades a domain; one that is blocked or retired stays so until a person acts.
    """
    findings = list(findings)
    if state not in ("new", "verified", "degraded"):
        return None
    found = outcome(findings)
    if found == "sound":
        return Move("verified", "")
    if found == "unknown":
        return Move("new", reason(findings)) if state == "new" else None
    if state == "verified" and failed_before:
        return Move("degraded", reason(findings))
    return Move(state, reason(findings))


def turn_of(finding: Finding) -> Who:
    """Who has to act on a finding; nobody where it only has to be looked at again."""
    key = (finding.check, finding.code)
    if key in _OPS:
        return "ops"
    if key in _REGISTRAR:
        return "registrar"
    return "nobody" if finding.level == "unknown" else "dns"
