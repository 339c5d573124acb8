"""What was done stands in the audit, in the transaction that did it, and can't be changed unseen."""

from __future__ import annotations

import threading

import pytest
from django.db import ProgrammingError, connection, transaction

from outreach.common import isolation
from tenants.models import AuditChain, AuditEntry, Tenant
from tenants.services import audit, tenants, verifying
from tenants.services.actors import SYSTEM, of_grants
from tests import factories

pytestmark = pytest.mark.django_db


def test_an_act_is_written_with_who_what_and_why():
    tenant = factories.tenant()

    tenants.suspend(tenant, actor=SYSTEM, reason="Complaints over the limit")

    entry = AuditEntry.objects.get(action="tenant.suspended")
    assert (entry.tenant_id, entry.subject, entry.subject_id) == (tenant.pk, "tenants.Tenant", tenant.pk)
    assert (entry.actor_kind, entry.actor_user_id) == ("system", None)
    assert entry.actor_name.startswith("system")
    assert entry.reason == "Complaints over the limit"
    assert AuditChain.objects.get(tenant=tenant).seq == entry.seq


def test_what_is_undone_leaves_no_entry():
    tenant = factories.tenant()
    before = AuditEntry.objects.count()
    with transaction.atomic():
        audit.record(SYSTEM, "tenant.tested", tenant)
        transaction.set_rollback(True)

    assert AuditEntry.objects.count() == before


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE tenants_auditentry SET reason = 'another'",
        "DELETE FROM tenants_auditentry",
        "TRUNCATE tenants_auditentry",
        "UPDATE tenants_auditchain SET seq = 0",
        "DELETE FROM tenants_auditchain",
        "INSERT INTO tenants_auditentry SELECT * FROM tenants_auditentry",
    ],
)
@pytest.mark.attack("A36")
def test_web_has_no_right_to_change_the_audit(sql):
    audit.record(SYSTEM, "tenant.tested", factories.tenant())
    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connection.cursor().execute(sql)


@pytest.mark.django_db(transaction=True)
def test_entries_of_many_threads_stand_in_one_line():
    """The head of a chain is held until its transaction ends, so numbers have no gap and hashes follow each other."""
    tenant, threads, each = factories.tenant(), 6, 20
    begin = AuditEntry.objects.filter(tenant=tenant).count()
    barrier = threading.Barrier(threads)

    def write(number):
        barrier.wait(30)
        try:
            for i in range(each):
                with transaction.atomic():
                    audit.record(SYSTEM, "tenant.tested", tenant, number=number)
                    transaction.set_rollback(i % 5 == 0)  # what is undone leaves no gap either
        finally:
            connection.close()

    running = [threading.Thread(target=write, args=[number]) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(60)

    *_, report = verifying.verify([tenant.pk], actor=SYSTEM)
    assert (report.faults, report.entries - begin) == ([], threads * each * 4 // 5)


def test_a_tenant_out_of_scope_gets_no_entry():
    tenant = factories.tenant()
    with isolation.nothing(), pytest.raises(ProgrammingError, match="not in scope"), transaction.atomic():
        audit.record(SYSTEM, "tenant.tested", tenant)


@pytest.mark.django_db(transaction=True)
def test_an_act_outside_of_a_transaction_is_a_mistake():
    tenant = Tenant(pk=1)
    with pytest.raises(RuntimeError, match="in the transaction that does it"):
        audit.record(SYSTEM, "tenant.tested", tenant)


@pytest.mark.parametrize(
    "address", ["ann@example.com", "o'brien@example.com", '"ann lee"@example.com', "ann+x@sub.example.com"]
)
@pytest.mark.parametrize("round_it", ["{}", "write to {}.", "<{}>", "'{}'", "mailto:{};", "a,{},b"])
def test_no_address_stays_in_the_clear_and_its_hash_is_the_same_everywhere(address, round_it):
    if round_it == "write to {}.":
        address = address.removesuffix(".com") + ".museum"
        assert address.split("@")[0] not in audit.plain(round_it.format(address))
        return
    assert audit.plain(round_it.format(address)) == round_it.format(audit.plain(address))
    assert audit.plain(address).startswith("[address ")
    assert address not in str(audit.plain({address: [address]}))


def test_a_row_in_an_address_of_a_page_is_no_way_for_a_person_into_the_audit():
    """Cut before it was hashed, an address with a long name lost its @ and stood there."""
    named = "a" * 40 + "@example.com"
    audit.refused(of_grants("user", "x", [], user_id=factories.user().pk), 404, "campaigns/contact/<pk>/", named)
    assert "aaaa" not in str(AuditEntry.objects.get(action="access.refused").facts)
