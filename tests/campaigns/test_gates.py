"""The gates stay cheap behind row-level security: what may not use an index there would read the whole table."""

from __future__ import annotations

import re

import pytest
from django.db import connection

from campaigns.ledger import gates
from tests import factories

FILL = """
INSERT INTO campaigns_suppression (tenant_id, scope, kind, hash, hint, domain, reason, via, created_at)
SELECT %s, 'tenant', 'address', substring(sha256(int8send(n)) FOR 16), '', '', 'opt_out', 'test', now()
FROM generate_series(1, 20000) AS n"""

EXPLAIN = f"""
EXPLAIN SELECT ct.id FROM campaigns_contact ct JOIN campaigns_campaign c ON c.tenant_id = ct.tenant_id
WHERE {gates.COVERED}"""  # noqa: S608 (our own fragment)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("role", ["web", "worker"])
def test_looking_for_a_suppression_uses_the_index(role, as_role):
    tenant = factories.tenant()
    factories.campaign(tenant, factories.mailbox(tenant).pool, listed := factories.contact_list(tenant))
    factories.people(tenant, listed, 300)
    with connection.cursor() as cursor:
        cursor.execute(FILL, [tenant.pk])
    with as_role("owner"), connection.cursor() as cursor:
        cursor.execute("ANALYZE campaigns_suppression, campaigns_contact, campaigns_campaign")

    with as_role(role), connection.cursor() as cursor:
        cursor.execute(EXPLAIN)
        plan = "\n".join(row[0] for row in cursor.fetchall())

    assert re.search(r"Index Cond: .*hash = own\.hash", plan), plan
    assert "Seq Scan on campaigns_suppression" not in plan
