"""What mailboxes may send on the days to come: a calculation on plain values. Pure: no models, no clock.

Ramps go on by their own rule (mailboxes.ramp), under the assumption that every cap is used on every day on which
mail may go and that no signal turns bad. Identical mailboxes are one group, so that cost follows the kinds of mailboxes
and not their number. Why so: outreach/decisions/0032-forecast.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from mailboxes import ramp as rule

PROBING_CAP = 5  # mails a day of a mailbox on probation (RULES, "Quarantine")
HOURS = 24.0

LimitKey = tuple[str, int]  # ("domain" | "account" | "quota", id)
OpenOn = Callable[[date], bool]


@dataclass(frozen=True, slots=True)
class Ramp:
    """Where a ramp stands: its cap since `changed_on`, and the last day that has been decided on.

    `used` says of the last days with mail, at most three, whether their cap was used; days before the last beginning
    are not among them.
    """

    plan: rule.Plan
    cap: int
    changed_on: date
    decided_on: date
    used: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """Mailboxes of one pool that are alike in everything that decides how much they may send.

    `reserved` is what all together have taken of today already. `stopped` ones never send in a forecast: quarantined,
    held, or behind a stopped domain or account. Before `free_on` a block of theirs has not ended.
    """

    pool_id: int
    state: str
    count: int = 1
    daily_cap: int = 40
    ramp: Ramp | None = None
    reserve_share: float = 0.2
    weight: float = 1.0
    min_gap_seconds: int = 0
    user_daily_cap: int | None = None
    stopped: bool = False
    free_on: date | None = None
    limits: tuple[LimitKey, ...] = ()
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """What several mailboxes share. `used_today` counts against the first day."""

    name: str
    hourly: int | None = None
    daily: int | None = None
    ramp: Ramp | None = None
    used_today: int = 0

    def on(self, days: Sequence[date], open_on: OpenOn) -> list[float]:
        """Its cap on each day, of `daily` and its ramp the smaller; infinite where it has neither."""
        own = float("inf") if self.daily is None else float(self.daily)
        if self.ramp is None:
            return [own] * len(days)
        return [min(own, cap) for cap in ramp_caps(self.ramp, self.daily, days, open_on)]

    def within(self, hours: float) -> float:
        """What its hourly cap lets through in so many hours."""
        return float("inf") if self.hourly is None else self.hourly * hours


@dataclass(frozen=True, slots=True)
class Fleet:
    """The mailboxes that a forecast is about, and what they share."""

    groups: tuple[Group, ...] = ()
    limits: Mapping[LimitKey, Limit] = field(default_factory=dict)

    def of_pool(self, pool_id: int) -> list[Group]:
        return [group for group in self.groups if group.pool_id == pool_id]


def days_from(today: date, days: int) -> list[date]:
    """Today and the days after it."""
    return [today + timedelta(days=n) for n in range(days)]


def every_day(_day: date) -> bool:
    return True


class Climb:
    """One mailbox's way up its ramp, by the rule itself: ask each day for its cap, then tell how the day was."""

    def __init__(self, ramp: Ramp, own_cap: int | None, *, stopped: bool = False) -> None:
        self.ramp, self.signals = ramp, rule.Signals(stopped=stopped, own_cap=own_cap)
        self.cap, self.changed_on, self.used = ramp.cap, ramp.changed_on, ramp.used

    def on(self, day: date) -> int:
        """The ramp's cap on that day; days are asked for in their order."""
        if day > self.ramp.decided_on:
            decision = _decided(self.cap, self.changed_on, self.used, self.signals, self.ramp.plan, day)
            if decision.kind in rule.CHANGES:
                self.changed_on = day
            if decision.kind in rule.BEGINNINGS:
                self.used = ()
            self.cap = decision.cap
        return self.cap

    def was(self, used: bool) -> None:
        """Mail went out on the day, and so much of it that the cap was used, or not."""
        self.used = (*self.used, used)[-rule.LOOKED_AT :]


@functools.lru_cache(maxsize=100_000)
def _decided(
    cap: int, changed_on: date, used: tuple[bool, ...], signals: rule.Signals, plan: rule.Plan, day: date
) -> rule.Decision:
    """The rule on as many days as it looks at, told by their outcome; their dates only have to lie before that day."""
    n = len(used)
    sent = [rule.Day(day - timedelta(days=n - i), cap, 100, 100 if was_used else 1) for i, was_used in enumerate(used)]
    return rule.decide([*sent, rule.Day(changed_on, cap, 100, 0, rule.Kind.RISE)], signals, plan, day)


def ramp_caps(
    ramp: Ramp, own_cap: int | None, days: Sequence[date], open_on: OpenOn = every_day, *, stopped: bool = False
) -> list[int]:
    """The ramp's cap on each day if every one on which mail may go is used."""
    climb, found = Climb(ramp, own_cap, stopped=stopped), []
    for day in days:
        found.append(climb.on(day))
        if not stopped and open_on(day):
            climb.was(used=True)
    return found


def climb_of(group: Group) -> Climb | None:
    """The way up of each of the group's mailboxes; None without a ramp."""
    if group.ramp is None:
        return None
    return Climb(group.ramp, group.daily_cap, stopped=group.stopped or group.state == "probing")


