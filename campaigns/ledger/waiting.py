"""People whom a gate sent away for a while, called back before their time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection

from campaigns.ledger import planning

# What an enrolment waits for, and what stands as reason at a retry.
RECEIVER, VALIDATION, CONVERSATION, FREQUENCY = "receiver", "validation", "conversation", "frequency"
BASIS = ("basis_contract", "basis_country", "basis_route")  # a basis that is not enough, by what it is not enough for

PEOPLE = """
UPDATE campaigns_enrolment e SET due_at = now(), waits_for = '' WHERE e.id IN (
    SELECT id FROM campaigns_enrolment
    WHERE tenant_id = ANY (%(tenants)s) AND waits_for = ANY (%(kinds)s) AND due_at > now() ORDER BY id FOR UPDATE)"""

RETRIES = """
UPDATE campaigns_message m SET due_at = now(), reason = '' WHERE m.id IN (
    SELECT id FROM campaigns_message
    WHERE tenant_id = ANY (%(tenants)s) AND status = 'deferred' AND reason = ANY (%(kinds)s) AND due_at > now()
    ORDER BY id FOR UPDATE)"""

LOOK_NOW_AT_PEOPLE = """
UPDATE campaigns_enrolment e SET due_at = now(), waits_for = '' WHERE e.id IN (
    SELECT id FROM campaigns_enrolment
    WHERE contact_id = ANY (%(people)s) AND tenant_id = %(tenant)s AND waits_for = %(kind)s AND due_at > now()
    ORDER BY id FOR UPDATE)"""


def look_now(tenant_ids: Sequence[int], *kinds: str) -> int:
    """Make those due who wait for that: a stop was lifted, a limit raised, an address validated. Returns how many.

    Retries too. Waits for plans under way, which would move people by what held before.
    """
    for pk in sorted(tenant_ids):
        planning.wait(pk)
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"tenants": list(tenant_ids), "kinds": list(kinds)}
        cursor.execute(RETRIES, values)
        cursor.execute(PEOPLE, values)
        return cursor.rowcount


def look_now_at(tenant_id: int, contact_ids: Sequence[int], kind: str) -> int:
    """Make these people of one tenant due where they wait for that. Returns how many enrolments."""
    with connection.cursor() as cursor:
        cursor.execute(LOOK_NOW_AT_PEOPLE, {"people": list(contact_ids), "tenant": tenant_id, "kind": kind})
        return cursor.rowcount
