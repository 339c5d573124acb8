"""Opt-outs and complaints that hold for other tenants too, where both contracts allow it.

The gates look at them live, by campaigns_shared_suppressed() in the database. What is planned already is closed
from here, by a job and not in the transaction of whoever recorded the entry: that one would else take longer
where another tenant writes to the same person, and would tell so.
"""

from __future__ import annotations

from django.db import connection, transaction
from django.utils.timezone import now

from campaigns.ledger import moves
from campaigns.models import Message
from outreach.common import isolation, queues
from tenants.models import Tenant, TenantRecord

FOUND = """
SELECT array_agg(hash) FROM (
    SELECT campaigns_shared_suppressed(%(tenant)s, (
        SELECT array_agg(DISTINCT ct.address_hash) FROM campaigns_message m JOIN campaigns_contact ct
        ON ct.id = m.contact_id
        WHERE m.tenant_id = %(tenant)s AND m.status IN ('planned', 'claimed', 'deferred'))) AS hash
) AS shared"""


def shares(tenant: Tenant) -> bool:
    """Whether the tenant's contract lets suppression be shared, today (UTC)."""
    return TenantRecord.objects.filter(tenant=tenant, suppression_sharing_on__lte=now().date()).exists()


def ring(tenant: Tenant | None) -> None:
    """Have what waits in other tenants looked at soon, when the tenant shares; the same for each entry of its."""
    if tenant is not None and shares(tenant):
        queues.ring("campaigns.tasks.close_shared", queue="bulk")


def tenants() -> list[int]:
    """Ids of the tenants in scope that share."""
    found = TenantRecord.objects.filter(suppression_sharing_on__lte=now().date()).order_by("tenant_id")
    return list(found.values_list("tenant_id", flat=True))


@transaction.atomic
def close_waiting(tenant_id: int) -> int:
    """Close what waits in this tenant, which is in scope, for people who told another one; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(FOUND, {"tenant": tenant_id})
        hashes = cursor.fetchone()[0]
    if not hashes:
        return 0
    return moves.close(
        "m.tenant_id = %(tenant)s AND ct.address_hash = ANY (%(hashes)s)",
        {"tenant": tenant_id, "hashes": hashes},
        status=Message.Status.SUPPRESSED,
        reason="suppressed",
        joins="JOIN campaigns_contact ct ON ct.id = m.contact_id",
    )


def close_everywhere() -> int:
    """close_waiting for every tenant that shares, each in its own scope."""
    with isolation.everything():
        ids = tenants()
    closed = 0
    for tenant_id in ids if len(ids) > 1 else ():
        with isolation.tenants([tenant_id], platform=True):
            closed += close_waiting(tenant_id)
    return closed
