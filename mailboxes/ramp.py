"""The rule by which a mailbox's daily cap grows, holds, steps back. Pure: no models, no clock.

A ramp is a cap and nothing else: it never makes mail, and it rises by real mail alone (RULES, "Ramp").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

USED_PERCENT = 70  # of what a day allowed has to be sent for the day to count as used
USED_DAYS, LOOKED_AT = 2, 3  # so many of the last so many days on which anything was sent


class Kind(StrEnum):
    """What a day's decision does to the cap. `start` is no decision: the day the mailbox was put on the ramp."""

    START = "start"
    RISE = "rise"
    HOLD = "hold"
    STEP_BACK = "step_back"
    RESTART = "restart"
    DONE = "done"


class Reason(StrEnum):
    """Why."""

    STARTED = "started"  # put on the ramp
    RELEASED = "released"  # back from quarantine, at half
    USED = "used"  # the cap was used, and it is time
    TOO_SOON = "too_soon"  # the last change is fewer than every_days ago
    UNUSED = "unused"  # less was sent than a rise needs
    STOPPED = "stopped"  # in quarantine, on probation, held or blocked
    SIGNAL = "signal"  # bad, and the step for it has been made
    BAD = "bad"  # a bad signal that makes a step
    IDLE = "idle"  # nothing sent for idle_days
    CEILING = "ceiling"  # the plan's ceiling is reached
    OWN_CAP = "own_cap"  # the mailbox's own daily cap is reached
    LOWERED = "lowered"  # the plan's ceiling was lowered


CHANGES = frozenset({Kind.START, Kind.RISE, Kind.STEP_BACK, Kind.RESTART})
FALLS = frozenset({Kind.STEP_BACK, Kind.RESTART})
BEGINNINGS = FALLS | {Kind.START}


@dataclass(frozen=True, slots=True)
class Plan:
    """`start` and `ceiling` in messages a day, `growth_percent` and `step_back_percent` of the cap of now.

    After `idle_days` without a mail the ramp begins again.
    """

    start: int = 10
    growth_percent: int = 15
    every_days: int = 3
    ceiling: int = 40
    step_back_percent: int = 30
    idle_days: int = 30


@dataclass(frozen=True, slots=True)
class Day:
    """One day of a mailbox: the ramp's cap, what it was allowed in all (a reserve takes a share), what it sent."""

    on: date
    cap: int
    allowed: int
    sent: int
    kind: Kind = Kind.HOLD

    @property
    def was_used(self) -> bool:
        return self.sent > 0 and 100 * self.sent >= USED_PERCENT * self.allowed


@dataclass(frozen=True, slots=True)
class Signals:
    """What speaks against more mail. `bad` names a bad signal; `stopped`: it may not send now, or on probation only.

    `own_cap` is the mailbox's daily cap, beyond which no ramp goes; `last_sent_on` the day of its last real mail.
    """

    bad: str = ""
    stopped: bool = False
    own_cap: int | None = None
    last_sent_on: date | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The cap from today on, and why; before `until` it can't rise (None: nothing to wait for)."""

    kind: Kind
    cap: int
    reason: Reason
    until: date | None = None


def next_cap(current: int, plan: Plan) -> int:
    """max(current + 1, round(current x (1 + g))), a half upwards, and never above the ceiling."""
    return min(plan.ceiling, max(current + 1, _rounded(current * (100 + plan.growth_percent))))


def stepped_back(current: int, plan: Plan) -> int:
    """The cap without its `step_back_percent`; at least one less, and never below 1."""
    return max(1, min(current - 1, _rounded(current * (100 - plan.step_back_percent))))


