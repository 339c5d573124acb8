"""What a stop covers: whose planner has to wait, what is taken back, and how much that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection

from campaigns.ledger import gates, moves, planning
from campaigns.models import Stop
from mailboxes.ways.sql import LEAVES_BY, OWN_QUOTA_GROUP, QUOTA_GROUP

BOXES = """m.mailbox_id IN (
    SELECT b.id FROM mailboxes_mailbox b JOIN mailboxes_provideraccount a ON a.id = coalesce(b.standby_id, b.home_id)
    JOIN mailboxes_sendingdomain d ON d.id = b.domain_id WHERE {})"""

# Which messages `m` of a tenant a stop covers.
MESSAGES = {
    Stop.Scope.PLATFORM: "TRUE",
    Stop.Scope.TENANT: "TRUE",
    Stop.Scope.ORGANISATION: BOXES.format(f"%(key)s IN ({QUOTA_GROUP}, {OWN_QUOTA_GROUP})"),
    Stop.Scope.ACCOUNT: BOXES.format("%(key)s IN (b.home_id, a.id)"),
    Stop.Scope.DOMAIN: BOXES.format("b.domain_id = %(key)s"),
    Stop.Scope.POOL: BOXES.format("b.pool_id = %(key)s"),
    Stop.Scope.CAMPAIGN: "m.campaign_id = %(key)s",
    Stop.Scope.RECEIVER: "m.operator = %(operator)s AND (%(organisational)s = '' OR {})".format(
        BOXES.format("d.organisational = %(organisational)s")
    ),
}

TENANTS = f"""
SELECT t.id FROM tenants_tenant t
WHERE (%(tenant)s::bigint IS NULL OR t.id = %(tenant)s)
  AND (%(scope)s <> 'organisation' OR EXISTS (
    SELECT FROM mailboxes_mailbox b JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY}
    WHERE b.tenant_id = t.id AND %(key)s IN ({QUOTA_GROUP}, {OWN_QUOTA_GROUP})))
  AND (%(organisational)s = '' OR EXISTS (
    SELECT FROM mailboxes_sendingdomain d WHERE d.tenant_id = t.id AND d.organisational = %(organisational)s))
ORDER BY t.id FOR NO KEY UPDATE"""

WANT_PLAN = "UPDATE tenants_tenant SET plan_wanted_at = now() WHERE id = ANY (%s)"

# In the tenant's scope only its own stops are there, and those of the platform.
ANY_OPEN = f"SELECT EXISTS (SELECT FROM campaigns_stop s WHERE {gates.OPEN_STOP})"

# Waiting mail is counted once, through its two small indexes, and then shared out to the stops that cover it.
COUNTS = f"""
WITH s AS MATERIALIZED (
    SELECT * FROM unnest(
        %(scopes)s::text[], %(keys)s::bigint[], %(operators)s::text[], %(organisationals)s::text[],
        %(tenants)s::bigint[]
    ) WITH ORDINALITY AS s (scope, key, operator, organisational, tenant_id, n)
), box AS MATERIALIZED (
    SELECT s.n, b.id, b.tenant_id, b.pool_id
    FROM mailboxes_mailbox b
    JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
    JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY}
    JOIN s ON s.tenant_id IS NULL OR s.tenant_id = b.tenant_id
    LEFT JOIN campaigns_campaign c ON s.scope = 'campaign' AND c.id = s.key
    WHERE b.state <> 'retired' AND CASE s.scope
        WHEN 'organisation' THEN s.key IN ({QUOTA_GROUP}, {OWN_QUOTA_GROUP})
        WHEN 'account' THEN s.key IN (b.home_id, a.id)
        WHEN 'domain' THEN b.domain_id = s.key
        WHEN 'pool' THEN b.pool_id = s.key
        WHEN 'campaign' THEN b.pool_id = c.pool_id
        WHEN 'receiver' THEN s.organisational IN ('', d.organisational)
        ELSE TRUE END
), pool AS (
    SELECT DISTINCT n, pool_id FROM box
), camp AS MATERIALIZED (
    SELECT s.n, s.scope, c.id, c.tenant_id
    FROM campaigns_campaign c
    JOIN s ON s.tenant_id IS NULL OR s.tenant_id = c.tenant_id
    LEFT JOIN pool ON pool.n = s.n AND pool.pool_id = c.pool_id
    WHERE c.status IN ('scheduled', 'running', 'paused', 'halted') AND CASE s.scope
        WHEN 'campaign' THEN c.id = s.key
        WHEN 'platform' THEN TRUE
        WHEN 'tenant' THEN TRUE
        ELSE pool.n IS NOT NULL END
), waiting AS MATERIALIZED (
    SELECT tenant_id, campaign_id, mailbox_id, operator, count(*) AS mails FROM campaigns_message
    WHERE status IN ('planned', 'claimed') GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT tenant_id, campaign_id, mailbox_id, operator, count(*) FROM campaigns_message
    WHERE status = 'deferred' GROUP BY 1, 2, 3, 4
), mail AS (
    SELECT s.n, sum(w.mails) AS mails
    FROM waiting w
    JOIN s ON s.tenant_id IS NULL OR s.tenant_id = w.tenant_id
    LEFT JOIN box ON box.n = s.n AND box.id = w.mailbox_id
    WHERE CASE s.scope
        WHEN 'campaign' THEN w.campaign_id = s.key
        WHEN 'receiver' THEN w.operator = s.operator AND box.n IS NOT NULL
        WHEN 'platform' THEN TRUE
        WHEN 'tenant' THEN TRUE
        ELSE box.n IS NOT NULL END
    GROUP BY s.n
), people AS (
    SELECT camp.n, count(*) AS people FROM camp
    JOIN campaigns_enrolment e ON e.campaign_id = camp.id AND e.due_at IS NOT NULL
    WHERE camp.scope IN ('platform', 'tenant', 'pool', 'campaign') GROUP BY camp.n
)
SELECT
    (SELECT count(DISTINCT x.tenant_id) FROM (
        SELECT tenant_id FROM box WHERE box.n = s.n UNION ALL SELECT tenant_id FROM camp WHERE camp.n = s.n) AS x),
    (SELECT count(*) FROM box WHERE box.n = s.n),
    (SELECT count(*) FROM camp WHERE camp.n = s.n),
    coalesce((SELECT mails FROM mail WHERE mail.n = s.n), 0)::bigint,
    coalesce((SELECT people FROM people WHERE people.n = s.n), 0)
