"""The real planner and the real ramp job, on days that pass as fast as they can be computed.

The planner takes its time as an argument, and so does the ramp's job. Claims and leases go by the database's clock, so
no worker runs here: `settle` makes the rows what they are after a worker's mail went out at the minute of its slot. Of
an enrolment with a further step it makes what the sequence says: due again so many hours after that mail.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection

from campaigns.models import Campaign, Enrolment
from campaigns.pipeline import planner, reaper, windows
from campaigns.services import campaigns
from mailboxes.services import ramp
from tenants.models import Tenant
from tenants.services.actors import SYSTEM
from tests import factories

SENT = """
UPDATE campaigns_message SET status = 'sent', sent_at = due_at, tries = tries + 1, reply_text = '250 ok', reason = ''
WHERE tenant_id = %s AND status = 'planned' AND due_at < %s"""

WENT_ON = """
UPDATE campaigns_enrolment e
SET status = CASE WHEN next.position IS NULL THEN 'done' ELSE 'active' END,
    step = coalesce(next.position, e.step),
    due_at = m.sent_at + make_interval(hours => next.delay_hours), waits_for = ''
FROM campaigns_message m
JOIN campaigns_step st ON st.id = m.step_id
LEFT JOIN campaigns_step next ON next.campaign_id = m.campaign_id AND next.position = st.position + 1
WHERE m.enrolment_id = e.id AND m.status = 'sent' AND st.position = e.step AND e.status = 'active'
  AND e.waits_for = 'message' AND e.tenant_id = %s"""


def launched(tenant: Tenant, pool, people: int, now: datetime, *, delays=(), zones=("UTC",), **changes) -> Campaign:
    """A running campaign whose people are due since `now`; each delay is one more step, after so many hours.

    Several steps can't be launched yet, so the others join a campaign that runs.
    """
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, people, each=lambda i: {"time_zone": zones[i % len(zones)]})
    made = campaigns.start(factories.campaign(tenant, pool, listed, window_zone="contact", **changes), actor=SYSTEM)
    for position, delay in enumerate(delays, start=2):
        factories.step(made, position=position, delay_hours=delay)
    Enrolment.objects.filter(campaign=made).update(due_at=now)
    return made


def settle(tenant: Tenant, until: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(SENT, [tenant.pk, until])
        cursor.execute(WENT_ON, [tenant.pk])


def work_off(tenant: Tenant, now: datetime, *, days: int = 28, every=timedelta(hours=1)) -> dict[int, date]:
    """Let the days pass until every campaign is completed; return {campaign id: the day of its last mail}."""
    zone = ZoneInfo(tenant.time_zone)
    done: dict[int, date] = {}
    decided = windows.day_of(now, zone)  # put on their ramp on that day
    until = now + timedelta(days=days)
    while now < until:
        day = windows.day_of(now, zone)
        if day > decided:
            ramp.run_day(tenant, day, actor=SYSTEM, at=now)
            decided = day
        planner.run(tenant, now, horizon_seconds=every.total_seconds())
        now += every
        settle(tenant, now)
        done |= dict.fromkeys(reaper.complete(tenant), day)
        if not Campaign.objects.filter(tenant=tenant, status="running").exists():
            break
    return done
