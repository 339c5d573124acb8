"""What a ledger writer may write about the rows its token holds, by set, in the caller's transaction.

Every statement carries token and state: a row that was taken away matches nothing. They
may be repeated after a lost connection: a row that already made the move counts as granted
to its token, and is settled once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from campaigns.ledger import gates, moves
from campaigns.ledger.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Policy:
    """Lengths in seconds. `dot_lease_seconds` is the dot time-out and a minute; `retry_seconds` the schedule."""

    lease_seconds: float
    dot_lease_seconds: float
    retry_seconds: tuple[int, ...]
    give_up_seconds: float


STAMP_DOTS = """
UPDATE mailboxes_mailbox SET last_dot_at = now() WHERE id IN (
    SELECT id FROM mailboxes_mailbox WHERE id = ANY (%(mailboxes)s) ORDER BY id FOR NO KEY UPDATE)"""

COMMIT = f"""
WITH picked AS (
    SELECT m.id FROM campaigns_message m {gates.JOINS}
    WHERE m.id = ANY (%(ids)s) AND m.claim = %(token)s AND m.status IN ('claimed', 'committing')
      AND {gates.RUNNING} AND {gates.SENDABLE} AND NOT {gates.COVERED}
    ORDER BY m.id FOR UPDATE OF m
)
UPDATE campaigns_message m
SET status = 'committing', lease_until = now() + make_interval(secs => %(dot_lease)s)
FROM picked WHERE m.id = picked.id
RETURNING m.id"""

RELEASE = """
UPDATE campaigns_message m
SET status = 'planned', claim = NULL, lease_until = NULL, batch_id = NULL, last_claim = %(token)s
FROM (
    SELECT id FROM campaigns_message WHERE id = ANY (%(ids)s) AND claim = %(token)s AND status = 'claimed'
    ORDER BY id FOR UPDATE
) AS picked WHERE m.id = picked.id"""

# The holder's late answer still settles a row that turned uncertain meanwhile.
MINE = """(
    (m.status IN ('claimed', 'committing') AND m.claim = %(token)s)
    OR (m.status = 'uncertain' AND m.last_claim = %(token)s))"""

SENT = f"""
WITH told AS (
    SELECT * FROM unnest(%(ids)s::bigint[], %(texts)s::text[], %(hashes)s::bytea[], %(provider_ids)s::text[])
        AS told (id, text, hash, provider_id)
), picked AS (
    SELECT m.id FROM campaigns_message m
    WHERE m.id = ANY (%(ids)s) AND m.status <> 'claimed' AND {MINE} ORDER BY m.id FOR UPDATE
), sent AS (
    UPDATE campaigns_message m
    SET status = 'sent', sent_at = now(), reply_text = left(told.text, 500), content_hash = told.hash,
        wire_message_id = told.provider_id, tries = m.tries + 1, claim = NULL, last_claim = %(token)s,
        lease_until = NULL, reason = ''
    FROM picked JOIN told USING (id) WHERE m.id = picked.id
    RETURNING m.enrolment_id
)
UPDATE campaigns_enrolment e SET status = 'done', due_at = NULL, waits_for = ''
FROM sent WHERE e.id = sent.enrolment_id AND e.status = 'active'"""

NOT_SENT = f"""
WITH told AS (
    SELECT * FROM unnest(
        %(ids)s::bigint[], %(results)s::text[], %(reasons)s::text[], %(waits)s::int[], %(phases)s::text[],
        %(codes)s::int[], %(enhanced)s::text[], %(texts)s::text[], %(durations)s::int[], %(suppress)s::bool[]
    ) AS told (id, result, reason, wait, phase, code, enhanced, text, duration, suppress)
), picked AS (
    SELECT m.id, m.status AS was, m.planned_at,
        make_interval(secs => greatest(told.wait, (%(retry)s::int[])[least(m.tries + 1, %(retries)s)])) AS wait
    FROM campaigns_message m JOIN told USING (id)
    WHERE {MINE} ORDER BY m.id FOR UPDATE OF m
), verdict AS (
    SELECT picked.id, now() + picked.wait AS again_at, CASE
        WHEN picked.was = 'uncertain' AND told.result <> 'uncertain' THEN 'failed'
        WHEN told.result = 'returned' AND picked.was = 'claimed' THEN 'planned'
        WHEN told.result IN ('returned', 'deferred')
            THEN CASE WHEN now() + picked.wait > picked.planned_at + make_interval(secs => %(give_up)s)
                THEN 'failed' ELSE 'deferred' END
        ELSE told.result END AS status
    FROM picked JOIN told USING (id)
), done AS (
    UPDATE campaigns_message m
    SET status = v.status, tries = m.tries + 1, lease_until = NULL, claim = NULL, last_claim = %(token)s,
        batch_id = CASE WHEN v.status IN ('planned', 'deferred') THEN NULL ELSE m.batch_id END,
        due_at = CASE WHEN v.status = 'deferred' THEN v.again_at ELSE m.due_at END,
        reason = CASE WHEN v.status = 'failed' AND told.result IN ('deferred', 'returned')
            THEN 'gave_up' ELSE left(told.reason, 60) END
    FROM verdict v JOIN told USING (id) WHERE m.id = v.id
    RETURNING m.id, m.tenant_id, m.mailbox_id, m.enrolment_id, m.contact_id, m.status, m.reason
), tried AS (
    INSERT INTO campaigns_attempt
        (tenant_id, message_ref, mailbox_ref, at, phase, code, enhanced, text, result, duration_ms)
    SELECT done.tenant_id, done.id, done.mailbox_id, now(), told.phase, told.code, left(told.enhanced, 12),
        left(told.text, 1000), done.status, told.duration
    FROM done JOIN told USING (id)
), stopped AS (
    UPDATE campaigns_enrolment e
    SET status = 'stopped', stop_reason = left(done.reason, 40), due_at = NULL, waits_for = ''
    FROM done WHERE done.status = 'failed' AND e.id = done.enrolment_id AND e.status = 'active'
)
SELECT done.contact_id, done.tenant_id, done.id FROM done JOIN told USING (id)
WHERE told.suppress AND done.status = 'failed'"""

SUPPRESS_REFUSED = """
INSERT INTO campaigns_suppression
    (tenant_id, scope, kind, hash, hint, domain, reason, via, message_ref, created_at)
