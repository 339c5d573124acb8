"""What a stranger found in reading, so that it stays mended."""

from __future__ import annotations

import json

import pytest
from django.core.management import call_command
from django.urls import reverse

from campaigns.services import suppression
from outreach.common import isolation
from outreach.common.errors import NotAllowed
from tenants.models import ApiKey, Membership, Tenant
from tenants.services import actors, api_keys, members
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.campaigns.contact_files import COLUMNS
from tests.console.conftest import client_of, person

pytestmark = pytest.mark.django_db


def test_a_narrowed_list_names_nobody_whom_one_may_not_see(world):
    chief = person("the-boss@example.com", "platform_admin")
    manager = client_of(person("manager@example.net", "ops_manager", world.tenant))

    page = manager.get(reverse("admin:tenants_membership_changelist"), {"user__id__exact": chief.pk})

    assert page.status_code == 200
    assert "the-boss" not in page.content.decode()


def test_behind_a_broken_glass_nothing_is_made_that_outlives_it(world):
    root, friend = person("root@example.com", is_superuser=True), factories.user()
    members.break_glass(world.tenant.slug, actor=actors.of_user(root), reason="night shift")
    actor = actors.of_user(root)

    assert actor.can("campaigns.pause", world.tenant.pk)
    with pytest.raises(NotAllowed):
        api_keys.issue(world.tenant, "Way back", ["campaigns.view"], actor=actor)
    assert not ApiKey.objects.filter(name="Way back").exists()
    assert "tenants.manage_members" not in actor.within[world.tenant.pk]
    assert not Membership.objects.filter(user=friend).exists()


@pytest.mark.parametrize("holds", [None, "elsewhere", "there", "everywhere"])
def test_a_role_is_added_only_to_who_holds_one_there(holds):
    tenant, other = factories.tenant(), factories.tenant()
    user = factories.user()
    places = {"elsewhere": other.pk, "there": tenant.pk, "everywhere": None}
    if holds:
        members.grant(user, "analyst", places[holds], actor=SYSTEM)

    if holds in ("there", "everywhere"):
        members.add(user, "operator", tenant.pk, actor=SYSTEM)
    else:
        with pytest.raises(NotAllowed, match="send an invitation"):
            members.add(user, "operator", tenant.pk, actor=SYSTEM)

    assert Membership.objects.filter(user=user, role="operator").exists() is (holds in ("there", "everywhere"))


def test_an_import_counts_what_the_platform_suppresses(tmp_path, capsys):
    tenant = factories.tenant()
    suppression.suppress(None, ["*.bad.example"], actor=SYSTEM, reason="manual", via="test")
    file = tmp_path / "people.csv"
    cells = {"email": "x@eu.bad.example", "person_kind": "corporate_named", "source": "fair", "lawful_basis": "consent"}
    columns = COLUMNS.split(",")
    row = ",".join((cells | {"basis_date": "2026-01-02"}).get(name, "") for name in columns)
    file.write_text(f"{COLUMNS}\n{row}\n")

    with isolation.nothing():
        call_command("import_contacts", str(file), "--tenant", tenant.slug, "--list", "All", "--json")

    report = json.loads(capsys.readouterr().out)
    assert (report["created"], report["suppressed"]) == (1, 1)


def test_a_superuser_who_makes_a_tenant_out_of_sight_is_told_so():
    client = client_of(person("root@example.com", is_superuser=True))
    form = {"slug": "acme", "name": "Acme", "time_zone": "UTC", "postal_address": "1 Road"}

    answer = client.post(reverse("admin:tenants_tenant_add"), form, follow=True)

    assert answer.redirect_chain == [("/console/", 302)]
    assert answer.status_code == 200
    with isolation.everything():
        assert Tenant.objects.filter(slug="acme").exists()


def test_a_right_in_one_tenant_is_none_over_what_belongs_to_none():
    tenant = factories.tenant()
    suppression.suppress(None, ["bad.example"], actor=SYSTEM, reason="manual", via="test")
    entry = suppression.Suppression.objects.get(tenant=None)
    operator = Actor("user", "operator", within={tenant.pk: frozenset({"campaigns.suppress"})})

    operator.require("campaigns.suppress", tenant)
    with pytest.raises(NotAllowed):
        operator.require("campaigns.suppress", entry)
    SYSTEM.require("campaigns.suppress", entry)
