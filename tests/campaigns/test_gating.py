"""The gates that a planner run asks: who is ended, who waits until when, and what opens a gate early."""

from __future__ import annotations

from datetime import timedelta

import pytest

from campaigns.ledger import waiting
from campaigns.models import Contact, Enrolment, Message, Step, Suppression
from campaigns.pipeline import planner
from campaigns.services import campaigns
from tenants.models import Tenant
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_planner import NOON, plan, running

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def written_to() -> set[int]:
    return set(Message.objects.values_list("contact_id", flat=True))


def state(contact: Contact) -> tuple:
    return Enrolment.objects.values_list("status", "stop_reason", "waits_for", "due_at").get(contact=contact)


def one_of(campaign) -> Contact:
    return Contact.objects.filter(tenant=campaign.tenant).order_by("pk").first()


def change(contact: Contact, **values) -> None:
    Contact.objects.filter(pk=contact.pk).update(**values)


def sequence(*args, **changes):
    """A running campaign with a second step."""
    campaign, boxes = running(*args, **changes)
    factories.step(campaign, position=2)
    return campaign, boxes


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"validity": "invalid"}, "invalid"),
        ({"basis_expires_on": NOON.date() - DAY}, "basis_expired"),
        ({"validity": "invalid", "basis_expires_on": NOON.date() - DAY}, "invalid"),
    ],
)
def test_a_final_gate_ends_the_enrolment(values, reason):
    campaign, _ = running(5, 2)
    change(one_of(campaign), **values)

    run = plan(campaign)

    assert (run.planned, run.refused) == (4, {reason: 1})
    assert state(one_of(campaign)) == ("stopped", reason, "", None)


@pytest.mark.parametrize(
    ("values", "waits_for", "until"),
    [
        ({"validity": ""}, "validation", NOON + HOUR),
        ({"conversation_since": NOON - HOUR}, "conversation", NOON + DAY),
        ({"quiet_until": NOON + 3 * DAY}, "quiet", NOON + 3 * DAY),
        ({"validity": "", "conversation_since": NOON - HOUR}, "validation", NOON + HOUR),
    ],
)
def test_another_gate_says_until_when(values, waits_for, until):
    campaign, _ = running(5, 2)
    change(one_of(campaign), **values)

    run = plan(campaign)

    assert (run.planned, run.refused) == (4, {waits_for: 1})
    assert state(one_of(campaign)) == ("active", "", waits_for, until)


def test_who_is_risky_is_written_to_and_so_is_who_was_quiet_long_enough():
    campaign, _ = running(2, 1)
    first, second = Contact.objects.filter(tenant=campaign.tenant)
    change(first, validity="risky")
    change(second, quiet_until=NOON)

    assert plan(campaign).planned == 2


def test_who_was_validated_meanwhile_is_called_back():
    campaign, _ = running(3, 1)
    Contact.objects.filter(tenant=campaign.tenant).update(validity="")
    assert plan(campaign).planned == 0
    Contact.objects.filter(tenant=campaign.tenant).update(validity="valid")

    assert waiting.look_now([campaign.tenant_id], waiting.VALIDATION) == 3

    Enrolment.objects.update(due_at=NOON)
    assert plan(campaign).planned == 3


def test_at_most_five_in_a_hundred_of_a_campaign_are_unknown():
    campaign, _ = running(100, 4)
    people = list(Contact.objects.filter(tenant=campaign.tenant).order_by("pk"))
    Contact.objects.filter(pk__in=[person.pk for person in people[:20]]).update(validity="unknown")

    run = plan(campaign)
    Message.objects.update(status="sent", sent_at=NOON)
    again = plan(campaign, NOON + DAY)

    assert (run.planned, run.refused) == (85, {"validation": 15})
    assert (again.planned, again.refused) == (0, {"validation": 15})
    assert len(written_to() & {person.pk for person in people[:20]}) == 5


def test_a_retry_waits_for_the_end_of_a_conversation():
    campaign, _ = running(2, 1)
    plan(campaign)
    Message.objects.update(status="deferred", tries=1, due_at=NOON)
    change(one_of(campaign), conversation_since=NOON)

    assert plan(campaign, NOON + HOUR).retries == 1

    held = Message.objects.get(contact=one_of(campaign))
    assert (held.status, held.reason, held.due_at) == ("deferred", "conversation", NOON + HOUR + DAY)


def test_an_entry_of_an_older_spelling_blocks_that_spelling():
    campaign, _ = running(3, 1)
    contact = one_of(campaign)
    spelling = factories.hasher().address("some.body@gmail.com")  # as an entry was made before spellings were one
    key = factories.hasher().address("somebody@gmail.com")
    change(
        contact, email="Some.Body@gmail.com", email_key="somebody@gmail.com", company_domain="",
        address_hash=key,
        domain_hashes=[factories.hasher().domain("gmail.com"), spelling],
    )  # fmt: skip
    Suppression.objects.create(
        tenant=campaign.tenant, scope="tenant", kind="address", hash=spelling, reason="opt_out", via="long ago"
    )

    assert plan(campaign).refused == {"suppressed": 1}


# --- Frequency --------------------------------------------------------------------------------------------------


