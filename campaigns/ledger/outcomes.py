"""What a ledger writer may write about the rows its token holds, by set, in the caller's transaction.

A row counts only with the writer's token and in the right state: one that was taken away is
not there. Groups may be repeated after a lost connection: a row that already made the move
counts as granted to its token, and is settled once. The statements are many and small on
purpose: planned anew each time (no prepared statements, so that PgBouncer can stand in
front), one large join cost 2 ms to plan and 0.2 ms to run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from campaigns.ledger import cancelling, following, gates, moves
from campaigns.ledger.outcome import Outcome
from mailboxes.ways.sql import LEAVES_BY


@dataclass(frozen=True, slots=True)
class Policy:
    """Lengths in seconds. `dot_lease_seconds` is the dot time-out and a minute; `retry_seconds` the schedule."""

    lease_seconds: float
    dot_lease_seconds: float
    retry_seconds: tuple[int, ...]
    give_up_seconds: float


STAMP_DOTS = """
UPDATE mailboxes_mailbox SET last_dot_at = now() WHERE id IN (
    SELECT id FROM mailboxes_mailbox WHERE id = ANY (%(mailboxes)s::bigint[]) ORDER BY id FOR NO KEY UPDATE)"""

# One statement locks all rows that a group speaks of, in id order; what follows needs no second look at them.
LOCK = """
SELECT m.id, m.status, coalesce(m.claim = %(token)s, FALSE), coalesce(m.last_claim = %(token)s, FALSE),
    m.campaign_id, m.mailbox_id, m.contact_id, m.enrolment_id, m.not_after > now(), m.operator
FROM campaigns_message m
WHERE m.id = ANY (%(ids)s::bigint[]) AND (m.claim = %(token)s OR m.last_claim = %(token)s)
ORDER BY m.id FOR UPDATE"""

# The stops, looked at after the lock: one that committed before is seen, one that comes later waits for the row.
STOPS = f"""
SELECT 'campaign', c.id, NULL::bigint FROM campaigns_campaign c JOIN tenants_tenant t ON t.id = c.tenant_id
WHERE c.id = ANY (%(campaigns)s::bigint[]) AND c.status = 'running' AND t.status = 'active'
UNION ALL
SELECT 'mailbox', b.id, NULL::bigint FROM mailboxes_mailbox b
JOIN mailboxes_sendingdomain d ON d.id = b.domain_id
JOIN mailboxes_provideraccount a ON a.id = {LEAVES_BY}
WHERE b.id = ANY (%(mailboxes)s::bigint[]) AND b.held_by = %(token)s AND {gates.IN_ORDER}
UNION ALL
SELECT 'covered', ct.id, s.campaign_id FROM campaigns_contact ct
CROSS JOIN LATERAL unnest(ct.domain_hashes || ct.address_hash) AS own (hash)
JOIN campaigns_suppression s ON s.hash = own.hash
WHERE ct.id = ANY (%(contacts)s::bigint[]) AND s.lifted_at IS NULL
  AND (s.tenant_id IS NULL OR s.tenant_id = ct.tenant_id)
