"""A person of one tenant sees, counts, finds and changes nothing of another."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import reverse

from tenants import permissions
from tenants.services import actors
from tenants.services.actors import Actor
from tests import factories
from tests.console.conftest import World, client_of, person

OURS = {"tenants", "mailboxes", "campaigns"}
PLATFORM = {"tenants.User", "tenants.Lease"}
MODELS = sorted(
    (m for m in admin.site._registry if m._meta.app_label in OURS and m._meta.label not in PLATFORM),
    key=lambda model: model._meta.label,
)


@pytest.fixture
def strangers_client(world, monkeypatch):
    """A manager of another tenant, with all rights there."""
    stranger = person("stranger@example.net")
    elsewhere = factories.tenant()
    rights = Actor("user", "stranger", within={elsewhere.pk: permissions.ROLES["ops_manager"]}, user_id=stranger.pk)
    monkeypatch.setattr(actors, "of_user", lambda user: rights)
    return client_of(stranger)


@pytest.mark.attack("A26")
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
def test_a_strangers_rows_never_show(model, world, strangers_client):
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
    mine = (
        model._base_manager.filter(tenant=world.tenant)
        if hasattr(model, "tenant")
        else model.objects.filter(pk=world.tenant.pk)
    )
    row = mine.order_by("pk").first()

    shown = strangers_client.get(reverse(f"{name}_changelist")).context["cl"].result_list

    assert row.pk not in {other.pk for other in shown}
    assert strangers_client.get(reverse(f"{name}_change", args=[row.pk])).status_code == 404
    found = strangers_client.get(reverse(f"{name}_changelist"), {"q": str(row.pk)})
    assert row.pk not in {other.pk for other in found.context["cl"].result_list}


@pytest.mark.attack("A26")
def test_the_start_page_and_charts_count_only_ones_own(world: World, strangers_client):
    page = strangers_client.get("/console/")

    assert page.context["fleet"].total == 0
    assert page.context["running"] == []
    assert page.context["runs"] == []
    assert page.context["doubtful"] == []
    assert sum(strangers_client.get("/console/sent.json").json()["sent"]) == 0
    assert strangers_client.get(reverse("admin:campaigns_campaign_chart", args=[world.campaign.pk])).status_code == 404


@pytest.mark.attack("A29")
def test_actions_reach_only_ones_own_rows(world, strangers_client):
    url = reverse("admin:campaigns_campaign_changelist")

    for across in ("0", "1"):
        strangers_client.post(
            url, {"action": "pause", "_selected_action": world.campaign.pk, "index": "0", "select_across": across}
        )

    world.campaign.refresh_from_db()
    assert world.campaign.status == "running"
