"""Doors round a launch: clones, schedules, recalls, revisions, conversations, caps, lists."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.utils.timezone import now

from campaigns.models import Campaign, Contact, ContactList
from campaigns.services import campaigns
from outreach import cron
from tenants.services.actors import SYSTEM
from tests.console.test_actions import act


def command(*arguments: Any) -> None:
    call_command(*map(str, arguments), verbosity=0)


def clones(world: Any) -> None:
    """A copy of a campaign is no way to somebody whom the first one may not reach."""
    world.suppress()
    command("campaign", "clone", world.campaign.pk, *world.where, "--name", "By command")
    assert world.api.post(f"campaigns/{world.campaign.pk}/clone/", {"name": "By API"}).status_code == 403  # no key may
    act(world.client, world.campaign, "clone", confirmed="1", name="By hand")
    copies = Campaign.objects.filter(tenant=world.tenant, cloned_from=world.campaign)
    assert copies.count() == 2
    for copy in copies:
        copy.contact_list = world.list
        copy.save()
        campaigns.start(copy, actor=SYSTEM)


def schedules(world: Any) -> None:
    """Scheduled, unscheduled and scheduled again; the entry comes in between, and the clock starts it."""
    at = (now() + timedelta(hours=1)).isoformat()
    command("campaign", "schedule", world.campaign.pk, *world.where, "--at", at)
    command("campaign", "unschedule", world.campaign.pk, *world.where)
    assert world.api.post(f"campaigns/{world.campaign.pk}/schedule/", {"at": at}).status_code == 200
    assert world.api.post(f"campaigns/{world.campaign.pk}/unschedule/").status_code == 200
    command("campaign", "schedule", world.campaign.pk, *world.where, "--at", at)
    act(world.client, world.campaign, "unschedule")
    command("campaign", "schedule", world.campaign.pk, *world.where, "--at", at)
    world.suppress()
    Campaign.objects.filter(pk=world.campaign.pk).update(scheduled_for=now() - timedelta(minutes=1))
    cron.start_scheduled()
    assert Campaign.objects.get(pk=world.campaign.pk).status == "running"


def recalls(world: Any) -> None:
    """What was planned is taken back thrice, and goes on without Ann."""
    world.planned()
    world.suppress()
    command("campaign", "recall", world.campaign.pk, *world.where)
    command("campaign", "resume", world.campaign.pk, *world.where)
    assert world.api.post(f"campaigns/{world.campaign.pk}/recall/").status_code == 200
    command("campaign", "resume", world.campaign.pk, *world.where)
    act(world.client, world.campaign, "recall")
    command("campaign", "resume", world.campaign.pk, *world.where)


def revisions(world: Any) -> None:
    """A new wording is a new version, and no new beginning for anybody."""
    world.started()
    world.suppress()
    path = world.tmp_path / "step.yaml"
    path.write_text("subject: Another question\ntext: |\n  May I ask you something else?\n")
    command("campaign", "revise", world.campaign.pk, 1, path, *world.where)
    block = {"subject": "A third one", "text": "May I?\n"}
    answer = world.api.post(f"campaigns/{world.campaign.pk}/revise/", {"position": 1, "step": block})
    assert answer.status_code == 201
    step = world.campaign.steps.order_by("-version").first()
    words = {"subject": "A fourth one", "text": "May I?", "html": "", "delay_days": "0", "delay_hours": "0"}
    act(world.client, step, "revise", confirmed="1", reason="A better question", **words)
    assert world.campaign.steps.count() == 4


def conversations(world: Any) -> None:
    """Whoever is released from a conversation is written to again, but for Ann."""
    people = list(Contact.objects.filter(tenant=world.tenant).order_by("pk"))
    client = world.client
    for n, contact in enumerate(people):
        command("conversation", "mark", contact.email, *world.where)
        command("conversation", "release", contact.email, *world.where)
        assert world.api.post(f"contacts/{contact.pk}/answered/").status_code == 200
        assert world.api.post(f"contacts/{contact.pk}/release/").status_code == 200
        act(client, contact, "mark_answered", confirmed="1", reason=f"By phone {n}")
    world.started()
    world.plan()
    world.suppress()
    for contact in people:
        act(client, contact, "release", confirmed="1", reason="Done", quiet_days="0")


def caps(world: Any) -> None:
    """A cap that is raised lets more people be written to, and no others."""
    Campaign.objects.filter(pk=world.campaign.pk).update(total_cap=0, daily_cap=0)
    world.campaign.refresh_from_db()
    world.started()
    world.suppress()
    act(world.client, world.campaign, "set_caps", confirmed="1", daily_cap="10", total_cap="10")


def lists(world: Any) -> None:
    """Into a new list by hand, with a tag."""
    world.suppress()
    client = world.client
    for contact in Contact.objects.filter(tenant=world.tenant):
        act(client, contact, "add_to_list", confirmed="1", list_name="By hand")
    listed = ContactList.objects.get(tenant=world.tenant, name="By hand")
    assert listed.entries.count() == 2
    world.campaign.contact_list = listed
    world.campaign.save()
    world.started()
