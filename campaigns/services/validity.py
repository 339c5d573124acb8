"""Verdicts on contacts' addresses: who wants one, and what is written when they come. By sets, never row by row.

Who finds the verdicts lies above (deliverability.services.validation).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection
from django.db.models.functions import Now

from campaigns.ledger import moves, waiting
from campaigns.models import Contact
from outreach.common import repeating
from outreach.common.errors import BadInput
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

SENDABLE = ("valid", "risky")
OPEN_TO_OPINIONS = ("risky", "unknown")  # what a paid verifier may change

# The address itself, in this tenant: what another tenant's mail met is none of its business.
BOUNCED = """EXISTS (
    SELECT FROM campaigns_suppression s
    WHERE s.hash = c.address_hash AND s.tenant_id = c.tenant_id AND s.reason = 'hard_bounce' AND s.lifted_at IS NULL)"""

DOMAIN = "split_part(c.email_key, '@', 2)"

# Which contacts a run looks at, in the order of their ids.
WHICH = {
    "new": "c.validity = ''",
    "all": "true",
    # Nobody could tell and may be able to now; or a bounce counted that was lifted since.
    "open": f"""(
        c.validity = 'unknown' AND EXISTS (
            SELECT FROM mailboxes_receiverdomain d
            WHERE d.name = {DOMAIN} AND (d.failures = 0 OR d.due_at <= %(now)s))
        OR c.validity = 'invalid' AND c.validity_reason = 'bounced' AND NOT {BOUNCED})""",
    # About to be mailed on a verdict that has grown old.
    "old": """c.validated_at < %(before)s AND c.id IN (
        SELECT e.contact_id FROM campaigns_enrolment e JOIN campaigns_campaign ca ON ca.id = e.campaign_id
        WHERE e.tenant_id = %(tenant)s AND ca.status = 'running' AND e.due_at < %(ahead)s)""",
    # What a paid verifier may be asked about, each address once for a verdict of ours.
    "doubtful": """c.validity IN ('risky', 'unknown') AND c.validity_reason NOT LIKE 'verifier%%'""",
}

IN_LIST = """ AND EXISTS (
    SELECT FROM campaigns_listentry l WHERE l.contact_list_id = %(list)s AND l.contact_id = c.id)"""
CHOSEN = " AND c.id = ANY (%(ids)s)"

PEOPLE = f"""
SELECT c.id, c.email_key, {BOUNCED} FROM campaigns_contact c
WHERE c.tenant_id = %(tenant)s AND c.id > %(after)s AND {{which}} ORDER BY c.id LIMIT %(limit)s"""

COUNT = "SELECT count(*) FROM campaigns_contact c WHERE c.tenant_id = %(tenant)s AND {which}"

TAKE = """
WITH picked AS (
    SELECT c.id, c.validity AS before, v.validity, v.reason, v.operator
    FROM unnest(%(ids)s::bigint[], %(validities)s::text[], %(reasons)s::text[], %(operators)s::text[])
        AS v (id, validity, reason, operator)
    JOIN campaigns_contact c ON c.id = v.id
    WHERE c.tenant_id = %(tenant)s AND {only} ORDER BY c.id FOR NO KEY UPDATE OF c
), written AS (
    UPDATE campaigns_contact c
    SET validity = CASE WHEN picked.validity = '' THEN c.validity ELSE picked.validity END,
        validity_reason = picked.reason, validated_at = %(now)s,
        operator = CASE WHEN picked.operator = '' THEN c.operator ELSE picked.operator END
    FROM picked WHERE c.id = picked.id
    RETURNING c.id, picked.before, c.validity, c.validity_reason
)
SELECT validity, validity_reason, count(*),
    coalesce(array_agg(id) FILTER (WHERE before IN ('valid', 'risky') AND validity NOT IN ('valid', 'risky')), '{{}}')
FROM written GROUP BY validity, validity_reason"""

FORGET = """
UPDATE campaigns_contact SET validity = '', validity_reason = '', validated_at = NULL WHERE id IN (
    SELECT id FROM campaigns_contact WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s) AND validity <> ''
    ORDER BY id FOR NO KEY UPDATE)"""

# A look into the index for each tenant, and no further.
WITH_NEW = """
SELECT t.id FROM tenants_tenant t
WHERE EXISTS (SELECT FROM campaigns_contact c WHERE c.tenant_id = t.id AND c.validity = '') ORDER BY t.id"""


class Person(NamedTuple):
    """A contact to judge; `bounced`: a hard bounce of this tenant suppresses the address."""

    id: int
    email_key: str
    bounced: bool


class Found(NamedTuple):
    """A verdict for one contact; "" leaves the one it has. `operator` "" leaves what is known of who runs its mail."""

    id: int
    validity: str
    reason: str
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which contacts a run looks at: one of WHICH, of one list or of these ids alone where they are given."""

    which: str = "new"
    list_id: int | None = None
    ids: tuple[int, ...] | None = None


