"""People whom a gate sent away for a while, called back before their time."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

RECEIVER = "receiver"  # what an enrolment waits for whose receiver takes no more now
FREQUENCY = "frequency"  # and one whose person or company has had enough mail for some days

LOOK_NOW = """
UPDATE campaigns_enrolment e SET due_at = now(), waits_for = '' WHERE e.id IN (
    SELECT id FROM campaigns_enrolment
    WHERE tenant_id = ANY (%s) AND waits_for = %s AND due_at > now() ORDER BY id FOR UPDATE)"""


def look_now(tenant_ids: Sequence[int], waits_for: str = RECEIVER) -> int:
    """Make those due who wait for that: a stop was lifted, a limit raised. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(LOOK_NOW, [list(tenant_ids), waits_for])
        return cursor.rowcount
