"""The forecast by command, on pages, over the API; and what is counted for it."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from campaigns.models import Campaign, Enrolment, Message
from campaigns.pipeline import planner
from campaigns.pipeline.forecasting import loading
from campaigns.pipeline.forecasting.terms import Demand
from campaigns.services import campaigns
from mailboxes.models import Mailbox
from outreach.common import freshness
from tenants.services.actors import SYSTEM
from tests import factories
from tests.api.conftest import Api, key_of
from tests.campaigns.forecasting.days import launched
from tests.console.conftest import client_of, person

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 9, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _nothing_kept():
    freshness.forget()


@pytest.fixture
def tenant():
    return factories.tenant()


@pytest.fixture
def pool(tenant):
    return factories.fleet(tenant, 2, daily_cap=10)[0].pool


@pytest.fixture
def campaign(tenant, pool) -> Campaign:
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 50)
    return campaigns.start(factories.campaign(tenant, pool, listed, name="Autumn"), actor=SYSTEM)


@pytest.fixture
def chief():
    return client_of(person("chief@example.com", "platform_admin"))


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("forecast", *arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


# --- Counting ---------------------------------------------------------------------------------------------


def test_people_are_counted_by_zone_step_and_day(tenant, pool):
    made = launched(tenant, pool, 10, NOON, delays=(72,), zones=("UTC", "Europe/Kyiv"))
    box = Mailbox.objects.order_by("pk").first()
    moved = Enrolment.objects.filter(campaign=made, zone="UTC").order_by("pk")[:3]
    Enrolment.objects.filter(pk__in=[row.pk for row in moved]).update(
        step=2, mailbox=box, due_at=NOON + timedelta(hours=30, minutes=20)
    )

    (work,) = loading.load(tenant, NOON).work

    midnight = datetime(2026, 3, 9, tzinfo=UTC)
    assert work.demand == (
        Demand("Europe/Kyiv", 0, 5, midnight), Demand("UTC", 0, 2, midnight),
        Demand("UTC", 1, 3, NOON + timedelta(hours=30)),
    )  # fmt: skip
    assert (work.bound, work.delays, work.stopped) == ({0: 3}, (0, 72), 0)


def test_people_whose_mailbox_is_stopped_are_counted_apart(tenant, pool):
    made = launched(tenant, pool, 10, NOON, delays=(72,))
    box = Mailbox.objects.order_by("pk").first()
    Enrolment.objects.filter(campaign=made).update(step=2, mailbox=box)
    Mailbox.objects.filter(pk=box.pk).update(state="quarantined")

    (one,) = loading.forecast(tenant, NOON).campaigns

    assert (one.stopped, one.left, one.done_on) == (10, 10, None)


def test_what_is_planned_today_is_counted_once(tenant, pool):
    made = launched(tenant, pool, 50, NOON)
    assert planner.run(tenant, NOON).planned == 20

    found = loading.forecast(tenant, NOON)

    (one,) = found.campaigns
    assert [day.sent for day in one.days[:4]] == [20, 20, 10, 0]
    assert (one.total, one.done_on, Message.objects.filter(campaign=made).count()) == (50, date(2026, 3, 11), 20)


def test_a_list_that_is_not_enrolled_yet_counts_in_full(tenant, pool, monkeypatch):
    monkeypatch.setattr(campaigns, "ENROL_CHUNK", 30)
    made = launched(tenant, pool, 50, NOON, zones=("Europe/Vienna", ""))
    assert Enrolment.objects.filter(campaign=made).count() == 30

    (work,) = loading.load(tenant, NOON).work

    zones = ("Europe/Vienna", "Europe/Kyiv")  # who has none lives by the clock of Ukraine
    assert {zone: sum(one.count for one in work.demand if one.zone == zone) for zone in zones} == dict.fromkeys(
        zones, 25
    )
    assert sum(one.count for one in work.demand) == 50


def test_a_draft_is_looked_at_only_if_asked_for(tenant, pool):
    campaign = launched(tenant, pool, 50, NOON)
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 30)
    draft = factories.campaign(tenant, pool, listed)

    alone, both = loading.forecast(tenant, NOON), loading.forecast(tenant, NOON, draft=draft)

    assert [one.id for one in alone.campaigns] == [campaign.pk]
    assert {one.id: one.total for one in both.campaigns} == {campaign.pk: 50, draft.pk: 30}
    assert both.campaigns[0].days[0].sent == 10
    assert not Enrolment.objects.filter(campaign=draft).exists()


@pytest.mark.parametrize("status", ["draft", "paused", "halted", "completed", "cancelled"])
def test_what_does_not_run_has_no_part(tenant, campaign, status):
    Campaign.objects.filter(pk=campaign.pk).update(status=status)

    assert loading.forecast(tenant, NOON).campaigns == ()


def test_another_tenants_campaigns_have_no_part(campaign):
    assert loading.forecast(factories.tenant(), NOON).campaigns == ()


# --- By command -------------------------------------------------------------------------------------------


def test_the_command_says_when_it_is_done_and_what_limits(tenant, campaign):
    text = said("--tenant", tenant.slug)

    assert text.splitlines()[0].startswith("Autumn: done on ")
    assert "; 0 of 50 left then; the mailboxes' daily caps" in text.splitlines()[0]
    assert text.splitlines()[1] == f"pool {campaign.pool.name}: enough on every day"


def test_the_command_prints_one_object(tenant, campaign):
    found = json.loads(said("--tenant", tenant.slug, "--campaign", "Autumn", "--days", "3", "--json"))

    assert len(found["days"]) == 3
    assert found["campaigns"][0]["name"] == "Autumn"
    assert set(found["campaigns"][0]["days"][0]) == {"day", "sent", "waiting", "limit", "limit_name"}
    assert set(found["pools"][0]["days"][0]) == {"day", "capacity", "demand", "sent", "shortfall"}


def test_the_command_has_words_for_a_tenant_without_anything(tenant):
    assert said("--tenant", tenant.slug) == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--campaign", "None"], "has no campaign"),
        (["--days", "0"], "from 1 to 90"),
        (["--days", "91"], "from 1 to 90"),
    ],
)
def test_the_command_refuses_what_is_not_there(tenant, arguments, words):
    with pytest.raises(CommandError, match=words):
        said("--tenant", tenant.slug, *arguments)


# --- On pages ---------------------------------------------------------------------------------------------


def test_pages_of_tenant_pool_and_campaign_show_the_forecast(tenant, campaign, chief):
    for name, pk in (
        ("campaigns_campaign_forecast", campaign.pk), ("campaigns_forecast_tenant", tenant.pk),
        ("campaigns_forecast_pool", campaign.pool_id),
    ):  # fmt: skip
        answer = chief.get(reverse(f"admin:{name}", args=[pk]))
        page = answer.content.decode()
        assert answer.status_code == 200, name
        assert "done on " in page
        assert campaign.pool.name in page


def test_charts_carry_a_point_for_each_day(campaign, chief):
    of_campaign = chief.get(reverse("admin:campaigns_campaign_forecast_curve", args=[campaign.pk])).json()
    of_pool = chief.get(reverse("admin:campaigns_forecast_pool_curve", args=[campaign.pool_id])).json()

    assert len(of_campaign["x"]) == len(of_pool["x"]) == 28
    assert sum(of_campaign["lines"]["sent"]) == sum(of_pool["lines"]["sent"]) == 50
    assert set(of_pool["lines"]) == {"allowed", "planned", "sent"}


def test_a_draft_on_its_page_is_taken_as_started_now(tenant, pool, chief):
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 30)
    draft = factories.campaign(tenant, pool, listed)

    page = chief.get(reverse("admin:campaigns_campaign_forecast", args=[draft.pk])).content.decode()
    curve = chief.get(reverse("admin:campaigns_forecast_pool_curve", args=[pool.pk]), {"campaign": draft.pk}).json()

    assert "if it were started now" in page
    assert sum(curve["lines"]["sent"]) == 30


def test_pages_without_anything_say_so(tenant, chief):
    empty = factories.pool(tenant)

    assert (
        "nothing to foresee" in chief.get(reverse("admin:campaigns_forecast_tenant", args=[tenant.pk])).content.decode()
    )
    assert "no mailbox yet" in chief.get(reverse("admin:mailboxes_pool_change", args=[empty.pk])).content.decode()
    assert chief.get(reverse("admin:mailboxes_pool_capacity", args=[empty.pk])).json() == {"x": [], "lines": {}}


@pytest.mark.parametrize("status", ["completed", "draft"])
def test_a_campaign_with_nothing_to_foresee_has_a_page(tenant, chief, status):
    bare = factories.campaign(tenant, steps=0, status=status)

    assert chief.get(reverse("admin:campaigns_campaign_forecast", args=[bare.pk])).status_code == 200
    assert chief.get(reverse("admin:campaigns_campaign_forecast_curve", args=[bare.pk])).json() == {
        "x": [],
        "lines": {},
    }


def test_a_pools_page_shows_its_capacity_by_state(tenant, chief):
    boxes = factories.fleet(tenant, 5, daily_cap=10, each=lambda i: {"state": "reserve" if i == 4 else "active"})

    page = chief.get(reverse("admin:mailboxes_pool_change", args=[boxes[0].pool_id])).content.decode()
    curve = chief.get(reverse("admin:mailboxes_pool_capacity", args=[boxes[0].pool_id])).json()

    assert "more if its reserves were promoted" in page
    assert {name: set(values) for name, values in curve["lines"].items()} == {
        "allowed": {42}, "active": {40}, "reserve": {2},
    }  # fmt: skip


def test_a_client_sees_its_campaign_but_no_pool(tenant, campaign):
    viewer = client_of(person("client@example.com", "client_viewer", tenant, is_staff=True))

    page = viewer.get(reverse("admin:campaigns_campaign_forecast", args=[campaign.pk])).content.decode()

    assert "done on " in page
    assert campaign.pool.name not in page
    assert viewer.get(reverse("admin:campaigns_forecast_pool", args=[campaign.pool_id])).status_code == 403


def test_a_stranger_finds_nothing(campaign):
    stranger = client_of(person("stranger@example.com", "operator", factories.tenant()))

    for name, pk in (
        ("campaigns_campaign_forecast", campaign.pk), ("campaigns_campaign_forecast_curve", campaign.pk),
        ("campaigns_forecast_tenant", campaign.tenant_id), ("campaigns_forecast_pool", campaign.pool_id),
        ("campaigns_forecast_pool_curve", campaign.pool_id), ("mailboxes_pool_capacity", campaign.pool_id),
    ):  # fmt: skip
        assert stranger.get(reverse(f"admin:{name}", args=[pk])).status_code == 404, name


# --- Over the API -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("running_servers")
def test_a_key_gets_the_forecast_of_a_campaign(tenant, campaign):
    answer = Api(key_of(tenant, "campaigns.view")).get(f"campaigns/{campaign.pk}/forecast/").json()

    assert (answer["id"], answer["total"], answer["left"], answer["limit"]) == (campaign.pk, 50, 0, "mailbox_day")
    assert [day["sent"] for day in answer["days"]][:4] == [20, 20, 10, 0]
    assert answer["done_on"] == answer["days"][2]["day"]


@pytest.mark.usefixtures("running_servers")
def test_a_key_gets_an_empty_forecast_of_a_campaign_that_is_over(tenant, campaign):
    Campaign.objects.filter(pk=campaign.pk).update(status="cancelled")

    answer = Api(key_of(tenant)).get(f"campaigns/{campaign.pk}/forecast/").json()

    assert (answer["total"], answer["done_on"], answer["days"]) == (0, None, [])
