"""The gates that a run asks, in order, about those whom it found: who may be written to now, and else when.

Suppressed; invalid; basis expired: these end an enrolment. Basis not enough (contract, country, way out); not
validated; in conversation; frequency; receiver: these move it to the moment at which that can change, so that the
demand index holds only rows worth a look. What opens a gate early makes people due by set (campaigns.ledger.waiting).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import date, datetime
from typing import Any

from campaigns.ledger import gates
from campaigns.models import Contact
from campaigns.pipeline import bases, receivers
from tenants.models import Tenant

UNKNOWN_SHARE = 0.05  # of a campaign's people, at most, whose address nobody could validate

# Which gate refuses one contact `ct` of a pair `w`, by the parameters day and now; null: none of these does.
OF_CONTACT = f"""CASE
        WHEN ct.validity = 'invalid' THEN 'invalid'
        WHEN {bases.EXPIRED} THEN 'basis_expired'
        WHEN NOT {bases.IN_CONTRACT} THEN 'basis_contract'
        WHEN NOT {bases.IN_COUNTRY} THEN 'basis_country'
        WHEN NOT EXISTS (
            SELECT FROM plan_route WHERE pool_id = w.pool_id AND basis = ct.lawful_basis) THEN 'basis_route'
        WHEN ct.validity = '' THEN 'validation'
        WHEN ct.conversation_since IS NOT NULL THEN 'conversation'
        WHEN ct.quiet_until > %(now)s THEN 'quiet'
    END"""
SPELLED = "ct.company_domain = ''"  # where one person has several spellings: an entry may be of another one
# A retry is asked only what may have begun since it was planned.
OF_RETRY = """CASE
        WHEN ct.conversation_since IS NOT NULL THEN 'conversation'
        WHEN ct.quiet_until > %(now)s THEN 'quiet'
    END"""

# Until when, by which of these gates; those that are final have no time.
UNTIL = """
UPDATE plan_demand d SET until = CASE d.refused
    WHEN 'basis_contract' THEN %(now)s + interval '1 day'
    WHEN 'basis_country' THEN %(now)s + interval '1 day'
    WHEN 'basis_route' THEN %(now)s + interval '1 day'
    WHEN 'validation' THEN %(now)s + interval '1 hour'
    WHEN 'conversation' THEN %(now)s + interval '1 day'
    WHEN 'quiet' THEN ct.quiet_until END
