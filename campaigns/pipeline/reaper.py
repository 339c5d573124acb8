"""What has to be put right again and again: leases that ran out, periods that passed, campaigns that are done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import structlog
from django.db import connection, transaction

from campaigns.ledger import covering, following, moves
from campaigns.models import Campaign
from campaigns.pipeline import windows
from tenants.models import Tenant

log = structlog.get_logger(__name__)

REAP = """
WITH over AS (
    SELECT id, status FROM campaigns_message
    WHERE status IN ('claimed', 'committing') AND lease_until <= now() ORDER BY id FOR UPDATE SKIP LOCKED
), freed AS (
    UPDATE campaigns_message m
    SET status = 'planned', last_claim = m.claim, claim = NULL, lease_until = NULL, batch_id = NULL
    FROM over WHERE m.id = over.id AND over.status = 'claimed' RETURNING m.id
), doubted AS (
    UPDATE campaigns_message m
    SET status = 'uncertain', reason = 'lease_over', tries = m.tries + 1, last_claim = m.claim, claim = NULL,
        lease_until = NULL
    FROM over WHERE m.id = over.id AND over.status = 'committing' RETURNING m.id
)
SELECT (SELECT count(*) FROM freed), (SELECT count(*) FROM doubted)"""

COMPLETE = """
UPDATE campaigns_campaign c SET status = 'completed', completed_at = now()
WHERE c.tenant_id = %s AND c.status = 'running' AND c.enrol_until IS NULL
  AND NOT EXISTS (SELECT FROM campaigns_enrolment e WHERE e.campaign_id = c.id AND e.due_at IS NOT NULL)
  AND NOT EXISTS (
    SELECT FROM campaigns_message m
    WHERE m.campaign_id = c.id AND m.status IN ('planned', 'claimed', 'committing', 'deferred'))
  AND NOT EXISTS (
    SELECT FROM campaigns_message m JOIN campaigns_enrolment e ON e.id = m.enrolment_id AND e.status = 'active'
    WHERE m.campaign_id = c.id AND m.status = 'uncertain'
      AND e.step < (SELECT max(position) FROM campaigns_step s WHERE s.campaign_id = c.id))
RETURNING c.id"""

# Their slot's time is the earliest at which they may have gone; who stands elsewhere by now does not wait for them.
DOUBTED = """
SELECT m.id, m.due_at, c.doubt FROM campaigns_campaign c
JOIN campaigns_message m ON m.campaign_id = c.id AND m.status = 'uncertain'
JOIN campaigns_step st ON st.id = m.step_id
JOIN campaigns_enrolment e ON e.id = m.enrolment_id AND e.status = 'active' AND e.due_at IS NULL
    AND e.step = st.position
