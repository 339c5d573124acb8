"""Who waits for what, weighed: people against slots, as a calculation on plain values.

Everybody who waits is counted once in `decides`, with the first thing in the planner's own order that holds the mail.
What the fleet lacks is told by the mail that it would have taken: a mailbox in quarantine holds what its cap has left.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# What holds mail: a kind (see explain_causes.KINDS), a name within it, and the id of the row that has the limit.
Why = tuple[str, str, int]
PACE: Why = ("pace", "gap", 0)
SHARED = ("domain_hour", "domain_day", "account_hour", "quota_hour", "quota_rate")  # clipped in this order
NO_MAILBOX: Why = ("circuit", "no_mailbox", 0)


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a limit that several mailboxes share: in this run, and until the day's windows close."""

    now: int
    today: int


@dataclass(frozen=True, slots=True)
class Box:
    """A mailbox's part: slots of the next minutes and of today, or what stops it and how much that costs today.

    `narrow` is which of its own limits bounds `today`; `limits` are the shared ones, narrow ones first.
    """

    mailbox_id: int
    now: int = 0
    today: int = 0
    cap: int = 0
    narrow: Why = PACE
    stopped: Why | None = None
    lost: int = 0
    limits: tuple[Why, ...] = ()


@dataclass(slots=True)
class Want:
    """Who of one campaign could go now, were there a slot: anywhere, or from one mailbox only.

    `left` is what its day has left for them, `total_left` what the campaign has left in all.
    """

    campaign_id: int
    free: int = 0
    bound: Counter[int] = field(default_factory=Counter)
    left: int | None = None
    total_left: int | None = None


@dataclass(slots=True)
class Weighed:
    """Of one campaign: who has a slot in the next run, and what holds the others."""

    ready: int = 0
    held: Counter[Why] = field(default_factory=Counter)


def fill(total: int, needs: Mapping[int, int]) -> dict[int, int]:
    """Share out in turns, as campaigns of a pool take them: as many as needed, equal parts, the rest to lower ids."""
    shares = dict.fromkeys(needs, 0)
    open_needs = {pk: need for pk, need in needs.items() if need > 0}
    while total > 0 and open_needs:
        part = total // len(open_needs)
        if part == 0:
            for pk in sorted(open_needs)[:total]:
                shares[pk] += 1
            break
        for pk in list(open_needs):
            given = min(part, open_needs[pk])
            shares[pk] += given
            total -= given
            open_needs[pk] -= given
            if not open_needs[pk]:
                del open_needs[pk]
    return shares


