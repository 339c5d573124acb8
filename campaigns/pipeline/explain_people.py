"""Who waits in which campaign: counted along the planner's own index, and no further than a page needs.

Counts stop at MOST people of a zone and gates are asked for the first LOOK of a campaign, in the planner's order; what
lies beyond is marked as an estimate. Finished campaigns have nobody waiting and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from campaigns.pipeline import explain_gates, windows
from outreach.common import isolation
from tenants.models import Tenant

MOST = 200_000
LOOK = 5_000
NOT_STARTED = ("draft", "review", "scheduled")

CAMPAIGNS = """
SELECT c.id, c.name, c.pool_id, c.status, c.status_reason, c.window_from, c.window_until, c.window_days, c.pace,
    c.daily_cap, c.total_cap, c.zones, c.contact_list_id, c.started_at, c.enrol_until IS NOT NULL
FROM campaigns_campaign c
WHERE c.tenant_id = %(tenant)s AND (c.id = ANY (%(also)s) OR c.status IN ('running', 'paused', 'halted'))
ORDER BY c.id"""

WAITING = """
SELECT w.campaign_id, w.zone, e.due, e.later, e.oldest, e.next
FROM unnest(%(campaigns)s::bigint[], %(zones)s::text[]) AS w (campaign_id, zone)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE due_at <= %(now)s) AS due, count(*) FILTER (WHERE due_at > %(now)s) AS later,
        min(due_at) FILTER (WHERE due_at <= %(now)s) AS oldest, min(due_at) FILTER (WHERE due_at > %(now)s) AS next
    FROM (
        (SELECT due_at FROM campaigns_enrolment
        WHERE campaign_id = w.campaign_id AND zone = w.zone AND due_at IS NOT NULL AND mailbox_id IS NULL
        ORDER BY due_at LIMIT %(most)s)
        UNION ALL
        (SELECT due_at FROM campaigns_enrolment
        WHERE campaign_id = w.campaign_id AND zone = w.zone AND due_at IS NOT NULL AND mailbox_id IS NOT NULL
        ORDER BY due_at LIMIT %(most)s)
    ) AS every
) AS e"""

LATER = """
SELECT w.campaign_id, e.waits_for, count(*), min(e.due_at)
FROM unnest(%(campaigns)s::bigint[], %(zones)s::text[], %(limits)s::int[]) AS w (campaign_id, zone, most)
CROSS JOIN LATERAL (
    (SELECT waits_for, due_at FROM campaigns_enrolment
    WHERE campaign_id = w.campaign_id AND zone = w.zone AND due_at > %(now)s AND mailbox_id IS NULL
    ORDER BY due_at LIMIT w.most)
    UNION ALL
    (SELECT waits_for, due_at FROM campaigns_enrolment
    WHERE campaign_id = w.campaign_id AND zone = w.zone AND due_at > %(now)s AND mailbox_id IS NOT NULL
    ORDER BY due_at LIMIT w.most)
) AS e
GROUP BY w.campaign_id, e.waits_for"""

RETRIES = """
SELECT m.campaign_id, m.mailbox_id, e.zone, m.due_at <= %(limit)s, count(*), min(m.due_at)
FROM campaigns_message m JOIN campaigns_enrolment e ON e.id = m.enrolment_id
WHERE m.campaign_id = ANY (%(campaigns)s) AND m.status = 'deferred'
  AND (%(mailbox)s::bigint IS NULL OR m.mailbox_id = %(mailbox)s)
GROUP BY 1, 2, 3, 4"""

STOPPED = """
SELECT campaign_id, stop_reason, count(*) FROM campaigns_enrolment
WHERE campaign_id = ANY (%(campaigns)s) AND status = 'stopped' GROUP BY 1, 2"""

LISTED = """
SELECT count(*) FROM (
    SELECT FROM campaigns_listentry WHERE contact_list_id = %(contact_list)s LIMIT %(most)s) AS first"""


@dataclass(frozen=True, slots=True)
class Camp:
    """A campaign with its window in each of its zones at the moment asked about."""

    id: int
    name: str
    pool_id: int | None
    status: str
    status_reason: str
    window: windows.Window
    pace: str
    daily_cap: int | None
    total_cap: int | None
    openings: Mapping[str, windows.Opening]
    contact_list_id: int | None
    started_at: datetime | None
    enrolling: bool

    @property
    def open_zones(self) -> list[str]:
        return sorted(zone for zone, opening in self.openings.items() if opening.is_open)

    @property
    def closed_zones(self) -> list[str]:
        return sorted(zone for zone, opening in self.openings.items() if not opening.is_open)

    def closed_by(self, zone: str) -> tuple[str, str]:
        """What keeps it closed there: window or holiday, and that one's name."""
        opening = self.openings.get(zone)
        return ("holiday", opening.holiday) if opening is not None and opening.holiday else ("window", "")

    def opens_at(self, moment: datetime) -> datetime | None:
        """The first instant from that one on at which somebody's window is open."""
        found = []
        for zone in self.openings:
            opening = windows.opening_in(self.window, zone, moment)
            found.append(moment if opening.is_open else opening.next_opens_at)
        return min((each for each in found if each is not None), default=None)


