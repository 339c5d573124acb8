"""What is told of a campaign whose total is used up."""

from __future__ import annotations

import pytest

from campaigns.models import Enrolment, Message
from campaigns.pipeline import explain
from campaigns.pipeline.forecasting import loading
from campaigns.pipeline.forecasting.terms import Limit
from tests.campaigns.explaining.situations import LISTENING, Scene
from tests.campaigns.test_planner import NOON, plan, running

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


def test_explain_names_the_total_and_that_it_does_not_end_by_itself():
    scene = Scene(changes={"total_cap": 8})
    plan(scene.campaign, scene.now)
    Message.objects.update(status="sent", sent_at=scene.now)

    found = explain.campaign(scene.campaign, scene.now, queue=LISTENING)

    (cause,) = found.causes
    assert (cause.kind, cause.name, cause.decides, cause.used, cause.cap) == ("cap", "campaign_total", 12, 8, 8)
    assert (cause.next_at, found.ready) == (None, 0)
    assert cause.title == "the campaign's total"


def test_explain_counts_follow_ups_against_the_total_and_retries_not():
    scene = Scene(changes={"total_cap": 8})
    plan(scene.campaign, scene.now)
    Message.objects.filter(pk__in=Message.objects.values("pk")[:5]).update(status="sent", sent_at=scene.now)
    Message.objects.filter(status="planned").update(status="deferred", tries=1, due_at=scene.now)
    waiting = Enrolment.objects.filter(due_at__isnull=False).order_by("pk")[:4]
    Enrolment.objects.filter(pk__in=waiting.values("pk")).update(mailbox=scene.boxes[0])

    found = explain.campaign(scene.campaign, scene.now, queue=LISTENING)

    assert [(cause.name, cause.decides) for cause in found.causes] == [("campaign_total", 12)]
    assert found.ready == 3


def test_the_forecast_ends_at_the_total():
    campaign, _ = running(100, 10, total_cap=30, fleet={"daily_cap": 2})

    (one,) = loading.forecast(campaign.tenant, NOON).campaigns

    assert [day.sent for day in one.days[:3]] == [20, 10, 0]
    assert (one.done_on, one.left, one.days[2].limit, one.limit) == (None, 70, Limit.TOTAL, Limit.TOTAL)
