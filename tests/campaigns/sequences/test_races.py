"""An answer crosses a planner, a claim, a dot; whoever commits first wins, and nothing is lost."""

from __future__ import annotations

import time
from datetime import timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction

from campaigns.ledger import following, moves, outcomes
from campaigns.ledger.outcome import Outcome
from campaigns.models import Batch, Contact, Enrolment, Message
from campaigns.pipeline import batcher, planner, windows
from campaigns.services import campaigns, conversations, replies
from outreach import cron
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_crossings import POLICY, beside, stands_still

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.as_worker]


@pytest.fixture
def campaign():
    """Two steps, three people, one mailbox."""
    tenant = factories.tenant()
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 3)
    made = factories.campaign(tenant, factories.mailbox(tenant).pool, listed, steps=2)
    made.steps.filter(position=2).update(delay_hours=48)
    return campaigns.start(made, actor=SYSTEM)


def claim(campaign):
    planner.run(campaign.tenant, cron.now())
    batcher.run(campaign.tenant_id)
    return claim_batched()


def claim_batched():
    token, now = uuid4(), cron.now()
    batches = list(Batch.objects.filter(done_at=None).values_list("pk", flat=True))
    day, hour = windows.day_of(now, ZoneInfo("UTC")), windows.hour_of(now)
    return token, moves.claim(batches, token, lease_seconds=120, day=day, hour=hour)


def write(token, **said):
    with transaction.atomic(), connection.cursor() as cursor:
        return outcomes.write(cursor, token, POLICY, **said)


def test_an_answer_while_the_mail_is_claimed_lets_no_dot_pass(campaign):
    token, rows = claim(campaign)
    answering = Contact.objects.get(pk=Message.objects.get(pk=rows[0].id).contact_id)

    replies.by_hand(answering, actor=SYSTEM)

    assert write(token, wanted=[row.id for row in rows]) == {row.id for row in rows[1:]}
    enrolment = Enrolment.objects.get(contact=answering)
    assert (enrolment.status, enrolment.waits_for) == ("active", "conversation")


def test_an_answer_that_waits_for_the_dot_leaves_that_mail_and_stops_the_next(campaign):
    token, rows = claim(campaign)
    first = Message.objects.get(pk=rows[0].id)
    with transaction.atomic(), connection.cursor() as cursor:
        granted = outcomes.write(cursor, token, POLICY, wanted=[first.pk])
        thread = beside(lambda: replies.human(first, actor=SYSTEM))
        stands_still(thread)
    thread.join(60)
    assert granted == {first.pk}

    course = following.Course(following.load(connection.cursor(), {first.pk: first.step_id}), cron.now(), 0.0)
    write(token, settled=[Outcome(first.pk, first.mailbox_id, "sent", text="250 ok")], course=course)

    first.refresh_from_db()
    assert (first.status, first.outcome) == ("sent", "replied")
    assert Enrolment.objects.filter(contact=first.contact_id, status="stopped", stop_reason="replied").exists()


def test_an_answer_under_way_when_the_dot_is_asked_for_wins(campaign):
    token, rows = claim(campaign)
    person = Contact.objects.get(pk=Message.objects.get(pk=rows[0].id).contact_id)
    granted = []
    with transaction.atomic():
        replies.by_hand(person, actor=SYSTEM)
        thread = beside(lambda: granted.append(write(token, wanted=[row.id for row in rows])))
        stands_still(thread)
    thread.join(60)

    assert granted == [{row.id for row in rows[1:]}]


@pytest.mark.parametrize("act", ["human", "by_hand"])
def test_what_a_planner_writes_while_somebody_answers_is_taken_back(campaign, act):
    person = Contact.objects.first()
    with transaction.atomic():
        planner.run(campaign.tenant, cron.now())
        thread = beside(lambda: getattr(replies, act)(person, actor=SYSTEM))
        stands_still(thread)
    thread.join(60)

    assert not Message.objects.filter(contact=person).exists()
    assert Message.objects.filter(status="planned").count() == 2


def test_a_planner_gives_nothing_to_somebody_who_is_answering(campaign):
    person = Contact.objects.first()
    with transaction.atomic():
        replies.by_hand(person, actor=SYSTEM)
        thread = beside(lambda: planner.run(campaign.tenant, cron.now()))
        stands_still(thread)
    thread.join(60)

    assert not Message.objects.filter(contact=person).exists()
    assert Message.objects.filter(status="planned").count() == 2


def test_who_is_in_conversation_is_not_claimed_though_planned(campaign):
    planner.run(campaign.tenant, cron.now())
    batcher.run(campaign.tenant_id)
    person = Contact.objects.first()
    Contact.objects.filter(pk=person.pk).update(conversation_since=cron.now(), conversation_via="reply")

    _, rows = claim_batched()

    assert len(rows) == 2
    assert not Message.objects.filter(contact=person).exists()
    assert Enrolment.objects.get(contact=person).waits_for == "conversation"


@pytest.mark.parametrize("column", ["conversation_since", "quiet_until"])
def test_committing_looks_once_more(campaign, column):
    token, rows = claim(campaign)
    person = Message.objects.get(pk=rows[0].id).contact_id
    Contact.objects.filter(pk=person).update(**{column: cron.now() + timedelta(hours=1)})

    assert write(token, wanted=[row.id for row in rows]) == {row.id for row in rows[1:]}

    assert not Message.objects.filter(pk=rows[0].id).exists()
    assert Message.objects.filter(status="committing").count() == 2


def test_two_people_who_mark_the_same_answer_begin_one_conversation(campaign):
    person = Contact.objects.first()
    with transaction.atomic():
        replies.human(person, actor=SYSTEM, via="marked")
        thread = beside(lambda: replies.human(person, actor=SYSTEM, via="api"))
        stands_still(thread)
    thread.join(60)

    person.refresh_from_db()
    assert person.conversation_via == "marked"


def test_a_release_that_crosses_an_answer_leaves_the_answer(campaign):
    person = Contact.objects.first()
    replies.by_hand(person, actor=SYSTEM)
    with transaction.atomic():
        conversations.release(person, actor=SYSTEM)
        thread = beside(lambda: replies.human(person, actor=SYSTEM))
        stands_still(thread)
    thread.join(60)

    person.refresh_from_db()
    assert person.conversation_via == "reply"
    enrolment = Enrolment.objects.get(contact=person)
    assert (enrolment.status, enrolment.waits_for) == ("active", "conversation")


def test_a_sent_step_is_followed_by_the_next_at_its_time(campaign):
    token, rows = claim(campaign)
    write(token, wanted=[row.id for row in rows])
    now = cron.now()
    with connection.cursor() as cursor:
        found = following.load(cursor, {row.id: row.step_id for row in rows})
    enrolments = list(Enrolment.objects.order_by("pk"))
    Enrolment.objects.filter(pk=enrolments[0].pk).update(away_until=now + timedelta(days=9))
    Enrolment.objects.filter(pk=enrolments[1].pk).update(status="stopped", stop_reason="replied", waits_for="")

    course = following.Course(found, now, time.monotonic())
    write(token, settled=[Outcome(row.id, row.mailbox_id, "sent") for row in rows], course=course)

    told = list(Enrolment.objects.order_by("pk").values_list("status", "step", "waits_for"))
    assert told == [("active", 2, "out_of_office"), ("stopped", 1, ""), ("active", 2, "")]
    away, _, usual = Enrolment.objects.order_by("pk").values_list("due_at", flat=True)
    assert away == now + timedelta(days=9)
    assert abs(usual - now - timedelta(hours=48)) < timedelta(seconds=2)
