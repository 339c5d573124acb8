"""A daily cap is changed while workers send: the day stays within it, each person gets one mail, nobody is lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from campaigns.models import Batch, Enrolment, Message
from campaigns.pipeline import batcher, planner, sender
from campaigns.services import campaigns
from mailboxes.models import Allowance, Mailbox
from mailboxes.services import mailboxes
from outreach import cron
from tenants.models import Tenant
from tenants.services import tenants
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_planner import NOON, plan, running
from tests.campaigns.test_tenant_cap import waiting
from tests.faults.sink import FaultSink, Rule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker, pytest.mark.attack("A41")]
PEOPLE, BOXES = 120, 4
BEYOND_DOT = ("committing", "sent", "uncertain", "failed")  # taken back by no stop


@pytest.fixture
def sink(tmp_path, settings):
    """Every answer to a dot takes a moment, so that a change comes in the middle."""
    settings.SMTP_ALLOW_LOOPBACK = True
    with FaultSink(tmp_path / "book.jsonl") as running:
        running.rules(Rule("dot", delay_seconds=0.02))
        yield running


@pytest.fixture
def started(sink):
    """A running campaign whose tenant's day has about noon, so that no test meets its end."""
    hours = datetime.now(UTC).hour - 12
    tenant = factories.tenant(time_zone=f"Etc/GMT{hours:+d}")
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, PEOPLE)
    boxes = factories.fleet(tenant, BOXES, host=sink.host, port=sink.port)
    return campaigns.start(factories.campaign(tenant, boxes[0].pool, listed), actor=SYSTEM)


class Workers:
    """Two of them, which work off whatever batches there are until the block ends."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant, self.over, self.broken = tenant, threading.Event(), []
        self.threads = [threading.Thread(target=self.work) for _ in range(2)]

    def work(self) -> None:
        try:
            while not self.over.is_set():
                open_ = list(Batch.objects.filter(tenant=self.tenant, done_at=None).values_list("pk", flat=True))
                if all(sender.send_batches(self.tenant.pk, [pk]) == "nothing" for pk in open_):
                    time.sleep(0.01)
        except BaseException as error:  # noqa: BLE001 - the test fails by it
            self.broken.append(error)
        finally:
            connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *raised):
        self.over.set()
        for thread in self.threads:
            thread.join(60)
        assert self.broken == []


def until(true, seconds=60):
    """Wait for something that comes about by itself."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def planned_and_rung(campaign):
    """What cron does; how many messages the run planned."""
    run = planner.run(campaign.tenant, cron.now())
    batcher.run(campaign.tenant_id)
    return run.planned if run else 0


def batched(campaign):
    """What cron does each second: what a worker gave back, as for a busy mailbox, is handed out again. Always true."""
    return batcher.run(campaign.tenant_id) >= 0


def went_out(**which):
    return Message.objects.filter(status__in=BEYOND_DOT, **which).count()


def quiet():
    return not Message.objects.filter(status__in=("planned", "claimed", "committing")).exists()


def sent_off(campaign):
    """Plan and send until a run finds nothing to plan; how many messages that planned."""
    total = 0
    while True:
        planned = planned_and_rung(campaign)
        until(lambda: batched(campaign) and quiet())
        total += planned
        if not planned:
            return total


def assert_one_copy_each(sink, people):
    accepted = sink.read_book().accepted
    assert set(Counter(entry.message_id for entry in accepted).values()) == {1}
    assert set(Counter(entry.recipient for entry in accepted).values()) == {1}
    assert len(accepted) == people


@pytest.mark.parametrize("cap", [3, 60])  # below and above what is out when it is lowered
def test_a_tenants_cap_is_lowered_while_two_workers_send(started, sink, cap):
    with Workers(started.tenant):
        assert planned_and_rung(started) == PEOPLE
        until(lambda: batched(started) and len(sink.read_book().accepted) >= 8)

        tenants.set_daily_cap(started.tenant, cap, actor=SYSTEM)
        out = went_out()
        allowed = max(cap, out)

        assert sent_off(started) == allowed - out
        assert went_out() == allowed
        assert_one_copy_each(sink, allowed)
        day = Allowance.objects.get(scope="tenant_day")
        assert day.reserved == allowed
        assert planned_and_rung(started) == 0

        tenants.set_daily_cap(started.tenant, None, actor=SYSTEM)
        assert sent_off(started) == PEOPLE - allowed

    assert_one_copy_each(sink, PEOPLE)
    assert Message.objects.filter(status="sent").count() == PEOPLE
    assert Enrolment.objects.filter(status="done").count() == PEOPLE


def test_a_tenants_cap_is_raised_while_two_workers_send(started, sink):
    tenants.set_daily_cap(started.tenant, 20, actor=SYSTEM)
    with Workers(started.tenant):
        assert planned_and_rung(started) == 20
        until(lambda: batched(started) and len(sink.read_book().accepted) >= 5)

        tenants.set_daily_cap(started.tenant, 35, actor=SYSTEM)

        assert sent_off(started) == 15
        assert went_out() == 35
        assert_one_copy_each(sink, 35)


@pytest.mark.parametrize("cap", [1, 15])
def test_a_mailboxs_cap_is_lowered_while_two_workers_send(started, sink, cap):
    box = Mailbox.objects.order_by("pk").first()
    with Workers(started.tenant):
        assert planned_and_rung(started) == PEOPLE
        until(
            lambda: batched(started) and sum(entry.mail_from == box.address for entry in sink.read_book().accepted) >= 3
        )

        mailboxes.set_cap(box, cap, actor=SYSTEM)
        allowed = max(cap, went_out(mailbox=box))

        sent_off(started)

    assert went_out(mailbox=box) == sum(entry.mail_from == box.address for entry in sink.read_book().accepted)
    assert went_out(mailbox=box) <= allowed
    assert Allowance.objects.get(scope="mailbox_day", key=box.pk).reserved == went_out(mailbox=box)
    assert_one_copy_each(sink, PEOPLE)
    assert Enrolment.objects.filter(status="done").count() == PEOPLE


def test_no_plan_made_under_a_mailboxs_old_cap_is_left():
    campaign, (box, *_rest) = running(30, 2)

    def lower():
        try:
            mailboxes.set_cap(box, 4, actor=SYSTEM)
        finally:
            connection.close()

    thread = threading.Thread(target=lower)
    with transaction.atomic():
        assert planner.run(campaign.tenant, NOON).planned == 30  # not committed yet, so the other can't see it
        thread.start()
        until(lambda: waiting() or not thread.is_alive(), 30)
    thread.join()

    assert Message.objects.filter(mailbox=box).count() == 0
    plan(campaign)
    assert Message.objects.filter(mailbox=box).count() <= 4
    assert Message.objects.count() == 30
