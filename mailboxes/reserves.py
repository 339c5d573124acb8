"""Which reserve steps in, how many may in a day, and how long a sick mailbox rests. Pure: no models, no clock.

The numbers are those of RULES ("Swap brake", "Quarantine", "Reserves").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mailboxes import ramp

COOL_DOWNS = (timedelta(hours=24), timedelta(hours=72), timedelta(days=7))  # after the third time a person decides
BRAKE_LEAST, BRAKE_PERCENT = 2, 10  # of a pool, in BRAKE_WINDOW
BRAKE_WINDOW = timedelta(hours=24)
CLEAN_MAILS, PROBING_TIME = 20, timedelta(days=3)
LOOKED_AHEAD = 365  # days


def cool_until(number: int, opened_at: datetime) -> datetime | None:
    """When the `number`-th (from 1) quarantine of a mailbox may turn into a probe; None: when a person says so."""
    return opened_at + COOL_DOWNS[number - 1] if number <= len(COOL_DOWNS) else None


def brake(pool_size: int) -> int:
    """How many mailboxes of a pool may be taken out or swapped in BRAKE_WINDOW: max(2, 10 %)."""
    return max(BRAKE_LEAST, pool_size * BRAKE_PERCENT // 100)


@dataclass(frozen=True, slots=True)
class Leaver:
    """The mailbox that goes: `domain_is_well` says whether its domain is verified and no worse."""

    domain_id: int
    domain_is_well: bool
    kind: str
    host: str


@dataclass(frozen=True, slots=True)
class Reserve:
    """One that could step in; `rest` is what its whole cap still allows today."""

    id: int
    domain_id: int
    kind: str
    host: str
    rest: int


def choose(leaver: Leaver, reserves: Iterable[Reserve]) -> int | None:
    """The id of the reserve that steps in; None when there is none.

    Another domain comes first where the leaver's is degraded: the next one there would fall ill of the same. Then the
    same kind of provider and the same host, because its limits, its signature and its receivers' habits are the ones
    that the campaign was checked against. Then who has most left today, then the oldest row.
    """

    def order(one: Reserve) -> tuple[bool, bool, bool, int, int]:
        same_sick_domain = not leaver.domain_is_well and one.domain_id == leaver.domain_id
        return (same_sick_domain, one.kind != leaver.kind, one.host != leaver.host, -one.rest, one.id)

    best = min(reserves, key=order, default=None)
    return None if best is None else best.id


def lacking(clean: int, probing_for: timedelta | None) -> list[str]:
    """What a mailbox on probation still lacks, one sentence each; `clean` mails in a row, None: no probe was begun."""
    if probing_for is None:
        return ["It has not been probed yet."]
    found = []
    if clean < CLEAN_MAILS:
        found.append(f"{clean} of {CLEAN_MAILS} mails in a row went out clean.")
    if probing_for < PROBING_TIME:
        hours = int(probing_for.total_seconds() // 3600)
        found.append(f"It has been probing for {hours} of {int(PROBING_TIME.total_seconds() // 3600)} hours.")
    return found


# --- Who is affected -----------------------------------------------------------------------------------------


class Handover:
    """What becomes of the threads of a mailbox that is taken out, by campaign."""

    WAIT, NEW_THREAD, STOP = "wait", "new_thread", "stop"
    ALL = (WAIT, NEW_THREAD, STOP)


def handled(policy: str, has_successor: bool, instead_of_wait: str = "") -> str:
    """What is really done: nobody waits for a retired mailbox, and without a successor there is no new thread."""
    wanted = instead_of_wait or Handover.WAIT if policy == Handover.WAIT else policy
    return Handover.WAIT if wanted == Handover.NEW_THREAD and not has_successor else wanted


@dataclass(frozen=True, slots=True)
class Affected:
    """People of one campaign whom the mailbox was to write to.

    `bound`: who is in the middle of a thread with it, or got a try that did not go through, and whom the campaign's
    policy decides on; `retries` are the latter. `free`: those not written to yet; another mailbox takes them.
    """

    mailbox_id: int
    campaign_id: int
    campaign: str
    policy: str
    bound: int
    retries: int
    free: int


@dataclass(slots=True)
class Leaving:
    """What apps above know of mailboxes that are to leave. `under_way` mails may be out, and stay as they are."""

    campaigns: list[Affected] = field(default_factory=list)
    under_way: int = 0

    @property
    def bound(self) -> int:
        return sum(one.bound for one in self.campaigns)

    @property
    def free(self) -> int:
        return sum(one.free for one in self.campaigns)


# --- The gap that a swap leaves --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Growing:
    """A mailbox that is to fill a gap: its cap of now, where its ramp leads, and in how many days it may rise next."""

    cap: int
    own_cap: int
    plan: ramp.Plan | None = None
    rises_in: int = 0

    def after(self, days: int) -> int:
        """The cap in so many days, if every day is used."""
        if self.plan is None:
            return self.cap
        cap, next_rise = self.cap, self.rises_in
        while next_rise <= days and cap < min(self.plan.ceiling, self.own_cap):
            cap = ramp.next_cap(cap, self.plan)
            next_rise += self.plan.every_days
        return min(cap, self.own_cap)


def gap(lost: int, growing: Sequence[Growing], days: int = 0) -> int:
    """How many mails a day are missing in so many days, of `lost` that went away."""
    return max(lost - sum(one.after(days) for one in growing), 0)


def closes_in(lost: int, growing: Sequence[Growing]) -> int | None:
    """In how many days the gap is closed by the ramps (0: it is); None: never by them alone."""
    return next((days for days in range(LOOKED_AHEAD + 1) if gap(lost, growing, days) == 0), None)
