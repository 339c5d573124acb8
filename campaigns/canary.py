"""When a first small part of a campaign says that the rest may follow: a pure rule over counts.

The limits are those by which a list is halted anyway; only the least number of mails is the canary's own size, since
finding out early is what it is for.
"""

from __future__ import annotations

from dataclasses import dataclass

from outreach.common.intervals import Share

BOUNCE_RATE, BOUNCE_BOUND = 0.03, 0.01
COMPLAINTS, COMPLAINT_BOUND = 2, 0.001
LEAST = 50  # mails before anything is judged early; a smaller canary is judged when it is complete


@dataclass(frozen=True, slots=True)
class Counts:
    """Of the first mails: `tried` at least once, `done` sent or refused for good, and what came of them."""

    planned: int = 0
    tried: int = 0
    done: int = 0
    bounced: int = 0
    complained: int = 0


def too_bad(counts: Counts) -> str:
    """Which limit is broken, "bounces" or "complaints"; "" none."""
    rate = counts.bounced / counts.done if counts.done else 0.0
    if rate >= BOUNCE_RATE and Share(counts.bounced, counts.done).low >= BOUNCE_BOUND:
        return "bounces"
    if counts.complained >= COMPLAINTS and Share(counts.complained, counts.done).low >= COMPLAINT_BOUND:
        return "complaints"
    return ""


def broken_early(counts: Counts, size: int) -> str:
    """As `too_bad`, while mail is still on its way: a handful says nothing yet."""
    return too_bad(counts) if counts.done >= min(LEAST, size) else ""
