"""Who gets which slot: people and retries of one mailbox first, then everybody who takes any."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from campaigns.pipeline import receivers, slots
from campaigns.pipeline.limits import UNLIMITED
from campaigns.pipeline.seats import Place
from campaigns.pipeline.slots import Limit, Seat

# Retries and people of one mailbox take its first slots, oldest first, within all that the mailbox shares; a retry is
# found before its time and leaves no sooner.
BOUND = f"""
INSERT INTO plan_pair
SELECT kind, message_id, enrolment_id, campaign_id, contact_id, step_id, mailbox_id,
    slot, closes_at, operator
FROM (
    SELECT d.*, box.first_at, box.gap, box.room, box.domain_left, box.account_left, box.quota_left,
        r.amount AS receiver_left, b.hourly,
        row_number() OVER (PARTITION BY d.mailbox_id ORDER BY d.kind, d.due_at, d.enrolment_id) AS k,
        row_number() OVER (PARTITION BY b.domain_id ORDER BY d.kind, d.due_at, d.enrolment_id) AS of_domain,
        row_number() OVER (PARTITION BY b.account_id ORDER BY d.kind, d.due_at, d.enrolment_id) AS of_account,
        row_number() OVER (PARTITION BY b.quota_id ORDER BY d.kind, d.due_at, d.enrolment_id) AS of_quota,
        row_number() OVER (PARTITION BY b.organisational, d.operator ORDER BY d.kind, d.due_at, d.enrolment_id)
            AS of_receiver
    FROM (
        SELECT *, row_number() OVER (PARTITION BY campaign_id ORDER BY kind, due_at, enrolment_id) AS n,
            row_number() OVER (ORDER BY kind, due_at, enrolment_id) AS of_tenant
        FROM plan_demand WHERE kind = %(kind)s
    ) AS d
    JOIN unnest(%(boxes)s::bigint[], %(firsts)s::timestamptz[], %(gaps)s::interval[], %(rooms)s::int[],
        %(domain_lefts)s::int[], %(account_lefts)s::int[], %(quota_lefts)s::int[])
        AS box (id, first_at, gap, room, domain_left, account_left, quota_left) ON box.id = d.mailbox_id
    JOIN plan_box b ON b.mailbox_id = d.mailbox_id
    LEFT JOIN plan_receiver r ON r.organisational = b.organisational AND r.operator = d.operator
    JOIN unnest(%(campaigns)s::bigint[], %(lefts)s::int[]) AS c (id, amount) ON c.id = d.campaign_id
    WHERE d.n <= c.amount AND d.of_tenant <= %(tenant_left)s
) AS placed
CROSS JOIN LATERAL (SELECT greatest(due_at, first_at + gap * (k - 1)) AS slot) AS at
WHERE k <= room AND of_domain <= domain_left AND of_account <= account_left AND of_quota <= quota_left
  AND of_receiver <= coalesce(receiver_left, {UNLIMITED}) AND slot < closes_at
  AND ((receiver_left IS NULL AND NOT hourly) OR slot < %(hour_ends)s)"""

# `of` is the receiver whose patience counts, empty for all others; `place` the turn among those of the same.
TURNS = """
CREATE TEMP TABLE plan_turn ON COMMIT DROP AS
SELECT turns.*, {place} AS place FROM (
    SELECT d.enrolment_id, d.campaign_id, d.contact_id, d.step_id, d.pool_id, d.closes_at, d.operator, {of} AS of,
        row_number() OVER (PARTITION BY d.pool_id ORDER BY d.n, d.campaign_id) AS turn
    FROM (
        SELECT *, row_number() OVER (PARTITION BY campaign_id ORDER BY due_at, enrolment_id) AS n
        FROM plan_demand WHERE kind = 2
    ) AS d
    JOIN unnest(%(campaigns)s::bigint[], %(lefts)s::int[]) AS c (id, amount) ON c.id = d.campaign_id
    WHERE d.n <= c.amount
) AS turns
JOIN unnest(%(pools)s::bigint[], %(needs)s::int[]) AS need (pool, most) ON need.pool = turns.pool_id
WHERE turn <= need.most"""

PLAIN = {"of": "''", "place": "turn"}
BY_RECEIVER = {
    "of": "CASE WHEN EXISTS (SELECT FROM plan_receiver r WHERE r.operator = d.operator) THEN d.operator ELSE '' END",
    "place": "row_number() OVER (PARTITION BY pool_id, of ORDER BY turn)",
}

SLOTS = """
CREATE TEMP TABLE plan_slot ON COMMIT DROP AS
SELECT box.pool_id, box.of, box.id AS mailbox_id, box.first_at + box.gap * k AS due_at, row_number() OVER (
    PARTITION BY box.pool_id, box.of ORDER BY box.virtual_time + (k + 0.5) / box.weight, box.id) AS place
