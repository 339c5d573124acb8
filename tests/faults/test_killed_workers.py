"""A worker is killed in the middle of its work: F01 to F04."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from campaigns import reports
from campaigns.models import Message
from campaigns.services import outcomes
from tenants.services.actors import SYSTEM
from tests.faults.conftest import CONTACTS, WORKERS, arrived, until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]


def kill_at(house, name):
    """Run as many workers as the house has, each of which is killed at the point; return whose mail was there."""
    orders = [house.at(name, "kill") for _ in range(WORKERS)]
    victims = [house.worker(point=order) for order in orders]
    there = [recipient for order in orders for recipient in arrived(order)]
    assert [victim.wait() for victim in victims] == [-signal.SIGKILL] * WORKERS
    return there


@pytest.mark.fault("F01")
def test_mail_of_a_worker_killed_before_it_connects_goes_out_once(house, launch, compare):
    campaign = launch()
    house.cron()

    kill_at(house, "claimed")
    house.workers()
    house.finish(campaign)

    assert compare(campaign).states() == {"sent": CONTACTS}


@pytest.mark.fault("F02")
def test_killed_before_the_dot_leaves_mail_uncertain_and_never_sent_again(house, launch, compare):
    campaign = launch()
    house.cron()

    there = kill_at(house, "committed")
    house.workers()
    house.finish(campaign)

    books = compare(campaign)
    rows = books.of(there)
    assert Counter(row.status for row in rows) == {"uncertain": 5 * WORKERS}
    assert [row.copies for row in rows] == [0] * len(rows)
    assert set(books.states()) == {"sent", "uncertain"}
    # An operator finds them, and says what the host's own records say.
    assert {row.id for row in rows} <= {message.pk for message in reports.uncertain({campaign.tenant_id}, limit=1000)}
    message = Message.objects.get(pk=rows[0].id)
    outcomes.settle(message, actor=SYSTEM, sent=False, evidence="not in the host's log")
    assert (message.status, message.enrolment.status) == ("failed", "stopped")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("dot", marks=pytest.mark.fault("F03")),
        pytest.param("answered", marks=pytest.mark.fault("F04")),
    ],
)
def test_killed_after_the_dot_leaves_one_copy_and_evidence_settles_it(house, launch, compare, name):
    campaign = launch()
    house.cron()

    there = kill_at(house, name)
    house.workers()
    house.finish(campaign)

    books = compare(campaign)
    rows = books.of(there)
    assert [(row.status, row.copies) for row in rows] == [("uncertain", 1)] * (5 * WORKERS)
    assert set(books.states()) == {"sent", "uncertain"}
    for row in rows:
        outcomes.settle(Message.objects.get(pk=row.id), actor=SYSTEM, sent=True, evidence="in the host's log")
    assert [row.status for row in compare(campaign, finished=False).of(there)] == ["sent"] * len(rows)


@pytest.mark.fault("F03", "F04")
def test_the_holders_late_answer_settles_what_became_uncertain_meanwhile(house, launch, compare):
    campaign = launch()
    house.cron()
    order = house.at("answered", "freeze")
    sleeper = house.worker(point=order)

    there = arrived(order)
    mine = Message.objects.filter(contact__email__in=there)
    until(lambda: mine.filter(status="uncertain").count() == len(there), "leases run out")
    sleeper.send(signal.SIGCONT)
    house.workers(WORKERS - 1)
    house.finish(campaign)

    assert compare(campaign).states() == {"sent": CONTACTS}