FROM s ORDER BY s.n"""


@dataclass(frozen=True, slots=True)
class Covered:
    """How much a stop concerns: `mailboxes` that would send such mail, `campaigns` that are not over, `messages` that
    are planned, claimed or deferred, and `people` due for their next one where whole campaigns stand still."""

    tenants: int = 0
    mailboxes: int = 0
    campaigns: int = 0
    messages: int = 0
    people: int = 0


def hold_tenants(stop: Stop, *, planner: bool = True) -> list[int]:
    """Lock the tenants that it concerns, in their order, and ask for a plan of each; return their ids.

    With `planner` nobody plans for them until this transaction has ended: what a run under way writes can be seen
    afterwards, and the next one sees the stop.
    """
    with connection.cursor() as cursor:
        cursor.execute(TENANTS, {**_values(stop), "scope": stop.scope})
        ids = [row[0] for row in cursor.fetchall()]
        cursor.execute(WANT_PLAN, [ids])
    for pk in ids if planner else ():
        planning.wait(pk)
    return ids


def take_back(stop: Stop, tenant_id: int) -> int:
    """Take back what one tenant has planned or claimed under it; return how many messages."""
    where = f"m.tenant_id = %(tenant)s AND {MESSAGES[Stop.Scope(stop.scope)]}"
    return moves.take_back(where, {**_values(stop), "tenant": tenant_id})


def take_back_stopped(tenant_id: int) -> int:
    """Take back what was planned although a stop covers it: a lookout for what no plan should have written."""
    with connection.cursor() as cursor:
        cursor.execute(ANY_OPEN)
        if not cursor.fetchone()[0]:
            return 0
    return moves.take_back(
        f"m.tenant_id = %(tenant)s AND m.status = 'planned' AND {gates.STOPPED}", {"tenant": tenant_id}, claimed=False
    )


def count(stops: Sequence[Stop]) -> list[Covered]:
    """How much each of them concerns, of what is in scope, in one query."""
    with connection.cursor() as cursor:
        cursor.execute(
            COUNTS,
            {
                "scopes": [stop.scope for stop in stops],
                "keys": [stop.key for stop in stops],
                "operators": [stop.operator for stop in stops],
                "organisationals": [stop.organisational for stop in stops],
                "tenants": [stop.tenant_id for stop in stops],
            },
        )
        return [Covered(*row) for row in cursor.fetchall()]


def _values(stop: Stop) -> dict[str, Any]:
    return {
        "tenant": stop.tenant_id,
        "key": stop.key,
        "operator": stop.operator,
        "organisational": stop.organisational,
    }
