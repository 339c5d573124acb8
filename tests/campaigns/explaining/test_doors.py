"""The command, the pages and the API say the same, and to each what is theirs to know."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from campaigns.models import Campaign, Stop
from campaigns.pipeline import explain, explain_today
from mailboxes.models import Mailbox
from tests import factories
from tests.api.conftest import Api, is_problem, key_of
from tests.campaigns.explaining.situations import Scene, leads
from tests.console.conftest import as_chief, chief, client_of, person  # noqa: F401
from tests.console.test_pages import inline_scripts

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(running_servers) -> Scene:
    """At this very moment, since doors go by the database's clock."""
    now = explain_today.clock()
    found = Scene(20, 2, now=now, fleet={"daily_cap": 4})
    found.campaign.refresh_from_db()
    return found


def said(capsys, *arguments: str) -> str:
    call_command("explain", *arguments)
    return capsys.readouterr().out


def test_the_command_says_why(scene, capsys):
    text = said(capsys, "campaign", scene.campaign.name, "--tenant", scene.tenant.slug)

    assert text.startswith("0 of 20 sent today. 20 wait: 12 for the mailboxes' daily cap (0 of 8) until tomorrow 00:00")
    assert "       12  cap: the mailboxes' daily cap [holds 12; 0 of 8 used; next tomorrow 00:00]" in text
    found = json.loads(said(capsys, "campaign", str(scene.campaign.pk), "--json"))
    assert (found["subject"], found["waiting"], found["ready"]) == ("campaign", 20, 8)
    assert [(cause["name"], cause["decides"]) for cause in found["causes"]] == [("mailbox_day", 12)]
    assert "Mailboxes:" in said(capsys, "tenant", scene.tenant.slug)
    assert "Cap of the day: 4: its own daily cap" in said(capsys, "mailbox", scene.boxes[0].address.upper())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("mailbox", "nobody@example.org"), "There is no mailbox"), (("campaign", "Nothing"), "There is no campaign"),
        (("tenant", "nobody"), "nobody"), (("mailbox", "a\x00b"), "There is no mailbox"),
    ],
)  # fmt: skip
def test_the_command_names_what_is_not_there(arguments, says, scene):
    with pytest.raises(CommandError, match=says):
        call_command("explain", *arguments)


def test_two_campaigns_of_one_name_need_the_tenant(scene):
    other = Scene(1, 1)
    Campaign.objects.filter(pk=other.campaign.pk).update(name=scene.campaign.name)

    with pytest.raises(CommandError, match="--tenant"):
        call_command("explain", "campaign", scene.campaign.name)


@pytest.mark.parametrize("subject", ["campaign", "mailbox", "tenant"])
def test_every_number_of_a_page_opens_rows(subject, scene, as_chief):  # noqa: F811
    row = {"campaign": scene.campaign, "mailbox": scene.boxes[0], "tenant": scene.tenant}[subject]
    Mailbox.objects.filter(pk=scene.boxes[1].pk).update(state="quarantined")
    Stop.objects.create(tenant=scene.tenant, scope="pool", key=scene.boxes[0].pool_id, label="pool", reason="<b>x</b>")

    answer = as_chief.get(reverse(f"admin:explain_{subject}", args=[row.pk]))

    text = answer.content.decode()
    assert answer.status_code == 200
    assert inline_scripts(text) == []
    assert "<b>x</b>" not in text
    assert "a stop of the pool" in text
    links = set(re.findall(r'<dd>\s*<a href="([^"]+)"|<td>\s*(?:<i[^>]*></i>\s*)?<a href="([^"]+)"', text))
    assert len(links) > 6
    for link in links:
        target = "".join(link).replace("&amp;", "&")
        assert as_chief.get(target).status_code == 200, target


@pytest.mark.parametrize(
    ("subject", "page"),
    [("campaign", "campaigns_campaign"), ("mailbox", "mailboxes_mailbox"), ("tenant", "tenants_tenant")],
)
def test_the_page_of_a_row_leads_there(subject, page, scene, as_chief):  # noqa: F811
    row = {"campaign": scene.campaign, "mailbox": scene.boxes[0], "tenant": scene.tenant}[subject]
    text = as_chief.get(reverse(f"admin:{page}_change", args=[row.pk])).content.decode()
    assert reverse(f"admin:explain_{subject}", args=[row.pk]) in text


def test_a_clients_person_sees_the_fleet_as_one_cause_without_names(scene):
    Mailbox.objects.update(state="quarantined", state_reason="spam trap hit")
    viewer = client_of(person("viewer@client.example", "client_viewer", scene.tenant))

    answer = viewer.get(reverse("admin:explain_campaign", args=[scene.campaign.pk]))

    text = answer.content.decode()
    assert "20 for room in the sending mailboxes" in text
    assert "quarantine" not in text
    assert scene.boxes[0].address not in text
    for subject, row in (("mailbox", scene.boxes[0]), ("tenant", scene.tenant)):
        assert viewer.get(reverse(f"admin:explain_{subject}", args=[row.pk])).status_code in (403, 404)


def test_a_stranger_finds_no_page(scene):
    stranger = client_of(person("other@client.example", "analyst", factories.tenant()))
    for subject, row in (("campaign", scene.campaign), ("mailbox", scene.boxes[0]), ("tenant", scene.tenant)):
        assert stranger.get(reverse(f"admin:explain_{subject}", args=[row.pk])).status_code == 404


def test_a_key_asks_for_its_own(scene):
    leads(scene.now + timedelta(minutes=1))
    api = Api(key_of(scene.tenant))

    found = api.get(f"campaigns/{scene.campaign.pk}/explain/").json()
    assert (found["waiting"], found["ready"], found["today"]["sent"]) == (20, 8, 0)
    assert [(cause["kind"], cause["name"]) for cause in found["causes"]] == [("cap", "mailbox_day")]
    assert api.get(f"mailboxes/{scene.boxes[0].pk}/explain/").json()["facts"]["cap"] == "4: its own daily cap"

    narrow = Api(key_of(scene.tenant, "campaigns.view"))
    assert [cause["name"] for cause in narrow.get(f"campaigns/{scene.campaign.pk}/explain/").json()["causes"]] == [
        "fleet"
    ]
    is_problem(narrow.get(f"mailboxes/{scene.boxes[0].pk}/explain/"), 403, "not_allowed")
    is_problem(Api(key_of(factories.tenant())).get(f"campaigns/{scene.campaign.pk}/explain/"), 404, "missing")


def test_who_is_told_of_the_fleet_as_a_whole_still_gets_every_message_counted():
    scene = Scene(20, 2, fleet={"daily_cap": 4})
    Mailbox.objects.filter(pk=scene.boxes[0].pk).update(hold="locked")

    found = explain.for_client(scene.explained())

    assert [(cause.name, cause.decides) for cause in found.causes] == [("fleet", 16)]
    assert found.ready == 4
