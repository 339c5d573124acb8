"""Everything a forecast looks at, counted by the database: campaigns, who waits for what, the fleet.

One statement for each kind, whatever the number of people; only groups of them leave the database.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from campaigns import calendars
from campaigns.models import Campaign
from campaigns.pipeline import windows
from campaigns.pipeline.forecasting import results
from campaigns.pipeline.forecasting.terms import Demand, Forecast, Work, World
from mailboxes import capacity as fleet
from mailboxes.models import Mailbox, Pool
from mailboxes.services import capacity
from tenants.models import Tenant
from tenants.services import records

DAYS, MOST_DAYS = 28, 90
GOING = (Campaign.Status.RUNNING, Campaign.Status.SCHEDULED)

CAMPAIGNS = """
SELECT c.id, c.name, c.status, c.pool_id, c.window_from, c.window_until, c.window_days, c.window_zone, c.holidays,
    c.pace, c.daily_cap, c.total_cap, c.contact_list_id, c.enrolled_to, c.enrol_until, c.started_at, c.scheduled_for,
    coalesce(al.reserved, 0) AS reserved, greatest(c.total_cap - coalesce(total.reserved, 0), 0) AS total_left,
    st.positions, st.delays, st.delay_days
FROM campaigns_campaign c
JOIN LATERAL (
    SELECT array_agg(position ORDER BY position) AS positions, array_agg(delay_hours ORDER BY position) AS delays,
        array_agg(delay_days ORDER BY position) AS delay_days
    FROM (
        SELECT DISTINCT ON (position) position, delay_hours, delay_days FROM campaigns_step
        WHERE campaign_id = c.id ORDER BY position, version DESC
    ) AS latest
) AS st ON st.positions IS NOT NULL
LEFT JOIN mailboxes_allowance al
    ON al.scope = 'campaign_day' AND al.key = c.id AND al.period_start = %(day)s::timestamp AT TIME ZONE 'UTC'
LEFT JOIN mailboxes_allowance total
    ON total.scope = 'campaign_total' AND total.key = c.id AND total.period_start = 'epoch'::timestamptz
WHERE c.tenant_id = %(tenant)s AND c.pool_id IS NOT NULL
  AND (c.status = ANY (%(going)s) OR c.id = %(draft)s)
ORDER BY c.id"""

# What is due already keeps its order by days, what is to come by hours: nobody needs it finer.
PEOPLE = """
SELECT e.campaign_id, e.zone, e.step, box.place,
    date_trunc(CASE WHEN e.due_at <= %(now)s THEN 'day' ELSE 'hour' END, e.due_at) AS due, count(*)
FROM campaigns_enrolment e
LEFT JOIN unnest(%(boxes)s::bigint[], %(places)s::int[]) AS box (id, place) ON box.id = e.mailbox_id
WHERE e.campaign_id = ANY (%(campaigns)s) AND e.due_at IS NOT NULL
GROUP BY 1, 2, 3, 4, 5"""

MESSAGES = """
SELECT m.campaign_id, e.zone, e.step, box.place, m.status = 'deferred' AS again,
    date_trunc('hour', m.due_at) AS due, count(*)
FROM campaigns_message m
JOIN campaigns_enrolment e ON e.id = m.enrolment_id
LEFT JOIN unnest(%(boxes)s::bigint[], %(places)s::int[]) AS box (id, place) ON box.id = m.mailbox_id
WHERE m.campaign_id = ANY (%(campaigns)s) AND m.status IN ('planned', 'claimed', 'committing', 'deferred')
GROUP BY 1, 2, 3, 4, 5, 6"""

# The rest of a list that is being enrolled, or all of one that has not been started.
LISTED = """
SELECT c.id, ct.time_zone, ct.country, count(*)
FROM unnest(%(campaigns)s::bigint[], %(lists)s::bigint[], %(afters)s::bigint[], %(untils)s::bigint[])
    AS c (id, contact_list, after, until)
JOIN campaigns_listentry le ON le.contact_list_id = c.contact_list AND le.contact_id > c.after
    AND le.contact_id <= c.until