def sharing(n: int, *, campaigns_: int = 2, **limits):
    """Campaigns to the same people of one tenant, each from a pool of its own."""
    tenant = factories.tenant(**limits)
    listed = factories.contact_list(tenant)
    people = factories.people(tenant, listed, n)
    made = []
    for _ in range(campaigns_):
        box = factories.fleet(tenant, 2)[0]
        made.append(campaigns.start(factories.campaign(tenant, box.pool, listed), actor=SYSTEM))
    Enrolment.objects.update(due_at=NOON)
    return made, people


def test_a_person_gets_so_many_mails_in_so_many_days_over_all_campaigns():
    (first, _second, _third), people = sharing(4, campaigns_=3, frequency_person=2, frequency_days=7)

    run = plan(first)

    assert (run.planned, run.refused) == (8, {"frequency": 4})
    assert set(Enrolment.objects.filter(waits_for="frequency").values_list("due_at", flat=True)) == {NOON + 7 * DAY}
    Message.objects.update(status="sent", sent_at=NOON)
    assert plan(first, NOON + 7 * DAY - HOUR).planned == 0
    assert plan(first, NOON + 7 * DAY).planned == 4


def test_the_next_mail_waits_until_the_oldest_that_counts_is_old_enough():
    (first, second), _ = sharing(1, frequency_person=1, frequency_days=3)
    Enrolment.objects.filter(campaign=second).update(due_at=NOON + 2 * HOUR)
    plan(first)
    Message.objects.update(status="sent", sent_at=NOON + HOUR)

    assert plan(first, NOON + 2 * HOUR).refused == {"frequency": 1}

    assert Enrolment.objects.get(campaign=second).due_at == NOON + HOUR + 3 * DAY


@pytest.mark.parametrize("status", ["cancelled", "suppressed", "failed"])
def test_mail_that_never_went_out_does_not_count(status):
    (first, second), _ = sharing(1, frequency_person=1, frequency_days=3)
    Enrolment.objects.filter(campaign=second).update(due_at=NOON + HOUR)
    plan(first)
    Message.objects.update(status=status)

    assert plan(first, NOON + HOUR).planned == 1


def test_mail_in_doubt_counts():
    (first, second), _ = sharing(1, frequency_person=1, frequency_days=3)
    Enrolment.objects.filter(campaign=second).update(due_at=NOON + HOUR)
    plan(first)
    Message.objects.update(status="uncertain")

    assert plan(first, NOON + HOUR).refused == {"frequency": 1}


def test_a_company_gets_so_many_mails_over_all_its_people():
    (first, _), people = sharing(10, frequency_company=4, frequency_days=7, frequency_person=None)
    Contact.objects.update(company_domain="buyer.example")
    change(people[0], company_domain="")  # somebody at a provider where anybody can be

    run = plan(first)

    assert (run.planned, run.refused) == (4 + 2, {"frequency": 14})
    Message.objects.update(status="sent", sent_at=NOON)
    assert plan(first, NOON + 7 * DAY).planned == 4


def test_a_follow_up_counts_too():
    campaign, _ = sequence(2, 1, tenant=factories.tenant(frequency_person=1, frequency_days=2))
    plan(campaign)
    Message.objects.update(status="sent", sent_at=NOON)
    Enrolment.objects.update(status="active", step=2, due_at=NOON + DAY, waits_for="")

    assert plan(campaign, NOON + DAY).refused == {"frequency": 2}

    assert set(Enrolment.objects.values_list("due_at", flat=True)) == {NOON + 2 * DAY}


# --- Follow-ups before first steps --------------------------------------------------------------------------------


def test_no_crowd_of_older_first_steps_hides_a_follow_up():
    campaign, boxes = sequence(300, 2, fleet={"daily_cap": 10})
    Enrolment.objects.update(due_at=NOON - DAY)
    late = list(Enrolment.objects.order_by("-pk")[:4])
    Enrolment.objects.filter(pk__in=[row.pk for row in late]).update(mailbox=boxes[0], step=2, due_at=NOON)

    assert plan(campaign).planned == 20

    follow_ups = Message.objects.filter(step=Step.objects.get(campaign=campaign, position=2))
    assert {(row.enrolment_id, row.mailbox_id) for row in follow_ups} == {(row.pk, boxes[0].pk) for row in late}


def test_follow_ups_of_a_mailbox_out_of_rotation_keep_nobody_from_the_others():
    campaign, boxes = sequence(50, 2, fleet={"daily_cap": 10})
    held = Enrolment.objects.order_by("pk")[:30]
    Enrolment.objects.filter(pk__in=held).update(mailbox=boxes[0], step=2, due_at=NOON - DAY)
    boxes[0].state = "quarantined"
    boxes[0].save()

    run = plan(campaign)

    assert (run.planned, run.looked_at) == (10, 10)
    assert set(Message.objects.values_list("mailbox", flat=True)) == {boxes[1].pk}


def test_the_tenant_is_read_behind_the_lock():
    campaign, _ = running(2, 1, tenant=factories.tenant(frequency_person=1))
    stale = Tenant.objects.get(pk=campaign.tenant_id)
    Tenant.objects.update(frequency_person=0)

    assert planner.run(stale, NOON).refused == {"frequency": 2}
