"""When an account counts as out, by its own results, and how long until it is tried again. Pure.

A mailbox that can't connect rests by itself; this is about the account behind many of them, or behind one API key.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

LOOKED_AT = timedelta(minutes=2)  # the present minute and those before it
FEWEST_BROKEN = 3
BROKEN_SHARE = 0.5
FIRST_PAUSE = timedelta(seconds=20)
LONGEST_PAUSE = timedelta(minutes=10)
PROBE_SECONDS = 60  # a probe that has not ended by then is taken for lost


@dataclass(frozen=True, slots=True)
class Count:
    """Tries at an account, and those of them that say something about the account itself."""

    tries: int = 0
    broken: int = 0


def is_out(counts: Iterable[Count], mailboxes: int, *, has_standby: bool) -> bool:
    """Whether so many tries of the last LOOKED_AT broke that the account is at fault, and not a mailbox or a person.

    `mailboxes` is how many leave by it. Where somebody can stand in, an account of one or two mailboxes is out with as
    many failures; else their own circuits are enough.
    """
    counts = list(counts)
    tries, broken = sum(count.tries for count in counts), sum(count.broken for count in counts)
    fewest = min(FEWEST_BROKEN, max(mailboxes, 1)) if has_standby else FEWEST_BROKEN
    return broken >= fewest and broken >= BROKEN_SHARE * tries


def pause(openings: int) -> timedelta:
    """How long until an account that opened its circuit so many times in a row is tried again; doubles each time."""
    return min(FIRST_PAUSE * 2 ** min(max(openings, 1) - 1, 20), LONGEST_PAUSE)


BROKEN_CODES = frozenset({500, 502, 503, 504})
BROKEN_PHASES = frozenset({"connect", "greeting", "ehlo", "starttls"})


def is_broken(result: str, phase: str, code: int | None) -> bool:
    """Whether a try ended in a way that speaks of the account: no connection, or an error of the service.

    Silence after the mail had left is none: what may have arrived opens no way round, and the mailbox counts it.
    SMTP has 500, 502, 503 and 504 for commands that it does not understand, which no working host says to ours.
    """
    return result in ("deferred", "returned") and (phase in BROKEN_PHASES or code in BROKEN_CODES)
