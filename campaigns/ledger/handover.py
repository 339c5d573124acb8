"""What becomes of the people whom a mailbox was to write to, when it is taken out of use.

Bound to a mailbox is who is in the middle of a thread with it, or got a try that did not go through. The campaign's
policy decides on them; nobody else needs one, since people not written to yet go to any mailbox. Mail that may have
gone out (committing, uncertain) is never touched. Runs after `moves.take_back`, in its transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from campaigns.ledger import moves
from campaigns.models import Campaign
from mailboxes.reserves import Affected, Handover, Leaving, handled

# Both parts read indexes of what waits in a mailbox; its history is not read.
AFFECTED = """
WITH waiting AS (
    SELECT m.enrolment_id, m.tries > 0 OR m.status = 'deferred' AS retry FROM campaigns_message m
    WHERE m.mailbox_id = ANY (%(boxes)s) AND m.status IN ('planned', 'claimed')
    UNION ALL
    SELECT m.enrolment_id, TRUE FROM campaigns_message m
    WHERE m.mailbox_id = ANY (%(boxes)s) AND m.status = 'deferred'
), people AS (
    SELECT e.mailbox_id, e.campaign_id, w.retry, w.retry OR e.step > 1 AS bound
    FROM waiting w JOIN campaigns_enrolment e ON e.id = w.enrolment_id AND e.status = 'active'
    UNION ALL
    SELECT e.mailbox_id, e.campaign_id, FALSE, TRUE FROM campaigns_enrolment e
    WHERE e.mailbox_id = ANY (%(boxes)s) AND e.due_at IS NOT NULL
)
SELECT p.mailbox_id, c.id, c.name, c.handover, count(*) FILTER (WHERE p.bound), count(*) FILTER (WHERE p.retry),
    count(*) FILTER (WHERE NOT p.bound)
FROM people p JOIN campaigns_campaign c ON c.id = p.campaign_id
GROUP BY p.mailbox_id, c.id, c.name, c.handover ORDER BY p.mailbox_id, c.name, c.id"""

UNDER_WAY = """
SELECT count(*) FROM campaigns_campaign c JOIN campaigns_message m ON m.campaign_id = c.id
WHERE c.tenant_id = ANY (%(tenants)s) AND m.status IN ('committing', 'uncertain') AND m.mailbox_id = ANY (%(boxes)s)"""

MOVE_MESSAGES = """
WITH picked AS (
    SELECT m.id FROM campaigns_message m JOIN campaigns_campaign c ON c.id = m.campaign_id
    WHERE m.mailbox_id = %(box)s AND m.status = 'deferred' AND c.handover = ANY (%(policies)s)
    ORDER BY m.id FOR UPDATE OF m
)
UPDATE campaigns_message m SET mailbox_id = %(successor)s FROM picked WHERE m.id = picked.id RETURNING m.enrolment_id"""

# A retry of the first step has no thread yet; there the column stays as it is.
MOVE_PEOPLE = """
WITH picked AS (
    SELECT e.id FROM campaigns_enrolment e JOIN campaigns_campaign c ON c.id = e.campaign_id
    WHERE e.status = 'active' AND c.handover = ANY (%(policies)s)
      AND (e.id = ANY (%(moved)s) OR (e.mailbox_id = %(box)s AND e.due_at IS NOT NULL))
    ORDER BY e.id FOR UPDATE OF e
)
UPDATE campaigns_enrolment e SET mailbox_id = %(successor)s, thread_from = e.step FROM picked WHERE e.id = picked.id"""

STOP_PEOPLE = """
WITH picked AS (
    SELECT e.id FROM campaigns_enrolment e JOIN campaigns_campaign c ON c.id = e.campaign_id
    WHERE e.mailbox_id = %(box)s AND e.due_at IS NOT NULL AND c.handover = ANY (%(policies)s)
    ORDER BY e.id FOR UPDATE OF e
)
UPDATE campaigns_enrolment e SET status = 'stopped', stop_reason = 'handover', due_at = NULL, waits_for = ''
FROM picked WHERE e.id = picked.id"""

# The last mail that went out well or badly in a probe; what came after it is the row of clean ones.
CLEAN = """
WITH ended AS (
    SELECT m.id, m.sent_at AS at, m.outcome IN ('bounced', 'complained') AS bad FROM campaigns_message m
    WHERE m.mailbox_id = %(box)s AND m.status = 'sent' AND m.sent_at >= %(since)s
    UNION ALL
    SELECT a.message_ref, a.at, TRUE FROM campaigns_attempt a
    WHERE a.tenant_id = %(tenant)s AND a.mailbox_ref = %(box)s AND a.at >= %(since)s AND a.result = 'failed'
)
SELECT count(*) FILTER (WHERE NOT bad AND at > coalesce((SELECT max(at) FROM ended WHERE bad), '-infinity')),
    count(*), count(*) FILTER (WHERE bad)
FROM ended"""


def look(tenant_ids: Sequence[int], mailbox_ids: Sequence[int], leaving: Leaving) -> None:
    """Put into `leaving` whom these tenants' mailboxes were to write to, and how much may have gone out just now."""
    with connection.cursor() as cursor:
        cursor.execute(AFFECTED, {"boxes": list(mailbox_ids)})
        leaving.campaigns += [Affected(*row) for row in cursor.fetchall()]
        cursor.execute(UNDER_WAY, {"tenants": list(tenant_ids), "boxes": list(mailbox_ids)})
        leaving.under_way += cursor.fetchone()[0]


def hand_over(mailbox_id: int, successor: int | None, instead_of_wait: str = "") -> int:
    """Do to those bound to the mailbox what each campaign's policy says; return how many no longer wait for it.

    A moved mail keeps its Message-ID, which stands for the person and the step, not for who sends it.
    """
    by_deed: dict[str, list[str]] = {deed: [] for deed in Handover.ALL}
    for policy in Campaign.Handover.values:
        by_deed[handled(policy, successor is not None, instead_of_wait)].append(policy)
    values: dict[str, Any] = {"box": mailbox_id, "successor": successor}
    count = 0
    with connection.cursor() as cursor:
        if policies := by_deed[Handover.NEW_THREAD]:
            cursor.execute(MOVE_MESSAGES, values | {"policies": policies})
            moved = [row[0] for row in cursor.fetchall()]
            cursor.execute(MOVE_PEOPLE, values | {"policies": policies, "moved": moved})
            count += cursor.rowcount
        if policies := by_deed[Handover.STOP]:
            count += moves.close(
                "m.mailbox_id = %(box)s AND c.handover = ANY (%(policies)s)", values | {"policies": policies},
                status="cancelled", reason="handover", joins="JOIN campaigns_campaign c ON c.id = m.campaign_id",
            )  # fmt: skip
            cursor.execute(STOP_PEOPLE, values | {"policies": policies})
            count += cursor.rowcount
    return count


def clean_mails(tenant_id: int, mailbox_id: int, since: Any) -> tuple[int, int, int]:
    """Of what a mailbox sent since then: how many in a row went out clean, how many in all, how many badly."""
    with connection.cursor() as cursor:
        cursor.execute(CLEAN, {"tenant": tenant_id, "box": mailbox_id, "since": since})
        return cursor.fetchone()
