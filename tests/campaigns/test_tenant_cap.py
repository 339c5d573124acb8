"""What a tenant's daily cap lets out."""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext

import pytest
from django.db import connection, transaction

from campaigns.models import Message
from campaigns.pipeline import planner
from mailboxes.models import Allowance
from outreach.common.errors import BadInput, NotAllowed
from tenants.models import Tenant
from tenants.services import tenants
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_campaigns import actor_as
from tests.campaigns.test_planner import NOON, plan, running

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


def reserved() -> int:
    return Allowance.objects.get(scope="tenant_day").reserved


def test_a_lower_cap_takes_back_what_is_planned_and_the_next_plan_fills_up_to_it():
    campaign, _ = running(100, 10)
    assert plan(campaign).planned == 100
    gone = list(Message.objects.order_by("pk").values_list("pk", flat=True)[:5])
    Message.objects.filter(pk__in=gone).update(status="sent", sent_at=NOON)

    tenants.set_daily_cap(campaign.tenant, 12, actor=SYSTEM)

    assert sorted(Message.objects.values_list("pk", flat=True)) == gone
    assert plan(campaign).planned == 7
    assert (Message.objects.count(), reserved()) == (12, 12)
    assert plan(campaign).planned == 0


def test_a_cap_below_what_left_today_plans_nothing_more():
    campaign, _ = running(30, 3)
    plan(campaign)
    Message.objects.filter(pk__in=Message.objects.values("pk")[:6]).update(status="sent", sent_at=NOON)

    tenants.set_daily_cap(campaign.tenant, 4, actor=SYSTEM)

    assert plan(campaign).planned == 0
    assert (Message.objects.count(), reserved()) == (6, 6)


def test_a_higher_cap_takes_nothing_back_and_is_planned_at_once():
    campaign, _ = running(30, 3)
    tenants.set_daily_cap(campaign.tenant, 10, actor=SYSTEM)
    assert plan(campaign).planned == 10
    before = set(Message.objects.values_list("pk", flat=True))
    Tenant.objects.update(plan_wanted_at=None)

    made = tenants.set_daily_cap(campaign.tenant, None, actor=SYSTEM)

    assert made.daily_cap is None
    assert made.plan_wanted_at is not None
    assert set(Message.objects.values_list("pk", flat=True)) == before
    assert plan(campaign).planned == 20


def test_a_planner_that_holds_an_old_list_reads_the_cap_again():
    campaign, _ = running(30, 3)
    stale = Tenant.objects.get(pk=campaign.tenant_id)

    tenants.set_daily_cap(campaign.tenant, 8, actor=SYSTEM)

    assert planner.run(stale, NOON).planned == 8


@pytest.mark.parametrize(("role", "allowed"), [("ops_manager", True), ("operator", False), ("client_viewer", False)])
def test_who_sets_the_cap(role, allowed):
    tenant = factories.tenant(daily_cap=50)

    with nullcontext() if allowed else pytest.raises(NotAllowed):
        tenants.set_daily_cap(tenant, 20, actor=actor_as(role))

    tenant.refresh_from_db()
    assert tenant.daily_cap == (20 if allowed else 50)


@pytest.mark.parametrize("cap", [-1, 2_000_000_001])
def test_a_cap_has_bounds(cap):
    with pytest.raises(BadInput):
        tenants.set_daily_cap(factories.tenant(), cap, actor=SYSTEM)


@pytest.mark.django_db(transaction=True)
def test_no_plan_made_under_the_old_cap_is_left():
    campaign, _ = running(30, 3)

    def lower() -> None:
        tenants.set_daily_cap(campaign.tenant, 5, actor=SYSTEM)
        connection.close()

    thread = threading.Thread(target=lower)
    with transaction.atomic():
        assert planner.run(campaign.tenant, NOON).planned == 30  # not committed yet, so the other can't see it
        thread.start()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not waiting():
            time.sleep(0.02)
        assert waiting()
    thread.join()

    assert Message.objects.count() == 0
    assert plan(campaign).planned == 5


def waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")
        return cursor.fetchone()[0]
