"""Conversations, wordings and revisions through the command line."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils.timezone import now

from campaigns.models import Campaign, Contact, Step
from campaigns.services import campaigns
from tenants.models import AuditEntry
from tests import factories
from tests.campaigns.sequences.world import World, where

pytestmark = pytest.mark.django_db


def run(*args: str) -> dict:
    out = StringIO()
    call_command(*args, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.fixture
def world():
    return World()


def test_somebody_is_marked_listed_and_released(world):
    person = world.person()
    waiting = world.enrolled(world.campaign(), person, step=2, due_in=timedelta(hours=-1))
    of_tenant = ("--tenant", world.tenant.slug)

    marked = run("conversation", "mark", person.email.upper(), *of_tenant)
    assert (marked["contact"], marked["via"]) == (person.pk, "marked")
    assert [row["contact"] for row in run("conversation", "list", *of_tenant)["conversations"]] == [person.pk]
    assert where(waiting)[2] == "conversation"
    released = run("conversation", "release", person.email, *of_tenant, "--reason", "bought", "--quiet-days", "3")
    assert (released["since"], released["quiet_until"] is not None) == (None, True)
    run("conversation", "release", person.email, *of_tenant)
    assert run("conversation", "list", *of_tenant) == {"conversations": []}

    assert where(waiting) == ("active", "", "")


def test_a_dry_run_changes_nothing(world):
    person = world.person()

    run("conversation", "mark", person.email, "--tenant", world.tenant.slug, "--dry-run")

    person.refresh_from_db()
    assert person.conversation_since is None
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("email", ["nobody@example.net", "no address", "person0@other.example"])
def test_only_a_contact_of_the_tenant_is_marked(world, email):
    stranger = factories.people(factories.tenant(), None, 1, domain="other.example")[0]

    with pytest.raises(CommandError):
        run("conversation", "mark", email, "--tenant", world.tenant.slug)

    stranger.refresh_from_db()
    assert stranger.conversation_since is None


def test_who_is_in_no_conversation_is_not_released(world):
    person = world.person()

    with pytest.raises(CommandError, match="Nobody talks"):
        call_command("conversation", "release", person.email, "--tenant", world.tenant.slug)

    assert Contact.objects.get(pk=person.pk).conversation_ended_at is None


def test_a_step_is_revised_from_a_file(world, tmp_path):
    campaign = world.campaign(started_at=now())
    file = tmp_path / "step.yaml"
    file.write_text("subject: Another question\ntext: Hello again\ndelay_days: 4\n")
    args = ("campaign", "revise", campaign.name, "2", str(file), "--tenant", world.tenant.slug)

    assert run(*args, "--dry-run")["version"] == 2
    assert Step.objects.filter(version=2).count() == 0
    told = run(*args, "--reason", "a typo")

    step = Step.objects.get(version=2)
    assert told == {"campaign": campaign.pk, "step": step.pk, "position": 2, "version": 2}
    assert (step.subject, step.text_body, step.delay_days) == ("Another question", "Hello again", 4)


def test_a_campaign_of_a_file_has_its_sequence(world, tmp_path):
    file = tmp_path / "campaign.yaml"
    file.write_text("""
name: Autumn
doubt: go_on
stop_on_colleague: true
steps:
  - subject: First
    text: Hello
  - delay_days: 3
    delay_hours: 2
    variants:
      - {label: short, subject: "Re: First", text: Hi}
      - {label: long, subject: "Re: First", text: Hello again}
""")

    run("campaign", "create", str(file), "--tenant", world.tenant.slug)

    campaign = Campaign.objects.get(name="Autumn")
    assert (campaign.doubt, campaign.stop_on_colleague) == ("go_on", True)
    first, second = campaign.steps.all()
    assert (first.delay_days, second.delay_days, second.delay_hours, second.text_body) == (0, 3, 2, "Hi")
    assert list(second.variants.values_list("label", "text_body")) == [("long", "Hello again"), ("short", "Hi")]
    assert "pool" in " ".join(campaigns.preflight(campaign))
