"""The ledger's moves by set: claim, release, take back, close.

Every function runs in the caller's transaction or opens one, locks messages in id order
(two set updates in different orders deadlock), and gives reservations back by an
AllowanceReturn, which the next planner run books. What senders write while they talk to
the world is in campaigns.pipeline.writer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from campaigns.ledger import gates
from mailboxes.ways.sql import LEAVES_BY, QUOTA_GROUP

# `freed` has the rows whose reservation comes back. Those that are `gone` no longer count among their campaign's
# messages either; one that was tried and waits for another slot still does.
GIVE_BACK = f"""
    INSERT INTO mailboxes_allowancereturn (tenant_id, scope, key, period_start, count)
    SELECT tenant_id, scope, key, period_start, count(*)
    FROM (
        SELECT f.tenant_id, x.scope, x.key, x.period_start
        FROM freed f JOIN mailboxes_mailbox b ON b.id = f.mailbox_id
        JOIN mailboxes_provideraccount a ON a.id = coalesce(f.account_ref, b.home_id)
        JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
        CROSS JOIN LATERAL (VALUES
            ('mailbox_day', f.mailbox_id, f.day_on::timestamp AT TIME ZONE 'UTC'),
            ('campaign_day', f.campaign_id, f.day_on::timestamp AT TIME ZONE 'UTC'),
            ('campaign_total', f.campaign_id, CASE WHEN f.gone THEN 'epoch'::timestamptz END),
            ('tenant_day', f.tenant_id, f.day_on::timestamp AT TIME ZONE 'UTC'),
            ('domain_day', b.domain_id, f.day_on::timestamp AT TIME ZONE 'UTC'),
            ('mailbox_hour', f.mailbox_id, f.hour_at),
            ('domain_hour', b.domain_id, f.hour_at),
            ('account_hour', a.id, f.hour_at),
            ('quota_hour', {QUOTA_GROUP}, f.hour_at),
            ('receiver_hour', hashtextextended(d.organisational || ' ' || f.operator, 0), f.hour_at)
        ) AS x (scope, key, period_start)
    ) AS each
    WHERE period_start IS NOT NULL AND key IS NOT NULL
    GROUP BY tenant_id, scope, key, period_start"""

TAKE_BACK = f"""
WITH picked AS (
    SELECT m.id, m.tries FROM campaigns_message m
    WHERE {{where}} AND m.status IN {{states}} ORDER BY m.id FOR UPDATE
), deleted AS (
    DELETE FROM campaigns_message m USING picked p WHERE m.id = p.id AND p.tries = 0
    RETURNING m.tenant_id, m.campaign_id, m.mailbox_id, m.account_ref, m.day_on, m.hour_at, m.operator, m.enrolment_id
), waiting AS (
    UPDATE campaigns_message m
    SET status = 'deferred', batch_id = NULL, claim = NULL, lease_until = NULL,
        last_claim = coalesce(m.claim, m.last_claim)
    FROM picked p WHERE m.id = p.id AND p.tries > 0
    RETURNING m.tenant_id, m.campaign_id, m.mailbox_id, m.account_ref, m.day_on, m.hour_at, m.operator
), freed AS (
    SELECT tenant_id, campaign_id, mailbox_id, account_ref, day_on, hour_at, operator, TRUE AS gone FROM deleted
    UNION ALL SELECT *, FALSE FROM waiting
), given AS ({GIVE_BACK}
), due AS (
    UPDATE campaigns_enrolment e
    SET due_at = now(), waits_for = '', mailbox_id = CASE WHEN e.step = 1 THEN NULL ELSE e.mailbox_id END
    FROM deleted WHERE e.id = deleted.enrolment_id AND e.status = 'active'
)
SELECT count(*) FROM freed"""

# As TAKE_BACK, for people whom a conversation holds back: retries too, and nobody is due at once. They are looked at
# again after a day, so that one who crossed the end of the conversation is not forgotten.
HOLD = f"""
WITH picked AS (
    SELECT m.id, m.tries, m.status AS was FROM campaigns_message m
    WHERE {{where}} AND m.status IN ('planned', 'claimed', 'deferred') ORDER BY m.id FOR UPDATE
), deleted AS (
    DELETE FROM campaigns_message m USING picked p WHERE m.id = p.id AND p.tries = 0 AND p.was <> 'deferred'
    RETURNING m.tenant_id, m.campaign_id, m.mailbox_id, m.account_ref, m.day_on, m.hour_at, m.operator, m.enrolment_id
), waiting AS (
    UPDATE campaigns_message m
    SET status = 'deferred', reason = 'conversation', due_at = now() + interval '1 day', batch_id = NULL, claim = NULL,
        lease_until = NULL, last_claim = coalesce(m.claim, m.last_claim)
    FROM picked p WHERE m.id = p.id AND (p.tries > 0 OR p.was = 'deferred')
    RETURNING m.tenant_id, m.campaign_id, m.mailbox_id, m.account_ref, m.day_on, m.hour_at, m.operator, p.was
), freed AS (
    SELECT tenant_id, campaign_id, mailbox_id, account_ref, day_on, hour_at, operator, TRUE AS gone FROM deleted
    UNION ALL
    SELECT tenant_id, campaign_id, mailbox_id, account_ref, day_on, hour_at, operator, FALSE FROM waiting
    WHERE was <> 'deferred'
), given AS ({GIVE_BACK}
), due AS (
    UPDATE campaigns_enrolment e
    SET due_at = now() + interval '1 day', waits_for = 'conversation',
        mailbox_id = CASE WHEN e.step = 1 THEN NULL ELSE e.mailbox_id END
    FROM deleted WHERE e.id = deleted.enrolment_id AND e.status = 'active'
)
SELECT (SELECT count(*) FROM deleted) + (SELECT count(*) FROM waiting)"""

CLOSE = f"""
WITH picked AS (
    SELECT m.id, m.status AS was FROM campaigns_message m {{joins}}
    WHERE {{where}} AND m.status IN {{states}} ORDER BY m.id FOR UPDATE OF m
), closed AS (
    UPDATE campaigns_message m
    SET status = %(status)s, reason = %(reason)s, claim = NULL, lease_until = NULL,
        last_claim = coalesce(m.claim, m.last_claim)
    FROM picked p WHERE m.id = p.id
    RETURNING m.id, m.tenant_id, m.campaign_id, m.mailbox_id, m.account_ref, m.day_on, m.hour_at, m.operator,
        m.enrolment_id, p.was
), freed AS (
    SELECT tenant_id, campaign_id, mailbox_id, account_ref, operator,
        CASE WHEN was <> 'deferred' THEN day_on END AS day_on,
        CASE WHEN was <> 'deferred' THEN hour_at END AS hour_at, %(status)s <> 'failed' AS gone
    FROM closed
), given AS ({GIVE_BACK}
), stopped AS (
    UPDATE campaigns_enrolment e SET status = 'stopped', stop_reason = %(reason)s, due_at = NULL, waits_for = ''
    FROM closed WHERE e.id = closed.enrolment_id AND e.status = 'active'
)
SELECT count(*) FROM closed"""

WAITING = "('planned', 'claimed', 'deferred')"


def count(sql: str, values: Mapping[str, Any]) -> int:
    """Run a statement that returns one number."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()[0]


