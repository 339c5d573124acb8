"""One campaign from plan to sink, in this process, over real SMTP."""

from __future__ import annotations

from collections import Counter

import pytest
from django.test import override_settings

from campaigns.models import Attempt, Batch, Campaign, Enrolment, Message, Suppression
from campaigns.pipeline import batcher, planner, reaper, sender
from campaigns.services import campaigns
from outreach import cron
from outreach.demo.sink import Book
from outreach.demo.sink_process import SinkProcess
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]


@pytest.fixture
def sink(tmp_path):
    with SinkProcess(tmp_path / "book.jsonl") as running:
        yield running


def launch(sink, people=100, mailboxes=10, **changes):
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, mailboxes, host=sink.host, port=sink.port)
    people_list = factories.contact_list(tenant)
    factories.people(tenant, people_list, people)
    campaign = factories.campaign(tenant, boxes[0].pool, people_list, **changes)
    return campaigns.start(campaign, actor=SYSTEM)


def work_off(campaign, rounds=20):
    """What cron and workers do, one after the other."""
    for _ in range(rounds):
        planner.run(campaign.tenant, cron.now())
        batcher.run(campaign.tenant_id)
        for pk in Batch.objects.filter(done_at=None).values_list("pk", flat=True):
            sender.send_batches([pk])
        reaper.complete(campaign.tenant)
        campaign.refresh_from_db()
        if campaign.status == Campaign.Status.COMPLETED:
            return
    raise AssertionError(f"not done after {rounds} rounds: {campaigns.status(campaign)}")


@override_settings(SMTP_ALLOW_LOOPBACK=True)
def test_everybody_gets_exactly_one_copy(sink):
    campaign = launch(sink)

    work_off(campaign)

    book = Book.read(sink.path)
    assert Counter(entry.recipient for entry in book.accepted).most_common(1)[0][1] == 1
    assert len(book.accepted) == 100
    assert Message.objects.filter(status="sent").count() == 100
    assert Enrolment.objects.filter(status="done").count() == 100