FROM campaigns_contact ct
WHERE ct.id = d.contact_id AND d.refused IS NOT NULL AND d.until IS NULL"""

TABLES = """
CREATE TEMP TABLE IF NOT EXISTS plan_route (pool_id bigint NOT NULL, basis text NOT NULL) ON COMMIT DROP;
TRUNCATE plan_route"""

# What a pool without mailboxes lacks is mailboxes, and no terms of a host.
WITH_MAILBOXES = "SELECT DISTINCT pool_id FROM mailboxes_mailbox WHERE pool_id = ANY (%s) AND state <> 'retired'"
ROUTES = "INSERT INTO plan_route SELECT * FROM unnest(%s::bigint[], %s::text[])"

SUPPRESSED = """
UPDATE plan_demand p SET refused = 'suppressed', until = NULL
FROM campaigns_suppression s
WHERE p.kind > 0 AND s.hash = p.address_hash AND s.lifted_at IS NULL
  AND (s.tenant_id IS NULL OR s.tenant_id = %(tenant)s) AND (s.campaign_id IS NULL OR s.campaign_id = p.campaign_id)"""

SUPPRESSED_BY_OTHERS = f"""
UPDATE plan_demand p SET refused = 'suppressed', until = NULL
FROM tenants_tenantrecord own
CROSS JOIN LATERAL campaigns_shared_suppressed(
    own.tenant_id, (SELECT array_agg(DISTINCT address_hash) FROM plan_demand WHERE kind > 0)
) AS shared (hash)
WHERE own.tenant_id = %(tenant)s AND {gates.SHARES} AND p.kind > 0 AND p.address_hash = shared.hash"""

ANY_WIDE = """
SELECT EXISTS (
    SELECT FROM campaigns_suppression s
    WHERE s.kind <> 'address' AND s.lifted_at IS NULL AND (s.tenant_id IS NULL OR s.tenant_id = %(tenant)s))"""

# By the other hashes of a contact: its domain, those above it, and its own spelling where an entry may be of that.
SUPPRESSED_WIDE = """
UPDATE plan_demand p SET refused = 'suppressed', until = NULL
FROM (
    SELECT d.enrolment_id FROM plan_demand d
    JOIN campaigns_contact ct ON ct.id = d.contact_id
    CROSS JOIN LATERAL unnest(ct.domain_hashes) AS h (hash)
    JOIN campaigns_suppression s ON s.hash = h.hash AND s.lifted_at IS NULL
        AND (s.tenant_id IS NULL OR s.tenant_id = %(tenant)s)
        AND (s.campaign_id IS NULL OR s.campaign_id = d.campaign_id)
    WHERE d.kind > 0 AND (%(wide)s OR d.spelled)
) AS hit WHERE p.enrolment_id = hit.enrolment_id AND p.kind > 0"""

STOP_REFUSED = """
WITH gone AS (
    DELETE FROM plan_demand WHERE refused IS NOT NULL AND until IS NULL RETURNING enrolment_id, refused
), picked AS (
    SELECT e.id, gone.refused FROM campaigns_enrolment e JOIN gone ON gone.enrolment_id = e.id
    ORDER BY e.id FOR UPDATE OF e
), stopped AS (
    UPDATE campaigns_enrolment e
    SET status = 'stopped', stop_reason = picked.refused, due_at = NULL, waits_for = ''
    FROM picked WHERE e.id = picked.id
)
SELECT refused, count(*) FROM gone GROUP BY refused"""


# Mail of all campaigns that went out, may have, or is about to, and when.
MAILED = """m.status IN ('planned', 'claimed', 'committing', 'sent', 'deferred', 'uncertain')
        AND coalesce(m.sent_at, m.due_at) > %(now)s - make_interval(days => %(days)s)"""

# A person counts once for each message of this run too. The k-th oldest has to leave the days before there is room.
OFTEN_PERSON = f"""
UPDATE plan_demand d
SET refused = 'frequency',
    until = coalesce(had.times[had.count + r.n - %(most)s], %(now)s) + make_interval(days => %(days)s)