@dataclass(frozen=True, slots=True)
class Later:
    """People or retries whose time has not come, and when it comes for the first of them."""

    count: int = 0
    next_at: datetime | None = None


@dataclass(slots=True)
class Waiting:
    """Who of a campaign waits. `due`, `bound` and `refused` are of the zones that are open now.

    `retries` are those among `bound` that were tried before.
    """

    due: int = 0
    closed: Counter[str] = field(default_factory=Counter)
    closed_retries: Counter[str] = field(default_factory=Counter)
    oldest: datetime | None = None
    later: dict[str, Later] = field(default_factory=dict)
    retries_later: Later = field(default_factory=Later)
    bound: Counter[int] = field(default_factory=Counter)
    retries: Counter[int] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    operators: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    listed: int = 0
    is_estimate: bool = False

    @property
    def total(self) -> int:
        """Everybody who has no slot yet."""
        later = sum(each.count for each in self.later.values()) + self.retries_later.count
        return self.due + self.closed_now + later + self.listed

    @property
    def closed_now(self) -> int:
        """People and retries whose window is closed."""
        return sum(self.closed.values()) + sum(self.closed_retries.values())

    @property
    def zones_closed(self) -> list[str]:
        return sorted({*self.closed, *self.closed_retries})

    def closed_by(self, camp: Camp) -> Counter[str]:
        """How many people and retries what keeps closed: window, holiday."""
        found: Counter[str] = Counter()
        for zone, count in (*self.closed.items(), *self.closed_retries.items()):
            found[camp.closed_by(zone)[0]] += count
        return found

    def part(self, share: float, mailbox_id: int) -> Waiting:
        """What of it falls to one mailbox: what is bound to it, and its share of those who take any."""

        def of(count: int) -> int:
            return int(count * share + 0.5)

        refused = Counter({name: of(count) for name, count in self.refused.items()})
        operators = Counter({name: of(count) for name, count in self.operators.items()})
        free = self.due - sum(self.bound.values()) - sum(self.refused.values())
        bound = Counter({mailbox_id: self.bound[mailbox_id]} if self.bound[mailbox_id] else {})
        return replace(
            self,
            due=max(of(free), sum(operators.values())) + sum(refused.values()) + sum(bound.values()),
            closed=Counter({zone: of(count) for zone, count in self.closed.items() if of(count)}),
            later={name: replace(each, count=of(each.count)) for name, each in self.later.items()},
            bound=bound,
            refused=refused,
            operators=operators,
            listed=of(self.listed),
            is_estimate=self.is_estimate or share < 1,
        )


def campaigns(cursor: Any, tenant_id: int, now: datetime, also: Sequence[int] = ()) -> list[Camp]:
    """The tenant's campaigns that are under way, and those asked for in any state."""
    cursor.execute(CAMPAIGNS, {"tenant": tenant_id, "also": list(also)})
    return [_camp(row, now) for row in cursor.fetchall()]


def _camp(row: tuple[Any, ...], now: datetime) -> Camp:
    pk, name, pool_id, status, reason, opens, closes, days, pace, cap, total, zones, listed, started_at, enrolling = row
    window = windows.Window(opens, closes, frozenset(days))
    openings = {zone: windows.opening_in(window, zone, now) for zone in zones}
    return Camp(pk, name, pool_id, status, reason, window, pace, cap, total, openings, listed, started_at, enrolling)


def load(
    cursor: Any,
    camps: Sequence[Camp],
    *,
    tenant: Tenant,
    now: datetime,
    limit: datetime,
    day: date,
    gated: Collection[int],
    listed: int,
    mailbox: int | None = None,
) -> dict[int, Waiting]:
    """{campaign id: who waits}; the gates are asked for those in `gated`, whose mail could go otherwise.

    `listed` is a campaign of which, before its start, the people of its list are counted; with `mailbox` only the
    retries of that one are.
    """
    found = {camp.id: Waiting() for camp in camps}
    pairs = [(camp, zone) for camp in camps for zone in camp.openings]
    counts = _counts(cursor, pairs, now)
    for camp, zone in pairs:
        due, later, oldest, _ = counts[camp.id, zone]
        waiting = found[camp.id]
        waiting.is_estimate |= due + later >= MOST
        if camp.openings[zone].is_open:
            waiting.due += due
            waiting.oldest = min(filter(None, (waiting.oldest, oldest)), default=None)
        elif due:
            waiting.closed[zone] += due
    _later(cursor, pairs, counts, now, found)
    looked_at = [(camp, zone) for camp, zone in pairs if camp.id in gated and zone in camp.open_zones]
    _look(cursor, [pair for pair in looked_at if counts[pair[0].id, pair[1]][0]], counts, tenant, now, day, found)
    _retries(cursor, {camp.id: camp for camp in camps}, limit, mailbox, found)
    cursor.execute(STOPPED, {"campaigns": list(found)})
    for pk, reason, count in cursor.fetchall():
        found[pk].ended[reason] += count
    for camp in camps:
        if camp.id == listed and camp.status in NOT_STARTED and camp.contact_list_id is not None:
            cursor.execute(LISTED, {"contact_list": camp.contact_list_id, "most": MOST})
            found[camp.id].listed = cursor.fetchone()[0]
    return found


