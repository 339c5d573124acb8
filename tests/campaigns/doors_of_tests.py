"""The doors of test mail, with attempts to bring some to a tester who is suppressed."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from campaigns import tasks
from campaigns.models import SeedAddress, TestSend
from campaigns.services import testing
from outreach import cron
from tenants.services.actors import SYSTEM
from tests.console.test_actions import act


def seed_of(world) -> SeedAddress:
    """Ann is a tester as well, by an address that was verified."""
    return SeedAddress.objects.create(
        tenant=world.tenant, address=world.ann, address_key=world.ann, verified_at="2026-01-01T00:00Z"
    )


def command_test(world):
    """As a tester: to somebody whom an entry covers nothing is even queued."""
    seed_of(world)
    world.suppress()
    with pytest.raises(CommandError, match="suppressed"):
        call_command("campaign", "test", str(world.campaign.pk), "--to", world.ann, *world.where)
    assert TestSend.objects.filter(tenant=world.tenant).count() == 0
    world.started()


def a_test_that_waits(world):
    """Queued before the entry came, and nobody was told."""
    seed_of(world)
    made = testing.send(world.campaign, world.ann, actor=SYSTEM)
    world.suppress()
    cron.test_sends()
    assert tasks.send_test(world.tenant.pk, made.pk) == "failed"
    world.started()


def api_test(world):
    seed_of(world)
    world.suppress()
    answer = world.api.post(f"campaigns/{world.campaign.pk}/test/", {"to": world.ann})
    assert (answer.status_code, answer.json()["code"]) == (409, "held")
    world.started()


def console_test(world):
    seed_of(world)
    world.suppress()
    page = reverse("admin:campaigns_campaign_test", args=[world.campaign.pk])
    answer = world.client.post(page, {"to": world.ann, "step": "1", "contact": "", "mailbox": ""})
    assert "suppressed" in answer.content.decode()
    assert TestSend.objects.filter(tenant=world.tenant).count() == 0
    world.started()


def console_seeds(world):
    """No code for her either: not by adding her, and not by asking again."""
    world.suppress()
    client = world.client
    values = {"tenant": world.tenant.pk, "address": world.ann, "note": ""}
    answer = client.post(reverse("admin:campaigns_seedaddress_add"), values)
    assert "suppressed" in answer.content.decode()
    row = seed_of(world)
    SeedAddress.objects.filter(pk=row.pk).update(verified_at=None)
    act(client, row, "ask_again")
    act(client, row, "confirm", confirmed="1", code="000000")
    assert TestSend.objects.filter(tenant=world.tenant).count() == 0
    world.started()
