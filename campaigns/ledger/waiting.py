"""People whom a gate sent away for a while, called back before their time."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

RECEIVER = "receiver"  # what an enrolment waits for whose receiver takes no more now
VALIDATION = "validation"  # whose address nobody has validated yet, or whose domain nobody could tell about

LOOK_NOW = """
UPDATE campaigns_enrolment e SET due_at = now(), waits_for = '' WHERE e.id IN (
    SELECT id FROM campaigns_enrolment
    WHERE tenant_id = ANY (%s) AND waits_for = %s AND due_at > now() ORDER BY id FOR UPDATE)"""

LOOK_NOW_AT_PEOPLE = """
UPDATE campaigns_enrolment e SET due_at = now(), waits_for = '' WHERE e.id IN (
    SELECT id FROM campaigns_enrolment
    WHERE contact_id = ANY (%(people)s) AND tenant_id = %(tenant)s AND waits_for = %(kind)s AND due_at > now()
    ORDER BY id FOR UPDATE)"""


def look_now(tenant_ids: Sequence[int], kind: str = RECEIVER) -> int:
    """Make those due who wait for that: a stop was lifted, a limit raised. Returns how many."""
    with connection.cursor() as cursor:
        cursor.execute(LOOK_NOW, [list(tenant_ids), kind])
        return cursor.rowcount


def look_now_at(tenant_id: int, contact_ids: Sequence[int], kind: str) -> int:
    """Make these people of one tenant due where they wait for that. Returns how many enrolments."""
    with connection.cursor() as cursor:
        cursor.execute(LOOK_NOW_AT_PEOPLE, {"people": list(contact_ids), "tenant": tenant_id, "kind": kind})
        return cursor.rowcount