@dataclass(slots=True)
class Taken:
    """What was written: contacts by (validity, reason), and enrolments that no longer wait."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    called_back: int = 0
    taken_back: int = 0


def tenants_with_new() -> list[int]:
    """The tenants that have contacts without a verdict."""
    with connection.cursor() as cursor:
        cursor.execute(WITH_NEW)
        return [row[0] for row in cursor.fetchall()]


def count(tenant_id: int, choice: Choice, *, now: datetime, old_days: int) -> int:
    """How many contacts a run would look at."""
    sql, values = _where(tenant_id, choice, now, old_days)
    with connection.cursor() as cursor:
        cursor.execute(COUNT.format(which=sql), values)
        return cursor.fetchone()[0]


def people(tenant_id: int, choice: Choice, *, after: int, limit: int, now: datetime, old_days: int) -> list[Person]:
    """The next contacts behind the id `after`."""
    sql, values = _where(tenant_id, choice, now, old_days)
    with connection.cursor() as cursor:
        cursor.execute(PEOPLE.format(which=sql), values | {"after": after, "limit": limit})
        return [Person(*row) for row in cursor.fetchall()]


def _where(tenant_id: int, choice: Choice, now: datetime, old_days: int) -> tuple[str, dict[str, Any]]:
    """The condition of a choice, and the values that it takes."""
    if choice.which not in WHICH:
        raise BadInput(f"{choice.which!r} is none of {', '.join(WHICH)}.", field="which")
    sql = WHICH[choice.which]
    sql += IN_LIST if choice.list_id is not None else ""
    sql += CHOSEN if choice.ids is not None else ""
    return sql, {
        "tenant": tenant_id, "list": choice.list_id, "ids": list(choice.ids or ()), "now": now,
        "before": now - timedelta(days=old_days), "ahead": now + timedelta(days=1),
    }  # fmt: skip


@repeating.atomic
def take_verdicts(tenant: Tenant, found: Sequence[Found], *, actor: Actor, now: datetime) -> Taken:
    """Write these verdicts. Who waited for one is looked at now, and what was planned for those out is taken back."""
    actor.require("deliverability.check", tenant)
    return _take(tenant, found, "true", actor, now, "contacts.validated")


@repeating.atomic
def take_opinions(tenant: Tenant, found: Sequence[Found], *, actor: Actor, now: datetime, verifier: str) -> Taken:
    """Write what a paid verifier said, where the verdict is still risky or unknown. It lifts no suppression."""
    actor.require("deliverability.check", tenant)
    only = "c.validity IN ('risky', 'unknown')"
    return _take(tenant, found, only, actor, now, "contacts.verified", verifier=verifier)


def _take(
    tenant: Tenant, found: Iterable[Found], only: str, actor: Actor, now: datetime, act: str, **noted: Any
) -> Taken:
    rows = list(found)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 4
    taken = Taken()
    with connection.cursor() as cursor:
        cursor.execute(
            TAKE.format(only=only),
            {
                "tenant": tenant.pk, "now": now, "ids": list(columns[0]), "validities": list(columns[1]),
                "reasons": list(columns[2]), "operators": list(columns[3]),
            },
        )  # fmt: skip
        written = cursor.fetchall()
    out: list[int] = []
    for validity, reason, n, fallen in written:
        taken.counts[validity, reason] = n
        out += fallen
    if not written:
        return taken
    taken.called_back = waiting.look_now_at(tenant.pk, columns[0], waiting.VALIDATION)
    if out:
        taken.taken_back = moves.take_back(
            "m.tenant_id = %(tenant)s AND m.contact_id = ANY (%(people)s)", {"tenant": tenant.pk, "people": out}
        )
    if taken.called_back or taken.taken_back:
        Tenant.objects.filter(pk=tenant.pk).update(plan_wanted_at=Now())
    facts: dict[str, Any] = dict(noted)
    for (validity, _), n in taken.counts.items():
        facts[validity] = facts.get(validity, 0) + n
    audit.record(actor, act, tenant, **facts)
    return taken


@repeating.atomic
def forget(tenant: Tenant, contacts: Sequence[Contact], *, actor: Actor) -> int:
    """Void the verdicts of these contacts: nothing is sent to them until there are new ones. Returns how many."""
    actor.require("deliverability.check", tenant)
    with connection.cursor() as cursor:
        cursor.execute(FORGET, {"tenant": tenant.pk, "ids": [contact.pk for contact in contacts]})
        gone = cursor.rowcount
    if gone:
        audit.record(actor, "contacts.verdicts_voided", tenant, count=gone)
    return gone
