"""Follow-ups answer to the mails before them, and a step's wordings go to even shares of the people."""

from __future__ import annotations

import email
from collections import Counter
from datetime import timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils.timezone import now

from campaigns import reports
from campaigns.ledger import following, moves
from campaigns.models import Batch, Campaign, Enrolment, Message, Variant
from campaigns.pipeline import batcher, loading, planner, windows
from campaigns.services import campaigns
from outreach import cron
from outreach.common.errors import BadInput
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.sequences.world import World

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


def claimed_mails(tenant) -> dict[int, email.message.Message]:
    """Plan, claim and render what is due: {message id: mail}."""
    planner.run(tenant, cron.now())
    batcher.run(tenant.pk)
    at = cron.now()
    rows = moves.claim(
        list(Batch.objects.values_list("pk", flat=True)), uuid4(), lease_seconds=60,
        day=windows.day_of(at, ZoneInfo("UTC")), hour=windows.hour_of(at),
    )  # fmt: skip
    lanes = loading.lanes(tenant, rows, at, 0.0)
    return {letter.id: email.message_from_bytes(letter.render()[0]) for lane in lanes for letter in lane.letters}


def third_step(world, **changes):
    """Somebody who got two steps and is due for the third, whose subject claims that."""
    campaign = world.campaign(zones=["UTC"])
    campaign.steps.filter(position=3).update(subject="Re: A question")
    enrolment = world.enrolled(campaign, world.person(), step=3, due_in=timedelta(0), **changes)
    first, second = (world.message(enrolment, "sent", step=step) for step in (1, 2))
    return first, second


def answers(mail) -> tuple[str | None, list[str], str]:
    return mail["In-Reply-To"], (mail["References"] or "").split(), mail["Subject"]


def test_a_follow_up_names_all_mails_before_it(world):
    first, second = third_step(world)

    (mail,) = claimed_mails(world.tenant).values()

    ids = [f"<{message.message_id}>" for message in (first, second)]
    assert answers(mail) == (ids[1], ids, "Re: A question")


def test_what_the_recipient_saw_is_the_id_that_the_provider_wrote(world):
    first, second = third_step(world)
    Message.objects.filter(pk=first.pk).update(wire_message_id="<wire@provider.example>")
    Message.objects.filter(pk=second.pk).update(wire_message_id="4f5e queued")  # no Message-ID

    (mail,) = claimed_mails(world.tenant).values()

    assert answers(mail)[1] == ["<wire@provider.example>", f"<{second.message_id}>"]


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "uncertain", "sent_at": None},
        {"status": "failed", "sent_at": None},
        {"outcome": "soft_bounced"},
        {"outcome": "bounced"},
    ],
)
def test_mail_that_nobody_saw_is_not_named(world, changes):
    first, second = third_step(world)
    Message.objects.filter(pk=second.pk).update(**changes)

    (mail,) = claimed_mails(world.tenant).values()

    assert answers(mail) == (f"<{first.message_id}>", [f"<{first.message_id}>"], "Re: A question")


def test_a_thread_that_another_mailbox_began_names_no_earlier_mail(world):
    third_step(world, thread_from=3)

    (mail,) = claimed_mails(world.tenant).values()

    assert answers(mail) == (None, [], "A question")


def test_a_thread_goes_on_from_where_another_mailbox_began_it(world):
    _, second = third_step(world, thread_from=2)

    (mail,) = claimed_mails(world.tenant).values()

    assert answers(mail)[1] == [f"<{second.message_id}>"]


def test_another_persons_mail_is_in_no_thread(world):
    third_step(world)
    third_step(world)

    for pk, mail in claimed_mails(world.tenant).items():
        contact = Message.objects.get(pk=pk).contact_id
        own = set(Message.objects.filter(contact=contact, status="sent").values_list("message_id", flat=True))
        assert {one.strip("<>") for one in answers(mail)[1]} == own


def test_a_campaign_of_one_step_is_asked_nothing_for_each_message(world, django_assert_num_queries):
    campaign = world.campaign(steps=1)
    messages = [world.message(world.enrolled(campaign, world.person()), "claimed") for _ in range(3)]

    with django_assert_num_queries(1), connection.cursor() as cursor:
        assert following.load(cursor, {message.pk: message.step_id for message in messages}) == {}


@pytest.fixture
def world():
    return World()


# --- Wordings ---------------------------------------------------------------------------------------------------

WORDS = [{"label": label, "subject": f"Subject {label}", "text": f"Text {label}"} for label in ("A", "B", "C")]
SPEC = {"name": "Wordings", "pool": "p", "list": "l", "pace": "prompt", "window": {"zone": "UTC", "from": "00:00",
        "until": "00:00"}, "steps": [{"variants": WORDS}]}  # fmt: skip


def launched(people: int, spec=SPEC, mailboxes: int = 1) -> Campaign:
    tenant = factories.tenant()
    factories.fleet(tenant, mailboxes, pool=factories.pool(tenant, name="p"), daily_cap=20_000)
    factories.people(tenant, factories.contact_list(tenant, name="l"), people)
    campaign = campaigns.create(tenant, spec | {"name": "Wordings"}, actor=SYSTEM)
    Campaign.objects.filter(pk=campaign.pk).update(canary=False)
    campaign.refresh_from_db()
    return campaigns.start(campaign, actor=SYSTEM)


