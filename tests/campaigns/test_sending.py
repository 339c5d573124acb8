"""One campaign from plan to sink, in this process, over real SMTP."""

from __future__ import annotations

import threading
from collections import Counter

import psycopg
import pytest

from campaigns.models import Attempt, Batch, Campaign, Enrolment, Message, Suppression
from campaigns.pipeline import batcher, planner, reaper, sender
from campaigns.services import campaigns, suppression
from mailboxes.models import Mailbox
from outreach import cron
from outreach.demo.sink import Book
from outreach.demo.sink_process import SinkProcess
from tenants.services.actors import RECIPIENT, SYSTEM
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
            sender.send_batches(campaign.tenant_id, [pk])
        reaper.complete(campaign.tenant)
        campaign.refresh_from_db()
        if campaign.status == Campaign.Status.COMPLETED:
            return
    raise AssertionError(f"not done after {rounds} rounds: {campaigns.status(campaign)}")


@pytest.fixture(autouse=True)
def _development(settings):
    settings.SMTP_ALLOW_LOOPBACK = True
    settings.RETRY_SCHEDULE = [0]
    settings.CIRCUIT_FIRST_SECONDS = 0


def test_everybody_gets_exactly_one_copy(sink):
    campaign = launch(sink)

    work_off(campaign)

    book = Book.read(sink.path)
    assert Counter(entry.recipient for entry in book.accepted).most_common(1)[0][1] == 1
    assert len(book.accepted) == 100
    assert Message.objects.filter(status="sent").count() == 100
    assert Enrolment.objects.filter(status="done").count() == 100
    assert set(Mailbox.objects.values_list("held_by", flat=True)) == {None}
    ours = dict(Message.objects.values_list("message_id", "content_hash"))
    assert {entry.message_id: entry.sha256 for entry in book.accepted} == {
        f"<{key}>": bytes(value).hex() for key, value in ours.items()
    }


def test_sending_leaves_no_event_in_the_history_but_the_campaigns_end(sink):
    campaign = launch(sink)
    before = Mailbox.pgh_event_model.objects.count(), Campaign.pgh_event_model.objects.count()

    work_off(campaign)

    assert (Mailbox.pgh_event_model.objects.count(), Campaign.pgh_event_model.objects.count() - 1) == before
    last = Campaign.pgh_event_model.objects.filter(id=campaign.pk).first()
    assert (last.pgh_before, last.status) == ({"status": "running", "completed_at": None}, "completed")


def test_the_world_defers_and_refuses(tmp_path):
    with SinkProcess(tmp_path / "book.jsonl", defer_share=0.3, refuse_share=0.2) as sink:
        campaign = launch(sink)
        work_off(campaign)
        book = Book.read(sink.path)

    refused = {entry.recipient for entry in book.refused}
    assert len(refused) == len(book.refused) > 5
    failed = Message.objects.filter(status="failed")
    assert set(failed.values_list("contact__email", flat=True)) == refused
    assert Suppression.objects.filter(reason="hard_bounce", scope="tenant").count() == len(refused)
    assert len(book.deferred) > 5
    assert Message.objects.filter(status="sent", tries=2).count() == len(book.deferred)
    assert Message.objects.filter(status="sent").count() == len(book.accepted) == 100 - len(refused)
    assert Attempt.objects.count() == len(book.refused) + len(book.deferred)
    assert set(Attempt.objects.values_list("phase", "code")) == {("rcpt", 450), ("rcpt", 550)}
    assert campaigns.status(campaign)["stopped"] == {"userunknown": len(refused)}


def test_a_mailbox_is_one_connection_within_a_job(sink):
    campaign = launch(sink, people=60, mailboxes=3)

    work_off(campaign)

    assert len({entry.session for entry in Book.read(sink.path).accepted}) == 3


def test_more_mailboxes_than_threads(sink, settings):
    settings.SEND_CONNECTIONS = 4

    work_off(launch(sink, people=60, mailboxes=30))

    assert len(Book.read(sink.path).accepted) == 60


def test_the_gap_holds_between_dots(sink, settings):
    settings.BATCH_AHEAD_SECONDS = 60
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, 2, host=sink.host, port=sink.port, min_gap_seconds=1)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 6)

    work_off(campaigns.start(factories.campaign(tenant, boxes[0].pool, listed), actor=SYSTEM))

    for box in boxes:
        times = [entry.at for entry in Book.read(sink.path).accepted if entry.mail_from == box.address]
        assert len(times) == 3
        # The dot leaves at least a second after the one before; the sink's stamps lag by what it does meanwhile.
        assert min(later - earlier for earlier, later in zip(times, times[1:], strict=False)) > 0.9
        assert Mailbox.objects.get(pk=box.pk).last_dot_at is not None


def test_only_the_job_and_its_writer_have_a_connection(sink, monkeypatch):
    seen = set()
    for cursor in (psycopg.Cursor, psycopg.ClientCursor):

        def watched(self, *args, execute=cursor.execute, **kwargs):
            seen.add(threading.current_thread().name)
            return execute(self, *args, **kwargs)

        monkeypatch.setattr(cursor, "execute", watched)
    work_off(launch(sink, people=20, mailboxes=5))

    assert seen == {"MainThread", "ledger-writer"}


def test_who_opts_out_while_planned_gets_nothing(sink):
    campaign = launch(sink, people=10, mailboxes=2)
    planner.run(campaign.tenant, cron.now())
    message = Message.objects.select_related("contact").first()

    assert suppression.unsubscribe(campaign.tenant_id, message.pk, actor=RECIPIENT, via="link")
    work_off(campaign)

    assert message.contact.email not in {entry.recipient for entry in Book.read(sink.path).accepted}
    assert Message.objects.get(pk=message.pk).status == "suppressed"
    entry = Suppression.objects.get()
    assert (entry.scope, entry.reason, entry.hint[:4]) == ("tenant", "opt_out", "p***")


def test_a_refused_sign_in_stops_the_mailbox_and_fails_nobody(tmp_path):
    (tmp_path / "users.json").write_text('{"somebody": "else"}')
    with SinkProcess(tmp_path / "book.jsonl", users=str(tmp_path / "users.json")) as sink:
        campaign = launch(sink, people=10, mailboxes=2)
        planner.run(campaign.tenant, cron.now())
        batcher.run(campaign.tenant_id)
        for pk in Batch.objects.values_list("pk", flat=True):
            sender.send_batches(campaign.tenant_id, [pk])

    assert set(Mailbox.objects.values_list("hold", flat=True)) == {"sign_in_failed"}
    assert not Message.objects.filter(status__in=["failed", "sent", "uncertain"]).exists()
    assert Attempt.objects.filter(phase="auth", code=535).count() == 2


def test_a_template_that_runs_into_its_limits_pauses_the_campaign(sink):
    loops = "{% for a in all %}{% for b in all %}{{ a }}{{ b }}{% endfor %}{% endfor %}"
    bomb = "{% assign all = company | split: ',' %}" + loops
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, 1, host=sink.host, port=sink.port)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 5, company=",x" * 99)  # harmless until this value meets that template
    campaign = campaigns.start(factories.campaign(tenant, boxes[0].pool, listed, text_body=bomb), actor=SYSTEM)
    planner.run(campaign.tenant, cron.now())
    batcher.run(campaign.tenant_id)

    sender.send_batches(tenant.pk, list(Batch.objects.values_list("pk", flat=True)))

    campaign.refresh_from_db()
    assert campaign.status == "paused"
    assert campaign.status_reason
    assert not Message.objects.filter(status="failed").exists()
    assert not Book.read(sink.path).accepted
