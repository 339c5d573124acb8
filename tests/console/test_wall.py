"""A person of one tenant sees, counts, finds and changes nothing of another.

Two walls stand one behind the other: the console's own scoping and the database's row security. Each is walked
alone, and each walk is shown a hole that it has to find.
"""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.db import connection
from django.urls import reverse

from campaigns.admin.contacts import ContactPages
from outreach.checks import is_of_tenants
from outreach.common import isolation
from tenants.admin.base import TenantAdmin
from tenants.services import actors, members
from tenants.services.actors import SYSTEM, Actor
from tests import factories
from tests.console.conftest import World, client_of, person
from tests.console.wall import Walk, changed, dump, named, rows_of


@pytest.fixture
def own_world(world):
    """What the stranger owns, so that "all rows" is not nothing."""
    return World(people=9, mailboxes=2)


@pytest.fixture
def strangers_client(own_world):
    """A manager of another tenant, with all rights there."""
    return client_of(person("stranger@example.net", "ops_manager", own_world.tenant))


@pytest.fixture
def open_database(monkeypatch):
    """The console's own scoping stands alone: the database shows every tenant."""
    monkeypatch.setattr(Actor, "scope", lambda self: isolation.everything())


@pytest.fixture
def open_console(monkeypatch):
    """The database's row security stands alone: no query set is narrowed."""
    monkeypatch.setattr(actors, "visible_to", lambda actor, rows, permission="": rows)
    monkeypatch.setattr(Actor, "tenants_with", lambda self, permission: None)
    for model, model_admin in admin.site._registry.items():
        if is_of_tenants(model):
            monkeypatch.setattr(model_admin, "visible_to", lambda request, rows: rows)


@pytest.mark.attack("A26", "A27", "A29")
def test_a_stranger_sees_and_changes_nothing(world, strangers_client):
    walk = Walk(strangers_client, world)

    assert walk.everything() == []
    assert walk.pages > 400


@pytest.mark.attack("A26")
def test_the_database_alone_keeps_a_stranger_out(world, strangers_client, open_console):
    assert Walk(strangers_client, world).everything() == []


@pytest.mark.attack("A26")
def test_the_console_alone_keeps_a_stranger_from_rows(world, strangers_client, open_database):
    walk = Walk(strangers_client, world)
    before = dump(world)

    walk.lists()
    walk.rows()
    walk.act()

    assert [finding for finding in walk.findings if "foreign" in finding or "POST" in finding] == []
    assert changed(before, dump(world)) == []


# --- The walk itself is proved --------------------------------------------------------------------------------


@pytest.mark.attack("A26")
def test_the_walk_finds_an_admin_that_shows_everything(world, strangers_client, open_database, monkeypatch):
    class Unscoped(TenantAdmin):
        def visible_to(self, request, queryset):
            return queryset

    monkeypatch.setattr(ContactPages, "visible_to", Unscoped.visible_to)

    walk = Walk(strangers_client, world)
    walk.lists()

    assert f"campaigns.Contact list []: shows {len(world.people)} foreign rows" in walk.findings
    assert "campaigns.Contact list ['q']: shows 1 foreign rows" in walk.findings


@pytest.mark.attack("A26")
@pytest.mark.django_db(transaction=True)
def test_the_walk_finds_a_table_without_its_policy(as_role, request):
    world = request.getfixturevalue("world")
    client = request.getfixturevalue("strangers_client")
    request.getfixturevalue("open_console")
    holes = ("campaigns_contact", "tenants_tenant")  # a list joins the tenants: one hole alone stays dark
    with as_role("owner"), connection.cursor() as cursor:
        for table in holes:
            cursor.execute(f"CREATE POLICY planted ON {table} USING (true)")
    try:
        walk = Walk(client, world)
        walk.lists()
    finally:
        with as_role("owner"), connection.cursor() as cursor:
            for table in holes:
                cursor.execute(f"DROP POLICY planted ON {table}")

    assert f"campaigns.Contact list []: shows {len(world.people)} foreign rows" in walk.findings
    assert [finding for finding in walk.findings if "Campaign " in finding and "foreign" in finding] == []


# --- The start page -------------------------------------------------------------------------------------------


@pytest.mark.attack("A26")
@pytest.mark.parametrize("scoping", ["on", "off"])
def test_the_start_page_and_charts_count_only_ones_own(world: World, scoping, request):
    stranger = client_of(person("newcomer@example.net", "ops_manager", factories.tenant()))
    if scoping == "off":
        request.getfixturevalue("open_console")
    page = stranger.get("/console/")

    assert page.context["fleet"].total == 0
    assert page.context["running"] == []
    assert page.context["runs"] == []
    assert page.context["doubtful"] == []
    assert sum(stranger.get("/console/sent.json").json()["sent"]) == 0
    assert stranger.get(reverse("admin:campaigns_campaign_chart", args=[world.campaign.pk])).status_code == 404


# --- Colleagues with fewer rights -----------------------------------------------------------------------------


@pytest.mark.attack("A29")
@pytest.mark.parametrize("role", ["analyst", "client_viewer"])
def test_who_may_only_look_changes_nothing_by_hand_made_posts(world, role):
    client = client_of(person("reader@example.net", role, world.tenant))
    walk = Walk(client, world)
    before = dump()

    walk.act()

    assert changed(before, dump()) == []
    assert [finding for finding in walk.findings if finding.endswith(": 500")] == []


@pytest.mark.attack("A29")
def test_all_rows_means_ones_own(world, own_world, strangers_client):
    url = named(type(world.campaign), "changelist")
    ids = [row.pk for row in (*rows_of(type(world.campaign), world), own_world.campaign)]

    strangers_client.post(url, {"action": "pause", "_selected_action": ids, "index": "0", "select_across": "1"})

    for campaign in (world.campaign, own_world.campaign):
        campaign.refresh_from_db()
    assert (world.campaign.status, own_world.campaign.status) == ("running", "paused")


@pytest.mark.attack("A29")
def test_a_role_in_one_tenant_brings_none_in_another(world, own_world):
    """Sees both tenants, may act in one: the permission is asked for each row."""
    both = person("both@example.net", "ops_manager", own_world.tenant)
    members.grant(both, "analyst", world.tenant.pk, actor=SYSTEM)
    before = dump(world)
    walk = Walk(client_of(both), world)

    walk.act()

    assert changed(before, dump(world)) == []
