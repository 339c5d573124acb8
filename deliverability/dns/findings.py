"""What a check found out, in one shape for the command, the pages and the jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["pass", "warn", "fail", "unknown"]

SHOWN_CHARS = 500  # of each piece of evidence


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about one thing, with what was seen.

    check: spf, dkim, dmarc, mx, ptr or tracking. code: stable, for machines. remedy: what to do, "" where nothing needs
    doing. evidence: printable, each piece cut at SHOWN_CHARS. `unknown` means that nobody could tell at the moment: a
    time-out, SERVFAIL or a refusal of the name server is that, and never `fail`.
    """

    check: str
    level: Level
    code: str
    text: str
    remedy: str = ""
    evidence: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def found(check: str, level: Level, code: str, text: str, remedy: str = "", evidence: Iterable[str] = ()) -> Finding:
    """Return a finding whose texts can be printed, whatever a name server put into them."""
    return Finding(check, level, code, shown(text), shown(remedy), tuple(shown(piece) for piece in evidence))


def shown(text: str) -> str:
    """Return `text` in printable ASCII: what came from DNS can hold any byte, also ones that steer a terminal."""
    cut = text[:SHOWN_CHARS]
    clean = "".join(char if " " <= char <= "~" else char.encode("unicode_escape").decode() for char in cut)
    return clean if len(text) <= SHOWN_CHARS else f"{clean}... ({len(text)} characters)"


def worst(findings: Iterable[Finding]) -> Level:
    """Return the level that decides: fail before unknown before warn before pass."""
    levels = {finding.level for finding in findings}
    order: tuple[Level, ...] = ("fail", "unknown", "warn")
    return next((level for level in order if level in levels), "pass")
