"""A stop arrives while mail is on its way: F31, and the invariant I4 under load.

I4: no message enters `committing` after a stop that covers it has committed. What a stop finds there, or past it,
is what may still reach the sink; whatever else it covers never does.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

import pytest
from django.db import connection, transaction

from campaigns.models import Campaign, Contact, Message
from campaigns.services import campaigns, suppression
from outreach.common.errors import InvalidMove
from tenants.services import tenants
from tenants.services.actors import RECIPIENT, SYSTEM
from tests import factories
from tests.faults.books import REFUSALS, WITH_A_COPY, Comparison
from tests.faults.conftest import CONTACTS, WORKERS, arrived, open_gate, until
from tests.faults.sink import Rule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker, pytest.mark.fault("F31")]
POINTS = [("claimed", 0), ("offered", 0), ("committed", 1)]  # where the mail is, and how many copies that leaves


def opt_out(message):
    """What a click on the link does."""
    assert suppression.unsubscribe(message.tenant_id, message.pk, actor=RECIPIENT, via="one_click")


def second_campaign(campaign):
    """Another campaign to the same people, planned and waiting."""
    other = factories.campaign(campaign.tenant, campaign.pool, campaign.contact_list)
    campaigns.start(other, actor=SYSTEM)
    until(lambda: other.messages.filter(status="planned").count() == CONTACTS, "the second campaign is planned")
    return other


def held_at(house, campaign, name):
    """Hold one worker at the point; return the order and some messages that are there."""
    order = house.at(name, "hold")
    house.worker(point=order, SMTP_DOT_SECONDS=60)
    there = arrived(order)
    if name == "claimed":
        until(lambda: campaign.messages.filter(status="claimed").count() >= order.after, "rows are claimed")
        return order, list(campaign.messages.filter(status="claimed")[: order.after])
    return order, list(campaign.messages.filter(contact__email__in=there))


@pytest.mark.parametrize(("name", "copies"), POINTS)
def test_an_opt_out_stops_everything_that_has_not_passed_the_point_of_no_return(
    house, launch, sink, compare, name, copies
):
    campaign = launch()
    house.cron(SMTP_DOT_SECONDS=60)
    order, there = held_at(house, campaign, name)
    other = second_campaign(campaign)

    for message in there:
        opt_out(message)
    open_gate(order)
    house.workers(WORKERS)
    until(lambda: Campaign.objects.get(pk=other.pk).status == "completed", "the second campaign's end")
    house.finish(campaign)

    people = {message.contact_id for message in there}
    state = "sent" if copies else "suppressed"
    assert set(campaign.messages.filter(contact__in=people).values_list("status", flat=True)) == {state}
    assert set(other.messages.filter(contact__in=people).values_list("status", flat=True)) == {"suppressed"}
    assert other.messages.filter(status="sent").count() == CONTACTS - len(people)
    book = sink.read_book()
    emails = list(Contact.objects.filter(pk__in=people).values_list("email", flat=True))
    assert [sum(entry.recipient == email for entry in book.accepted) for email in emails] == [copies] * len(emails)


@pytest.mark.parametrize(("name", "copies"), POINTS)
def test_a_pause_stops_everything_that_has_not_passed_the_point_of_no_return(
    house, launch, sink, compare, name, copies
):
    campaign = launch()
    house.cron(SMTP_DOT_SECONDS=60)
    order, there = held_at(house, campaign, name)

    campaigns.pause(campaign, actor=SYSTEM, reason="wrong list")
    passed = set(campaign.messages.filter(status__in=WITH_A_COPY).values_list("message_id", flat=True))
    assert {message.message_id for message in there} <= passed if copies else not passed
    open_gate(order)
    house.workers(WORKERS)
    until(lambda: not held(campaign), "the worker has noticed")

    assert {entry.message_id.strip("<>") for entry in sink.read_book().accepted} == passed
    campaigns.resume(campaign, actor=SYSTEM)
    house.finish(campaign)
    assert compare(campaign).states() == {"sent": CONTACTS}


def held(campaign):
    """Whether a worker still has something of this tenant in its hands."""
    boxes = campaign.pool.mailboxes.exclude(held_by=None)
    return boxes.exists() or campaign.messages.filter(status__in=["claimed", "committing"]).exists()


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_that_a_stop_covers_leaves_after_it(house, launch, sink, compare, seed):
    """Opt-outs of random people and pauses at random moments, against workers and planner at full speed."""
    print(f"seed {seed}")  # noqa: T201
    chance = random.Random(seed)
    sink.rules(Rule("dot", delay_seconds=0.02))
    campaign = launch()
    people = list(campaign.enrolments.values_list("contact_id", flat=True))
    leaving = chance.sample(people, min(CONTACTS // 3, 200))
    allowed: dict[int, set[str]] = {}
    house.cron(PLAN_EVERY_SECONDS=0.1)
    house.workers()

    def leave() -> None:
        try:
            for contact_id in leaving:
                contact = Contact.objects.get(pk=contact_id)
                with transaction.atomic():
                    suppression.suppress(
                        campaign.tenant, [contact.email], actor=RECIPIENT, reason="opt_out", via="one_click"
                    )
                    passed = Message.objects.filter(contact=contact, status__in=WITH_A_COPY)
                    allowed[contact_id] = set(passed.values_list("message_id", flat=True))
                time.sleep(chance.random() * 0.02)
        finally:
            connection.close()

    leaver = threading.Thread(target=leave)
    leaver.start()
    until(lambda: sink.read_book().accepted, "the first mails are out")
    pauses = 0
    while leaver.is_alive() or pauses < 3:
        time.sleep(chance.random() * 0.3)
        try:
            with transaction.atomic():
                campaigns.pause(campaign, actor=SYSTEM, reason="drill")
                passed = campaign.messages.filter(status__in=WITH_A_COPY)
                before = set(passed.values_list("message_id", flat=True))
        except InvalidMove:
            break  # it is done
        until(lambda: not held(campaign), "workers have noticed")
        time.sleep(chance.random() * 0.2)
        assert {entry.message_id.strip("<>") for entry in sink.read_book().accepted} <= before
        campaigns.resume(campaign, actor=SYSTEM)
        pauses += 1
    leaver.join()
    house.finish(campaign)

    books = compare(campaign)
    assert set(books.states()) <= {"sent", "suppressed"}
    emails = dict(Contact.objects.filter(pk__in=leaving).values_list("email", "pk"))
    reached = [entry for entry in books.book.accepted if entry.recipient in emails]
    late = [entry for entry in reached if entry.message_id.strip("<>") not in allowed[emails[entry.recipient]]]
    assert late == []
    assert len(books.book.accepted) == CONTACTS - len(leaving) + len(reached)


def test_a_suspended_tenant_sends_nothing_more(house, launch, sink):
    """Four workers are busy for two tenants; one is suspended, and the other goes on undisturbed."""
    sink.rules(Rule("dot", delay_seconds=0.3))
    stopped, going = launch(), launch()
    house.cron(PLAN_EVERY_SECONDS=0.1)
    house.workers(4, JOB_MESSAGES=50)

    def delivered(campaign):
        ours = set(campaign.messages.values_list("message_id", flat=True))
        return {entry.message_id.strip("<>") for entry in sink.read_book().accepted} & ours

    until(lambda: delivered(stopped), "the first mails of the tenant are out")
    with transaction.atomic():
        tenants.suspend(stopped.tenant, actor=SYSTEM, reason="unpaid")
        passed = set(stopped.messages.filter(status__in=WITH_A_COPY).values_list("message_id", flat=True))
    assert len(passed) < CONTACTS
    house.finish(going)  # ends the processes too, so that nothing can come later

    assert delivered(stopped) == passed
    assert not held(stopped)
    assert set(stopped.messages.values_list("status", flat=True)) <= {"sent", "uncertain", "planned", "cancelled"}
    books = [Comparison.take(campaign, of(campaign, sink.read_book())) for campaign in (stopped, going)]
    books[0].check(finished=False)
    assert books[1].check().states() == {"sent": CONTACTS}


def of(campaign, book):
    """The part of the sink's book that is about the people of one campaign."""
    people = set(campaign.contact_list.entries.values_list("contact__email", flat=True))
    parts = {
        name: [entry for entry in getattr(book, name) if entry.recipient in people]
        for name in ("accepted", "stored", *REFUSALS)
    }
    return replace(book, **parts)