SELECT ct.tenant_id, 'tenant', 'address', ct.address_hash,
    left(ct.email_key, 1) || '***@' || split_part(ct.email_key, '@', 2), '', 'hard_bounce', 'smtp',
    refused.message, now()
FROM unnest(%(contacts)s::bigint[], %(messages)s::bigint[]) AS refused (contact, message)
JOIN campaigns_contact ct ON ct.id = refused.contact
ON CONFLICT DO NOTHING"""

RENEW = """
UPDATE campaigns_message m SET lease_until = greatest(m.lease_until, now() + make_interval(secs => %(lease)s))
FROM (
    SELECT id FROM campaigns_message
    WHERE id = ANY (%(ids)s) AND claim = %(token)s AND status IN ('claimed', 'committing') ORDER BY id FOR UPDATE
) AS picked WHERE m.id = picked.id"""

RENEW_MAILBOXES = """
UPDATE mailboxes_mailbox SET held_until = now() + make_interval(secs => %(lease)s) WHERE id IN (
    SELECT id FROM mailboxes_mailbox WHERE held_by = %(token)s ORDER BY id FOR NO KEY UPDATE)"""

CLEAR = """
UPDATE mailboxes_mailbox SET failures = 0, blocked_until = NULL, state_reason = '' WHERE id IN (
    SELECT id FROM mailboxes_mailbox WHERE id = ANY (%s) AND failures > 0 ORDER BY id FOR NO KEY UPDATE)"""


def commit(cursor: Any, token: UUID, policy: Policy, ids: Sequence[int], stamped_mailboxes: Sequence[int]) -> set[int]:
    """Move to `committing` what is still ours and may go; return those ids.

    The rest leaves this job: closed where a suppression covers it, else planned again.
    Mailboxes come before messages, as everywhere.
    """
    if not ids:
        return set()
    if stamped_mailboxes:
        cursor.execute(STAMP_DOTS, {"mailboxes": sorted(set(stamped_mailboxes))})
    values = {"ids": sorted(ids), "token": token, "dot_lease": policy.dot_lease_seconds}
    cursor.execute(COMMIT, values)
    granted = {row[0] for row in cursor.fetchall()}
    denied = sorted(set(ids) - granted)
    if denied:
        moves.close(
            f"m.id = ANY (%(ids)s) AND m.claim = %(token)s AND {gates.COVERED}",
            {"ids": denied, "token": token},
            status="suppressed",
            reason="suppressed",
            joins=gates.JOINS,
        )
        release(cursor, token, denied)
    return granted


def release(cursor: Any, token: UUID, ids: Sequence[int]) -> None:
    """Claimed rows that were not tried go back to planned and to the batcher."""
    if ids:
        cursor.execute(RELEASE, {"ids": sorted(ids), "token": token})


def settle(cursor: Any, token: UUID, policy: Policy, settled: Sequence[Outcome]) -> None:
    """Write how tries ended, with attempts, enrolments, and the suppression that a hard refusal brings."""
    sent = [outcome for outcome in settled if outcome.result == "sent"]
    if sent:
        cursor.execute(
            SENT,
            {
                "token": token,
                "ids": [outcome.id for outcome in sent],
                "texts": [outcome.text for outcome in sent],
                "hashes": [outcome.content_hash for outcome in sent],
                "provider_ids": [outcome.provider_id for outcome in sent],
            },
        )
    rest = [outcome for outcome in settled if outcome.result != "sent"]
    if rest:
        _settle_not_sent(cursor, token, policy, rest)


def _settle_not_sent(cursor: Any, token: UUID, policy: Policy, rest: Sequence[Outcome]) -> None:
    cursor.execute(
        NOT_SENT,
        {
            "token": token,
            "retry": list(policy.retry_seconds),
            "retries": len(policy.retry_seconds),
            "give_up": policy.give_up_seconds,
            "ids": [outcome.id for outcome in rest],
            "results": [outcome.result for outcome in rest],
            "reasons": [outcome.reason for outcome in rest],
            "waits": [outcome.retry_after_seconds for outcome in rest],
            "phases": [outcome.phase for outcome in rest],
            "codes": [outcome.code for outcome in rest],
            "enhanced": [outcome.enhanced for outcome in rest],
            "texts": [outcome.text.replace("\0", "") for outcome in rest],
            "durations": [outcome.duration_ms for outcome in rest],
            "suppress": [outcome.suppress for outcome in rest],
        },
    )
    refused = cursor.fetchall()
    if refused:
        contacts = [row[0] for row in refused]
        cursor.execute(SUPPRESS_REFUSED, {"contacts": contacts, "messages": [row[2] for row in refused]})
        moves.close(
            "m.contact_id = ANY (%(contacts)s)",
            {"contacts": contacts},
            status="suppressed",
            reason="suppressed",
        )
        cursor.execute(
            "UPDATE campaigns_enrolment SET status = 'stopped', stop_reason = 'suppressed', due_at = NULL, "
            "waits_for = '' WHERE id IN (SELECT id FROM campaigns_enrolment WHERE contact_id = ANY (%s) "
            "AND status = 'active' AND due_at IS NOT NULL ORDER BY id FOR UPDATE)",
            [contacts],
        )


def renew(cursor: Any, token: UUID, policy: Policy, ids: Sequence[int]) -> None:
    """Extend the leases of these rows and of the mailboxes held with them."""
    cursor.execute(RENEW_MAILBOXES, {"token": token, "lease": policy.lease_seconds})
    cursor.execute(RENEW, {"token": token, "lease": policy.lease_seconds, "ids": sorted(ids)})


def clear(cursor: Any, mailbox_ids: Sequence[int]) -> None:
    """Forget the failures in a row of mailboxes whose connection works again."""
    if mailbox_ids:
        cursor.execute(CLEAR, [sorted(mailbox_ids)])
