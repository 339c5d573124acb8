"""The ledger writer beside threads that are busy, late, or given up."""

from __future__ import annotations

import threading
import time
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from campaigns.ledger import moves, outcomes
from campaigns.ledger.outcome import Outcome
from campaigns.models import Attempt, Batch, Message
from campaigns.pipeline import batcher, planner, windows
from campaigns.pipeline.delivery import Letter
from campaigns.pipeline.writer import LedgerWriter
from campaigns.services import campaigns
from outreach import cron
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]


@pytest.fixture
def held():
    """`held(lease_seconds)`: a running writer with three claimed messages, and their letters."""
    writers = []

    def hold(lease_seconds):
        tenant = factories.tenant()
        listed = factories.contact_list(tenant)
        factories.people(tenant, listed, 3)
        campaigns.start(factories.campaign(tenant, factories.mailbox(tenant).pool, listed), actor=SYSTEM)
        planner.run(tenant, cron.now())
        batcher.run(tenant.pk)
        token, now = uuid4(), cron.now()
        rows = moves.claim(
            list(Batch.objects.values_list("pk", flat=True)), token,
            lease_seconds=lease_seconds, day=windows.day_of(now, ZoneInfo("UTC")), hour=windows.hour_of(now),
        )  # fmt: skip
        policy = outcomes.Policy(lease_seconds, 60, retry_seconds=(60,), give_up_seconds=86400)
        writer = LedgerWriter(tenant.pk, token, policy, frozenset())
        writer.hold([row.id for row in rows])
        writer.start()
        writers.append(writer)
        return writer, [Letter(row.id, row.mailbox_id, row.email, 0, 1e12, 0, lambda: (b"", b"")) for row in rows]

    yield hold
    for writer in writers:
        writer.finish(60)


def states(letters):
    found = dict(Message.objects.values_list("pk", "status"))
    return [found[letter.id] for letter in letters]


def test_a_writer_that_always_has_something_to_write_still_renews_its_leases(held):
    writer, letters = held(1)
    before = Message.objects.get(pk=letters[0].id).lease_until
    stop = time.monotonic() + 3

    while time.monotonic() < stop:
        if len(writer._said) < 10_000:  # always more than one group
            writer.settle(Outcome(0, 0, "sent"))
        else:
            time.sleep(0.001)

    assert Message.objects.get(pk=letters[0].id).lease_until > before


def test_mail_that_is_granted_after_its_thread_gave_up_is_tried_again(held):
    """The database was away so long; the row says committing, and it is known that no dot left."""
    writer, letters = held(1)
    answers = []

    with transaction.atomic():
        Message.objects.select_for_update().get(pk=letters[0].id)
        thread = threading.Thread(target=lambda: answers.append(writer.committing(letters[0])))
        thread.start()
        thread.join(60)
        assert answers == [False]

    assert writer.finish(60)
    assert states(letters)[0] == "deferred"
    assert list(Attempt.objects.values_list("message_ref", "result")) == [(letters[0].id, "deferred")]


def test_what_is_abandoned_is_uncertain_past_the_dot_and_free_before_it(held):
    writer, letters = held(60)
    assert writer.committing(letters[0])

    assert writer.finish(60, abandon=True)

    assert states(letters) == ["uncertain", "planned", "planned"]
    assert Message.objects.get(pk=letters[0].id).reason == "stopped_waiting"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM campaigns_message WHERE claim IS NOT NULL")
        assert cursor.fetchone() == (0,)
