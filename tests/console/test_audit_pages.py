"""The audit in the console: filters, one entry, export, and what somebody was refused."""

from __future__ import annotations

import csv
import io

import pytest
from django.core.cache import caches
from django.test import Client
from django.urls import reverse

from tenants.models import AuditEntry
from tenants.services import tenants
from tenants.services.actors import SYSTEM
from tests.console.conftest import client_of, person

pytestmark = pytest.mark.django_db
LIST = "/console/tenants/auditentry/"


def test_a_manager_reads_the_audit_of_the_own_tenant_only(world, second_world):
    client = client_of(person("manager@example.com", "ops_manager", world.tenant))

    shown = client.get(LIST).context["cl"].queryset
    assert {entry.tenant_id for entry in shown} == {world.tenant.pk}
    foreign = AuditEntry.objects.filter(tenant=second_world.tenant).first()
    assert client.get(f"{LIST}{foreign.pk}/change/").status_code == 404


def test_an_auditor_reads_all_chains_and_nothing_else(world):
    client = client_of(person("auditor@example.com", "auditor"))

    shown = {entry.tenant_id for entry in client.get(LIST).context["cl"].queryset}
    assert {None, world.tenant.pk} <= shown
    assert client.get("/console/campaigns/campaign/").status_code == 403


@pytest.mark.parametrize("role", ["operator", "analyst", "client_viewer"])
def test_others_do_not_read_the_audit(world, role):
    client = client_of(person("x@example.com", role, world.tenant))
    assert client.get(LIST).status_code == 403


def test_filters_narrow_by_action_time_actor_and_row(as_chief, world):
    tenants.suspend(world.tenant, actor=SYSTEM, reason="Complaints")

    for query in (
        {"action": "tenant.suspended"},
        {
            "action": "tenant.suspended",
            "since": "hour",
            "actor_kind__exact": "system",
            "tenant__id__exact": world.tenant.pk,
        },
        {"subject": "tenants.Tenant", "subject_id": world.tenant.pk, "action": "tenant.suspended"},
    ):
        rows = list(as_chief.get(LIST, query).context["cl"].queryset)
        assert [(row.action, row.reason) for row in rows] == [("tenant.suspended", "Complaints")], query
    page = as_chief.get(LIST).content.decode()
    assert "tenant.suspended" in page


def test_an_entry_shows_what_changed_and_links_to_its_row(as_chief, world):
    tenants.suspend(world.tenant, actor=SYSTEM, reason="Complaints <b>")
    entry = AuditEntry.objects.get(action="tenant.suspended")

    text = as_chief.get(f"{LIST}{entry.pk}/change/").content.decode()
    assert reverse("admin:tenants_tenant_change", args=[world.tenant.pk]) in text
    assert "Complaints &lt;b&gt;" in text
    assert bytes(entry.hash).hex() in text
    assert all(state in text for state in ("active", "suspended"))


def test_the_export_is_a_safe_file_and_is_itself_on_the_record(as_chief, world):
    tenants.suspend(world.tenant, actor=SYSTEM, reason="=1+1")
    ids = list(AuditEntry.objects.filter(tenant=world.tenant).values_list("pk", flat=True))

    answer = as_chief.post(LIST, {"action": "export", "_selected_action": ids, "index": "0"})
    header, *rows = csv.reader(io.StringIO(answer.getvalue().decode("utf-8-sig"), newline=""))
    assert len(rows) == len(ids)
    assert rows[-1][header.index("reason")] == "'=1+1"
    assert AuditEntry.objects.get(action="audit.exported").facts == {"rows": len(ids)}


@pytest.mark.attack("A26")
def test_asking_for_a_row_of_another_tenant_stands_in_the_audit(world, second_world):
    user = person("manager@example.com", "ops_manager", world.tenant)
    client = client_of(user)

    assert client.get(f"/console/campaigns/campaign/{second_world.campaign.pk}/change/").status_code == 404
    assert client.get("/console/tenants/user/").status_code == 403
    found = list(AuditEntry.objects.filter(action="access.refused", actor_user=user).order_by("pk"))
    assert [entry.facts["status"] for entry in found] == [404, 403]
    assert found[0].facts["row"] == str(second_world.campaign.pk)
    assert found[0].tenant_id is None


def test_refusals_are_written_up_to_a_number_a_minute(world, monkeypatch):
    from outreach.common import counting
    from tenants.services import audit

    counted = iter(range(1, 100))
    monkeypatch.setattr(counting, "count", lambda name: next(counted))
    client = client_of(person("x@example.com", "client_viewer", world.tenant))
    for _ in range(audit.MOST_REFUSALS + 5):
        client.get("/console/tenants/user/")

    assert AuditEntry.objects.filter(action="access.refused").count() == audit.MOST_REFUSALS


def test_a_wrong_password_stands_in_the_audit_without_the_address(db, settings, running_servers):
    settings.AXES_ENABLED = True
    caches["counters"].clear()
    user = person("guessed@example.com", "analyst")
    for _ in range(6):
        Client().post("/console/login/", {"username": user.email, "password": "wrong", "otp_token": ""})

    entries = list(AuditEntry.objects.filter(action="session.refused").order_by("pk"))
    assert len(entries) >= 5
    assert all(entry.facts["account"].startswith("[address ") for entry in entries)
    assert "locked_seconds" not in entries[0].facts
    assert entries[-1].facts["locked_seconds"] > 0
    assert user.email not in str([entry.facts for entry in entries])