FROM (
    SELECT enrolment_id, contact_id, kind,
        row_number() OVER (PARTITION BY contact_id ORDER BY kind, due_at, enrolment_id) AS n
    FROM plan_demand WHERE kind > 0 AND refused IS NULL
) AS r
CROSS JOIN LATERAL (
    SELECT count(*)::int AS count, array_agg(coalesce(m.sent_at, m.due_at) ORDER BY coalesce(m.sent_at, m.due_at))
        AS times
    FROM campaigns_message m WHERE m.contact_id = r.contact_id AND {MAILED}
) AS had
WHERE d.kind = %(kind)s AND r.kind = %(kind)s AND d.enrolment_id = r.enrolment_id AND had.count + r.n > %(most)s"""

OFTEN_COMPANY = f"""
UPDATE plan_demand d
SET refused = 'frequency', until = coalesce(had.oldest, %(now)s) + make_interval(days => %(days)s)
FROM (
    SELECT enrolment_id, company, kind,
        row_number() OVER (PARTITION BY company ORDER BY kind, due_at, enrolment_id) AS n
    FROM plan_demand WHERE kind > 0 AND refused IS NULL AND company <> ''
) AS r
LEFT JOIN (
    SELECT ct.company_domain AS company, count(*) AS count, min(coalesce(m.sent_at, m.due_at)) AS oldest
    FROM (SELECT DISTINCT company FROM plan_demand WHERE kind > 0 AND refused IS NULL AND company <> '') AS asked
    JOIN campaigns_contact ct ON ct.tenant_id = %(tenant)s AND ct.company_domain = asked.company
    JOIN campaigns_message m ON m.contact_id = ct.id AND {MAILED}
    GROUP BY ct.company_domain
) AS had ON had.company = r.company
WHERE d.kind = %(kind)s AND r.kind = %(kind)s AND d.enrolment_id = r.enrolment_id
  AND coalesce(had.count, 0) + r.n > %(most)s"""

ANY_UNKNOWN = """
SELECT array_agg(DISTINCT campaign_id) FROM plan_demand WHERE kind = 2 AND validity = 'unknown' AND refused IS NULL"""

# Who was written to before is counted already, so only first steps are asked.
MANY_UNKNOWN = """
UPDATE plan_demand d SET refused = 'validation', until = %(now)s + interval '1 day'
FROM (
    SELECT enrolment_id, campaign_id,
        row_number() OVER (PARTITION BY campaign_id ORDER BY due_at, enrolment_id) AS n
    FROM plan_demand WHERE kind = 2 AND validity = 'unknown' AND refused IS NULL
) AS r
JOIN (
    SELECT c.id, floor(%(share)s * (SELECT count(*) FROM campaigns_enrolment e WHERE e.campaign_id = c.id)) - (
        SELECT count(DISTINCT ct.id) FROM campaigns_contact ct JOIN campaigns_message m ON m.contact_id = ct.id
        WHERE ct.tenant_id = %(tenant)s AND ct.validity = 'unknown' AND m.campaign_id = c.id
          AND m.status NOT IN ('suppressed', 'cancelled')) AS amount
    FROM unnest(%(campaigns)s::bigint[]) AS c (id)
) AS room ON room.id = r.campaign_id
WHERE d.kind = 2 AND d.enrolment_id = r.enrolment_id AND r.n > room.amount"""


def prepare(cursor: Any, tenant_id: int, pool_ids: Collection[int], day: date) -> None:
    """Make the tables of which bases are enough: for a country, by contract, and by the accounts of each pool."""
    bases.prepare(cursor, tenant_id, day)
    cursor.execute(TABLES)
    allowed = bases.allowed_by_pool(cursor, sorted(pool_ids))
    cursor.execute(WITH_MAILBOXES, [sorted(pool_ids)])
    has_mailboxes = {pool_id for (pool_id,) in cursor.fetchall()}
    rows = [
        (pool_id, basis)
        for pool_id, found in allowed.items()
        for basis in (found if pool_id in has_mailboxes else Contact.Basis.values)
    ]
    cursor.execute(ROUTES, [[pool_id for pool_id, _ in rows], [basis for _, basis in rows]])


def set_until(cursor: Any, now: datetime) -> None:
    """Put to those whom the gates of a contact refuse the time at which they ask again."""
    cursor.execute(UNTIL, {"now": now})


def mark(cursor: Any, tenant: Tenant, kind: int, now: datetime) -> None:
    """Mark in plan_demand who of that kind is refused, by what and until when; nothing else is written."""
    values = {"tenant": tenant.pk, "now": now, "days": tenant.frequency_days, "kind": kind}
    set_until(cursor, now)
    cursor.execute(SUPPRESSED, values)
    cursor.execute(SUPPRESSED_BY_OTHERS, values)
    cursor.execute(ANY_WIDE, values)
    cursor.execute(SUPPRESSED_WIDE, {**values, "wide": cursor.fetchone()[0]})
    if tenant.frequency_person is not None:
        cursor.execute(OFTEN_PERSON, {**values, "most": tenant.frequency_person})
    if tenant.frequency_company is not None:
        cursor.execute(OFTEN_COMPANY, {**values, "most": tenant.frequency_company})
    if kind == 2:
        cursor.execute(ANY_UNKNOWN)
        if campaigns := cursor.fetchone()[0]:
            cursor.execute(MANY_UNKNOWN, {**values, "campaigns": campaigns, "share": UNKNOWN_SHARE})


def ask(cursor: Any, tenant: Tenant, kind: int, now: datetime) -> Counter[str]:
    """Ask about those of that kind in plan_demand; end or move who is refused; return how many by reason."""
    mark(cursor, tenant, kind, now)
    receivers.mark(cursor)
    cursor.execute(STOP_REFUSED)
    return Counter(dict(cursor.fetchall())) + receivers.postpone(cursor, now)