UNION ALL
SELECT 'covered', ct.id, NULL::bigint FROM tenants_tenantrecord own
CROSS JOIN LATERAL campaigns_shared_suppressed(own.tenant_id, (
    SELECT array_agg(ct.address_hash) FROM campaigns_contact ct WHERE ct.id = ANY (%(contacts)s::bigint[])
)) AS shared (hash)
JOIN campaigns_contact ct ON ct.address_hash = shared.hash AND ct.tenant_id = own.tenant_id
WHERE {gates.SHARES} AND ct.id = ANY (%(contacts)s::bigint[])
UNION ALL
SELECT 'talking', ct.id, NULL::bigint FROM campaigns_contact ct
WHERE ct.id = ANY (%(contacts)s::bigint[]) AND {gates.TALKING}
UNION ALL
SELECT 'pulled', NULL::bigint, NULL::bigint WHERE EXISTS (
    SELECT FROM campaigns_stop s
    WHERE {gates.OPEN_STOP} AND (s.scope <> 'receiver' OR s.operator = ANY (%(operators)s::text[])))"""

# Asked only while a lever is pulled that this tenant may be under: its joins cost more to plan than all of the above.
PULLED = f"SELECT m.id FROM campaigns_message m WHERE m.id = ANY (%(ids)s::bigint[]) AND {gates.STOPPED}"

COMMIT = """
UPDATE campaigns_message SET status = 'committing', lease_until = now() + make_interval(secs => %(dot_lease)s)
WHERE id = ANY (%(ids)s::bigint[])"""

RELEASE = """
UPDATE campaigns_message
SET status = 'planned', claim = NULL, lease_until = NULL, batch_id = NULL, last_claim = %(token)s
WHERE id = ANY (%(ids)s::bigint[])"""

SENT = f"""
WITH told AS (
    SELECT * FROM json_to_recordset(%(sent)s::json) AS told (
        id bigint, enrolment bigint, text text, hash text, provider_id text, position integer, step integer,
        due timestamptz)
), sent AS (
    UPDATE campaigns_message m
    SET status = 'sent', sent_at = now(), reply_text = told.text, content_hash = decode(told.hash, 'hex'),
        wire_message_id = told.provider_id, tries = m.tries + 1, claim = NULL, last_claim = %(token)s,
        lease_until = NULL, reason = ''
    FROM told WHERE m.id = told.id
)
{following.GO_ON}"""

# The holder's late answer still settles a row that turned uncertain meanwhile.
MINE = """(
    (m.status IN ('claimed', 'committing') AND m.claim = %(token)s)
    OR (m.status = 'uncertain' AND m.last_claim = %(token)s))"""

NOT_SENT = f"""
WITH told AS (
    SELECT * FROM json_to_recordset(%(told)s::json) AS told (
        id bigint, result text, reason text, wait integer, phase text, code integer, enhanced text, text text,
        duration integer, suppress boolean
    )
), picked AS (
    SELECT m.id, m.status AS was, m.planned_at,
        make_interval(secs => greatest(told.wait, (%(retry)s::int[])[least(m.tries + 1, %(retries)s)])) AS wait
    FROM campaigns_message m JOIN told USING (id)
    WHERE {MINE} ORDER BY m.id FOR UPDATE OF m
), verdict AS (
    SELECT picked.id, now() + picked.wait AS again_at, CASE
        WHEN picked.was = 'uncertain' AND told.result <> 'uncertain' THEN 'failed'
        WHEN told.result IN ('returned', 'deferred')
            AND now() + picked.wait > picked.planned_at + make_interval(secs => %(give_up)s) THEN 'failed'
        WHEN told.result = 'returned' AND picked.was = 'claimed' THEN 'planned'
        WHEN told.result IN ('returned', 'deferred') THEN 'deferred'
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
    WHERE id = ANY (%(ids)s::bigint[]) AND claim = %(token)s AND status IN ('claimed', 'committing')
    ORDER BY id FOR UPDATE
) AS picked WHERE m.id = picked.id"""

RENEW_MAILBOXES = """
UPDATE mailboxes_mailbox SET held_until = now() + make_interval(secs => %(lease)s) WHERE id IN (
    SELECT id FROM mailboxes_mailbox WHERE held_by = %(token)s ORDER BY id FOR NO KEY UPDATE)"""

CLEAR = """
UPDATE mailboxes_mailbox
SET failures = 0, state_reason = CASE WHEN blocked_until > now() THEN state_reason ELSE '' END,
    blocked_until = CASE WHEN blocked_until > now() THEN blocked_until END
WHERE id IN (
    SELECT id FROM mailboxes_mailbox WHERE id = ANY (%s::bigint[]) AND failures > 0 ORDER BY id FOR NO KEY UPDATE)"""


@dataclass(frozen=True, slots=True)
class Row:
    """A locked message as the group finds it; `mine` and `was_mine` compare its claims with the token."""

    id: int
    status: str
    mine: bool
    was_mine: bool
    campaign_id: int
    mailbox_id: int
    contact_id: int
    enrolment_id: int
    in_time: bool
    operator: str

    @property
    def held(self) -> bool:
        return self.mine and self.status in ("claimed", "committing")

    @property
    def open_to_answers(self) -> bool:
        """The holder's late answer still settles a row that turned uncertain meanwhile."""
        return self.held or (self.was_mine and self.status == "uncertain")


def write(
    cursor: Any,
    token: UUID,
    policy: Policy,
    *,
    wanted: Sequence[int] = (),
    stamped_mailboxes: Sequence[int] = (),
    settled: Sequence[Outcome] = (),
    released: Sequence[int] = (),
    course: following.Course = following.LAST_STEPS,
) -> set[int]:
    """Write one group; return the ids of `wanted` that are durable as `committing` once this commits.

    `wanted` want to pass the dot; `settled` say how tries ended, with attempts, enrolments and
    the suppression that a hard refusal brings; `released` were not tried. `stamped_mailboxes`
    of wanted rows keep a gap: their row gets the time of the dot, before messages are locked.
    `course` says with what a sequence goes on after what was sent.
    """
    if stamped_mailboxes:
        cursor.execute(STAMP_DOTS, {"mailboxes": array(set(stamped_mailboxes))})
    ids = {*wanted, *released, *(outcome.id for outcome in settled)}
    if not ids:
        return set()
    cursor.execute(LOCK, {"token": token, "ids": array(ids)})
    rows = {row[0]: Row(*row) for row in cursor.fetchall()}
    granted = _commit(cursor, token, policy, [rows[pk] for pk in wanted if pk in rows])
    _settle(cursor, token, policy, [one for one in settled if one.id in rows], rows, course)
    _release(cursor, token, [rows[pk] for pk in released if pk in rows])
    return granted