Counts = dict[tuple[int, str], tuple[int, int, datetime | None, datetime | None]]


def _counts(cursor: Any, pairs: Sequence[tuple[Camp, str]], now: datetime) -> Counts:
    cursor.execute(
        WAITING,
        {"campaigns": [camp.id for camp, _ in pairs], "zones": [zone for _, zone in pairs], "now": now, "most": MOST},
    )
    return {(pk, zone): (due, later, oldest, following) for pk, zone, due, later, oldest, following in cursor}


def _later(
    cursor: Any, pairs: Sequence[tuple[Camp, str]], counts: Counts, now: datetime, found: Mapping[int, Waiting]
) -> None:
    """Who waits for a time, by what for; where there are very many, the rest is told without what for."""
    wanted = [(camp.id, zone, min(counts[camp.id, zone][1], LOOK)) for camp, zone in pairs if counts[camp.id, zone][1]]
    if not wanted:
        return
    ids, zones, limits = zip(*wanted, strict=True)
    cursor.execute(LATER, {"campaigns": list(ids), "zones": list(zones), "limits": list(limits), "now": now})
    told: Counter[int] = Counter()
    for pk, waits_for, count, next_at in cursor.fetchall():
        found[pk].later[waits_for] = Later(count, next_at)
        told[pk] += count
    totals: Counter[int] = Counter()
    for pk, zone in zip(ids, zones, strict=True):
        totals[pk] += counts[pk, zone][1]
    for pk, total in totals.items():
        if total > told[pk]:
            before = found[pk].later.get("", Later())
            found[pk].later[""] = Later(before.count + total - told[pk], before.next_at)
            found[pk].is_estimate = True


def _look(
    cursor: Any, pairs: Sequence[tuple[Camp, str]], counts: Counts, tenant: Tenant, now: datetime, day: date,
    found: Mapping[int, Waiting],
) -> None:  # fmt: skip
    if not pairs:
        return
    zones_of = Counter(camp.id for camp, _ in pairs)
    limits = [max(LOOK // zones_of[camp.id], 100) for camp, _ in pairs]
    for (camp, zone), limit in zip(pairs, limits, strict=True):
        found[camp.id].is_estimate |= counts[camp.id, zone][0] > limit
    values = {
        "campaigns": [camp.id for camp, _ in pairs],
        "zones": [zone for _, zone in pairs],
        "pools": [camp.pool_id or 0 for camp, _ in pairs],
        "closes": [camp.openings[zone].closes_at for camp, zone in pairs],
        "limits": limits,
    }
    with isolation.tenants([tenant.pk], platform=True):  # entries of the platform count, whoever asks
        rows = explain_gates.count_first(cursor, tenant, values, now, day)
    for pk, mailbox_id, operator, gate, count in rows:
        waiting = found[pk]
        if gate:
            waiting.refused[gate] += count
        elif mailbox_id is not None:
            waiting.bound[mailbox_id] += count
        else:
            waiting.operators[operator] += count


def _retries(
    cursor: Any, camps: Mapping[int, Camp], limit: datetime, mailbox: int | None, found: Mapping[int, Waiting]
) -> None:
    cursor.execute(RETRIES, {"campaigns": list(camps), "limit": limit, "mailbox": mailbox})
    for pk, mailbox_id, zone, is_due, count, next_at in cursor.fetchall():
        waiting, opening = found[pk], camps[pk].openings.get(zone)
        if not is_due:
            before = waiting.retries_later
            first = min(filter(None, (before.next_at, next_at)), default=None)
            waiting.retries_later = Later(before.count + count, first)
        elif opening is not None and opening.is_open:
            waiting.due += count
            waiting.bound[mailbox_id] += count
            waiting.retries[mailbox_id] += count
            waiting.oldest = min(filter(None, (waiting.oldest, next_at)), default=None)
        else:
            waiting.closed_retries[zone] += count


def day_began_at(now: datetime, zone: ZoneInfo) -> datetime:
    """The instant at which that zone's calendar day began."""
    return windows.instant(windows.day_of(now, zone), time(0), zone)
