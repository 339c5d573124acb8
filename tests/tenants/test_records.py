"""No launch while a row of the tenant's checklist is red, and the record says whose company it is."""

from __future__ import annotations

import json
from datetime import date

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from campaigns.services import campaigns
from outreach.common.errors import BadInput, NotAllowed, NotReady
from tenants import checklist, permissions
from tenants.models import ChecklistEntry, TenantRecord
from tenants.services import records
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.console.conftest import client_of, person

pytestmark = pytest.mark.django_db
TODAY = date(2026, 11, 24)


def draft(tenant):
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 2)
    return factories.campaign(tenant, factories.mailbox(tenant).pool, listed)


@pytest.mark.parametrize(
    ("changes", "row"),
    [
        ({"legal_name": ""}, "company"), ({"privacy_url": ""}, "privacy_url"), ({"abuse_email": ""}, "abuse"),
        ({"owner_name": ""}, "owner"), ({"billing_email": ""}, "billing"),
        ({"data_protection_name": ""}, "data_protection"),
        ({"contract_ends_on": date(2026, 3, 1)}, "contract"), ({"contract_signed_on": None}, "contract"),
        ({"dpa_signed_on": None}, "dpa"), ({"authority_letter_on": None}, "authority"),
        ({"allowed_countries": []}, "countries"), ({"allowed_bases": []}, "bases"),
        ({"contracted_volume": None}, "volume"),
    ],
)  # fmt: skip
def test_a_red_row_keeps_a_campaign_from_starting(changes, row):
    tenant = factories.tenant()
    campaign = draft(tenant)
    records.write(tenant, changes, actor=SYSTEM)

    with pytest.raises(NotReady) as caught:
        campaigns.start(campaign, actor=SYSTEM)

    assert [line.rule.key for line in records.lines(tenant, TODAY) if not line.is_green] == [row]
    assert str(checklist.BY_KEY[row].title) in " ".join(caught.value.missing)
    campaign.refresh_from_db()
    assert campaign.status == "draft"


def test_a_tenant_without_a_record_is_red_in_every_row_but_its_address():
    tenant = factories.tenant()
    TenantRecord.objects.filter(tenant=tenant).delete()
    ChecklistEntry.objects.filter(tenant=tenant).delete()

    red = [line.rule.key for line in records.lines(tenant, TODAY) if not line.is_green]

    assert red == [rule.key for rule in checklist.RULES if rule.key != "postal_address"]


def test_a_person_decides_with_a_reason_and_takes_it_back():
    tenant = factories.tenant()
    records.decide(tenant, "provenance", "open", actor=SYSTEM)
    assert any("origin" in sentence for sentence in records.red(tenant))

    with pytest.raises(BadInput, match="why"):
        records.decide(tenant, "provenance", "not_needed", actor=SYSTEM)
    records.decide(tenant, "provenance", "not_needed", actor=SYSTEM, note="no lists of its own", on=TODAY)

    assert records.red(tenant) == []
    assert ChecklistEntry.objects.get(tenant=tenant, key="provenance").done_on == TODAY


