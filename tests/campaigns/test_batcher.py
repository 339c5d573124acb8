"""Batches: never larger than the campaign says, mailboxes together, tenants in turn."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campaigns.models import Batch, Message
from campaigns.pipeline import batcher, planner
from campaigns.pipeline.batcher import Due
from campaigns.services import campaigns
from outreach import cron
from tenants.services.actors import SYSTEM
from tests import factories


@given(
    rows=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 6)), max_size=120),
    size=st.integers(5, 20),
)
def test_pieces_hold_every_row_once_and_keep_mailboxes_together(rows, size):
    due = [Due(n, campaign, mailbox) for n, (campaign, mailbox) in enumerate(rows)]

    pieces = list(batcher.cut(due, dict.fromkeys((1, 2, 3), size)))

    assert sorted(row.id for piece in pieces for row in piece) == list(range(len(rows)))
    assert all(len(piece) <= size and len({row.campaign_id for row in piece}) == 1 for piece in pieces)
    counts = Counter((row.campaign_id, row.mailbox_id) for row in due)
    spread = Counter(key for piece in pieces for key in {(row.campaign_id, row.mailbox_id) for row in piece})
    assert all(spread[key] == -(-count // size) or count > size for key, count in counts.items())


def test_jobs_hold_a_thousand_messages(settings):
    settings.JOB_MESSAGES = 1000

    assert list(batcher.jobs([(pk, 200) for pk in range(7)])) == [[0, 1, 2, 3, 4], [5, 6]]
    assert list(batcher.jobs([])) == []


@pytest.mark.django_db
@pytest.mark.as_worker
def test_a_large_campaign_does_not_fill_the_queue(settings):
    settings.JOB_MESSAGES = 50
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, 10)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 300)
    campaigns.start(factories.campaign(tenant, boxes[0].pool, listed, batch_size=50), actor=SYSTEM)
    planner.run(tenant, cron.now())

    assert [batcher.run(tenant.pk), batcher.run(tenant.pk)] == [200, 0]

    Message.objects.filter(batch=Batch.objects.last()).update(status="sent", sent_at=cron.now())
    assert batcher.run(tenant.pk) > 0
