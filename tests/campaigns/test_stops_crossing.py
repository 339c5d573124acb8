"""A stop that is pulled while planners plan and senders send: nothing slips past it."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.db import transaction

from campaigns.models import Message, Stop
from campaigns.pipeline import planner
from campaigns.services import stops
from outreach import cron
from outreach.common import isolation
from tenants.services.actors import SYSTEM
from tests.campaigns.test_crossings import beside, stands_still
from tests.campaigns.test_stops import PEOPLE, House, claim, commit

pytestmark = pytest.mark.as_worker


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scope", ["platform", "tenant", "domain", "campaign"])
def test_a_stop_takes_back_what_a_planner_was_about_to_write(scope):
    house = House()
    with transaction.atomic():
        planner.run(house.tenant, cron.now())
        thread = beside(lambda: stops.pull(scope, house.target(scope), actor=SYSTEM, reason="complaints"))
        stands_still(thread)
    thread.join(60)

    assert Stop.objects.count() == 1
    assert house.covered(scope).count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_planner_makes_no_plan_while_a_stop_is_being_pulled():
    house = House()
    with transaction.atomic():
        stops.pull("domain", house.box.domain, actor=SYSTEM, reason="complaints")
        beside(lambda: planner.run(house.tenant, cron.now())).join(60)  # it does not wait

    assert Message.objects.count() == 0
    house.plan()
    assert (house.covered("domain").count(), Message.objects.count()) == (0, 3 * PEOPLE)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("scope", Stop.Scope.values)
def test_no_message_enters_committing_after_the_stop_has_committed(scope):
    """Writers ask for dots, one row after the other, while the lever is pulled: whoever is later loses the row."""
    house = House()
    house.plan()
    token = uuid4()
    taken = claim(house.tenant, token)
    covered = set(house.covered(scope).filter(tenant=house.tenant).values_list("pk", flat=True))
    granted: set[int] = set()

    def ask(part):
        for pk in part:
            granted.update(commit([pk], token))

    threads = [beside(lambda part=taken[n::3]: ask(part)) for n in range(3)]
    with transaction.atomic():
        stops.pull(scope, house.target(scope), actor=SYSTEM, reason="complaints")
        passed = set(Message.objects.filter(status="committing").values_list("pk", flat=True))
    for thread in threads:
        thread.join(60)

    assert {pk for pk in granted if pk in covered} <= passed
    assert set(taken) - covered <= granted
    assert not house.covered(scope).filter(status__in=["planned", "claimed"], tenant=house.tenant).exists()


@pytest.mark.django_db(transaction=True)
def test_a_stop_of_the_platform_reaches_tenants_that_its_actor_does_not_see():
    house = House()
    house.plan()

    with isolation.nothing():
        stop = stops.pull("platform", actor=SYSTEM, reason="key lost")

    assert stop.taken_back == 3 * PEOPLE
    assert not Message.objects.exists()