FROM unnest(
    %(boxes)s::bigint[], %(pools)s::bigint[], %(ofs)s::text[], %(firsts)s::timestamptz[], %(gaps)s::interval[],
    %(taken)s::int[], %(counts)s::int[], %(virtual)s::float8[], %(weights)s::float8[]
) AS box (id, pool_id, of, first_at, gap, taken, count, virtual_time, weight)
CROSS JOIN LATERAL generate_series(box.taken, box.taken + box.count - 1) AS k"""

PAIR = """
INSERT INTO plan_pair
SELECT 2, NULL, t.enrolment_id, t.campaign_id, t.contact_id, t.step_id, s.mailbox_id, s.due_at, t.closes_at, t.operator
FROM plan_turn t JOIN plan_slot s ON s.pool_id = t.pool_id AND s.of = t.of AND s.place = t.place
WHERE s.due_at < t.closes_at"""


def bind(
    cursor: Any,
    places: Mapping[int, Place],
    shared: Mapping[Limit, int],
    lefts: Mapping[int, int],
    tenant_left: int,
    kind: int,
    hour_ends: datetime,
) -> int:
    """Give what belongs to one mailbox its next free slots; return how many found one."""
    seats = [place.seat for place in places.values() if place.seat.room > place.seat.taken]
    free = free_of(places, shared)
    cursor.execute(
        BOUND,
        {
            "kind": kind,
            "boxes": [seat.mailbox_id for seat in seats],
            "firsts": [seat.first_at + seat.gap * seat.taken for seat in seats],
            "gaps": [seat.gap for seat in seats],
            "rooms": [seat.room - seat.taken for seat in seats],
            **{
                f"{name}_lefts": [_least(seat, name, free) for seat in seats] for name in ("domain", "account", "quota")
            },
            "campaigns": list(lefts),
            "lefts": list(lefts.values()),
            "tenant_left": tenant_left,
            "hour_ends": hour_ends,
        },
    )
    return cursor.rowcount


def free_of(places: Mapping[int, Place], shared: Mapping[Limit, int]) -> dict[Limit, int]:
    """What is left of each limit after all that its mailboxes were given in this run."""
    free = dict(shared)
    for place in places.values():
        for limit in place.seat.limits:
            if limit in free:
                free[limit] -= place.seat.taken
    return free


def _least(seat: Seat, kind: str, free: Mapping[Limit, int]) -> int:
    return min((max(free.get(limit, UNLIMITED), 0) for limit in seat.limits if limit[0] == kind), default=UNLIMITED)


def after_bound(
    cursor: Any, places: Mapping[int, Place], lefts: Mapping[int, int]
) -> tuple[dict[int, Place], dict[int, int]]:
    """Places and campaign caps, as they were at first, with all that plan_pair has taken so far."""
    cursor.execute("SELECT mailbox_id, campaign_id, count(*) FROM plan_pair GROUP BY mailbox_id, campaign_id")
    by_box: Counter[int] = Counter()
    by_campaign: Counter[int] = Counter()
    for mailbox_id, campaign_id, count in cursor.fetchall():
        by_box[mailbox_id] += count
        by_campaign[campaign_id] += count
    updated = {
        pk: replace(place, seat=replace(place.seat, taken=by_box[pk])) if by_box[pk] else place
        for pk, place in places.items()
    }
    return updated, {pk: left - by_campaign[pk] for pk, left in lefts.items()}


def needs(places: Mapping[int, Place], shared: Mapping[Limit, int], tenant_left: int) -> dict[int, int]:
    """{pool id: free slots}, within what mailboxes share; cut in proportion where the tenant's day allows fewer."""
    need: Counter[int] = Counter()
    left_of = free_of(places, shared)
    for place in places.values():
        seat = place.seat
        own = [limit for limit in seat.limits if limit in left_of]
        free = min([max(seat.room - seat.taken, 0), *(max(left_of[limit], 0) for limit in own)])
        for limit in own:
            left_of[limit] -= free
        need[seat.pool_id] += free
    total, left = sum(need.values()), max(tenant_left, 0)
    if total > left:
        for pool_id in list(need):
            share = need[pool_id] * left // total if total else 0
            total, left = total - need[pool_id], left - share
            need[pool_id] = share
    return dict(need)