@transaction.atomic
def take_back(where: str, values: Mapping[str, Any], *, claimed: bool = True) -> int:
    """Undo plans for pause, recall, withdrawn mailboxes, missed periods; return how many rows.

    `where` is a condition on the message `m` written by our own code. Rows never tried are
    deleted and their enrolments due again; rows tried before become deferred and wait for a
    new slot. Claimed rows too, unless told otherwise: their holder finds no row when it
    wants to commit, and aborts.
    """
    states = "('planned', 'claimed')" if claimed else "('planned')"
    return count(TAKE_BACK.format(where=where, states=states), values)


@transaction.atomic
def hold(where: str, values: Mapping[str, Any]) -> int:
    """As `take_back`, retries included, for contacts in conversation; their campaigns wait for its end."""
    return count(HOLD.format(where=where), values)


@transaction.atomic
def close(where: str, values: Mapping[str, Any], *, status: str, reason: str, joins: str = "") -> int:
    """End what waits (planned, claimed, deferred) as suppressed or cancelled, with its enrolments; return how many."""
    return count(CLOSE.format(where=where, joins=joins, states=WAITING), {**values, "status": status, "reason": reason})


@dataclass(frozen=True, slots=True)
class Claimed:
    """One message that this job alone may send, with what rendering needs. Times are seconds from the claim."""

    id: int
    message_id: str
    campaign_id: int
    step_id: int
    mailbox_id: int
    due_in: float
    expires_in: float
    tries: int
    email: str
    contact_fields: dict[str, str]
    variant_id: int | None = None


HOLD_MAILBOXES = f"""
UPDATE mailboxes_mailbox SET held_by = %(token)s, held_until = now() + make_interval(secs => %(lease)s)
WHERE id IN (
    SELECT b.id FROM mailboxes_mailbox b
    JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
    JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY}
    WHERE b.id IN (
        SELECT m.mailbox_id FROM campaigns_message m WHERE m.batch_id = ANY (%(batches)s) AND m.status = 'planned'
    ) AND (b.held_until IS NULL OR b.held_until <= now()) AND {gates.SENDABLE}
    ORDER BY b.id FOR NO KEY UPDATE OF b SKIP LOCKED
) RETURNING id"""

