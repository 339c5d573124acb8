"""What a hostile reading of the pipeline found, held in place."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from campaigns.ledger import outcomes
from campaigns.ledger.outcome import Outcome
from campaigns.models import Campaign, Enrolment, Message
from campaigns.pipeline import batcher, planner, reaper
from campaigns.services import campaigns, suppression
from mailboxes.models import Allowance, Mailbox
from outreach import cron
from tenants.models import Tenant
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


def running(tenant, pool, people=20, **changes):
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, people)
    return campaigns.start(factories.campaign(tenant, pool, listed, **changes), actor=SYSTEM)


def test_two_pools_share_a_domains_hour():
    tenant = factories.tenant()
    first = factories.fleet(tenant, 2, domains=1)
    second = factories.fleet(tenant, 4, domains=2)
    shared = first[0].domain
    shared.hourly_cap = 10
    shared.save()
    Mailbox.objects.filter(pk__in=[second[0].pk, second[2].pk]).update(domain=shared)
    for boxes in (first, second):
        running(tenant, boxes[0].pool, 40)

    planner.run(tenant, cron.now())

    assert Allowance.objects.get(scope="domain_hour").reserved == 10
    assert Message.objects.filter(mailbox__domain=shared).count() == 10


def test_one_tenants_trouble_does_not_hold_up_the_others(monkeypatch):
    owners = [factories.tenant(), factories.tenant()]
    for owner in owners:
        running(owner, factories.fleet(owner, 2)[0].pool)
    run = planner.run

    def broken_for_the_first(tenant, now):
        if tenant == owners[0]:
            raise ValueError("made up")
        return run(tenant, now)

    monkeypatch.setattr(planner, "run", broken_for_the_first)

    assert cron.plan(owners) == 20
    assert set(Message.objects.values_list("tenant", flat=True)) == {owners[1].pk}


@pytest.mark.parametrize("status", ["paused", "cancelled"])
def test_a_plan_that_crossed_a_stop_is_swept_up(status):
    tenant = factories.tenant()
    campaign = running(tenant, factories.fleet(tenant, 2)[0].pool)
    planner.run(tenant, cron.now())
    Campaign.objects.filter(pk=campaign.pk).update(status=status)

    assert batcher.run(tenant.pk) == 0
    cron.sweep()

    if status == "paused":
        assert not Message.objects.exists()
        assert Enrolment.objects.filter(status="active", due_at__isnull=False).count() == 20
    else:
        assert set(Message.objects.values_list("status", flat=True)) == {"cancelled"}
        assert set(Enrolment.objects.values_list("status", flat=True)) == {"stopped"}


def test_a_plan_that_crossed_a_suspension_is_taken_back():
    tenant = factories.tenant()
    running(tenant, factories.fleet(tenant, 2)[0].pool)
    planner.run(tenant, cron.now())
    Tenant.objects.filter(pk=tenant.pk).update(status="suspended")

    cron.sweep()

    assert not Message.objects.exists()


def test_a_retry_whose_mailbox_never_returns_is_given_up():
    tenant = factories.tenant()
    campaign = running(tenant, factories.fleet(tenant, 2)[0].pool, 4)
    planner.run(tenant, cron.now())
    Mailbox.objects.update(hold="sign_in_failed")
    Message.objects.update(status="deferred", tries=1, planned_at=timezone.now() - timedelta(days=5))

    assert reaper.give_up(tenant, 4 * 86400) == 4
    assert set(Message.objects.values_list("status", "reason")) == {("failed", "gave_up")}
    assert reaper.complete(tenant) == [campaign.pk]


def test_a_returned_mail_is_given_up_by_age_too():
    tenant = factories.tenant()
    running(tenant, factories.fleet(tenant, 1)[0].pool, 1)
    planner.run(tenant, cron.now())
    token = uuid4()
    old = timezone.now() - timedelta(days=5)
    Message.objects.update(status="claimed", claim=token, lease_until=timezone.now(), planned_at=old)
    message = Message.objects.get()
    policy = outcomes.Policy(120, 660, (300,), 4 * 86400)

    with connection.cursor() as cursor:
        returned = Outcome(message.pk, message.mailbox_id, "returned", phase="rcpt", code=550)
        outcomes.write(cursor, token, policy, settled=[returned])

    message.refresh_from_db()
    assert (message.status, message.reason) == ("failed", "gave_up")


def test_a_late_answer_does_not_lift_a_rest_that_another_stop_began():
    tenant = factories.tenant()
    resting, rested = factories.fleet(tenant, 2)
    soon = timezone.now() + timedelta(hours=1)
    Mailbox.objects.filter(pk=resting.pk).update(failures=2, blocked_until=soon, state_reason="speeding")
    Mailbox.objects.filter(pk=rested.pk).update(failures=2, blocked_until=timezone.now() - timedelta(hours=1))

    with connection.cursor() as cursor:
        outcomes.clear(cursor, [resting.pk, rested.pk])

    rows = Mailbox.objects.order_by("pk").values_list("failures", "blocked_until", "state_reason")
    assert list(rows) == [(0, soon, "speeding"), (0, None, "")]


def test_a_suppression_of_one_campaign_leaves_the_others_alone():
    tenant = factories.tenant()
    boxes = factories.fleet(tenant, 2)
    listed = factories.contact_list(tenant)
    people = factories.people(tenant, listed, 3)
    first, second = (campaigns.start(factories.campaign(tenant, boxes[0].pool, listed), actor=SYSTEM) for _ in range(2))
    planner.run(tenant, cron.now())

    suppression.suppress(tenant, [people[0].email], actor=SYSTEM, reason="manual", via="test", campaign=first)

    stopped = Message.objects.filter(status="suppressed")
    assert list(stopped.values_list("campaign", "contact")) == [(first.pk, people[0].pk)]
    assert set(Message.objects.filter(campaign=second).values_list("status", flat=True)) == {"planned"}