def halved(current: int) -> int:
    """The cap with which a mailbox comes back from quarantine; never below 1."""
    return max(1, current // 2)


def cap_on(plan: Plan, n: int) -> int:
    """The cap n days after the start (0: the first day) if every day is used: floor(n / every_days) steps."""
    cap = min(plan.start, plan.ceiling)
    for _ in range(n // plan.every_days):
        if cap >= plan.ceiling:
            break
        cap = next_cap(cap, plan)
    return cap


def curve(plan: Plan, days: int) -> list[int]:
    """cap_on() for each of the first so many days."""
    return [cap_on(plan, n) for n in range(days)]


def formula(plan: Plan, n: int) -> float:
    """The same in closed form, without rounding: min(ceiling, start x (1 + g) ^ floor(n / every_days)).

    Rounding moves each step by at most a half, which grows with the steps after it. From 1 / (2 g) on (5 mails at
    10 %) `current + 1` never decides, so there |cap_on - formula| <= rounding_bound below the ceiling.
    """
    return min(float(plan.ceiling), plan.start * (1 + plan.growth_percent / 100) ** (n // plan.every_days))


def rounding_bound(plan: Plan, n: int) -> float:
    """By how much rounding can move the cap of that day: the sum of 0.5 x (1 + g)^i over its steps."""
    g = plan.growth_percent / 100
    return 0.5 * ((1 + g) ** (n // plan.every_days) - 1) / g


def days_to_ceiling(plan: Plan) -> int:
    """How many days a mailbox needs that uses every one of them."""
    cap, steps = min(plan.start, plan.ceiling), 0
    while cap < plan.ceiling:
        cap, steps = next_cap(cap, plan), steps + 1
    return steps * plan.every_days


def decide(history: Sequence[Day], signals: Signals, plan: Plan, today: date) -> Decision:
    """Today's cap, from the days before (oldest first; without any, this is the start).

    The last idle_days + 2 of them are enough. A bad signal steps back, once in `every_days`; whatever is stopped keeps
    its cap. Days before a step back or a restart prove nothing for the cap that came after them.
    """
    if not history:
        return Decision(Kind.START, min(plan.start, plan.ceiling), Reason.STARTED, _after(today, plan))
    current = history[-1].cap
    change = next((day for day in reversed(history) if day.kind in CHANGES), history[0])
    may_change_on = _after(change.on, plan)
    if current > plan.ceiling:
        return Decision(Kind.STEP_BACK, plan.ceiling, Reason.LOWERED, _after(today, plan))
    if _is_idle(history, change, signals, plan, today):
        if current > plan.start:
            return Decision(Kind.RESTART, plan.start, Reason.IDLE, _after(today, plan))
        return Decision(Kind.HOLD, current, Reason.IDLE)
    if signals.bad:
        if today < may_change_on and change.kind in FALLS:
            return Decision(Kind.HOLD, current, Reason.SIGNAL, may_change_on)
        if current > 1:
            return Decision(Kind.STEP_BACK, stepped_back(current, plan), Reason.BAD, _after(today, plan))
        return Decision(Kind.HOLD, current, Reason.SIGNAL)
    if signals.stopped:
        return Decision(Kind.HOLD, current, Reason.STOPPED)
    if current >= plan.ceiling:
        return Decision(Kind.DONE, current, Reason.CEILING)
    if signals.own_cap is not None and current >= signals.own_cap:
        return Decision(Kind.DONE, current, Reason.OWN_CAP)
    if today < may_change_on:
        return Decision(Kind.HOLD, current, Reason.TOO_SOON, may_change_on)
    if not _was_used(history, today):
        return Decision(Kind.HOLD, current, Reason.UNUSED)
    cap = next_cap(current, plan)
    if signals.own_cap is not None:
        cap = min(cap, signals.own_cap)
    return Decision(Kind.RISE, cap, Reason.USED, _after(today, plan))


def _is_idle(history: Sequence[Day], change: Day, signals: Signals, plan: Plan, today: date) -> bool:
    """Nothing sent for idle_days; a cap that came later than that has its time first."""
    sent = [day.on for day in history if day.sent > 0]
    last = max(filter(None, [*sent[-1:], signals.last_sent_on, change.on]))
    return (today - last).days >= plan.idle_days


def _was_used(history: Sequence[Day], today: date) -> bool:
    begun = [day.on for day in history if day.kind in BEGINNINGS]
    since = begun[-1] if begun else date.min
    sending = [day for day in history if day.sent > 0 and since <= day.on < today][-LOOKED_AT:]
    return sum(day.was_used for day in sending) >= USED_DAYS


def _after(day: date, plan: Plan) -> date:
    return day + timedelta(days=plan.every_days)


def _rounded(hundredths: int) -> int:
    return (hundredths + 50) // 100
