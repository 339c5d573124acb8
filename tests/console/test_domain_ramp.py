"""A sending domain's ramp on its page: the picture, the days, what it may do."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils.timezone import now

from mailboxes.models import DomainRampDay, RampPlan, SendingDomain
from tests import factories
from tests.console.conftest import client_of, person

pytestmark = pytest.mark.django_db


def page(domain, name="change"):
    return reverse(f"admin:mailboxes_sendingdomain_{name}", args=[domain.pk])


def test_the_page_shows_the_ramp_with_picture_reason_and_days(as_chief, world):
    domain = world.mailboxes[-1].domain

    shown = as_chief.get(page(domain)).content.decode()
    chart = as_chief.get(page(domain, "ramp")).json()

    assert f'data-url="{page(domain, "ramp")}"' in shown
    assert "the cap was used, and it was time for a step" in shown
    assert f"/mailboxes/domainrampday/?domain__id__exact={domain.pk}" in shown
    assert chart["lines"] == {"allowed": [50, 58], "planned": [10, None], "sent": [10, None]}
    assert chart["x"][1] - chart["x"][0] == 86400


def test_a_domain_without_a_ramp_has_no_picture(as_chief, world):
    domain = factories.domain(world.tenant)

    assert page(domain, "ramp") not in as_chief.get(page(domain)).content.decode()
    assert as_chief.get(page(domain, "ramp")).json() == {"x": [], "lines": {}}


def test_a_domain_that_is_too_young_says_from_when_on_it_sends(as_chief, world):
    today = now().date()
    young = factories.domain(world.tenant, registered_on=today - timedelta(days=3))
    old = factories.domain(world.tenant, registered_on=today - timedelta(days=14))

    assert f"before {today + timedelta(days=11)}" in as_chief.get(page(young)).content.decode()
    assert "Too young to send" not in as_chief.get(page(old)).content.decode()


@pytest.mark.attack("A26")
def test_a_strangers_domain_shows_no_curve(world):
    stranger = client_of(person("stranger@example.com", "ops_manager", factories.tenant()))

    assert stranger.get(page(world.mailboxes[-1].domain, "ramp")).status_code == 404


def test_a_domain_is_put_on_a_ramp_and_taken_off_in_the_console(as_chief, world):
    domain = factories.domain(world.tenant)
    plan = RampPlan.objects.create(tenant=world.tenant, name="domains", start=50, ceiling=500)
    changelist = reverse("admin:mailboxes_sendingdomain_changelist")
    chosen = {"_selected_action": [domain.pk], "index": 0}

    asked = as_chief.post(changelist, {"action": "start_ramp", **chosen}).content.decode()
    as_chief.post(changelist, {"action": "start_ramp", **chosen, "confirmed": "1", "plan": plan.pk, "reason": "new"})

    assert f"domains ({world.tenant})" in asked
    domain.refresh_from_db()
    assert (domain.ramp_id, domain.ramp_cap) == (plan.pk, 50)
    as_chief.post(changelist, {"action": "leave_ramp", **chosen, "confirmed": "1", "reason": "old enough"})
    domain.refresh_from_db()
    assert (domain.ramp_id, domain.ramp_cap) == (None, None)
    assert DomainRampDay.objects.filter(domain=domain).count() == 1


def test_an_analyst_sees_the_ramp_and_changes_nothing(as_analyst, world):
    domain = world.mailboxes[-1].domain
    changelist = reverse("admin:mailboxes_sendingdomain_changelist")
    chosen = {"_selected_action": [domain.pk], "index": 0, "confirmed": "1", "reason": "x"}

    assert as_analyst.get(page(domain, "ramp")).status_code == 200
    assert "Take off the ramp" not in as_analyst.get(page(domain)).content.decode()
    as_analyst.post(changelist, {"action": "leave_ramp", **chosen})

    assert SendingDomain.objects.get(pk=domain.pk).ramp_cap == 58
