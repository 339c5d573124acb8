"""A worker that was asleep longer than its lease, and one that is told to stop: F16, F18."""

from __future__ import annotations

import signal
import subprocess
import sys

import psutil
import pytest

from campaigns.models import Message
from mailboxes.models import Mailbox
from tests.faults.conftest import CONTACTS, QUICK, WORKERS, arrived, until
from tests.faults.nursery import ROOT
from tests.faults.sink import Rule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]


@pytest.mark.fault("F16")
@pytest.mark.parametrize("name", ["signed_in", "offered"])
def test_a_sleeper_that_wakes_up_hangs_up_without_a_dot(house, launch, sink, compare, name):
    campaign = launch()
    house.cron()
    order = house.at(name, "freeze")
    sleeper = house.worker(point=order)

    there = arrived(order)
    until(lambda: psutil.Process(sleeper.pid).status() == psutil.STATUS_STOPPED, "it sleeps")
    house.workers(WORKERS)
    taken_over = Message.objects.filter(contact__email__in=there, status="sent")
    until(lambda: taken_over.count() == len(there), "others take over")
    sleeper.send(signal.SIGCONT)
    house.finish(campaign)

    books = compare(campaign)
    assert books.states() == {"sent": CONTACTS}
    assert {entry.recipient for entry in books.book.aborted} >= set(there)


@pytest.fixture
def deployed(process_env, empty_queue):
    """`deployed(**env)` starts `manage.py worker send` as a deployment does."""
    started = []

    def start(**env):
        command = [sys.executable, "manage.py", "worker", "send"]
        settings = process_env | QUICK | {name: str(value) for name, value in env.items()}
        started.append(subprocess.Popen(command, cwd=ROOT, env=settings))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def no_longer_held(campaign):
    boxes = Mailbox.objects.filter(tenant=campaign.tenant)
    return boxes.filter(held_by=None).count() == boxes.count()


@pytest.mark.fault("F18")
def test_a_deployment_in_mid_batch_leaves_nothing_in_doubt(house, deployed, launch, sink, compare):
    sink.rules(Rule("dot", delay_seconds=0.3))
    campaign = launch()
    cron = house.cron()
    worker = deployed()

    until(lambda: sink.read_book().accepted, "the first mails are out")
    cron.send(signal.SIGTERM)
    assert cron.wait() == 0
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0

    left = compare(campaign, finished=False)
    assert set(left.states()) == {"sent", "planned"}
    assert left.states()["sent"] == len(left.book.accepted)
    assert not campaign.messages.filter(status="planned").exclude(batch=None).exclude(last_claim=None).exists()
    assert no_longer_held(campaign)
    sink.rules()
    house.cron()
    house.workers()
    house.finish(campaign)
    assert compare(campaign).states() == {"sent": CONTACTS}


@pytest.mark.fault("F18")
def test_a_deployment_waits_for_a_silent_peer_only_so_long(house, deployed, launch, sink, compare):
    campaign = launch(people=40, mailboxes=10)
    house.cron(SMTP_DOT_SECONDS=300)
    worker = deployed(SMTP_DOT_SECONDS=300, SMTP_COMMAND_SECONDS=300, SMTP_DATA_SECONDS=300, DRAIN_SECONDS=1)

    sink.rules(Rule("dot", delay_seconds=600))
    passed = campaign.messages.filter(status="committing")
    until(lambda: passed.count() == 10, "every mailbox waits for its answer")
    doubtful = set(passed.values_list("contact__email", flat=True))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0

    left = compare(campaign, finished=False)
    assert {row.recipient for row in left.rows if row.status == "uncertain"} == doubtful
    assert left.states() == {"uncertain": 10, "planned": 30}
    assert no_longer_held(campaign)
    sink.stop()
    sink.rules()
    sink.start()
    house.workers()
    house.finish(campaign)
    assert compare(campaign).states() == {"uncertain": 10, "sent": 30}