def test_what_follows_from_the_record_is_not_decided():
    with pytest.raises(BadInput, match="follows from the record"):
        records.decide(factories.tenant(), "contract", "done", actor=SYSTEM)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"privacy_url": "http://example.com"}, "privacy_url"), ({"privacy_url": "javascript:alert(1)"}, "privacy_url"),
        ({"country": "Ukraine"}, "country"), ({"abuse_email": "nobody"}, "abuse_email"),
        ({"allowed_bases": ["because"]}, "allowed_bases"), ({"allowed_countries": ["Ukraine"]}, "allowed_countries"),
        ({"contract_ends_on": date(2025, 1, 1)}, "contract_ends_on"), ({"contracted_volume": -1}, "contracted_volume"),
        ({"allowed_countries": "GB"}, "allowed_countries"), ({"allowed_countries": 5}, "allowed_countries"),
        ({"allowed_bases": [5]}, "allowed_bases"), ({"allowed_bases": None}, "allowed_bases"),
        ({"tenant": 7}, "tenant"), ({"slug": "x"}, "slug"), ({"dpa_signed_on": "yesterday"}, "dpa_signed_on"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_refused_by_its_field_and_nothing_is_written(values, field):
    tenant = factories.tenant()

    with pytest.raises(BadInput) as caught:
        records.write(tenant, {"legal_name": "New", **values}, actor=SYSTEM)

    assert caught.value.details["field"] == field
    assert TenantRecord.objects.get(tenant=tenant).legal_name == factories.RECORD["legal_name"]


@pytest.mark.parametrize(
    ("role", "allowed"),
    [("platform_admin", True), ("ops_manager", True), ("operator", False), ("client_viewer", False)],
)
def test_managers_write_the_record_of_their_own_tenants(role, allowed):
    ours, theirs = factories.tenant(), factories.tenant()
    actor = Actor("user", role, within={ours.pk: permissions.ROLES[role]})

    with pytest.raises(NotAllowed):
        records.write(theirs, {"legal_name": "Taken over"}, actor=actor)
    if allowed:
        records.write(ours, {"legal_name": "New"}, actor=actor)
    else:
        with pytest.raises(NotAllowed):
            records.write(ours, {"legal_name": "New"}, actor=actor)

    assert TenantRecord.objects.get(tenant=theirs).legal_name == factories.RECORD["legal_name"]
    assert TenantRecord.objects.get(tenant=ours).legal_name == ("New" if allowed else factories.RECORD["legal_name"])


def test_the_command_takes_a_file_and_shows_the_list(tmp_path, capsys):
    tenant = factories.tenant()
    TenantRecord.objects.filter(tenant=tenant).delete()
    ChecklistEntry.objects.filter(tenant=tenant).delete()
    from outreach.demo.fleet import COMPANIES

    call_command("tenant_record", tenant.slug, str(COMPANIES[0].record), "--dry-run", "--json")
    assert json.loads(capsys.readouterr().out)["ready"]
    call_command("tenant_record", tenant.slug, "--json")
    assert not json.loads(capsys.readouterr().out)["ready"]
    call_command("tenant_record", tenant.slug, str(COMPANIES[0].record), "--json")
    assert json.loads(capsys.readouterr().out) == {"tenant": tenant.slug, "ready": True, "red": [], "dry_run": False}


@pytest.mark.parametrize(
    "text",
    [
        "- a\n",
        "legal_name: [\n",
        "nonsense: 1\n",
        "checklist: 3\n",
        "checklist: {contract: done}\n",
        "7: x\n",
        "",
        'legal_name: "a\\0b"\n',
        'legal_name: "a\\uD800b"\n',
        "dpa_signed_on: 2026-13-45\n",
        "[" * 5000,
    ],
)
def test_a_file_that_is_none_is_refused_and_changes_nothing(tmp_path, text):
    tenant = factories.tenant()
    file = tmp_path / "record.yaml"
    file.write_text(text)

    with pytest.raises(CommandError) as caught:
        call_command("tenant_record", tenant.slug, str(file))

    assert caught.value.returncode == 2
    assert records.red(tenant) == []


def test_the_pages_show_change_and_decide(world, as_chief):
    page = reverse("admin:tenants_tenant_change", args=[world.tenant.pk])
    assert "All green" in as_chief.get(page).content.decode()
    form = {name: value for name, value in factories.RECORD.items() if not isinstance(value, list)}
    lists = {"allowed_countries": "UA,US", "allowed_bases": "consent"}
    url = reverse("admin:tenants_tenant_record", args=[world.tenant.pk])

    assert as_chief.get(url).status_code == 200
    as_chief.post(url, form | lists | {"dpa_signed_on": ""})
    assert "1 row is red" in as_chief.get(page).content.decode()
    assert "https" in as_chief.post(url, form | lists | {"privacy_url": "http://x.example"}).content.decode()
    decide = reverse("admin:tenants_tenant_checklist", args=[world.tenant.pk, "provenance"])
    as_chief.post(decide, {"state": "open"})
    assert "2 rows are red" in as_chief.get(page).content.decode()
    assign = reverse("admin:tenants_tenant_checklist", args=[world.tenant.pk, "dpa"])
    as_chief.post(assign, {"due_on": "2026-12-01"})
    assert ChecklistEntry.objects.get(tenant=world.tenant, key="dpa").owner.email == "chief@example.com"
    assert as_chief.get(reverse("admin:tenants_tenant_checklist", args=[world.tenant.pk, "nothing"])).status_code == 404


def test_a_strangers_record_is_not_there(world):
    elsewhere = factories.tenant()
    stranger = client_of(person("stranger@example.net", "ops_manager", elsewhere))

    for name, args in (("record", [world.tenant.pk]), ("checklist", [world.tenant.pk, "provenance"])):
        url = reverse(f"admin:tenants_tenant_{name}", args=args)
        assert stranger.get(url).status_code == 404
        assert stranger.post(url, {"state": "open", "legal_name": "Raid"}).status_code == 404
    assert TenantRecord.objects.get(tenant=world.tenant).legal_name == factories.RECORD["legal_name"]


def test_an_operator_sees_the_checklist_and_changes_nothing(world):
    operator = client_of(person("operator@example.net", "operator", world.tenant))

    assert "Checklist" in operator.get(reverse("admin:tenants_tenant_change", args=[world.tenant.pk])).content.decode()
    assert operator.post(reverse("admin:tenants_tenant_record", args=[world.tenant.pk]), {}).status_code == 403
