"""The planner's days to come in large strokes: stretches of hours instead of minutes, amounts instead of people.

It keeps to what the planner does: campaigns of a pool share its slots by open zones, each serves whoever is due
longest, follow-ups stay with their mailbox, an even pace spreads what is left of the caps over what is left of the
window. What it leaves out stands in outreach/decisions/0032-forecast.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from campaigns import calendars
from campaigns.pipeline.forecasting import openings
from campaigns.pipeline.forecasting.openings import Stretch
from campaigns.pipeline.forecasting.queues import Queue, level
from campaigns.pipeline.forecasting.terms import Limit, Work, World
from mailboxes import capacity
from mailboxes import ramp as rule

LITTLE = 0.5  # mails: less than one is nothing
NO_LIMIT = float("inf")


@dataclass(slots=True)
class Track:
    """What became of one campaign so far."""

    work: Work
    left: float
    sent: list[float]
    waiting: list[float]
    limits: list[tuple[Limit, str]]
    bound: dict[int, float]
    done_on: date | None = None
    day_left: float = NO_LIMIT
    total_left: float = NO_LIMIT


@dataclass(slots=True)
class PoolTrack:
    """The same of one pool; `demand` is what wanted to go on each day, `capacity` what could, `cut` what shared
    limits took off it by name.
    """

    id: int
    groups: list[int]
    lanes: set[int]
    sharing: dict[capacity.LimitKey, list[int]]
    open_for: list[float]
    capacity: list[float]
    cut: list[dict[str, float]]
    demand: list[float]
    sent: list[float]


class Simulation:
    """One run; `tracks` and `pools` hold what it found."""

    def __init__(self, world: World, now: datetime, days: Sequence[date]) -> None:
        self.world, self.now, self.days = world, now, list(days)
        self.groups, self.limits = world.fleet.groups, world.fleet.limits
        starts = openings.day_starts(days, world.zone)
        self.ends = starts[1:]
        self.lanes, self.lane_of = openings.lanes(world.work, now, starts[-1])
        self.place_of = {lane: calendars.parse(place) for (_, place), lane in reversed(self.lane_of.items())}
        self.stretches = openings.stretches(self.lanes, starts, now)
        self.queues = [Queue() for _ in self.lanes]
        self.tracks = [self._track(work) for work in world.work]
        self.pools = {pool_id: self._pool(pool_id) for pool_id in sorted({*world.pools, *self._pool_ids()})}
        self.caps = self._caps()
        self.limit_caps = {key: limit.on(self.days, capacity.every_day) for key, limit in self.limits.items()}
        self.last_close = self._last_closes()
        for pool in self.pools.values():
            for n in range(len(self.days)):
                pool.capacity[n], pool.cut[n] = self._capacity(pool, n)
        self.climbs = [capacity.climb_of(group) for group in self.groups]
        for n, work in enumerate(world.work):
            self._fill(n, work)

    def _pool_ids(self) -> set[int]:
        return {work.pool_id for work in self.world.work}

    def _track(self, work: Work) -> Track:
        steps = len(work.delays)
        left = sum(one.count * (steps - one.step) for one in (*work.demand, *work.booked))
        none = [0.0] * len(self.days)
        return Track(
            work, float(left), list(none), list(none), [(Limit.NONE, "")] * len(self.days),
            {place: float(n) for place, n in work.bound.items()},
            total_left=NO_LIMIT if work.total_left is None else float(work.total_left),
        )  # fmt: skip

    def _pool(self, pool_id: int) -> PoolTrack:
        groups = [n for n, group in enumerate(self.groups) if group.pool_id == pool_id]
        lanes = {n for n, lane in enumerate(self.lanes) if self.world.work[lane.work].pool_id == pool_id}
        none = [0.0] * len(self.days)
        return PoolTrack(
            pool_id, groups, lanes, capacity.members([self.groups[n] for n in groups]),
            openings.open_seconds(self.stretches, lanes, len(self.days)), list(none), [{}] * len(self.days), list(none),
            list(none),
        )  # fmt: skip

    def _caps(self) -> list[list[int]]:
        """What one mailbox of each group might send on each day, if its cap is used whenever its pool is open."""
        found: list[list[int]] = [[0] * len(self.days) for _ in self.groups]
        for pool in self.pools.values():
            open_on = {day for day, seconds in zip(self.days, pool.open_for, strict=True) if seconds}
            for n in pool.groups:
                found[n] = capacity.caps(self.groups[n], self.days, open_on.__contains__)
        return found

    def _last_closes(self) -> dict[tuple[int, int], datetime]:
        """{(lane, day): the end of its last stretch on that day}."""
        return {(place, stretch.n): stretch.ends for stretch in self.stretches for place, _ in stretch.open}

    def _capacity(self, pool: PoolTrack, n: int) -> tuple[float, dict[str, float]]:
        """What the pool can send on that day while it is open, within caps, gaps and shared limits; what those cut."""
        open_for, amounts = pool.open_for[n], []
        for place in pool.groups:
            group, cap = self.groups[place], self.caps[place][n]
            by_gap = open_for / group.min_gap_seconds if group.min_gap_seconds else NO_LIMIT
            left = group.count * min(cap, by_gap) - (group.reserved if n == 0 else 0)
            amounts.append(max(left, 0.0) if open_for else 0.0)
        room = capacity.room_of(self.limits, self.limit_caps, n, open_for / 3600)
        fits, cut = capacity.within(amounts, pool.sharing, self.limits, room)
        return sum(fits), cut

    def _fill(self, n: int, work: Work) -> None:
        for one in work.demand:
            self.queues[self.lane_of[n, one.zone]].add(one.due_at, one.step, float(one.count))
        for one in work.booked:
            self._sent(n, self.lane_of[n, one.zone], one.step, float(one.count), 0, max(one.due_at, self.now))

    # --- going through the days ---------------------------------------------------------------------------

    def run(self) -> Simulation:
        """Go through all days."""
        rest = iter([*self.stretches, None])
        stretch = next(rest)
        for n in range(len(self.days)):
            self._begin(n)
            while stretch is not None and stretch.n == n:
                self._stretch(stretch)
                stretch = next(rest)
            self._end(n)
        return self

    def _begin(self, n: int) -> None:
        first = n == 0
        for place, climb in enumerate(self.climbs):
            if climb is not None:
                self.caps[place][n] = capacity.cap_on(self.groups[place], self.days[n], climb.on(self.days[n]))
        self.sent_by = [0.0] * len(self.groups)
        self.cap_left = [
            max(float(group.count * self.caps[place][n] - (group.reserved if first else 0)), 0.0)
            for place, group in enumerate(self.groups)
        ]
        self.limit_left = {
            key: max(caps[n] - (self.limits[key].used_today if first else 0), 0.0)
            for key, caps in self.limit_caps.items()
        }
        cap, reserved = self.world.daily_cap, self.world.reserved if first else 0
        self.tenant_left = NO_LIMIT if cap is None else max(float(cap - reserved), 0.0)
        for track in self.tracks:
            cap, reserved = track.work.daily_cap, track.work.reserved if first else 0
            of_day = NO_LIMIT if cap is None else max(float(cap - reserved), 0.0)
            track.day_left = min(of_day, track.total_left)
        for pool in self.pools.values():
            pool.capacity[n], pool.cut[n] = self._capacity(pool, n)
            pool.demand[n] = self._demand(pool, n)

    def _demand(self, pool: PoolTrack, n: int) -> float:
        """Follow-ups due by the day's end, or what has to go on it so that the rest still fits, if that is more."""
        to_come = sum(pool.capacity[n:])
        part = pool.capacity[n] / to_come if to_come else 0.0
        follow_ups: dict[int, float] = defaultdict(float)
        for place in pool.lanes:
            if (place, n) in self.last_close:
                follow_ups[self.lanes[place].work] += self.queues[place].follow_ups(self.last_close[place, n])
        return sum(
            min(max(due, self.tracks[of].left * part), self.tracks[of].day_left) for of, due in follow_ups.items()
        )

    def _stretch(self, stretch: Stretch) -> None:
        by_pool: dict[int, list[tuple[int, datetime]]] = defaultdict(list)
        for place, closes in stretch.open:
            self.queues[place].ripen(stretch.middle)
            by_pool[self.world.work[self.lanes[place].work].pool_id].append((place, closes))
        for pool_id, lanes in sorted(by_pool.items()):
            self._serve(self.pools[pool_id], lanes, stretch)

    def _end(self, n: int) -> None:
        for place, climb in enumerate(self.climbs):
            group = self.groups[place]
            sent = (self.sent_by[place] + (group.reserved if n == 0 else 0)) / group.count
            if climb is not None and sent >= LITTLE:  # on average; of a group's mailboxes some may have had no mail
                climb.was(used=100 * sent >= rule.USED_PERCENT * self.caps[place][n])
        for lane, queue in zip(self.lanes, self.queues, strict=True):
            queue.ripen(self.ends[n] - timedelta.resolution)
            self.tracks[lane.work].waiting[n] += queue.due
        for track in self.tracks:
            if track.left >= LITTLE and track.limits[n][0] == Limit.NONE:
                track.limits[n] = (Limit.FOLLOW_UPS if track.waiting[n] < LITTLE else Limit.WINDOW, "")

    # --- one pool in one stretch --------------------------------------------------------------------------

    def _serve(self, pool: PoolTrack, lanes: Sequence[tuple[int, datetime]], stretch: Stretch) -> None:
        places = [place for place, _ in lanes]
        wants = self._wants(places)
        if sum(wants.values()) <= 0:
            for work in {self.lanes[place].work for place in places}:
                self._note(work, places, stretch.n, (Limit.NONE, ""))
            return
        prompt = any(self.world.work[self.lanes[place].work].prompt for place in places)
        until = stretch.ends if prompt else max(closes for _, closes in lanes)
        free, why = self._free(pool, stretch, (until - stretch.begins).total_seconds())
        total = min(sum(free), self.tenant_left)
        if self.tenant_left < sum(free):
            why = (Limit.TENANT, "")
        given = level(total, list(wants.values()), [float(self.lanes[place].zones) for place in places])
        firsts = {place: self.queues[place].first(most) for place, most in zip(places, given, strict=True)}
        bound = self._bound(pool, free, firsts)
        anybody = self._anybody(pool, free, firsts, stretch.n)
        for place, (of_mailbox, of_any) in firsts.items():
            work = self.lanes[place].work
            served = self.queues[place].serve(of_mailbox * bound.get(work, 0.0), of_any * anybody)
            for step, amount in served:
                self.tracks[work].day_left -= amount
                self.tracks[work].total_left -= amount
                self.tenant_left -= amount
                self._sent(work, place, step, amount, stretch.n, stretch.middle)
        for work in {self.lanes[place].work for place in places}:
            self._note(work, places, stretch.n, why)

    def _wants(self, places: Sequence[int]) -> dict[int, float]:
        """What is due in each lane, within its campaign's day."""
        of_work: dict[int, list[int]] = defaultdict(list)
        for place in places:
            of_work[self.lanes[place].work].append(place)
        found: dict[int, float] = {}
        for work, mine in of_work.items():
            due = [max(self.queues[place].due, 0.0) for place in mine]
            parts = level(self.tracks[work].day_left, due, [float(self.lanes[place].zones) for place in mine])
            found |= dict(zip(mine, parts, strict=True))
        return {place: found[place] for place in places}

    def _free(self, pool: PoolTrack, stretch: Stretch, until_seconds: float) -> tuple[list[float], tuple[Limit, str]]:
        """Slots of each group of the pool in this stretch, and what would bind if more are wanted."""
        part = min(stretch.seconds / until_seconds, 1.0) if until_seconds > 0 else 1.0
        amounts, by_gaps = [], 0.0
        for place in pool.groups:
            group, left = self.groups[place], self.cap_left[place] * part
            by_gap = group.count * stretch.seconds / group.min_gap_seconds if group.min_gap_seconds else NO_LIMIT
            by_gaps += max(left - by_gap, 0.0)
            amounts.append(min(left, by_gap))
        hours = stretch.seconds / 3600
        room = {key: min(self.limit_left[key], self.limits[key].within(hours)) for key in pool.sharing}
        free, cut = capacity.within(amounts, pool.sharing, self.limits, room)
        if cut:
            return free, (Limit.SHARED, max(cut, key=lambda name: cut[name]))
        if not any(self.caps[place][stretch.n] for place in pool.groups):
            return free, (Limit.NO_MAILBOX, "")
        return free, (Limit.GAP if by_gaps > LITTLE else Limit.MAILBOXES, "")

    def _bound(self, pool: PoolTrack, free: list[float], firsts: dict[int, tuple[float, float]]) -> dict[int, float]:
        """Give people their own mailboxes' slots; return for each campaign what part of them found one."""
        wanted: dict[int, float] = defaultdict(float)
        for place, (of_mailbox, _) in firsts.items():
            wanted[self.lanes[place].work] += of_mailbox
        found = {}
        for work, amount in wanted.items():
            if amount <= 0:
                continue
            mix = self.tracks[work].bound
            total = sum(mix.get(place, 0.0) for place in pool.groups)
            if total > 0:
                shares = [amount * mix.get(place, 0.0) / total for place in pool.groups]
            else:
                shares = level(amount, free, [1.0] * len(free))
            taken = [min(share, slots) for share, slots in zip(shares, free, strict=True)]
            self._take(pool, free, taken)
            found[work] = sum(taken) / amount
        return found

    def _anybody(self, pool: PoolTrack, free: list[float], firsts: dict[int, tuple[float, float]], n: int) -> float:
        """Share what is left by the mailboxes' weights; return what part of the people found a slot."""
        wanted = sum(of_any for _, of_any in firsts.values())
        if wanted <= 0:
            return 0.0
        weights = [self.groups[place].weight * self.groups[place].count * self.caps[place][n] for place in pool.groups]
        taken = level(wanted, free, weights)
        served = sum(taken)
        for lane, (_, of_any) in firsts.items():
            mix = self.tracks[self.lanes[lane].work].bound
            for place, amount in zip(pool.groups, taken, strict=True):
                if amount and of_any:
                    mix[place] = mix.get(place, 0.0) + amount * of_any / wanted
        self._take(pool, free, taken)
        return served / wanted

    def _take(self, pool: PoolTrack, free: list[float], taken: Sequence[float]) -> None:
        for n, (place, amount) in enumerate(zip(pool.groups, taken, strict=True)):
            if amount:
                free[n] -= amount
                self.cap_left[place] -= amount
                self.sent_by[place] += amount
                for key in self.groups[place].limits:
                    self.limit_left[key] -= amount

    def _sent(self, work: int, lane: int, step: int, amount: float, n: int, at: datetime) -> None:
        """Count it; whoever has a next step becomes due for it."""
        track = self.tracks[work]
        track.sent[n] += amount
        track.left -= amount
        self.pools[track.work.pool_id].sent[n] += amount
        if step + 1 < len(track.work.delays):
            due_at = track.work.due_at(step + 1, at, self.place_of[lane])
            self.queues[lane].add(due_at, step + 1, amount)
        if track.left < LITTLE and track.done_on is None:
            track.done_on = self.days[n]

    def _note(self, work: int, places: Sequence[int], n: int, why: tuple[Limit, str]) -> None:
        track = self.tracks[work]
        due = sum(self.queues[place].due for place in places if self.lanes[place].work == work)
        if due < LITTLE:
            track.limits[n] = (Limit.NONE, "")
        else:
            own = Limit.TOTAL if track.total_left < LITTLE else Limit.CAMPAIGN
            track.limits[n] = (own, "") if track.day_left < LITTLE else why
