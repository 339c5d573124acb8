"""Due messages become batches, and batches become hints in the queue.

A batch never splits a mailbox's mails unless they alone fill it, and mailboxes in use are
left out, so that two jobs do not wait for each other. The hint is only a hint: a batch that
is not done is rung again, and a lost queue loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction

from campaigns.models import Batch
from outreach.common import queues

WAITING_JOBS = 4  # jobs of one tenant that may wait for a worker: the queue is first in, first out for all tenants
SEND_TASK = "campaigns.tasks.send_batches"

WAITING = """
SELECT count(*) FROM campaigns_message WHERE tenant_id = %s AND status = 'planned' AND batch_id IS NOT NULL"""

DUE = """
SELECT m.id, m.campaign_id, m.mailbox_id
FROM campaigns_message m
JOIN mailboxes_mailbox b ON b.id = m.mailbox_id
JOIN campaigns_campaign c ON c.id = m.campaign_id AND c.status = 'running'
WHERE m.tenant_id = %(tenant)s AND m.status = 'planned' AND m.batch_id IS NULL
  AND m.due_at <= now() + make_interval(secs => %(ahead)s)
  AND (b.held_until IS NULL OR b.held_until <= now())
ORDER BY m.due_at LIMIT %(limit)s FOR UPDATE OF m SKIP LOCKED"""

ASSIGN = """
UPDATE campaigns_message m SET batch_id = given.batch
FROM unnest(%(ids)s::bigint[], %(batches)s::bigint[]) AS given (id, batch)
WHERE m.id = given.id"""

OPEN = """
UPDATE campaigns_batch SET rung_at = now(), rings = rings + 1 WHERE id IN (
    SELECT b.id FROM campaigns_batch b
    WHERE b.done_at IS NULL
      AND (b.rung_at IS NULL OR b.rung_at <= now() - make_interval(secs => CASE WHEN b.rings <= 1 THEN %s ELSE %s END))
      AND EXISTS (SELECT FROM campaigns_message m WHERE m.batch_id = b.id AND m.status = 'planned')
    ORDER BY b.id FOR UPDATE SKIP LOCKED
) RETURNING id, tenant_id, size"""

CLOSE_EMPTY = """
UPDATE campaigns_batch SET done_at = now() WHERE id IN (
    SELECT b.id FROM campaigns_batch b
    WHERE b.done_at IS NULL AND b.rung_at <= now() - make_interval(secs => %s)
      AND NOT EXISTS (
        SELECT FROM campaigns_message m
        WHERE m.batch_id = b.id AND m.status IN ('planned', 'claimed', 'committing'))
    ORDER BY b.id FOR UPDATE SKIP LOCKED)"""


@dataclass(frozen=True, slots=True)
class Due:
    id: int
    campaign_id: int
    mailbox_id: int


def run(tenant_id: int) -> int:
    """Batch what is due within BATCH_AHEAD_SECONDS for one tenant and ring for it; return how many messages.

    No more than WAITING_JOBS jobs of a tenant wait at a time, so that a large campaign of one
    does not hold up the others; the next pass goes on.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(WAITING, [tenant_id])
        limit = max(WAITING_JOBS * settings.JOB_MESSAGES - cursor.fetchone()[0], 0)
        cursor.execute(DUE, {"tenant": tenant_id, "ahead": settings.BATCH_AHEAD_SECONDS, "limit": limit})
        due = [Due(*row) for row in cursor.fetchall()]
        if not due:
            return 0
        sizes = _batch_sizes({row.campaign_id for row in due})
        pieces = list(cut(due, sizes))
        batches = Batch.objects.bulk_create(
            Batch(tenant_id=tenant_id, campaign_id=piece[0].campaign_id, size=len(piece)) for piece in pieces
        )
        pairs = sorted((row.id, batch.pk) for batch, piece in zip(batches, pieces, strict=True) for row in piece)
        cursor.execute(ASSIGN, {"ids": [pk for pk, _ in pairs], "batches": [batch for _, batch in pairs]})
        ids = [batch.pk for batch in batches]
        cursor.execute("UPDATE campaigns_batch SET rung_at = now(), rings = 1 WHERE id = ANY (%s)", [ids])
    for job in jobs([(batch.pk, len(piece)) for batch, piece in zip(batches, pieces, strict=True)]):
        queues.ring(SEND_TASK, tenant_id, job)
    return len(due)


def ring_again() -> int:
    """Ring for batches whose hint was lost or whose rows came back; close those with nothing left."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(CLOSE_EMPTY, [settings.RING_AGAIN_SECONDS[0]])
        cursor.execute(OPEN, settings.RING_AGAIN_SECONDS)
        rows = cursor.fetchall()
    for tenant_id in sorted({row[1] for row in rows}):
        for job in jobs([(pk, size) for pk, owner, size in rows if owner == tenant_id]):
            queues.ring(SEND_TASK, tenant_id, job)
    return len(rows)


def _batch_sizes(campaign_ids: Iterable[int]) -> dict[int, int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, batch_size FROM campaigns_campaign WHERE id = ANY (%s)", [list(campaign_ids)])
        return dict(cursor.fetchall())


def cut(due: Sequence[Due], sizes: dict[int, int]) -> Iterator[list[Due]]:
    """Pieces of one campaign each, at most its batch size, in mailbox order.

    A mailbox's mails stay together unless they alone exceed the size; a smaller rest is a piece too.
    """
    piece: list[Due] = []
    ordered = sorted(due, key=lambda row: (row.campaign_id, row.mailbox_id, row.id))
    groups: list[list[Due]] = []
    for row in ordered:
        if groups and (groups[-1][0].campaign_id, groups[-1][0].mailbox_id) == (
            row.campaign_id,
            row.mailbox_id,
        ):
            groups[-1].append(row)
        else:
            groups.append([row])
    for group in groups:
        size = sizes[group[0].campaign_id]
        if piece and (piece[0].campaign_id != group[0].campaign_id or len(piece) + len(group) > size):
            yield piece
            piece = []
        while len(group) > size:
            yield group[:size]
            group = group[size:]
        piece = piece + group
    if piece:
        yield piece


def jobs(batches: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Batch ids put together to jobs of at most JOB_MESSAGES messages."""
    job: list[int] = []
    total = 0
    for pk, size in batches:
        if job and total + size > settings.JOB_MESSAGES:
            yield job
            job, total = [], 0
        job.append(pk)
        total += size
    if job:
        yield job
