"""Which mailbox serves how much: stride scheduling with caps, as a calculation on plain values.

Every mailbox has a virtual time: mails served divided by weight, summed since it joined.
The next slot always goes to the lowest (virtual time + half a slot), so shares follow the
weights from run to run. Instead of dealing slots one by one, `share` looks for the level of
virtual time up to which exactly the wanted number of slots lies; cost is mailboxes x log.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

LEVEL_STEPS = 60  # halvings of a float interval: below its resolution

# What several mailboxes share: a kind and the id of the row that has the cap. Clipped in this order, narrow ones first.
Limit = tuple[str, int]
KINDS = ("receiver", "domain", "account", "quota")


@dataclass(frozen=True, slots=True)
class Seat:
    """One mailbox's place in one run.

    `room` slots from `first_at`, `gap` apart; the first `taken` of them are for people and
    retries that belong to this mailbox. `limits` are what it shares with others; how much
    of each is left is told beside the seats.
    """

    mailbox_id: int
    pool_id: int
    weight: float
    virtual_time: float
    first_at: datetime
    gap: timedelta
    room: int
    taken: int = 0
    limits: tuple[Limit, ...] = ()

    def key(self, k: int) -> float:
        """Where slot k stands in the pool's order."""
        return self.virtual_time + (k + 0.5) / self.weight

    def upto(self, level: float) -> int:
        """How many free slots have a key at or below the level."""
        k = math.floor((level - self.virtual_time) * self.weight + 0.5)
        return max(0, min(self.room, k) - self.taken)


def room(first_at: datetime, limit: datetime, gap: timedelta, cap_left: int) -> int:
    """How many slots fit from first_at up to, not including, the limit."""
    if first_at >= limit or cap_left <= 0:
        return 0
    if gap <= timedelta(0):
        return cap_left
    return min(cap_left, math.ceil((limit - first_at) / gap))


def gap(min_gap: timedelta, window_left: timedelta | None, cap_left: int) -> timedelta:
    """The distance of slots: the mailbox's own gap, wider where the cap is to last to the window's end."""
    if window_left is None or cap_left <= 0:
        return min_gap
    return max(min_gap, window_left / cap_left)


def join(seats: Sequence[Seat], continuing: Mapping[int, bool]) -> list[Seat]:
    """Let joining and returning mailboxes begin at the least virtual time of those that went on.

    Who was away must not catch up in a burst, so a virtual time is only ever raised. Where
    nobody of a pool went on (a new day, a new pool), all start level at the furthest.
    """
    level: dict[int, float] = {}
    for pool_id in {seat.pool_id for seat in seats}:
        pool = [seat for seat in seats if seat.pool_id == pool_id]
        going = [seat.virtual_time for seat in pool if continuing.get(seat.mailbox_id)]
        level[pool_id] = min(going) if going else max(seat.virtual_time for seat in pool)
    return [
        seat
        if continuing.get(seat.mailbox_id)
        else replace(seat, virtual_time=max(seat.virtual_time, level[seat.pool_id]))
        for seat in seats
    ]


def share(seats: Iterable[Seat], wanted: int, lefts: Mapping[Limit, int] | None = None) -> dict[int, int]:
    """How many of `wanted` free slots of ONE pool each mailbox serves: {mailbox_id: count}, zeros left out.

    In stride order, within each seat's room and what is left of each limit, the seats' own taken slots included in
    it. Limits that lie within each other (a domain's in an account's in a quota) are dealt exactly; where they cross,
    a slot may stay free that the next run gives away. Ties are broken by mailbox id.
    """
    kept = {seat.mailbox_id: seat for seat in seats}
    for kind in KINDS:
        groups: dict[Limit, list[int]] = defaultdict(list)
        for seat in kept.values():
            for limit in seat.limits:
                if limit[0] == kind and lefts and limit in lefts:
                    groups[limit].append(seat.mailbox_id)
        for limit, ids in groups.items():
            group = [kept[pk] for pk in ids]
            free = (lefts or {})[limit] - sum(seat.taken for seat in group)
            kept |= {seat.mailbox_id: seat for seat in _cut(group, max(free, 0))}
    return {
        seat.mailbox_id: seat.room - seat.taken for seat in _cut(list(kept.values()), wanted) if seat.room > seat.taken
    }


def _cut(seats: Sequence[Seat], wanted: int) -> list[Seat]:
    """The seats with their room cut so that `wanted` free slots remain, the lowest keys of all."""
    offered = sum(max(0, seat.room - seat.taken) for seat in seats)
    if offered <= wanted:
        return list(seats)
    low = min(seat.virtual_time for seat in seats)
    high = max(seat.key(seat.room) for seat in seats)
    for _ in range(LEVEL_STEPS):
        level = (low + high) / 2
        if sum(seat.upto(level) for seat in seats) > wanted:
            high = level
        else:
            low = level
    counts = {seat.mailbox_id: seat.upto(low) for seat in seats}
    missing = wanted - sum(counts.values())
    # Equal keys meet at the level; hand out what is missing in the same order as ever.
    open_seats = [seat for seat in seats if seat.taken + counts[seat.mailbox_id] < seat.room]
    open_seats.sort(key=lambda seat: (seat.key(seat.taken + counts[seat.mailbox_id]), seat.mailbox_id))
    for seat in open_seats[: max(missing, 0)]:
        counts[seat.mailbox_id] += 1
    return [replace(seat, room=seat.taken + counts[seat.mailbox_id]) for seat in seats]
