"""The comparison of the books finds what it is there to find."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.utils import timezone

from campaigns.models import Campaign, Message
from campaigns.services import campaigns
from mailboxes.models import Allowance
from outreach.demo.sink import Book, Entry
from tenants.services.actors import SYSTEM
from tests import factories
from tests.faults.books import Comparison

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


@pytest.fixture
def finished():
    """A campaign of two people, both sent, and the sink's book that says the same."""
    tenant = factories.tenant()
    box, listed = factories.mailbox(tenant), factories.contact_list(tenant)
    factories.people(tenant, listed, 2)
    campaign = campaigns.start(factories.campaign(tenant, box.pool, listed), actor=SYSTEM)
    book = Book()
    for enrolment in campaign.enrolments.select_related("contact"):
        message = Message.objects.create(
            tenant=tenant, campaign=campaign, step=campaign.steps.get(), enrolment=enrolment, mailbox=box,
            status="sent", contact=enrolment.contact, due_at=timezone.now(), not_after=timezone.now(),
            message_id=f"m{enrolment.pk}@fleet.example", day_on=timezone.now().date(),
            tries=1, sent_at=timezone.now(), reply_text="Ok: queued as 7",
        )  # fmt: skip
        book.accepted.append(
            Entry(
                "accepted", 1.0, "1-1", box.address, box.address, enrolment.contact.email, "250 2.0.0 Ok: queued as 7",
                f"<{message.message_id}>",
            )
        )  # fmt: skip
    campaign.enrolments.update(status="done", due_at=None)
    Campaign.objects.filter(pk=campaign.pk).update(status="completed")
    Allowance.objects.create(
        tenant=tenant, scope="mailbox_day", key=box.pk, period_start=timezone.now().replace(hour=0, minute=0, second=0),
        cap=10, reserved=2,
    )  # fmt: skip
    return campaign, book


def problems(campaign, book):
    with pytest.raises(AssertionError) as raised:
        Comparison.take(campaign, book).check()
    return str(raised.value)


def test_books_that_agree_pass(finished):
    assert Comparison.take(*finished).check().states() == {"sent": 2}


def test_a_second_copy_is_found_and_both_books_are_printed(finished, capsys):
    campaign, book = finished
    book.stored.append(replace(book.accepted[0], kind="stored"))

    found = problems(campaign, book)

    assert "I2: 2 copies" in found
    printed = capsys.readouterr().out
    assert "OURS {'sent': 2}" in printed
    assert "SINK accepted=2 stored=1" in printed
    assert all(message.message_id in printed for message in campaign.messages.all())


def test_two_mails_to_one_person_are_found_whatever_their_message_ids(finished):
    campaign, book = finished
    book.accepted[1] = replace(book.accepted[1], recipient=book.accepted[0].recipient)
    assert f"{book.accepted[0].recipient} got 2 mails" in problems(campaign, book)


def test_a_copy_without_a_row_is_found(finished):
    campaign, book = finished
    book.accepted.append(replace(book.accepted[0], message_id="<other@x.example>", recipient="who@x.example"))
    assert "we have no such row" in problems(campaign, book)


@pytest.mark.parametrize("status", ["failed", "suppressed", "cancelled"])
def test_a_copy_of_a_row_that_never_left_is_found(finished, status):
    campaign, book = finished
    campaign.messages.update(status=status, sent_at=None)
    assert f"our row is {status}" in problems(campaign, book)


def test_a_row_that_was_never_sent_is_found(finished):
    campaign, book = finished
    del book.accepted[0]
    assert "the sink accepted it 0 times" in problems(campaign, book)


def test_a_person_without_row_and_time_is_found(finished):
    campaign, book = finished
    campaign.messages.first().delete()
    campaign.enrolments.update(status="active", waits_for="message")
    assert "I1: 1 active people have neither a row nor a time" in problems(campaign, book)


def test_mail_beyond_its_reservation_is_found(finished):
    campaign, book = finished
    Allowance.objects.update(reserved=1)
    assert "2 rows on 1 reservations" in problems(campaign, book)
