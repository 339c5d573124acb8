"""How often people are written to, as a tenant's setting."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta

import pytest

from campaigns.models import Enrolment, Message
from outreach.common.errors import BadInput, NotAllowed
from tenants.models import AuditEntry, Tenant
from tenants.services import tenants
from tenants.services.actors import SYSTEM
from tests import factories
from tests.campaigns.test_campaigns import actor_as
from tests.campaigns.test_planner import NOON, plan, running

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]


def limits(tenant: Tenant) -> tuple[int, int | None, int | None]:
    return Tenant.objects.values_list("frequency_days", "frequency_person", "frequency_company").get(pk=tenant.pk)


@pytest.mark.parametrize(("role", "allowed"), [("ops_manager", True), ("operator", False), ("client_viewer", False)])
def test_who_sets_how_often_people_are_written_to(role, allowed):
    tenant = factories.tenant(frequency_person=3)

    with nullcontext() if allowed else pytest.raises(NotAllowed):
        tenants.set_frequency(tenant, days=14, person=2, company=10, actor=actor_as(role))

    assert limits(tenant) == ((14, 2, 10) if allowed else (7, 3, None))
    assert AuditEntry.objects.filter(action="tenant.frequency_set").count() == int(allowed)


@pytest.mark.parametrize(
    "values",
    [
        {"days": 0, "person": 1, "company": 1},
        {"days": 91, "person": 1, "company": 1},
        {"days": 7, "person": 0, "company": 1},
        {"days": 7, "person": 1, "company": 32_768},
    ],
)
def test_the_limits_have_bounds(values):
    tenant = factories.tenant(frequency_person=3)

    with pytest.raises(BadInput):
        tenants.set_frequency(tenant, **values, actor=SYSTEM)
    assert limits(tenant) == (7, 3, None)


def test_whoever_waits_for_the_old_limits_is_looked_at_again():
    campaign, _ = running(5, 1, tenant=factories.tenant(frequency_person=1))
    waiting, other = Enrolment.objects.order_by("pk").values_list("pk", flat=True)[:2]
    far = NOON + timedelta(days=6)
    Enrolment.objects.filter(pk=waiting).update(due_at=far, waits_for="frequency")
    Enrolment.objects.filter(pk=other).update(due_at=far, waits_for="receiver")

    made = tenants.set_frequency(campaign.tenant, days=7, person=2, company=None, actor=SYSTEM)

    assert made.plan_wanted_at is not None
    assert Enrolment.objects.get(pk=waiting).due_at < NOON
    assert Enrolment.objects.get(pk=waiting).waits_for == ""
    assert Enrolment.objects.filter(pk=other, due_at=far, waits_for="receiver").exists()


@pytest.mark.parametrize(
    ("days", "person", "company", "left"),
    [
        (7, 3, 20, 10), (7, 4, None, 10), (3, 3, 20, 10), (7, None, None, 10),
        (7, 2, 20, 0), (7, 3, 19, 0), (8, 3, 20, 0),
    ],
)  # fmt: skip
def test_tighter_limits_take_back_what_waits_and_looser_ones_do_not(days, person, company, left):
    campaign, _ = running(10, 1, tenant=factories.tenant(frequency_person=3, frequency_company=20))
    plan(campaign)
    Message.objects.all().update(status="planned")

    tenants.set_frequency(campaign.tenant, days=days, person=person, company=company, actor=SYSTEM)

    assert Message.objects.count() == left