def _commit(cursor: Any, token: UUID, policy: Policy, rows: Sequence[Row]) -> set[int]:
    """Move to `committing` what may go; the rest leaves this job, closed where a suppression covers it."""
    held = [row for row in rows if row.held]
    if not held:
        return set()
    cursor.execute(
        STOPS,
        {
            "token": token,
            "campaigns": array({row.campaign_id for row in held}),
            "mailboxes": array({row.mailbox_id for row in held}),
            "contacts": array(row.contact_id for row in held),
            "operators": list({row.operator for row in held if row.operator}),
        },
    )
    found = set(cursor.fetchall())
    pulled: set[int] = set()
    if ("pulled", None, None) in found:
        cursor.execute(PULLED, {"ids": array(row.id for row in held)})
        pulled = {pk for (pk,) in cursor.fetchall()}

    def is_covered(row: Row) -> bool:
        return bool(found & {("covered", row.contact_id, None), ("covered", row.contact_id, row.campaign_id)})

    def is_free(row: Row) -> bool:
        return (
            row.id not in pulled and {("campaign", row.campaign_id, None), ("mailbox", row.mailbox_id, None)} <= found
        )

    talking = [row.id for row in held if not is_covered(row) and ("talking", row.contact_id, None) in found]
    may = [row.id for row in held if row.in_time and is_free(row) and not is_covered(row) and row.id not in talking]
    if may:
        cursor.execute(COMMIT, {"ids": array(may), "dot_lease": policy.dot_lease_seconds})
    stopped = [row.id for row in held if is_covered(row)]
    if stopped:
        moves.close("m.id = ANY (%(ids)s)", {"ids": stopped}, status="suppressed", reason="suppressed")
    if talking:
        moves.hold("m.id = ANY (%(ids)s)", {"ids": talking})
    _release(cursor, token, [row for row in held if row.id not in {*may, *stopped, *talking}])
    return set(may)


def _release(cursor: Any, token: UUID, rows: Sequence[Row]) -> None:
    """Claimed rows that were not tried go back to planned and to the batcher."""
    ids = [row.id for row in rows if row.mine and row.status == "claimed"]
    if ids:
        cursor.execute(RELEASE, {"ids": array(ids), "token": token})


def _settle(
    cursor: Any,
    token: UUID,
    policy: Policy,
    settled: Sequence[Outcome],
    rows: Mapping[int, Row],
    course: following.Course,
) -> None:
    valid = [outcome for outcome in settled if rows[outcome.id].open_to_answers]
    sent = [outcome for outcome in valid if outcome.result == "sent"]
    if sent:
        told: list[dict[str, Any]] = [
            {
                "id": outcome.id,
                "enrolment": rows[outcome.id].enrolment_id,
                "text": _plain(outcome.text, 500),
                "hash": outcome.content_hash.hex() if outcome.content_hash else None,
                "provider_id": _plain(outcome.provider_id, 300),
                **course.told(outcome.id),
            }
            for outcome in sent
        ]
        cursor.execute(SENT, {"token": token, "sent": json.dumps(told)})
    cancelled = [outcome for outcome in valid if outcome.result == "cancelled"]
    if cancelled:
        cancelling.cancel(cursor, cancelled)
    rest = [outcome for outcome in valid if outcome.result not in ("sent", "cancelled")]
    if rest:
        _settle_not_sent(cursor, token, policy, rest)


def array(ids: Iterable[int]) -> str:
    """A bigint[] literal in ascending order: adapting a list number by number costs more than the statement."""
    return "{" + ",".join(map(str, sorted(ids))) + "}"


def _plain(text: str, most: int) -> str:
    return text.replace("\0", "")[:most]


def _settle_not_sent(cursor: Any, token: UUID, policy: Policy, rest: Sequence[Outcome]) -> None:
    told = [
        {
            "id": outcome.id,
            "result": outcome.result,
            "reason": outcome.reason,
            "wait": outcome.retry_after_seconds,
            "phase": outcome.phase,
            "code": outcome.code,
            "enhanced": outcome.enhanced,
            "text": _plain(outcome.text, 1000),
            "duration": outcome.duration_ms,
            "suppress": outcome.suppress,
        }
        for outcome in rest
    ]
    cursor.execute(
        NOT_SENT,
        {
            "token": token,
            "retry": list(policy.retry_seconds),
            "retries": len(policy.retry_seconds),
            "give_up": policy.give_up_seconds,
            "told": json.dumps(told),
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
    cursor.execute(RENEW, {"token": token, "lease": policy.lease_seconds, "ids": array(ids)})


def clear(cursor: Any, mailbox_ids: Sequence[int]) -> None:
    """Forget the failures in a row of mailboxes whose connection works again; a rest that still runs is another's."""
    if mailbox_ids:
        cursor.execute(CLEAR, [array(mailbox_ids)])
