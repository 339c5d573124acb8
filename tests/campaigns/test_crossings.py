"""A stop and a planner run that cross each other, and a mailbox that changed hands.

Looking at the stop alone lets mail out in both orders, since neither transaction sees the other's rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from campaigns.ledger import moves, outcomes
from campaigns.models import Batch, Enrolment, Message
from campaigns.pipeline import batcher, planner, windows
from campaigns.services import campaigns
from mailboxes.models import Mailbox
from outreach import cron
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]
POLICY = outcomes.Policy(lease_seconds=120, dot_lease_seconds=180, retry_seconds=(0,), give_up_seconds=86400)


@pytest.fixture
def campaign():
    tenant = factories.tenant()
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 20)
    started = factories.campaign(tenant, factories.fleet(tenant, 2)[0].pool, listed)
    return campaigns.start(started, actor=SYSTEM)


def beside(act: Callable[[], object]) -> threading.Thread:
    """Begin to do something on a connection of its own."""

    def run() -> None:
        try:
            act()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def stands_still(thread):
    """Wait until the thread has ended or waits for a lock."""
    for _ in range(600):
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            if cursor.fetchone()[0] or not thread.is_alive():
                return
        time.sleep(0.05)
    raise AssertionError("it neither ends nor waits")


def test_a_pause_takes_back_what_a_planner_was_about_to_write(campaign):
    with transaction.atomic():
        planner.run(campaign.tenant, cron.now())
        thread = beside(lambda: campaigns.pause(campaign, actor=SYSTEM))
        stands_still(thread)
    thread.join(60)

    campaign.refresh_from_db()
    assert campaign.status == "paused"
    assert not Message.objects.exists()
    assert Enrolment.objects.filter(due_at=None).count() == 0


def test_a_planner_gives_nothing_to_a_campaign_that_is_being_paused(campaign):
    with transaction.atomic():
        campaigns.pause(campaign, actor=SYSTEM)
        beside(lambda: planner.run(campaign.tenant, cron.now())).join(60)  # it does not wait for the pause

    assert not Message.objects.exists()


def test_who_lost_the_mailbox_passes_no_dot(campaign):
    planner.run(campaign.tenant, cron.now())
    batcher.run(campaign.tenant_id)
    token, now = uuid4(), cron.now()
    batches = list(Batch.objects.values_list("pk", flat=True))
    claimed = moves.claim(
        batches, token, lease_seconds=120, day=windows.day_of(now, ZoneInfo("UTC")), hour=windows.hour_of(now)
    )
    lost = claimed[0].mailbox_id
    Mailbox.objects.filter(pk=lost).update(held_by=uuid4())

    with transaction.atomic(), connection.cursor() as cursor:
        granted = outcomes.write(cursor, token, POLICY, wanted=[message.id for message in claimed])

    assert granted == {message.id for message in claimed if message.mailbox_id != lost}
    assert set(Message.objects.filter(mailbox=lost).values_list("status", flat=True)) == {"planned"}
