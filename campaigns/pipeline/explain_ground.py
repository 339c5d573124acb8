"""Everything that an explanation of one tenant is read from, loaded once in a fixed number of queries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from campaigns.pipeline import (
    explain_boxes,
    explain_limits,
    explain_people,
    explain_stops,
    explain_today,
    explain_weigh,
    windows,
)
from campaigns.pipeline.explain_boxes import Row, Seat, Times
from campaigns.pipeline.explain_limits import Limits, Use
from campaigns.pipeline.explain_people import Camp, Waiting
from campaigns.pipeline.explain_stops import Machinery, Queue, Stop, Stops, Wish
from campaigns.pipeline.explain_today import Planned
from campaigns.pipeline.explain_weigh import Want, Weighed, Why
from tenants.models import Tenant


@dataclass(slots=True)
class Held:
    """Of one campaign: what holds its mail; `overlaps` counts the same people again, for what lies behind the first."""

    ready: int = 0
    decides: Counter[Why] = field(default_factory=Counter)
    overlaps: Counter[Why] = field(default_factory=Counter)


@dataclass(slots=True)
class Ground:
    """The tenant at one moment: campaigns and who waits in them, mailboxes with their limits, stops, the machinery."""

    tenant: Tenant
    now: datetime
    zone: ZoneInfo
    day: date
    times: Times
    stops: Stops
    wishes: Mapping[tuple[str, int], Wish]
    machinery: Machinery
    camps: dict[int, Camp]
    waiting: dict[int, Waiting]
    rows: list[Row]
    limits: Limits
    receivers: dict[str, Use]
    seats: dict[int, Seat] = field(default_factory=dict)
    planned: list[Planned] = field(default_factory=list)

    # --- what holds a campaign as a whole ----------------------------------------------------------------

    def whole(self, camp: Camp) -> list[Why]:
        """What holds all mail of a campaign, the first in the order of the causes first."""
        found: list[Why] = [
            ("stop", stop.scope, stop.id) for stop in self.stops.of_campaign(self.tenant.pk, camp.pool_id, camp.id)
        ]
        if self.tenant.status != Tenant.Status.ACTIVE:
            found.append(("stop", f"tenant_{self.tenant.status}", 0))
        wish = self.wishes.get(("campaign.launch", camp.id))
        if wish is not None and camp.status in explain_people.NOT_STARTED:
            found.append(("approval", wish.act, camp.id))
        elif camp.status != "running":
            found.append(("stop", f"campaign_{camp.status}", camp.id))
        return found

    def organisational(self, pool_id: int | None) -> frozenset[str]:
        return frozenset(row.organisational for row in self.rows if row.pool_id == pool_id)

    def receiver_stops(self, camp: Camp) -> dict[str, Stop]:
        return self.stops.of_receivers(self.organisational(camp.pool_id))

    # --- who gets what -------------------------------------------------------------------------------------

    def held(self) -> dict[int, Held]:
        """{campaign id: what holds its mail}: stops of the whole, then windows and gates, then the mailboxes."""
        found = {pk: Held() for pk in self.camps}
        pools: dict[int, list[Want]] = defaultdict(list)
        for pk, camp in self.camps.items():
            waiting, held = self.waiting[pk], found[pk]
            self._overlap(camp, waiting, held)
            whole = self.whole(camp)
            if whole:
                for why in whole[1:]:
                    held.overlaps[why] += waiting.total
                if waiting.total:
                    held.decides[whole[0]] += waiting.total
                continue
            for name, later in waiting.later.items():
                held.decides["gate", name or "due", pk] += later.count
            if waiting.retries_later.count:
                held.decides["gate", "retry", pk] += waiting.retries_later.count
            for kind, count in waiting.closed_by(camp).items():
                held.decides[kind, "closed", pk] += count
            want = self._want(camp, waiting, held)
            if camp.pool_id is not None and (want.free or want.bound):
                pools[camp.pool_id].append(want)
        for pool_id, wants in pools.items():
            for pk, weighed in self._weigh(pool_id, wants).items():
                self._take(found[pk], weighed, self.waiting[pk])
        self._plans(found)
        return found

    def _overlap(self, camp: Camp, waiting: Waiting, held: Held) -> None:
        """Windows that are closed behind a stop are told as well: lifting it alone would change nothing yet."""
        if waiting.closed_now and self.whole(camp):
            for kind, count in waiting.closed_by(camp).items():
                held.overlaps[kind, "closed", camp.id] += count

    def _want(self, camp: Camp, waiting: Waiting, held: Held) -> Want:
        """Who passes the gates now."""
        for name, count in waiting.refused.items():
            held.decides["gate", name, camp.id] += count
        receivers = self.receiver_stops(camp)
        gone = sum(waiting.refused.values()) + sum(waiting.bound.values())
        for operator, count in waiting.operators.items():
            if operator in receivers:
                held.decides["stop", "receiver", receivers[operator].id] += count
            elif operator in self.receivers:
                held.decides["cap", f"receiver_hour {operator}", self.receivers[operator].key] += count
            else:
                continue
            gone += count
        use = self.limits.use("campaign_day", camp.id)
        left = None if use is None else use.left
        if left is not None:  # retries and follow-ups count against it first
            left = max(left - sum(waiting.bound.values()), 0)
        bound, total = waiting.bound, self.limits.use("campaign_total", camp.id)
        if total is not None:  # retries were counted when they were first planned
            bound, beyond = within_total(waiting, total.left)
            if beyond:
                held.decides["cap", "campaign_total", camp.id] += beyond
        total_left = None if total is None else max(total.left - sum((bound - waiting.retries).values()), 0)
        return Want(camp.id, max(waiting.due - gone, 0), bound, left, total_left)

    def _weigh(self, pool_id: int, wants: list[Want]) -> dict[int, Weighed]:
        boxes = [seat.box for seat in self.seats.values() if seat.row.pool_id == pool_id]
        closes = min(self.times.closes.get(pool_id, self.times.day_ends_at), self.times.day_ends_at)
        lefts = self.limits.lefts((limit for box in boxes for limit in box.limits), self.times, closes)
        use = self.limits.use("tenant_day", self.tenant.pk)
        tenant_left = None if use is None else use.left
        return explain_weigh.pool(boxes, lefts, wants, tenant_left)

    def _take(self, held: Held, weighed: Weighed, waiting: Waiting) -> None:
        held.decides += weighed.held
        if not weighed.ready:
            return
        if not self.machinery.leads(self.now):
            held.decides["worker", "cron", 0] += weighed.ready
        elif not self.machinery.plans(self.now, waiting.oldest):
            held.decides["worker", "planner", 0] += weighed.ready
        else:
            held.ready += weighed.ready

    def _plans(self, found: Mapping[int, Held]) -> None:
        """Planned mail that is due and does not leave; it waits too, though it has its slot."""
        for plan in self.planned:
            count = plan.late if self._works() else plan.due
            if not count or plan.campaign_id not in found:
                continue
            seat = self.seats.get(plan.mailbox_id)
            why: Why = ("queue", "not_taken", 0)
            whole = self.whole(self.camps[plan.campaign_id])
            if whole:
                why = whole[0]
            elif seat is not None and seat.box.stopped is not None:
                why = seat.box.stopped
            elif not self.machinery.leads(self.now):
                why = ("worker", "cron", 0)
            elif not self.machinery.queue.is_read:
                why = ("worker", "no_queue" if self.machinery.queue.down else "not_read", 0)
            elif seat is not None and seat.row.held_until is not None and seat.row.held_until > self.now:
                why = ("queue", "mailbox_busy", 0)
            found[plan.campaign_id].decides[why] += count

    def _works(self) -> bool:
        return self.machinery.leads(self.now) and self.machinery.queue.is_read

    def overdue(self, campaign_id: int | None = None) -> int:
        """Planned mail that counts among what is held."""
        works = self._works()
        return sum(plan.late if works else plan.due for plan in self.planned if campaign_id in (None, plan.campaign_id))


def within_total(waiting: Waiting, left: int) -> tuple[Counter[int], int]:
    """Who of those bound to a mailbox has room in the campaign's total, and how many follow-ups have none."""
    bound, beyond = Counter(waiting.bound), 0
    for pk, count in (waiting.bound - waiting.retries).items():
        over = max(count - left, 0)
        left -= count - over
        bound[pk] -= over
        beyond += over
    return +bound, beyond


