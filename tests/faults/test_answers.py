"""The peer refuses, hangs up or falls silent: F05 to F08."""

from __future__ import annotations

from collections import Counter

import pytest

from campaigns.models import Attempt, Message, Suppression
from mailboxes.models import Mailbox
from tests.faults.conftest import CONTACTS, MAILBOXES, until
from tests.faults.sink import Rule

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]
SILENCES = 3  # in a row, and the mailbox rests


def attempts_of(campaign):
    return Attempt.objects.filter(tenant=campaign.tenant)


@pytest.mark.fault("F05")
def test_a_drop_after_the_dot_is_uncertain_for_good_and_opens_the_circuit(house, launch, sink, compare):
    sink.rules(Rule("dot", hang_up=True, keep=True))
    campaign = launch()
    house.cron(CIRCUIT_FIRST_SECONDS=3600, CIRCUIT_LONGEST_SECONDS=3600)
    house.workers(CIRCUIT_FIRST_SECONDS=3600, CIRCUIT_LONGEST_SECONDS=3600)

    resting = Mailbox.objects.filter(tenant=campaign.tenant, blocked_until__isnull=False)
    until(lambda: resting.count() == MAILBOXES, "every circuit opens")
    until(lambda: not campaign.messages.filter(status__in=["claimed", "committing"]).exists(), "the last answers")
    books = compare(campaign, finished=False)
    assert books.states()["uncertain"] == len(books.book.stored) == SILENCES * MAILBOXES
    assert [row.copies for row in books.rows if row.status == "uncertain"] == [1] * SILENCES * MAILBOXES
    assert Counter(attempts_of(campaign).values_list("phase", "code", "result")) == {
        ("dot", None, "uncertain"): SILENCES * MAILBOXES
    }

    sink.rules()
    Mailbox.objects.filter(tenant=campaign.tenant).update(blocked_until=None)
    house.finish(campaign)

    after = compare(campaign)
    assert after.states() == {
        "uncertain": SILENCES * MAILBOXES,
        "sent": CONTACTS - SILENCES * MAILBOXES,
    }
    assert not resting.exists()  # each of them has sent since, so its circuit is closed


@pytest.mark.fault("F05")
def test_silences_are_counted_from_job_to_job(house, launch, sink, compare):
    """A mailbox with a gap has one mail in a job, so no job sees three silences in a row."""
    sink.rules(Rule("dot", hang_up=True, keep=True))
    campaign = launch(people=12, mailboxes=2, fleet={"min_gap_seconds": 1})
    slow = {"CIRCUIT_FIRST_SECONDS": 3600, "CIRCUIT_LONGEST_SECONDS": 3600, "BATCH_AHEAD_SECONDS": 0}
    house.cron(**slow)
    house.worker(**slow)

    resting = Mailbox.objects.filter(tenant=campaign.tenant, blocked_until__isnull=False)
    until(lambda: resting.count() == 2, "both circuits open")

    assert compare(campaign, finished=False).states()["uncertain"] == SILENCES * 2


@pytest.mark.fault("F06")
def test_an_answer_that_comes_after_the_time_out_leaves_one_copy_and_no_second_try(house, launch, sink, compare):
    sink.rules(Rule("dot", delay_seconds=3, keep=True, match=r"person[0-4]@"))
    campaign = launch(people=50)
    house.cron(SMTP_DOT_SECONDS=1)
    house.workers(SMTP_DOT_SECONDS=1)
    house.finish(campaign)

    books = compare(campaign)
    late = books.of(row.recipient for row in books.rows if row.recipient[:8] in {f"person{n}@" for n in range(5)})
    assert [(row.status, row.copies) for row in late] == [("uncertain", 1)] * 5
    assert books.states()["sent"] >= 40  # three late answers in a row would rest a mailbox, and none here has three


@pytest.mark.fault("F07")
def test_a_deferral_at_the_dot_is_tried_again_and_written_down(house, launch, sink, compare):
    sink.rules(
        Rule("dot", answer="421 4.3.2 Going down for maintenance", match=r"person\d*[02468]@", times=1),
        Rule("dot", answer="450 4.3.1 Queue file write error", match=r"person\d*[13579]@", times=1),
    )
    campaign = launch()
    house.cron()
    house.workers()
    house.finish(campaign)

    books = compare(campaign)
    assert books.states() == {"sent": CONTACTS}
    assert {row.tries for row in books.rows} == {2}
    written = attempts_of(campaign).values_list("message_ref", "phase", "code", "enhanced", "text", "result")
    assert Counter(row[1:] for row in written) == {
        ("dot", 421, "4.3.2", "Going down for maintenance", "deferred"): CONTACTS // 2,
        ("dot", 450, "4.3.1", "Queue file write error", "deferred"): CONTACTS // 2,
    }
    assert {row[0] for row in written} == {row.id for row in books.rows}


@pytest.mark.fault("F08")
def test_a_refusal_of_the_person_is_final_and_one_of_us_is_not_theirs_to_bear(house, launch, sink, compare):
    sink.rules(
        Rule("dot", answer="554 5.1.1 No such user", match=r"person\d*0@"),
        Rule("body", answer="550 5.1.1 No such user", match=r"person\d*5@"),
        Rule("dot", answer="554 5.7.1 Message rejected by policy", match=r"person\d*7@", times=1),
    )
    campaign = launch()
    house.cron()
    house.workers()
    house.finish(campaign)

    books = compare(campaign)
    gone = {row.recipient for row in books.rows if row.recipient.partition("@")[0][-1] in "05"}
    disliked = {row.recipient for row in books.rows if row.recipient.partition("@")[0][-1] == "7"}
    assert (len(gone), len(disliked)) == (CONTACTS // 5, CONTACTS // 10)
    assert books.states() == {"failed": len(gone), "sent": CONTACTS - len(gone)}
    assert {row.recipient for row in books.rows if row.status == "failed"} == gone
    assert {row.reason for row in books.of(gone)} == {"userunknown"}
    assert Counter(entry.recipient for entry in books.book.refused) == Counter([*gone, *disliked])

    hashes = {bytes(row) for row in Suppression.objects.filter(tenant=campaign.tenant).values_list("hash", flat=True)}
    people = Message.objects.filter(campaign=campaign, status="failed").values_list("contact__address_hash", flat=True)
    assert hashes == {bytes(row) for row in people}
    assert Suppression.objects.filter(reason="hard_bounce", scope="tenant").count() == len(gone)
    refusals = attempts_of(campaign).filter(code__gte=500).values_list("message_ref", flat=True)
    assert Counter(refusals) == Counter(row.id for row in books.of(gone | disliked))