def test_ten_thousand_people_get_each_wording_in_even_shares():
    campaign = launched(10_000)

    planner.run(campaign.tenant, cron.now())

    counts = Counter(Message.objects.values_list("variant__label", flat=True))
    assert sum(counts.values()) == 10_000
    assert set(counts) == {"A", "B", "C"}
    assert max(counts.values()) - min(counts.values()) <= 100


def test_the_choice_of_a_wording_depends_on_the_person_and_the_step_alone():
    campaign = launched(60)
    planner.run(campaign.tenant, cron.now())
    chosen = dict(Message.objects.values_list("enrolment", "variant"))
    moves.take_back("m.campaign_id = %(campaign)s", {"campaign": campaign.pk})

    planner.run(campaign.tenant, cron.now() + timedelta(hours=1))

    assert dict(Message.objects.values_list("enrolment", "variant")) == chosen


def test_wordings_of_two_steps_are_chosen_apart():
    spec = SPEC | {"steps": [{"variants": WORDS[:2]}, {"variants": WORDS[:2], "delay_hours": 1}]}
    campaign = launched(400, spec)
    planner.run(campaign.tenant, cron.now())
    first = dict(Message.objects.values_list("enrolment", "variant__label"))
    Message.objects.update(status="sent", sent_at=now())
    Enrolment.objects.update(step=2, due_at=now(), waits_for="")

    planner.run(campaign.tenant, cron.now())

    second = dict(Message.objects.filter(step__position=2).values_list("enrolment", "variant__label"))
    both = Counter((first[pk], second[pk]) for pk in first)
    assert len(both) == 4
    assert min(both.values()) > 50  # 100 each, were it all luck


def test_each_gets_the_words_that_its_row_names():
    campaign = launched(9)

    mails = claimed_mails(campaign.tenant)

    labels = dict(Message.objects.values_list("pk", "variant__label"))
    shares = Counter(labels.values())
    assert shares.total() == 9
    assert (
        max(shares[label] for label in "ABC") - min(shares[label] for label in "ABC") <= 2
    )  # even from three to three
    for pk, mail in mails.items():
        assert mail["Subject"] == f"Subject {labels[pk]}"
        assert mail.get_payload(decode=True).decode().startswith(f"Text {labels[pk]}")


def test_what_came_of_each_wording_is_counted_with_its_certainty():
    campaign = launched(30)
    planner.run(campaign.tenant, cron.now())
    step = campaign.steps.get()
    a, b, c = Variant.objects.filter(step=step).order_by("label")
    for number, pk in enumerate(Message.objects.order_by("pk").values_list("pk", flat=True)):
        Message.objects.filter(pk=pk).update(variant=(a, b, c)[number % 3])
    Message.objects.filter(variant__in=[a, b]).update(status="sent", sent_at=now())
    ids = list(Message.objects.filter(variant=a).order_by("pk").values_list("pk", flat=True))
    Message.objects.filter(pk__in=ids[:2]).update(outcome="replied", replied_at=now())
    Message.objects.filter(pk__in=ids[2:3]).update(outcome="bounced")
    Message.objects.filter(pk__in=ids[:1]).update(opted_out_at=now(), outcome="complained")

    found = {heard.label: heard for heard in reports.wordings(step)}

    assert [found[label].sent for label in "ABC"] == [10, 10, 0]
    hits = {name: share.hits for name, share in found["A"].shares.items()}
    assert hits == {"replied": 2, "bounced": 1, "opted_out": 1, "complained": 1}
    replied = found["A"].shares["replied"]
    assert (replied.value, round(replied.low, 3), round(replied.high, 3)) == (0.2, 0.057, 0.51)
    assert found["C"].shares["replied"].value is None


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        ({"variants": WORDS[:1]}, "2 to 10"),
        ({"variants": "A"}, "2 to 10"),
        ({"variants": ["A", "B"]}, "each is a block"),
        ({"variants": WORDS, "text": "mine"}, "either in the step or in its variants"),
        ({"variants": [WORDS[0], WORDS[0]]}, "same label"),
        ({"variants": [WORDS[0], {"colour": "red"}]}, "colour: no such key"),
        ({"variants": [WORDS[0], {"label": "B", "subject": "Re: Hi", "text": "x"}]}, "variant B"),
        ({"subject": "a", "text": "b", "delay_days": -1}, "from 0 to 365"),
        ({"subject": "a", "text": "b", "delay_days": 366}, "from 0 to 365"),
    ],
)
def test_a_step_that_can_not_be_is_refused_with_its_place(step, sentence):
    tenant = factories.tenant()

    with pytest.raises(BadInput, match=sentence):
        campaigns.create(tenant, {"name": "x", "steps": [step]}, actor=SYSTEM)

    assert not Campaign.objects.exists()


@pytest.mark.parametrize(
    ("spec", "sentence"), [({"doubt": "maybe"}, "stop, go_on"), ({"stop_on_colleague": "yes"}, "true or false")]
)
def test_a_choice_of_the_sequence_is_one_of_those_there_are(spec, sentence):
    with pytest.raises(BadInput, match=sentence):
        campaigns.create(factories.tenant(), {"name": "x"} | spec, actor=SYSTEM)

    assert not Campaign.objects.exists()