def deal(
    cursor: Any,
    places: Mapping[int, Place],
    shared: Mapping[Limit, int],
    lefts: Mapping[int, int],
    need: Mapping[int, int],
    hour_ends: datetime,
) -> None:
    """Pair people who take any mailbox with the slots they are due, those of counted receivers first."""
    cursor.execute("DROP TABLE IF EXISTS plan_turn, plan_slot")
    patience = receivers.lefts(cursor)
    cursor.execute(
        TURNS.format(**(BY_RECEIVER if patience else PLAIN)),
        {
            "campaigns": list(lefts),
            "lefts": list(lefts.values()),
            "pools": list(need),
            "needs": list(need.values()),
        },
    )
    cursor.execute("SELECT pool_id, of, count(*) FROM plan_turn GROUP BY pool_id, of ORDER BY pool_id, of DESC")
    dealing = Dealing(places, shared, patience, hour_ends)
    for pool_id, of, wanted in cursor.fetchall():
        dealing.deal(pool_id, of, wanted)
    cursor.execute(SLOTS, dealing.values())
    cursor.execute("ANALYZE plan_turn, plan_slot")
    cursor.execute(PAIR)


@dataclass(slots=True)
class Dealing:
    """The free slots of one run, dealt share by share: pool by pool, and in each receiver by receiver."""

    places: Mapping[int, Place]
    shared: Mapping[Limit, int]
    patience: Mapping[tuple[str, str], int]
    hour_ends: datetime
    taken: Counter[int] = field(default_factory=Counter)
    received: Counter[tuple[str, str]] = field(default_factory=Counter)
    dealt: list[tuple[Seat, str, int]] = field(default_factory=list)

    def deal(self, pool_id: int, of: str, wanted: int) -> None:
        """Deal so many slots of a pool to people whose mail `of` runs; empty: to all whom nobody counts."""
        seats = [self._seat(place, of) for place in self.places.values() if place.seat.pool_id == pool_id]
        left = dict(self.shared)
        for pk, place in self.places.items():
            if place.seat.pool_id != pool_id:
                for limit in place.seat.limits:
                    if limit in left:
                        left[limit] -= place.seat.taken + self.taken[pk]
        keys = {self.places[seat.mailbox_id].caps.organisational: seat.mailbox_id for seat in seats} if of else {}
        for organisational, number in keys.items():
            patience = self.patience.get((organisational, of), UNLIMITED)
            spent = sum(
                seat.taken for seat in seats if self.places[seat.mailbox_id].caps.organisational == organisational
            )
            left["receiver", number] = patience - self.received[organisational, of] + spent
        seats = [
            replace(seat, limits=(*seat.limits, ("receiver", keys[self.places[seat.mailbox_id].caps.organisational])))
            if of
            else seat
            for seat in seats
        ]
        counts = slots.share(seats, wanted, left)
        for seat in seats:
            if count := counts.get(seat.mailbox_id):
                self.dealt.append((seat, of, count))
                self.taken[seat.mailbox_id] += count
                self.received[self.places[seat.mailbox_id].caps.organisational, of] += count

    def _seat(self, place: Place, of: str) -> Seat:
        """The seat behind all slots dealt so far; for a counted receiver only within the hour."""
        seat = replace(place.seat, taken=place.seat.taken + self.taken[place.seat.mailbox_id])
        if not of:
            return seat
        return replace(seat, room=slots.room(seat.first_at, self.hour_ends, seat.gap, seat.room))

    def values(self) -> dict[str, list[Any]]:
        return {
            "boxes": [seat.mailbox_id for seat, _, _ in self.dealt],
            "pools": [seat.pool_id for seat, _, _ in self.dealt],
            "ofs": [of for _, of, _ in self.dealt],
            "firsts": [seat.first_at for seat, _, _ in self.dealt],
            "gaps": [seat.gap for seat, _, _ in self.dealt],
            "taken": [seat.taken for seat, _, _ in self.dealt],
            "counts": [count for _, _, count in self.dealt],
            "virtual": [seat.virtual_time for seat, _, _ in self.dealt],
            "weights": [seat.weight for seat, _, _ in self.dealt],
        }


def bounds(
    cursor: Any, places: Mapping[int, Place], shared: Mapping[Limit, int], lefts: Mapping[int, int]
) -> dict[str, int]:
    """How many limits of each kind this run used up: they are what kept it from planning more."""
    places, lefts = after_bound(cursor, places, lefts)
    full: Counter[str] = Counter()
    for limit, left in free_of(places, shared).items():
        full[f"{limit[0]}_full"] += left <= 0
    full["mailbox_full"] = sum(place.seat.taken >= place.seat.room for place in places.values())
    full["campaign_full"] = sum(left <= 0 for left in lefts.values())
    cursor.execute(
        "SELECT count(*) FROM plan_receiver r WHERE r.amount <= (SELECT count(*) FROM plan_pair p "
        "JOIN plan_box b ON b.mailbox_id = p.mailbox_id "
        "WHERE p.kind = 2 AND b.organisational = r.organisational AND p.operator = r.operator)"
    )
    full["receiver_full"] = cursor.fetchone()[0]
    return {kind: count for kind, count in full.items() if count}
