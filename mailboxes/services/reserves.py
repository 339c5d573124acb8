"""Reserves of a pool: who would step in, what the swap brake still allows, and the gap that swaps have left.

Everything here reads. The acts are in mailboxes.services.quarantine and mailboxes.services.retiring.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import F, Q
from django.utils.timezone import now as this_moment

from mailboxes import reports, reserves
from mailboxes.models import (
    Allowance,
    Mailbox,
    Pool,
    ProviderAccount,
    QuarantineCase,
    RampDay,
    Retirement,
    SendingDomain,
)
from mailboxes.reserves import Growing, Leaving
from mailboxes.services import ramp
from outreach.common import hooks

SERVING = (Mailbox.State.ACTIVE, Mailbox.State.RAMPING)


def candidates(box: Mailbox, states: Sequence[str] = (Mailbox.State.RESERVE,)) -> list[Mailbox]:
    """Mailboxes of the same pool in one of the states that may send now and whose domain is verified, by id."""
    at = this_moment()
    free = Q(blocked_until=None) | Q(blocked_until__lte=at)
    open_account = Q(home__blocked_until=None) | Q(home__blocked_until__lte=at)
    rows = Mailbox.objects.filter(
        free, open_account, pool=box.pool_id, state__in=states, hold=Mailbox.Hold.NONE,
        domain__state=SendingDomain.State.VERIFIED, home__state=ProviderAccount.State.ACTIVE,
    )  # fmt: skip
    return list(rows.exclude(pk=box.pk).select_related("domain", "home", "tenant", "ramp").order_by("pk"))


def successor_of(box: Mailbox, rows: Iterable[Mailbox]) -> Mailbox | None:
    """Who of the rows steps in (mailboxes.reserves.choose says how that is decided). Wants domain and home loaded."""
    by_id = {row.pk: row for row in rows}
    reserved = reports.reserved_today(by_id.values())
    leaver = reserves.Leaver(
        box.domain_id, box.domain.state == SendingDomain.State.VERIFIED, box.home.kind, box.home.host
    )
    chosen = reserves.choose(
        leaver,
        [
            reserves.Reserve(
                pk, row.domain_id, row.home.kind, row.home.host, max(row.cap_of_day - reserved.get(pk, 0), 0)
            )
            for pk, row in by_id.items()
        ],
    )
    return None if chosen is None else by_id[chosen]


@dataclass(frozen=True, slots=True)
class Brake:
    """How many mailboxes of a pool were taken out or swapped in the last 24 h, by whomever, and how many may be."""

    used: int
    allowed: int

    @property
    def left(self) -> int:
        return max(self.allowed - self.used, 0)

    @property
    def is_pulled(self) -> bool:
        return self.used >= self.allowed


def brake_of(pool_id: int, at: datetime | None = None) -> Brake:
    """The swap brake of one pool."""
    since = (at or this_moment()) - reserves.BRAKE_WINDOW
    used = QuarantineCase.objects.filter(pool=pool_id, opened_at__gt=since).count()
    used += Retirement.objects.filter(pool=pool_id, retired_at__gt=since, promoted=True).count()
    size = Mailbox.objects.filter(pool=pool_id).exclude(state=Mailbox.State.RETIRED).count()
    return Brake(used, reserves.brake(size))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a quarantine of one mailbox would do: to the reserves, who steps in, and the brake before it."""

    mailbox: Mailbox
    swap: str
    successor: Mailbox | None
    brake: Brake

    @property
    def halts(self) -> bool:
        """Whether the campaigns of the pool stop."""
        return self.swap == QuarantineCase.Swap.BRAKED


def swap_for(state: str, brake: Brake, *, promote: bool) -> str:
    """What becomes of the reserves: `promoted` stands for "one may step in", whether or not there is one."""
    if not promote or state not in SERVING:  # a reserve's place is empty, and on probation it was filled before
        return QuarantineCase.Swap.UNWANTED
    return QuarantineCase.Swap.BRAKED if brake.is_pulled else QuarantineCase.Swap.PROMOTED


def foresee(mailboxes: Sequence[Mailbox], *, promote: bool = True) -> list[Outlook]:
    """What quarantining these one after the other would decide, without doing anything; those it can't be done to
    are left out."""
    rows = Mailbox.objects.select_related("domain", "home", "tenant", "pool").in_bulk([box.pk for box in mailboxes])
    brakes: dict[int, Brake] = {}
    waiting: dict[int, dict[int, Mailbox]] = {}
    states = {pk: box.state for pk, box in rows.items()}
    found = []
    for box in (rows[given.pk] for given in mailboxes if given.pk in rows):
        if Mailbox.State.QUARANTINED not in Mailbox.MOVES[states[box.pk]]:
            continue
        if box.pool_id not in brakes:
            brakes[box.pool_id] = brake_of(box.pool_id)
            waiting[box.pool_id] = {one.pk: one for one in candidates(Mailbox(pool_id=box.pool_id))}
        brake, rest, successor = brakes[box.pool_id], waiting[box.pool_id], None
        rest.pop(box.pk, None)
        swap = swap_for(states[box.pk], brake, promote=promote)
        if swap == QuarantineCase.Swap.PROMOTED:
            successor = successor_of(box, rest.values())
            swap = swap if successor is not None else QuarantineCase.Swap.NONE
        if successor is not None:
            rest.pop(successor.pk)
            states[successor.pk] = Mailbox.State.ACTIVE
        brakes[box.pool_id] = Brake(brake.used + 1, brake.allowed)
        found.append(Outlook(box, swap, successor, brake))
    return found


