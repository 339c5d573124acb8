"""How many messages a campaign may have in all."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta

import pytest

from campaigns.ledger import moves
from campaigns.models import Campaign, Enrolment, Message
from campaigns.pipeline import reaper
from campaigns.services import campaigns, caps
from mailboxes.models import Allowance, AllowanceReturn
from outreach.common.errors import BadInput, InvalidMove, NotAllowed
from tenants.models import AuditEntry
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_campaigns import actor_as
from tests.campaigns.test_planner import NOON, plan, running

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]
DAY = timedelta(days=1)


def total() -> tuple[int, int]:
    return Allowance.objects.filter(scope="campaign_total").values_list("cap", "reserved").get()


def sent(n: int) -> None:
    Message.objects.filter(pk__in=Message.objects.filter(status="planned").order_by("pk").values("pk")[:n]).update(
        status="sent", sent_at=NOON
    )


def test_a_campaign_plans_its_total_over_the_days_and_no_more():
    campaign, _ = running(100, 10, total_cap=30, daily_cap=20)

    assert plan(campaign).planned == 20
    sent(20)
    assert plan(campaign, NOON + DAY).planned == 10
    sent(10)
    assert [plan(campaign, NOON + n * DAY).planned for n in (1, 2, 3)] == [0, 0, 0]
    assert total() == (30, 30)
    assert plan(campaign, NOON + 4 * DAY).looked_at == 0  # who waits behind it costs nothing


def test_a_campaign_without_a_total_is_not_counted():
    campaign, _ = running(20, 2)

    plan(campaign)

    assert not Allowance.objects.filter(scope="campaign_total").exists()


def test_campaigns_of_one_pool_have_totals_of_their_own():
    first, boxes = running(50, 4, total_cap=5)
    listed = factories.contact_list(first.tenant)
    factories.people(first.tenant, listed, 50)
    second = factories.campaign(first.tenant, boxes[0].pool, listed, total_cap=7)
    campaigns.start(second, actor=SYSTEM)

    assert plan(first).planned == 12
    assert (first.messages.count(), second.messages.count()) == (5, 7)


def test_follow_ups_count_too():
    campaign, boxes = running(40, 4, total_cap=10)
    bound = list(Enrolment.objects.filter(campaign=campaign).order_by("pk").values_list("pk", flat=True)[:8])
    Enrolment.objects.filter(pk__in=bound).update(mailbox=boxes[0], due_at=NOON - DAY)

    assert plan(campaign).planned == 10
    assert Message.objects.filter(enrolment__in=bound).count() == 8


def test_a_retry_is_the_same_message():
    campaign, _ = running(40, 4, total_cap=10)
    plan(campaign)
    Message.objects.update(status="deferred", tries=1, due_at=NOON + timedelta(hours=1))

    run = plan(campaign, NOON + timedelta(hours=2))

    assert (run.retries, run.planned, Message.objects.filter(status="planned").count()) == (10, 0, 10)
    assert total() == (10, 10)


def test_what_is_taken_back_or_cancelled_gives_its_place_to_others():
    campaign, _ = running(40, 4, total_cap=10)
    plan(campaign)
    first, second, third = Message.objects.order_by("pk").values_list("pk", flat=True)[:3]
    Message.objects.filter(pk=third).update(status="deferred", tries=1)

    moves.take_back("m.id = %(id)s", {"id": first})
    moves.close("m.id = ANY (%(ids)s)", {"ids": [second, third]}, status="cancelled", reason="test")

    assert plan(campaign).planned == 3
    assert total() == (10, 10)
    assert Message.objects.exclude(status="cancelled").count() == 10


def test_a_message_that_was_tried_and_waits_keeps_its_place():
    campaign, _ = running(40, 4, total_cap=10)
    plan(campaign)
    Message.objects.update(tries=1)

    moves.take_back("TRUE", {})

    assert not AllowanceReturn.objects.filter(scope="campaign_total").exists()
    assert AllowanceReturn.objects.filter(scope="campaign_day").exists()
    assert plan(campaign).planned == 0
    assert total() == (10, 10)


def test_one_that_is_given_up_was_a_message():
    campaign, _ = running(40, 4, total_cap=10)
    plan(campaign)
    Message.objects.update(status="deferred", tries=5, planned_at=NOON - 30 * DAY)

    assert reaper.give_up(campaign.tenant, 4 * 86400) == 10

    assert plan(campaign).planned == 0
    assert total() == (10, 10)


def test_a_total_given_later_counts_what_went_before():
    campaign, _ = running(40, 4, daily_cap=10)
    plan(campaign)
    sent(4)
    pk = Message.objects.filter(status="planned").first().pk
    moves.close("m.id = %(id)s", {"id": pk}, status="suppressed", reason="test")

    caps.set_caps(campaign, daily_cap=None, total_cap=12, actor=SYSTEM)  # takes back the five that wait

    assert plan(campaign).planned == 8
    assert total() == (12, 12)
    assert AllowanceReturn.objects.count() == 0


def test_what_is_given_back_while_counting_begins_is_given_back_once():
    """The count takes what is on its way back for granted, and the next run books it."""
    campaign, _ = running(40, 4)
    plan(campaign)
    Campaign.objects.update(total_cap=30)
    moves.take_back("m.id IN (SELECT id FROM campaigns_message ORDER BY id LIMIT 15)", {})

    assert plan(campaign).planned == 5  # 25 are there
    assert (Message.objects.count(), total()) == (30, (30, 30))


def test_a_total_taken_away_and_given_again_is_the_true_number():
    campaign, _ = running(60, 6, total_cap=10)
    plan(campaign)
    sent(10)
    caps.set_caps(campaign, daily_cap=12, total_cap=None, actor=SYSTEM)
    assert plan(campaign).planned == 2
    sent(2)

    caps.set_caps(campaign, daily_cap=None, total_cap=15, actor=SYSTEM)

    assert plan(campaign).planned == 3
    assert total() == (15, 15)


def test_a_lower_total_takes_back_and_fills_up_to_it():
    campaign, _ = running(40, 4, total_cap=30)
    plan(campaign)
    sent(4)

    caps.set_caps(campaign, daily_cap=None, total_cap=7, actor=SYSTEM)

    assert Message.objects.count() == 4
    assert plan(campaign).planned == 3
    assert total() == (7, 7)


def test_a_total_below_what_went_out_stops_without_a_minus():
    campaign, _ = running(40, 4, total_cap=30)
    plan(campaign)
    sent(20)

    caps.set_caps(campaign, daily_cap=None, total_cap=7, actor=SYSTEM)

    assert plan(campaign).planned == 0
    assert Message.objects.count() == 20


def test_a_campaign_whose_total_is_used_up_goes_on_to_run():
    campaign, _ = running(40, 4, total_cap=10)
    plan(campaign)
    sent(10)

    assert reaper.complete(campaign.tenant) == []
    assert Campaign.objects.get(pk=campaign.pk).status == "running"
    assert Enrolment.objects.filter(campaign=campaign, due_at__isnull=False).count() == 30


@pytest.mark.parametrize(("role", "allowed"), [("ops_manager", True), ("analyst", False), ("client_viewer", False)])
def test_who_sets_a_campaigns_caps(role, allowed):
    campaign = factories.campaign(factories.tenant(), total_cap=50)

    with nullcontext() if allowed else pytest.raises(NotAllowed):
        caps.set_caps(campaign, daily_cap=5, total_cap=20, actor=actor_as(role), reason="smaller budget")

    campaign.refresh_from_db()
    assert (campaign.daily_cap, campaign.total_cap) == ((5, 20) if allowed else (None, 50))
    assert AuditEntry.objects.filter(action="campaign.caps_set").count() == int(allowed)


def test_caps_have_bounds_and_an_end():
    campaign = factories.campaign(factories.tenant(), total_cap=50)

    for values in ({"daily_cap": -1, "total_cap": None}, {"daily_cap": None, "total_cap": 2_000_000_001}):
        with pytest.raises(BadInput):
            caps.set_caps(campaign, **values, actor=SYSTEM)
    Campaign.objects.update(status="completed")
    with pytest.raises(InvalidMove):
        caps.set_caps(campaign, daily_cap=None, total_cap=1, actor=SYSTEM)
    assert Campaign.objects.get().total_cap == 50
