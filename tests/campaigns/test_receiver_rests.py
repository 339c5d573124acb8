"""A receiver that asks for less rests as one, with all the domains that it runs; mail to the others goes on."""

from __future__ import annotations

from datetime import timedelta

import pytest

from campaigns.models import Batch, Contact, Enrolment, Message, Stop
from campaigns.pipeline import batcher, planner, sender
from campaigns.services import receivers
from mailboxes.models import Mailbox, SendingDomain
from outreach import cron
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_planner import running
from tests.mailboxes.scripted import Conversation, scripted

EHLO = b"250-busy.example\r\n250 AUTH PLAIN\r\n"


@pytest.fixture
def waiting():
    """300 companies at one operator and 5 people elsewhere, written to from two organisations, all planned."""
    campaign, boxes = running(305, 4, fleet={"domains": 2})
    Contact.objects.update(operator="microsoft")
    Contact.objects.filter(pk__in=Contact.objects.order_by("pk")[:5]).update(operator="yahoo")
    planner.run(campaign.tenant, cron.now())
    assert Message.objects.filter(status="planned").count() == 305
    return campaign


@pytest.mark.django_db
@pytest.mark.as_worker
def test_all_domains_of_the_operator_rest_for_that_organisation(waiting):
    one = Message.objects.filter(operator="microsoft").select_related("mailbox__domain").first()
    organisation = one.mailbox.domain.organisational
    theirs = Message.objects.filter(operator="microsoft", mailbox__domain__organisational=organisation).count()
    assert theirs > 100

    stop = receivers.rest(one.pk, actor=SYSTEM, reason="speeding", text="421 4.7.28 slow down")

    assert (stop.scope, stop.cause, stop.operator, stop.organisational) == (
        "receiver", "answer", "microsoft", organisation,
    )  # fmt: skip
    assert Message.objects.filter(operator="microsoft", mailbox__domain__organisational=organisation).count() == 0
    assert Message.objects.count() == 305 - theirs
    assert Message.objects.filter(operator="yahoo").count() == 5
    run = planner.run(waiting.tenant, cron.now() + timedelta(minutes=1))
    assert run.planned == theirs  # from the other organisation, which nobody asked for less
    assert not Message.objects.filter(operator="microsoft", mailbox__domain__organisational=organisation).exists()
    assert AuditEntry.objects.filter(action="receiver.rests").count() == 1


@pytest.mark.django_db
@pytest.mark.as_worker
def test_a_rest_that_goes_on_is_made_longer_and_not_doubled(waiting):
    one = Message.objects.filter(operator="microsoft").first()
    other = Message.objects.filter(operator="microsoft", mailbox=one.mailbox).last()
    first = receivers.rest(one.pk, actor=SYSTEM, reason="speeding")
    Stop.objects.update(until=first.until - timedelta(minutes=50))

    assert Message.objects.filter(pk=other.pk).count() == 0
    again = Message.objects.create(
        tenant=waiting.tenant, campaign=waiting, step=waiting.steps.get(), mailbox=one.mailbox, operator="microsoft",
        enrolment=Enrolment.objects.filter(messages=None).first(), contact=Contact.objects.first(),
        due_at=first.until, not_after=first.until, day_on=first.until.date(), message_id="x@sender.example",
    )  # fmt: skip
    assert receivers.rest(again.pk, actor=SYSTEM, reason="speeding") is None

    assert Stop.objects.get().until >= first.until


@pytest.mark.django_db
@pytest.mark.as_worker
def test_where_nobody_knows_who_runs_the_mail_no_receiver_rests(waiting):
    one = Message.objects.first()
    Message.objects.filter(pk=one.pk).update(operator="other")

    assert receivers.rest(one.pk, actor=SYSTEM, reason="speeding") is None

    assert (Stop.objects.count(), Message.objects.count()) == (0, 305)


@pytest.mark.fault("F07")
@pytest.mark.django_db(transaction=True)
@pytest.mark.as_worker
@pytest.mark.parametrize(("operator", "rests"), [("google", True), ("other", False)])
def test_the_answer_4_7_28_brings_the_receiver_to_rest_or_else_the_domain(settings, operator, rests):
    settings.SMTP_ALLOW_LOOPBACK = True

    def busy(talk: Conversation) -> None:
        talk.greet(EHLO)
        talk.hear(b"\r\n")
        talk.say(b"235 2.7.0 Welcome\r\n")
        talk.hear(b"\r\n")
        talk.say(b"250 2.1.0 Ok\r\n")
        talk.hear(b"\r\n")
        talk.say(b"421 4.7.28 Our system has detected an unusual rate of unsolicited mail\r\n")
        talk.listen()

    with scripted(busy) as server:
        tenant = factories.tenant()
        home = factories.account(tenant, port=server.port)
        campaign, _ = running(3, 1, tenant=tenant, fleet={"home": home})
        Contact.objects.update(operator=operator)
        planner.run(campaign.tenant, cron.now())
        batcher.run(campaign.tenant_id)
        sender.send_batches(campaign.tenant_id, list(Batch.objects.values_list("pk", flat=True)))

    organisation = SendingDomain.objects.get().organisational
    found = list(Stop.objects.values_list("operator", "organisational"))
    assert found == ([(operator, organisation)] if rests else [])
    assert (Mailbox.objects.get().blocked_until is None) is rests
    assert Message.objects.filter(status="sent").count() == 0
    assert Message.objects.filter(status="deferred").count() == 1
