"""A step of a launched campaign is changed by a new version; what was made with the old one keeps it."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from campaigns.models import Contact, Message, Step, Variant
from campaigns.pipeline import planner
from campaigns.services import campaigns, steps
from outreach import cron
from outreach.common.errors import BadInput, InvalidMove, Missing, NotAllowed, NotReady
from tenants import permissions
from tenants.models import AuditEntry, TenantRecord
from tenants.services.actors import SYSTEM, Actor
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]
NEW = {"subject": "Another question", "text": "Hello again {{ first_name }}", "delay_days": 2}


@pytest.fixture
def campaign():
    """Started, with room for two mails now and two more later."""
    tenant = factories.tenant()
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 4)
    box = factories.mailbox(tenant, daily_cap=2)
    return campaigns.start(factories.campaign(tenant, box.pool, listed, steps=2), actor=SYSTEM)


def test_a_revision_is_for_those_who_are_planned_from_now_on(campaign):
    planner.run(campaign.tenant, cron.now())
    old = campaign.steps.get(position=1)

    new = steps.revise(campaign, 1, NEW, actor=SYSTEM, reason="a typo")
    campaign.pool.mailboxes.update(daily_cap=4)
    planner.run(campaign.tenant, cron.now())

    assert (new.version, new.frozen_at is not None, new.delay_days) == (2, True, 2)
    assert sorted(Message.objects.values_list("step__version", flat=True)) == [1, 1, 2, 2]
    old.refresh_from_db()
    assert (old.subject, [step.pk for step in steps.current(campaign)][0]) == (
        "A question about {{ company }}",
        new.pk,
    )
    entry = AuditEntry.objects.get(action="step.revised")
    assert (entry.subject_id, entry.reason, entry.before, entry.after) == (new.pk, "a typo", old.pk, 2)


def test_nobody_gets_a_step_again_because_it_was_revised(campaign):
    campaign.pool.mailboxes.update(daily_cap=100)
    planner.run(campaign.tenant, cron.now())
    steps.revise(campaign, 1, NEW, actor=SYSTEM)

    planner.run(campaign.tenant, cron.now())

    assert Message.objects.count() == 4


def test_a_revision_may_bring_wordings(campaign):
    block = {"variants": [{"subject": letter, "text": letter} for letter in "ab"]}

    new = steps.revise(campaign, 2, block, actor=SYSTEM)

    assert list(Variant.objects.filter(step=new).values_list("label", "subject")) == [("A", "a"), ("B", "b")]


@pytest.mark.parametrize(
    ("position", "block", "error"),
    [
        (3, NEW, Missing),
        (1, {"subject": "Re: Hello", "text": "x"}, BadInput),
        (1, {"subject": "Hello", "text": "{{ first_name"}, BadInput),
        (1, {"subject": "Hello", "text": " "}, BadInput),
        (2, {"subject": "", "text": "x"}, BadInput),
        (2, {"subject": "x", "colour": "red"}, BadInput),
        (2, "text", BadInput),
    ],
)
def test_what_can_not_be_sent_is_refused_whole(campaign, position, block, error):
    with pytest.raises(error):
        steps.revise(campaign, position, block, actor=SYSTEM)

    assert Step.objects.count() == 2
    assert not AuditEntry.objects.filter(action="step.revised").exists()


def test_drafts_and_what_is_over_are_not_revised(campaign):
    draft = factories.campaign(campaign.tenant)
    campaigns.cancel(campaign, actor=SYSTEM)

    for one in (draft, campaign):
        with pytest.raises(InvalidMove, match="only a launched campaign"):
            steps.revise(one, 1, NEW, actor=SYSTEM)

    assert not Step.objects.filter(version=2).exists()


@pytest.mark.parametrize(("role", "allowed"), [("analyst", False), ("operator", True)])
def test_who_may_launch_may_revise(campaign, role, allowed):
    actor = Actor("user", role, within={campaign.tenant_id: permissions.ROLES[role]})

    with nullcontext() if allowed else pytest.raises(NotAllowed):
        steps.revise(campaign, 1, NEW, actor=actor)

    assert Step.objects.filter(version=2).count() == int(allowed)


def test_no_revision_takes_out_what_a_launch_would_have_needed(campaign):
    notice = "We have you from {{ source }}. https://example.com/privacy"
    steps.revise(campaign, 1, {"subject": "Hello", "text": notice}, actor=SYSTEM)
    Contact.objects.update(country="DE", collected_directly=False)
    TenantRecord.objects.update(allowed_countries=["DE"])

    with pytest.raises(NotReady) as refused:
        steps.revise(campaign, 1, {"subject": "Hello", "text": "Hello https://user:word@shop.example/"}, actor=SYSTEM)

    assert len(refused.value.missing) == 3
    assert "does not name the source" in " ".join(refused.value.missing)
    assert steps.current(campaign)[0].text_body == notice
    assert AuditEntry.objects.filter(action="step.revised").count() == 1


def test_what_stood_against_the_campaign_before_keeps_no_word_from_being_put_right(campaign):
    Contact.objects.update(country="DE", collected_directly=False)
    TenantRecord.objects.update(allowed_countries=["DE"])

    new = steps.revise(campaign, 1, NEW, actor=SYSTEM)

    assert new.version == 2
