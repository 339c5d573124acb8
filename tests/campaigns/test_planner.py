"""The planner: who is written to, from where, when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Count

from campaigns.models import Enrolment, Message
from campaigns.pipeline import planner
from campaigns.services import campaigns, suppression
from mailboxes.models import Allowance
from tenants.services.actors import SYSTEM
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)


def running(people: int, mailboxes: int, *, fleet: dict | None = None, tenant=None, **changes):
    tenant = tenant or factories.tenant()
    boxes = factories.fleet(tenant, mailboxes, **(fleet or {}))
    people_list = factories.contact_list(tenant)
    factories.people(tenant, people_list, people)
    whole_day = {"window_from": "00:00", "window_until": "00:00", "pace": "prompt"}
    campaign = factories.campaign(tenant, boxes[0].pool, people_list, **whole_day | changes)
    return campaigns.start(campaign, actor=SYSTEM), boxes


def test_everybody_gets_one_message_within_caps():
    campaign, _ = running(100, 10, fleet={"daily_cap": 8})

    run = planner.run(campaign.tenant, NOON)

    assert run.planned == 80
    assert Message.objects.values("enrolment").distinct().count() == 80
    assert set(
        Message.objects.values_list("mailbox").annotate(n=Count("pk")).values_list("n", flat=True)
    ) == {8}
    assert Enrolment.objects.filter(due_at=None, waits_for="message").count() == 80
    assert set(Allowance.objects.filter(scope="mailbox_day").values_list("cap", "reserved")) == {(8, 8)}
    assert planner.run(campaign.tenant, NOON).planned == 0


def test_twice_the_weight_gets_twice_the_mail():
    campaign, boxes = (
        running(3000, 10, each=None, fleet={"each": lambda i: {"weight": 2 if i < 5 else 1}})
        if False
        else running(3000, 10, fleet={"each": lambda i: {"weight": 2 if i < 5 else 1}})
    )

    planner.run(campaign.tenant, NOON)

    shares = dict(Message.objects.values_list("mailbox").annotate(n=Count("pk")).order_by("mailbox"))
    assert [shares[box.pk] for box in boxes] == [400] * 5 + [200] * 5