def leaving_of(boxes: Sequence[Mailbox]) -> Leaving:
    """Whom these mailboxes were to write to."""
    found = Leaving()
    if boxes:
        hooks.call(
            "mailboxes.leaving", tenant_ids=sorted({box.tenant_id for box in boxes}),
            mailbox_ids=[box.pk for box in boxes], found=found,
        )  # fmt: skip
    return found


def last_sent_on(box: Mailbox) -> date | None:
    """The last day, in the tenant's zone, on which anything was planned for it and not given back."""
    held = Allowance.objects.filter(scope=Allowance.Scope.MAILBOX_DAY, key=box.pk, reserved__gt=0)
    last = held.order_by("-period_start").values_list("period_start", flat=True).first()
    dot = ramp.day_of(box.tenant, box.last_dot_at) if box.last_dot_at else None
    return max(filter(None, (last and last.date(), dot)), default=None)


# --- The pool's page -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OfReserve:
    """One reserve: what it sends a day now, what it could if promoted, and where its ramp leads."""

    mailbox: Mailbox
    is_ready: bool
    share: int
    cap: int
    goal: int
    arrives_on: date | None


@dataclass(frozen=True, slots=True)
class OfCase:
    """One open quarantine: what went away, what its stand-in makes up for today, and when that will be all."""

    case: QuarantineCase
    replaced: int
    gap: int
    closes_on: date | None


@dataclass(frozen=True, slots=True)
class OfPool:
    """Reserves and gaps of one pool. Sums are mails a day; `closes_on` None with a gap: not by ramps alone."""

    brake: Brake
    reserves: list[OfReserve]
    cases: list[OfCase]
    today: date
    lost: int
    gap: int
    closes_on: date | None
    coming: list[int]

    @property
    def ready(self) -> int:
        return sum(one.is_ready for one in self.reserves)

    @property
    def cap(self) -> int:
        """What the reserves that could step in would send a day, all together."""
        return sum(one.cap for one in self.reserves if one.is_ready)


COMING_DAYS = 28


def of_pool(pool: Pool) -> OfPool:
    """How much reserve there is, the gap that is left, and the day it closes by the ramps."""
    today = ramp.day_of(pool.tenant)
    boxes = list(
        Mailbox.objects.filter(pool=pool, state=Mailbox.State.RESERVE)
        .select_related("domain", "home", "tenant", "ramp")
        .order_by("address_key")
    )
    cases = list(
        QuarantineCase.objects.filter(pool=pool, closed_at=None)
        .select_related("mailbox", "promoted__ramp", "promoted__domain", "promoted__home")
        .order_by("opened_at", "pk")
    )
    stand_ins = [case.promoted for case in cases if case.promoted is not None]
    growing = growing_of([*boxes, *stand_ins], today)
    ready = {box.pk for box in candidates(Mailbox(pool=pool))}
    found: list[OfCase] = []
    lost = 0
    filling: list[Growing] = []
    for case in cases:
        stand_in = case.promoted
        mine = [growing[stand_in.pk]] if stand_in is not None and serves(stand_in) else []
        lost, filling = lost + case.cap, filling + mine
        days = reserves.closes_in(case.cap, mine)
        found.append(
            OfCase(case, min(sum(one.cap for one in mine), case.cap), reserves.gap(case.cap, mine), _day(today, days))
        )
    rows = [_reserve(box, growing[box.pk], box.pk in ready, today) for box in boxes]
    return OfPool(
        brake=brake_of(pool.pk),
        reserves=rows,
        cases=found,
        today=today,
        lost=lost,
        gap=reserves.gap(lost, filling),
        closes_on=_day(today, reserves.closes_in(lost, filling)),
        coming=[reserves.gap(lost, filling, n) for n in range(COMING_DAYS)],
    )


def serving_cap(box: Mailbox) -> int:
    """What it may send a day as it stands: a reserve its share."""
    return int(box.cap_of_day * box.reserve_share) if box.state == Mailbox.State.RESERVE else box.cap_of_day


def serves(box: Mailbox | None) -> bool:
    """Whether a stand-in still stands in: it may have fallen ill itself."""
    return box is not None and box.state in SERVING and box.hold == Mailbox.Hold.NONE


def growing_of(boxes: Iterable[Mailbox], today: date) -> dict[int, Growing]:
    """What each mailbox may send a day now, and how its ramp goes on if every day is used. Wants `ramp` loaded."""
    rows = {box.pk: box for box in boxes}
    waits = RampDay.objects.filter(mailbox__in=list(rows), until__gt=today).order_by("day")
    until = dict(waits.values_list("mailbox_id", F("until")))
    found = {}
    for pk, box in rows.items():
        rises_in = (until[pk] - today).days if pk in until else 1
        found[pk] = Growing(box.cap_of_day, box.daily_cap, box.ramp.rule if box.ramp is not None else None, rises_in)
    return found


def _reserve(box: Mailbox, one: Growing, is_ready: bool, today: date) -> OfReserve:
    goal = one.own_cap if one.plan is None else min(one.plan.ceiling, one.own_cap)
    days = reserves.closes_in(goal, [one])
    return OfReserve(box, is_ready, serving_cap(box), box.cap_of_day, goal, _day(today, days))


def _day(today: date, days: int | None) -> date | None:
    return None if days is None else today + timedelta(days=days)