CLAIM = f"""
WITH picked AS (
    SELECT m.id FROM campaigns_message m {gates.JOINS}
    WHERE m.batch_id = ANY (%(batches)s) AND m.status = 'planned' AND m.mailbox_id = ANY (%(mailboxes)s)
      AND m.day_on = %(day)s AND (m.hour_at IS NULL OR m.hour_at = %(hour)s) AND {gates.RUNNING}
      AND coalesce(m.account_ref, b.home_id) = a.id
    ORDER BY m.id FOR UPDATE OF m SKIP LOCKED
)
UPDATE campaigns_message m
SET status = 'claimed', claim = %(token)s, lease_until = now() + make_interval(secs => %(lease)s)
FROM picked, campaigns_contact ct
WHERE m.id = picked.id AND ct.id = m.contact_id
RETURNING m.id, m.message_id, m.campaign_id, m.step_id, m.mailbox_id,
    extract(epoch FROM m.due_at - now())::float8, extract(epoch FROM m.not_after - now())::float8, m.tries,
    ct.email, ct.first_name, ct.last_name, ct.company, ct.country, ct.time_zone, ct.person_kind, ct.source, ct.fields,
    m.variant_id"""

CLAIM_COVERED = f"m.batch_id = ANY (%(batches)s) AND m.status = 'planned' AND {gates.COVERED}"

CLAIM_TALKING = f"""m.batch_id = ANY (%(batches)s) AND m.status = 'planned'
    AND EXISTS (SELECT FROM campaigns_contact ct WHERE ct.id = m.contact_id AND {gates.TALKING})"""

# Rows that could not be claimed go back to the batcher, which waits until their mailbox is free.
UNBATCH = """
UPDATE campaigns_message m SET batch_id = NULL
FROM (
    SELECT id FROM campaigns_message WHERE batch_id = ANY (%(batches)s) AND status = 'planned'
    ORDER BY id FOR UPDATE SKIP LOCKED
) AS picked WHERE m.id = picked.id"""


@transaction.atomic
def claim(batch_ids: Sequence[int], token: UUID, *, lease_seconds: float, day: date, hour: datetime) -> list[Claimed]:
    """Take the messages of these batches whose mailbox is free and whose periods are current.

    Rows that another worker holds are left out; rows that a suppression covers are closed.
    The mailboxes are held for the token until `release_mailboxes`. `day` is today in the
    tenant's zone, `hour` this UTC hour.
    """
    values: dict[str, Any] = {
        "batches": list(batch_ids), "token": token, "lease": lease_seconds, "day": day, "hour": hour,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(HOLD_MAILBOXES, values)
        values["mailboxes"] = [row[0] for row in cursor.fetchall()]
        close(CLAIM_COVERED, values, status="suppressed", reason="suppressed", joins=gates.JOINS)
        hold(CLAIM_TALKING, values)
        cursor.execute(CLAIM, values)
        rows = cursor.fetchall()
        cursor.execute(UNBATCH, values)
    return [_claimed(row) for row in rows]


KNOWN = ("email", "first_name", "last_name", "company", "country", "time_zone", "person_kind", "source")


def _claimed(row: tuple[Any, ...]) -> Claimed:
    known, free, variant_id = dict(zip(KNOWN, row[8:16], strict=True)), row[16], row[17]
    fields = known if free == "{}" else {**json.loads(free), **known}
    pk, message_id, campaign_id, step_id, mailbox_id, due_in, expires_in, tries = row[:8]
    return Claimed(
        pk, message_id, campaign_id, step_id, mailbox_id, due_in, expires_in, tries, known["email"], fields, variant_id
    )


@transaction.atomic
def release_mailboxes(token: UUID) -> None:
    """Let other senders use the mailboxes that the token held."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE mailboxes_mailbox SET held_by = NULL, held_until = NULL WHERE id IN ("
            "SELECT id FROM mailboxes_mailbox WHERE held_by = %s ORDER BY id FOR NO KEY UPDATE)",
            [token],
        )


def finish_batches(batch_ids: Sequence[int]) -> None:
    """Note the batches of which nothing waits or is under way any more."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE campaigns_batch b SET done_at = now() WHERE b.id = ANY (%s) AND b.done_at IS NULL "
            "AND NOT EXISTS (SELECT FROM campaigns_message m "
            "WHERE m.batch_id = b.id AND m.status IN ('planned', 'claimed', 'committing'))",
            [list(batch_ids)],
        )