WHERE c.tenant_id = %(tenant)s AND m.due_at <= now() - make_interval(secs => %(seconds)s)
ORDER BY m.id LIMIT 1000 FOR UPDATE OF m SKIP LOCKED"""

STOP_DOUBTED = """
UPDATE campaigns_enrolment e SET status = 'stopped', stop_reason = 'uncertain', due_at = NULL, waits_for = ''
WHERE e.id IN (
    SELECT e.id FROM campaigns_message m JOIN campaigns_enrolment e ON e.id = m.enrolment_id
    WHERE m.id = ANY (%s) AND e.status = 'active' ORDER BY e.id FOR UPDATE OF e)"""


@dataclass(frozen=True, slots=True)
class Reaped:
    freed: int
    uncertain: int


@transaction.atomic
def reap() -> Reaped:
    """Free the messages whose lease ran out by the database's clock; return how many of each.

    Claimed ones go back to planned, since nothing left. Committing ones become uncertain
    and are never queued again: the peer may have the mail, and a second copy costs more
    than a missing one. Delivery events or an operator settle them. Safe to run beside live
    workers, since a finishing worker wins by its token.
    """
    with connection.cursor() as cursor:
        cursor.execute(REAP)
        reaped = Reaped(*cursor.fetchone())
    if reaped.freed or reaped.uncertain:
        log.warning("leases.over", freed=reaped.freed, uncertain=reaped.uncertain)
    return reaped


def take_back_missed(tenant: Tenant, now: datetime) -> int:
    """Take back planned rows whose window, day or hour has passed; the next run gives them new slots."""
    return moves.take_back(
        "m.tenant_id = %(tenant)s AND m.status = 'planned' "
        "AND (m.not_after <= %(now)s OR m.day_on < %(day)s OR m.hour_at < %(hour)s)",
        {
            "tenant": tenant.pk,
            "now": now,
            "day": windows.day_of(now, ZoneInfo(tenant.time_zone)),
            "hour": windows.hour_of(now),
        },
        claimed=False,
    )


def complete(tenant: Tenant) -> list[int]:
    """Close the campaigns of which nothing is due or under way; return their ids.

    Uncertain mail counts only while a step might follow it.
    """
    with connection.cursor() as cursor:
        cursor.execute(COMPLETE, [tenant.pk])
        return [row[0] for row in cursor.fetchall()]


def take_back_stopped(tenant: Tenant) -> int:
    """Take back what was planned while its campaign was being paused or its tenant suspended, or under a stop."""
    return covering.take_back_stopped(tenant.pk) + moves.take_back(
        "m.tenant_id = %(tenant)s AND m.status = 'planned' AND EXISTS ("
        "SELECT FROM campaigns_campaign c JOIN tenants_tenant t ON t.id = c.tenant_id WHERE c.id = m.campaign_id "
        "AND (c.status IN ('paused', 'halted') OR (t.status <> 'active' AND c.status <> 'cancelled')))",
        {"tenant": tenant.pk},
        claimed=False,
    )


STOP_CANCELLED = """
UPDATE campaigns_enrolment SET status = 'stopped', stop_reason = 'campaign_cancelled', due_at = NULL, waits_for = ''
WHERE id IN (
    SELECT e.id FROM campaigns_campaign c JOIN campaigns_enrolment e ON e.campaign_id = c.id
    WHERE c.tenant_id = %s AND c.status = 'cancelled' AND e.due_at IS NOT NULL ORDER BY e.id FOR UPDATE OF e)"""


@transaction.atomic
def close_cancelled(tenant: Tenant) -> int:
    """Cancel what came back or was planned while its campaign was being cancelled, and the people with it."""
    closed = moves.close(
        "m.tenant_id = %(tenant)s AND m.campaign_id IN ("
        "SELECT id FROM campaigns_campaign WHERE tenant_id = %(tenant)s AND status = 'cancelled')",
        {"tenant": tenant.pk},
        status="cancelled",
        reason="campaign_cancelled",
    )
    with connection.cursor() as cursor:
        cursor.execute(STOP_CANCELLED, [tenant.pk])
        return closed + cursor.rowcount


def give_up(tenant: Tenant, seconds: float) -> int:
    """End retries that are older than the time after which a mail is given up, wherever they wait.

    Those that a conversation holds back were not tried meanwhile, so their time does not pass.
    """
    return moves.close(
        "m.tenant_id = %(tenant)s AND m.status = 'deferred' AND m.reason <> 'conversation' "
        "AND m.planned_at <= now() - make_interval(secs => %(seconds)s)",
        {"tenant": tenant.pk, "seconds": seconds},
        status="failed",
        reason="gave_up",
    )


@transaction.atomic
def decide_doubts(tenant: Tenant, seconds: float) -> int:
    """Do as each campaign wants with sequences whose last mail has been uncertain for so long; return how many.

    The mail itself stays uncertain: evidence or an operator may still say what became of it.
    """
    with connection.cursor() as cursor:
        cursor.execute(DOUBTED, {"tenant": tenant.pk, "seconds": seconds})
        rows = cursor.fetchall()
        ended = [pk for pk, _, doubt in rows if doubt == Campaign.Doubt.STOP]
        going = {pk: due_at for pk, due_at, doubt in rows if doubt == Campaign.Doubt.GO_ON}
        if ended:
            cursor.execute(STOP_DOUBTED, [ended])
        if going:
            cursor.execute("SELECT now()")
            following.advance(cursor, going, not_before=cursor.fetchone()[0])
    return len(rows)


def ensure_months(now: datetime) -> None:
    """Make the attempts' partitions of this month and the two after it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT campaigns_attempt_months(%s, 3)", [now.astimezone(UTC).date()])