def spread(amount: int, weights: Mapping[Why, int]) -> Counter[Why]:
    """An amount over causes in proportion to their weights, by the largest remainder; nothing gets lost."""
    total = sum(weights.values())
    if amount <= 0 or total <= 0:
        return Counter()
    parts = {why: amount * weight // total for why, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda why: (-(amount * weights[why] % total), why))
    for why in by_remainder[: amount - sum(parts.values())]:
        parts[why] += 1
    return Counter({why: part for why, part in parts.items() if part})


def pool(
    boxes: Sequence[Box], lefts: Mapping[Why, Left], wants: Sequence[Want], tenant_left: int | None = None
) -> dict[int, Weighed]:
    """{campaign id: what its people get and what they wait for} for the campaigns of one pool."""
    found = {want.campaign_id: Weighed() for want in wants}
    supply = _Supply(boxes, lefts)
    for want in wants:
        supply.serve_bound(want, found[want.campaign_id])
    needs = _within_caps(wants, found, tenant_left)
    today = fill(sum(supply.today.values()), needs)
    ready = fill(sum(supply.now.values()), today)
    waits_longer = {pk: needs[pk] - today[pk] for pk in needs}
    waits_today = {pk: today[pk] - ready[pk] for pk in needs}
    _divide(supply.beyond_today(sum(waits_longer.values())), waits_longer, found)
    _divide(supply.later_today(sum(waits_today.values())), waits_today, found)
    for pk, count in ready.items():
        found[pk].ready += count
    return found


def _within_caps(wants: Sequence[Want], found: Mapping[int, Weighed], tenant_left: int | None) -> dict[int, int]:
    """What the caps of campaign and tenant let through; the smaller one is named for the rest."""
    needs = {}
    free = {want.campaign_id: want.free for want in wants}
    of_tenant = free if tenant_left is None else fill(tenant_left, free)
    for want in wants:
        pk = want.campaign_id
        limits = {"campaign_total": want.total_left, "campaign_day": want.left, "tenant_day": of_tenant[pk]}
        scope, allowed = min(
            ((name, left) for name, left in limits.items() if left is not None), key=lambda limit: limit[1]
        )
        allowed = min(allowed, want.free)
        if want.free > allowed:
            found[pk].held["cap", scope, 0 if scope == "tenant_day" else pk] += want.free - allowed
        needs[pk] = allowed
    return needs


def _divide(causes: Counter[Why], waiting: Mapping[int, int], found: Mapping[int, Weighed]) -> None:
    """Give each campaign its part of each cause, so that sums hold both ways."""
    rest = dict(waiting)
    for why, count in causes.most_common():
        total = sum(rest.values())
        for n, pk in enumerate(sorted(rest), start=1):
            part = rest[pk] if n == len(rest) else count * rest[pk] // total if total else 0
            part = min(part, count)
            total, count, rest[pk] = total - rest[pk], count - part, rest[pk] - part
            if part:
                found[pk].held[why] += part


class _Supply:
    """The slots of a pool's mailboxes, clipped by what they share; it remembers what was clipped off by what.

    The limit that clipped last left the least, so it is the first to be named for what finds no slot.
    """

    def __init__(self, boxes: Sequence[Box], lefts: Mapping[Why, Left]) -> None:
        self.boxes = {box.mailbox_id: box for box in boxes}
        sending = [box for box in boxes if box.stopped is None]
        self.now = {box.mailbox_id: box.now for box in sending}
        self.today = {box.mailbox_id: box.today for box in sending}
        self.why = {box.mailbox_id: box.stopped or box.narrow for box in boxes}
        self.lost_now: Counter[Why] = Counter()
        self.lost_today: Counter[Why] = Counter()
        groups: dict[Why, list[int]] = defaultdict(list)
        for box in sending:
            for limit in box.limits:
                groups[limit].append(box.mailbox_id)
        for limit in sorted(groups, key=lambda each: SHARED.index(each[1])):
            left, ids = lefts[limit], groups[limit]
            lost_now, lost = _clip(self.now, ids, left.now), _clip(self.today, ids, left.today)
            if left.now < left.today:  # what it lacks now comes back today
                self.lost_now[limit] += lost_now
            self.lost_today[limit] += lost
            if lost:
                self.why |= {pk: limit for pk in ids if not self.today[pk]}
        self.lost_stopped: Counter[Why] = Counter()
        for box in boxes:
            if box.stopped is not None:
                self.lost_stopped[box.stopped] += max(box.lost, 1)

    def serve_bound(self, want: Want, found: Weighed) -> None:
        """Retries and follow-ups go from their own mailbox or wait for it."""
        for pk, count in sorted(want.bound.items()):
            ready = min(count, self.now.get(pk, 0))
            today = min(count, self.today.get(pk, 0))
            if ready:
                self.now[pk] -= ready
                found.ready += ready
            if today:
                self.today[pk] -= today
            if today > ready:
                hour = next((limit for limit in self._limits(pk) if self.lost_now[limit]), PACE)
                found.held[hour] += today - ready
            if count > today:
                found.held[self.why.get(pk, NO_MAILBOX)] += count - max(today, ready)

    def _limits(self, pk: int) -> tuple[Why, ...]:
        box = self.boxes.get(pk)
        return box.limits if box else ()

    def later_today(self, amount: int) -> Counter[Why]:
        """What holds those who go today but not in the next run: an hour's limit, else the distance of the mails."""
        held = _take_shared(amount, self.lost_now)
        rest = amount - sum(held.values())
        return held + Counter({PACE: rest} if rest else {})

    def beyond_today(self, amount: int) -> Counter[Why]:
        """What holds those for whom today has no slot: mailboxes that are stopped, then limits, the shared ones first.

        Where no mailbox sends at all, what stops them holds everybody.
        """
        sending = [box for box in self.boxes.values() if box.stopped is None]
        if not sending:
            return spread(amount, self.lost_stopped or {NO_MAILBOX: 1})
        held = _take(amount, self.lost_stopped)
        held += _take_shared(amount - sum(held.values()), self.lost_today)
        narrow: Counter[Why] = Counter()
        for box in sending:
            narrow[box.narrow] += max(box.cap, 1)
        return held + spread(amount - sum(held.values()), narrow)


def _take(amount: int, causes: Mapping[Why, int]) -> Counter[Why]:
    """No more from any cause than it costs, and no more than the amount."""
    total = sum(causes.values())
    if total <= amount:
        return Counter({why: count for why, count in causes.items() if count})
    return spread(amount, causes)


def _take_shared(amount: int, causes: Mapping[Why, int]) -> Counter[Why]:
    """As `_take`, one kind of limit after the other, the one that clipped last first."""
    held: Counter[Why] = Counter()
    for scope in reversed(SHARED):
        of_scope = {why: count for why, count in causes.items() if why[1] == scope}
        held += _take(amount - sum(held.values()), of_scope)
    return held


def _clip(slots: dict[int, int], ids: Iterable[int], left: int) -> int:
    """Take away what goes beyond a shared limit; return how much that is."""
    members = list(ids)
    lost = excess = max(sum(slots[pk] for pk in members) - left, 0)
    for pk in reversed(members):
        taken = min(slots[pk], excess)
        slots[pk] -= taken
        excess -= taken
    return lost