def cap_on(group: Group, day: date, ramp_cap: int | None, *, in_full: bool = False) -> int:
    """What one mailbox of the group may send on that day; `in_full`: as if a reserve had been promoted."""
    if group.stopped or (group.free_on is not None and day < group.free_on):
        return 0
    limits = [group.daily_cap, ramp_cap, group.user_daily_cap, PROBING_CAP if group.state == "probing" else None]
    cap = min(limit for limit in limits if limit is not None)
    return int(cap * group.reserve_share) if group.state == "reserve" and not in_full else cap


def caps(group: Group, days: Sequence[date], open_on: OpenOn = every_day, *, in_full: bool = False) -> list[int]:
    """cap_on() for each day, if every cap is used on every day on which mail may go."""
    ramped: Sequence[int | None] = [None] * len(days)
    if group.ramp is not None:
        stopped = group.stopped or group.state == "probing"
        ramped = ramp_caps(group.ramp, group.daily_cap, days, open_on, stopped=stopped)
    return [cap_on(group, day, cap, in_full=in_full) for day, cap in zip(days, ramped, strict=True)]


def members(groups: Sequence[Group]) -> dict[LimitKey, list[int]]:
    """The places of the groups that share each limit."""
    found: dict[LimitKey, list[int]] = {}
    for place, group in enumerate(groups):
        for key in group.limits:
            found.setdefault(key, []).append(place)
    return found


def within(
    amounts: Sequence[float],
    sharing: Mapping[LimitKey, Sequence[int]],
    limits: Mapping[LimitKey, Limit],
    left: Mapping[LimitKey, float],
) -> tuple[list[float], dict[str, float]]:
    """Cut amounts to what their shared limits have left, each in proportion; also {limit's name: cut away}."""
    found = list(amounts)
    cut: dict[str, float] = {}
    for key, places in sharing.items():
        total = sum([found[n] for n in places])
        room = max(left[key], 0.0)
        if total > room:
            part = room / total
            for n in places:
                found[n] *= part
            cut[limits[key].name] = cut.get(limits[key].name, 0.0) + total - room
    return found, cut


def room_of(
    limits: Mapping[LimitKey, Limit], caps_of: Mapping[LimitKey, Sequence[float]], n: int, hours: float
) -> dict[LimitKey, float]:
    """What each limit leaves on the n-th day if mail may go for so many hours of it."""
    found = {}
    for key, limit in limits.items():
        day = caps_of[key][n] - (limit.used_today if n == 0 else 0)
        found[key] = max(min(day, limit.within(hours)), 0.0)
    return found


@dataclass(frozen=True, slots=True)
class PoolDays:
    """A pool's capacity in messages, day by day: by state, and all in all within what several share.

    `counts` are mailboxes by state, of which `stopped` send nothing. `promotable` is what the reserves would add if
    they were promoted; `limits` names what keeps the total below the sum of the states.
    """

    days: tuple[date, ...]
    by_state: Mapping[str, tuple[int, ...]]
    total: tuple[int, ...]
    promotable: tuple[int, ...]
    counts: Mapping[str, int]
    stopped: int
    limits: tuple[str, ...] = ()


def pool_days(fleet: Fleet, pool_id: int, days: Sequence[date]) -> PoolDays:
    """What the pool may send on each day if mail may go around the clock, whatever there is to send.

    What it shares with other pools counts in full for each of them; what is reserved today is not taken off.
    """
    groups = fleet.of_pool(pool_id)
    sharing = members(groups)
    limits = {key: fleet.limits[key] for key in sharing}
    fresh = {key: replace(limit, used_today=0) for key, limit in limits.items()}
    caps_of = {key: limit.on(days, every_day) for key, limit in limits.items()}
    by_group = [caps(group, days) for group in groups]
    in_full = [caps(group, days, in_full=True) for group in groups]
    counts: dict[str, int] = {}
    for group in groups:
        counts[group.state] = counts.get(group.state, 0) + group.count
    total: list[int] = []
    promotable: list[int] = []
    cuts: dict[str, float] = {}
    for n in range(len(days)):
        room = room_of(fresh, caps_of, n, HOURS)
        amounts, cut = within(_sums(groups, by_group, n), sharing, limits, room)
        more, _ = within(_sums(groups, in_full, n), sharing, limits, room)
        total.append(round(sum(amounts)))
        promotable.append(max(round(sum(more) - sum(amounts)), 0))
        cuts |= cut
    return PoolDays(
        days=tuple(days),
        by_state={state: _of_state(groups, by_group, state, len(days)) for state in sorted(counts)},
        total=tuple(total),
        promotable=tuple(promotable),
        counts=counts,
        stopped=sum(group.count for group in groups if group.stopped),
        limits=tuple(sorted(cuts)),
    )


def _sums(groups: Sequence[Group], caps_of: Sequence[Sequence[int]], n: int) -> list[float]:
    return [float(group.count * of[n]) for group, of in zip(groups, caps_of, strict=True)]


def _of_state(groups: Sequence[Group], caps_of: Sequence[Sequence[int]], state: str, days: int) -> tuple[int, ...]:
    mine = [(group.count, of) for group, of in zip(groups, caps_of, strict=True) if group.state == state]
    return tuple(sum(count * of[n] for count, of in mine) for n in range(days))
