"""Pages on which people mark answers, release conversations, look at wordings and revise steps."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils.timezone import now

from campaigns.models import Campaign, Conversation, Message, Step, Variant
from campaigns.services import replies
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM
from tests import factories
from tests.console.conftest import client_of, person
from tests.console.test_actions import act, said

LIST = "admin:campaigns_conversation_changelist"


def test_who_is_in_conversation_stands_in_a_list_with_when_and_how(world, as_chief):
    talking, quiet, other = world.people[:3]
    replies.human(talking, actor=SYSTEM, via="marked")
    replies.not_interested(quiet, actor=SYSTEM, quiet_days=30)

    page = as_chief.get(reverse(LIST))

    assert {row.pk for row in page.context["cl"].result_list} == {
        talking.pk,
        quiet.pk,
        world.people[-1].pk,
    }
    assert "marked by staff" in page.content.decode()
    assert other.email not in page.content.decode()
    only = as_chief.get(reverse(LIST), {"standing": "talking"})
    assert [row.pk for row in only.context["cl"].result_list] == [talking.pk, world.people[-1].pk]


def test_a_release_asks_why_and_for_how_long(world, as_chief):
    talking = world.people[0]
    replies.human(talking, actor=SYSTEM)

    act(as_chief, talking, "release", reason="They bought", quiet_days="14", confirmed="1")

    talking.refresh_from_db()
    assert (talking.conversation_since, talking.quiet_until is not None) == (None, True)
    assert AuditEntry.objects.get(action="contact.released").reason == "They bought"
    assert talking.email in as_chief.get(reverse(LIST)).content.decode()


def test_an_answer_is_marked_on_the_contact_and_on_the_message(world, as_chief):
    by_contact = world.people[2]
    message = Message.objects.filter(status="sent").exclude(contact=by_contact).first()

    act(as_chief, by_contact, "mark_answered", via="marked", confirmed="1")
    act(as_chief, message, "mark_answered", via="other_address", confirmed="1")

    by_contact.refresh_from_db()
    message.refresh_from_db()
    assert by_contact.conversation_via == "marked"
    assert (message.outcome, message.contact.conversation_via) == ("replied", "other_address")
    detail = as_chief.get(reverse("admin:campaigns_contact_change", args=[by_contact.pk])).content.decode()
    assert "marked by staff" in detail


def test_analysts_look_and_do_not_release(world, as_analyst):
    talking = world.people[0]
    replies.human(talking, actor=SYSTEM)
    assert as_analyst.get(reverse(LIST)).status_code == 200

    act(as_analyst, talking, "release", reason="x", quiet_days="0", confirmed="1")

    talking.refresh_from_db()
    assert talking.conversation_since is not None


def test_a_step_shows_what_came_of_each_wording_with_its_range(world, as_chief):
    variant = Variant.objects.get(step=world.step)
    messages = Message.objects.filter(status="sent")
    messages.update(variant=variant)
    Message.objects.filter(pk=messages.first().pk).update(outcome="replied", replied_at=now())

    page = as_chief.get(reverse("admin:campaigns_step_change", args=[world.step.pk]))

    (wording,) = page.context["wordings"]
    replied = wording["shares"][0]
    assert (wording["label"], wording["sent"], replied["hits"], replied["value"]) == ("A", 2, 1, 50.0)
    assert (round(replied["low"], 1), round(replied["high"], 1)) == (9.5, 90.5)
    assert 'class="interval-range" x="9.45%"' in page.content.decode()
    assert "Variant A" in page.content.decode()


def test_a_step_without_variants_is_revised_on_its_page(world):
    operator = client_of(person("operator@example.com", "operator", world.tenant))
    Variant.objects.all().delete()
    Step.objects.filter(pk=world.step.pk).update(frozen_at=now())
    block = {"subject": "Better", "text": "Hello\n", "html": "", "delay_days": "2", "delay_hours": "0"}

    answer = act(operator, world.step, "revise", reason="a typo", confirmed="1", **block)

    new = Step.objects.get(version=2)
    assert (new.subject, new.position, new.delay_days) == ("Better", 1, 2)
    assert said(answer)
    old = operator.get(reverse("admin:campaigns_step_change", args=[world.step.pk]))
    assert old.context["detail_actions"] == []


@pytest.mark.parametrize("change", [{"frozen_at": None}, {"subject": "Re: x"}])
def test_what_can_not_be_revised_is_said(world, as_chief, change):
    Step.objects.filter(pk=world.step.pk).update(frozen_at=now())
    Campaign.objects.filter(pk=world.campaign.pk).update(started_at=None if "frozen_at" in change else now())
    block = {"subject": change.get("subject", "x"), "text": "y", "html": "", "delay_days": "0", "delay_hours": "0"}

    answer = act(as_chief, world.step, "revise", reason="a typo", confirmed="1", **block)

    assert said(answer)
    assert not Step.objects.filter(version=2).exists()


def test_people_of_another_tenant_see_and_release_nobody(world):
    talking = world.people[0]
    replies.human(talking, actor=SYSTEM)
    stranger = client_of(person("stranger@example.com", "operator", factories.tenant()))
    row = Conversation.objects.get(pk=talking.pk)

    assert talking.email not in stranger.get(reverse(LIST)).content.decode()
    assert stranger.get(reverse("admin:campaigns_conversation_change", args=[row.pk])).status_code in (302, 404)
    act(stranger, row, "release", reason="x", quiet_days="0", confirmed="1")

    talking.refresh_from_db()
    assert talking.conversation_since is not None