JOIN campaigns_contact ct ON ct.id = le.contact_id
GROUP BY 1, 2, 3"""

EVERYBODY = 2**62


def forecast(
    tenant: Tenant,
    now: datetime,
    *,
    days: int = DAYS,
    draft: Campaign | None = None,
) -> Forecast:
    """What becomes of all running and scheduled campaigns of a tenant from that moment on, and of `draft` besides."""
    world = load(tenant, now, draft=draft)
    return results.forecast(
        world,
        now,
        fleet.days_from(windows.day_of(now, world.zone), days),
        standard=capacity.standard_plan(tenant),
        reserve_share=Mailbox._meta.get_field("reserve_share").default,
    )


def load(tenant: Tenant, now: datetime, *, draft: Campaign | None = None) -> World:
    """The tenant as the simulation looks at it."""
    zone = ZoneInfo(tenant.time_zone)
    day = windows.day_of(now, zone)
    loaded = capacity.load(tenant, now)
    with connection.cursor() as cursor:
        campaigns = _rows(
            cursor,
            CAMPAIGNS,
            {"tenant": tenant.pk, "day": day, "going": list(GOING), "draft": draft.pk if draft else None},
        )
        counted = _Counted(loaded, now)
        if campaigns:
            counted.count(cursor, tenant, campaigns)
        cursor.execute(
            "SELECT coalesce(sum(reserved), 0) FROM mailboxes_allowance WHERE scope = 'tenant_day' AND key = %s "
            "AND period_start = %s::timestamp AT TIME ZONE 'UTC'",
            [tenant.pk, day],
        )
        reserved = cursor.fetchone()[0]
    pools = dict(Pool.objects.filter(tenant=tenant, archived_at=None).order_by("name").values_list("pk", "name"))
    return World(
        zone=zone,
        work=tuple(counted.work(row) for row in campaigns),
        fleet=loaded.fleet,
        daily_cap=tenant.daily_cap,
        reserved=int(reserved),
        pools=pools,
    )


def _rows(cursor: Any, sql: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    cursor.execute(sql, values)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


class _Counted:
    """People of each campaign by what they wait for."""

    def __init__(self, loaded: capacity.Loaded, now: datetime) -> None:
        self.loaded, self.now = loaded, now
        self.demand: dict[int, Counter[tuple[str, int, datetime]]] = defaultdict(Counter)
        self.booked: dict[int, Counter[tuple[str, int, datetime]]] = defaultdict(Counter)
        self.bound: dict[int, Counter[int]] = defaultdict(Counter)
        self.stopped: Counter[int] = Counter()
        self.step_of: dict[tuple[int, int], int] = {}

    def count(self, cursor: Any, tenant: Tenant, campaigns: Sequence[dict[str, Any]]) -> None:
        for row in campaigns:
            self.step_of |= {(row["id"], position): n for n, position in enumerate(row["positions"])}
        values: dict[str, Any] = {
            "campaigns": [row["id"] for row in campaigns],
            "boxes": list(self.loaded.group_of),
            "places": list(self.loaded.group_of.values()),
            "now": self.now,
        }
        cursor.execute(PEOPLE, values)
        for campaign, zone, position, place, due, n in cursor.fetchall():
            self._add(campaign, zone, position, place, due, n)
        cursor.execute(MESSAGES, values)
        for campaign, zone, position, place, again, due, n in cursor.fetchall():
            self._add(campaign, zone, position, place, due, n, booked=not again)
        self._count_listed(cursor, tenant, campaigns)

    def _add(
        self, campaign: int, zone: str, position: int, place: int | None, due: datetime, n: int, *, booked: bool = False
    ) -> None:
        step = self.step_of.get((campaign, position))
        if step is None:  # past the last step: nothing is sent to them
            return
        due = due.astimezone(UTC)
        if booked:
            self.booked[campaign][zone, step, due] += n
            return
        if step and place is not None:
            if self.loaded.fleet.groups[place].stopped:
                self.stopped[campaign] += n
                return
            self.bound[campaign][place] += n
        self.demand[campaign][zone, step, due] += n

    def _count_listed(self, cursor: Any, tenant: Tenant, campaigns: Sequence[dict[str, Any]]) -> None:
        open_ = [row for row in campaigns if row["started_at"] is None or row["enrol_until"] is not None]
        open_ = [row for row in open_ if row["contact_list_id"] is not None]
        if not open_:
            return
        cursor.execute(
            LISTED,
            {
                "campaigns": [row["id"] for row in open_],
                "lists": [row["contact_list_id"] for row in open_],
                "afters": [row["enrolled_to"] or 0 for row in open_],
                "untils": [EVERYBODY if row["enrol_until"] is None else row["enrol_until"] for row in open_],
            },
        )
        begins = {row["id"]: max(self.now, row["scheduled_for"] or self.now) for row in open_}
        country = records.of(tenant).country
        terms = {
            row["id"]: calendars.Terms(row["window_zone"], row["holidays"], tenant.time_zone, country) for row in open_
        }
        for campaign, time_zone, land, n in cursor.fetchall():
            self.demand[campaign][terms[campaign].key(time_zone, land), 0, begins[campaign].astimezone(UTC)] += n

    def work(self, row: dict[str, Any]) -> Work:
        pk = row["id"]
        return Work(
            id=pk,
            name=row["name"],
            pool_id=row["pool_id"],
            window=windows.Window(row["window_from"], row["window_until"], frozenset(row["window_days"])),
            delays=tuple(row["delays"]),
            delay_days=tuple(row["delay_days"]) if any(row["delay_days"]) else (),
            demand=_demands(self.demand[pk]),
            booked=_demands(self.booked[pk]),
            bound=dict(self.bound[pk]),
            stopped=self.stopped[pk],
            prompt=row["pace"] == Campaign.Pace.PROMPT,
            daily_cap=row["daily_cap"],
            reserved=row["reserved"],
            total_left=row["total_left"] if row["total_cap"] is not None else None,
            status=row["status"],
        )


def _demands(counts: Counter[tuple[str, int, datetime]]) -> tuple[Demand, ...]:
    return tuple(Demand(zone, step, n, due) for (zone, step, due), n in sorted(counts.items()))