def load(
    cursor: Any, tenant: Tenant, now: datetime, queue: Queue, *, campaign: int = 0, mailbox: int = 0,
    pool: int = 0, every_pool: bool = False,
) -> Ground:  # fmt: skip
    """The tenant's campaigns with the mailboxes of `every_pool`, or of the `pool` or the campaign's asked for.

    `campaign` is explained in whatever state it is, `mailbox` too.
    """
    zone = ZoneInfo(tenant.time_zone)
    day, day_ends_at = windows.day_of(now, zone), windows.day_ends_at(now, zone)
    hour = windows.hour_of(now)
    stops = explain_stops.load(cursor, tenant.pk, now)
    wishes = explain_stops.wishes(cursor, tenant.pk, now)
    also = [campaign] if campaign else []
    if every_pool:
        also += [subject for act, subject in wishes if act == "campaign.launch"]
    camps = {camp.id: camp for camp in explain_people.campaigns(cursor, tenant.pk, now, also)}
    if pool:
        camps = {pk: camp for pk, camp in camps.items() if camp.pool_id == pool}
    of_pools = {camp.pool_id for camp in camps.values()} if every_pool else {pool or camps[campaign].pool_id}
    rows = explain_boxes.load(cursor, sorted(pk for pk in of_pools if pk is not None), day, mailbox)
    times = _times(camps, now, hour, day_ends_at)
    running = [camp for camp in camps.values() if camp.status == "running"]
    limits = explain_limits.load(
        cursor, rows, {camp.id: camp.daily_cap for camp in running}, {tenant.pk: tenant.daily_cap},
        {camp.id: camp.total_cap for camp in running}, day=day, hour=hour, day_ends_at=day_ends_at,
    )  # fmt: skip
    waiting = explain_people.load(
        cursor, list(camps.values()), tenant=tenant, now=now, limit=times.limit, day=day,
        gated={camp.id for camp in running}, listed=campaign, mailbox=mailbox or None,
    )  # fmt: skip
    for (act, subject), wish in wishes.items():
        if act == "campaign.launch" and subject in waiting and wish.contacts is not None:
            waiting[subject].listed = wish.contacts
    ground = Ground(
        tenant, now, zone, day, times, stops, wishes, explain_stops.machinery(cursor, tenant.pk, queue), camps,
        waiting, rows, limits, explain_limits.full_receivers(cursor, rows, hour),
    )  # fmt: skip
    ground.seats = explain_boxes.seats(rows, limits, stops, frozenset(wishes), times)
    ground.planned = explain_today.planned(cursor, list(camps), now)
    return ground


def _times(camps: Mapping[int, Camp], now: datetime, hour: datetime, day_ends_at: datetime) -> Times:
    """As the planner has them: a pool is open until the last of its running campaigns' open windows closes."""
    closes: dict[int, datetime] = {}
    prompt = set()
    for camp in camps.values():
        if camp.pool_id is None or camp.status != "running":
            continue
        for opening in camp.openings.values():
            if opening.closes_at is not None:
                closes[camp.pool_id] = max(closes.get(camp.pool_id, now), opening.closes_at)
                if camp.pace == "prompt":
                    prompt.add(camp.pool_id)
    limit = min(now + timedelta(seconds=settings.PLAN_HORIZON_SECONDS), day_ends_at)
    return Times(now, hour, limit, day_ends_at, closes, frozenset(prompt))
