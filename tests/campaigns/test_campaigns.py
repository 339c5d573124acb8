"""Campaigns as services: drafts, what keeps one from starting, pause, resume, cancel."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from campaigns.models import Campaign, Contact, Enrolment, Message
from campaigns.pipeline import planner
from campaigns.services import campaigns, specs
from mailboxes.models import AllowanceReturn, Mailbox
from outreach import cron
from outreach.common.errors import BadInput, InvalidMove, NotAllowed, NotReady
from tenants import permissions
from tenants.models import Tenant
from tenants.services import tenants
from tenants.services.actors import SYSTEM, Actor
from tests import factories

pytestmark = [pytest.mark.django_db, pytest.mark.as_worker]

SPEC = {
    "name": "Autumn", "pool": "sales", "list": "customers", "subject": "Hello {{ first_name }}", "text": "Good day.\n",
}  # fmt: skip


def actor_as(role: str) -> Actor:
    return Actor("user", role, everywhere=permissions.ROLES[role])


@pytest.fixture
def tenant():
    owner = factories.tenant()
    factories.fleet(owner, 3, pool=factories.pool(owner, name="sales"))
    factories.people(owner, factories.contact_list(owner, name="customers"), 30)
    return owner


@pytest.fixture
def running(tenant):
    campaign = campaigns.start(campaigns.create(tenant, SPEC | OPEN, actor=SYSTEM), actor=SYSTEM)
    planner.run(tenant, cron.now())
    return campaign


OPEN = {"window": {"from": "00:00", "until": "00:00", "zone": "UTC"}, "pace": "prompt"}


# --- Drafts ------------------------------------------------------------------------------------------------


def test_a_description_becomes_a_draft(tenant):
    campaign = campaigns.create(
        tenant,
        SPEC | {"window": {"from": "09:30", "until": "17:00", "days": ["mon", "fri"], "zone": "Europe/Kyiv",
                           "holidays": "open"},
                "batch_size": 50, "daily_cap": 100, "total_cap": 2000, "html": "<p>Good day.</p>"},
        actor=SYSTEM,
    )  # fmt: skip

    campaign.refresh_from_db()
    assert (campaign.status, campaign.pool.name, campaign.contact_list.name) == ("draft", "sales", "customers")
    window = (str(campaign.window_from), campaign.window_days, campaign.window_zone)
    assert window == ("09:30:00", [0, 4], "Europe/Kyiv")
    assert (campaign.holidays, campaign.daily_cap, campaign.total_cap) == (False, 100, 2000)
    step = campaign.steps.get()
    assert (step.subject, step.text_body, step.html_body) == (SPEC["subject"], SPEC["text"], "<p>Good day.</p>")
    assert campaigns.preflight(campaign) == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": ""}, "name: a campaign needs a name"),
        ({"pool": "nowhere"}, "there is no pool 'nowhere'; there is sales"),
        ({"list": "nobody"}, "there is no list 'nobody'; there is customers"),
        ({"batch_size": 49}, "49 is not a whole number from 50 to 200"),
        ({"batch_size": True}, "True is not a whole number"),
        ({"pace": "bursts"}, "neither even nor prompt"),
        ({"colour": "red"}, "colour: no such key"),
        ({"window": {"zone": "Mars/Base"}}, "'Mars/Base' is neither contact, tenant nor an IANA zone"),
        ({"window": {"holidays": True}}, "window.holidays: True is neither closed nor open"),
        ({"total_cap": -1}, "total_cap: -1 is not a whole number from 0"),
        ({"window": {"from": "soon"}}, "write a time of day in quotes"),
        ({"window": {"zone": ["Europe/Kyiv"]}}, "['Europe/Kyiv'] is neither contact, tenant nor an IANA zone"),
        ({"window": {"from": "09:00+02:00"}}, "window.zone says where"),
        ({"window": {"from": True}}, "write a time of day in quotes"),
        ({"window": {"until": 10**30}}, "write a time of day in quotes"),
        ({"window": {"days": ["someday"]}}, "a list of mon, tue"),
        ({"steps": [{"subject": "a", "text": "b"}]}, "either at the top or under steps"),
        ({"subject": 5}, "subject: write it as text"),
        ({"subject": "{{ nope"}, "Step 1, subject"),
        ({"subject": "Re: your order"}, "begins like an answer"),
        ({"text": "{% include '/etc/passwd' %}"}, "Step 1, text"),
    ],
)
def test_a_bad_description_is_refused_with_its_place(tenant, change, says):
    with pytest.raises(BadInput, match=".*") as caught:
        campaigns.create(tenant, SPEC | change, actor=SYSTEM)

    assert says in str(caught.value)
    assert not Campaign.objects.exists()


def test_a_name_serves_once(tenant):
    campaigns.create(tenant, SPEC, actor=SYSTEM)

    with pytest.raises(BadInput, match="already a campaign 'Autumn'"):
        campaigns.create(tenant, SPEC, actor=SYSTEM)


def test_an_unquoted_time_of_day_is_what_it_looks_like():
    assert specs.read(SPEC | {"window": {"from": 9 * 60 + 30}}).campaign["window_from"].isoformat() == "09:30:00"


# --- Start -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("without", "says"),
    [
        ("subject", "no subject"), ("text", "no text"), ("steps", "no step"), ("list", "no list"), ("pool", "no pool"),
        ("address", "postal address is missing"), ("people", "is empty"), ("mailboxes", "no mailbox that may send"),
    ],
)  # fmt: skip
def test_a_campaign_that_lacks_something_does_not_start_and_says_what(tenant, without, says):
    gone = {"steps": ("subject", "text")}.get(without, (without,))
    spec = {key: value for key, value in SPEC.items() if key not in gone}
    if without == "address":
        Tenant.objects.filter(pk=tenant.pk).update(postal_address=" ")
        tenant.refresh_from_db()
    if without == "people":
        spec["list"] = factories.contact_list(tenant).name
    if without == "mailboxes":
        Mailbox.objects.update(state="quarantined")
    campaign = campaigns.create(tenant, spec, actor=SYSTEM)

    with pytest.raises(NotReady) as caught:
        campaigns.start(campaign, actor=SYSTEM)

    assert any(says in sentence for sentence in caught.value.missing), caught.value.missing
    campaign.refresh_from_db()
    assert (campaign.status, Enrolment.objects.count()) == ("draft", 0)


def test_a_field_that_nobody_has_is_named(tenant):
    text = "Dear {{ title }} {{ last_name }}, your {{ plan }} ends.\n"
    campaign = campaigns.create(tenant, SPEC | {"text": text}, actor=SYSTEM)
    Contact.objects.filter(pk=Contact.objects.first().pk).update(fields={"plan": "gold"})

    assert [sentence.split(",")[0] for sentence in campaigns.preflight(campaign)] == ["Step 1 writes {{ title }}"]


def test_every_step_and_each_of_its_wordings_is_looked_over_before_the_start(tenant):
    variants = [{"label": label, "subject": "c", "text": text} for label, text in (("A", "{{ plan }}"), ("B", ""))]
    steps = {"steps": [{"subject": "a", "text": "b"}, {"variants": variants, "delay_days": 3}]}
    spec = {key: value for key, value in SPEC.items() if key not in ("subject", "text")} | steps
    campaign = campaigns.create(tenant, spec, actor=SYSTEM)

    assert sorted(sentence[:24] for sentence in campaigns.preflight(campaign)) == [
        "Step 2, variant A writes",
        "Step 2, variant B has no",
    ]


def test_starting_enrols_the_list_freezes_the_step_and_asks_for_a_plan(tenant):
    campaign = campaigns.start(campaigns.create(tenant, SPEC, actor=SYSTEM), actor=SYSTEM)

    assert (campaign.status, campaign.zones, campaign.enrol_until) == ("running", ["Europe/Kyiv UA"], None)
    assert Enrolment.objects.filter(status="active", due_at__isnull=False, zone="Europe/Kyiv UA").count() == 30
    assert campaign.steps.get().frozen_at is not None
    assert Tenant.objects.get(pk=tenant.pk).plan_wanted_at is not None


def test_a_long_list_is_enrolled_in_chunks(tenant, monkeypatch):
    monkeypatch.setattr(campaigns, "ENROL_CHUNK", 12)
    campaign = campaigns.start(campaigns.create(tenant, SPEC, actor=SYSTEM), actor=SYSTEM)

    assert Enrolment.objects.count() == 12
    assert [campaigns.enrol_more(campaign) for _ in range(3)] == [12, 6, 0]
    assert Enrolment.objects.values("contact").distinct().count() == 30
    assert Campaign.objects.get().enrol_until is None


def test_who_comes_into_the_list_later_is_not_enrolled(tenant, monkeypatch):
    monkeypatch.setattr(campaigns, "ENROL_CHUNK", 12)
    campaign = campaigns.start(campaigns.create(tenant, SPEC, actor=SYSTEM), actor=SYSTEM)
    factories.people(tenant, campaign.contact_list, 5)

    while campaigns.enrol_more(campaign):
        pass

    assert Enrolment.objects.count() == 30


def test_a_campaign_starts_once(tenant):
    campaign = campaigns.start(campaigns.create(tenant, SPEC, actor=SYSTEM), actor=SYSTEM)

    with pytest.raises(InvalidMove):
        campaigns.start(campaign, actor=SYSTEM)

    assert Enrolment.objects.count() == 30


# --- Pause, resume, cancel ------------------------------------------------------------------------------------


def test_a_pause_takes_back_what_was_planned(running):
    assert Message.objects.filter(status="planned").count() == 30

    campaigns.pause(running, actor=SYSTEM, reason="late list")

    running.refresh_from_db()
    assert (running.status, running.status_reason) == ("paused", "late list")
    assert not Message.objects.exists()
    assert Enrolment.objects.filter(status="active", due_at__isnull=False, mailbox=None).count() == 30
    back = dict(AllowanceReturn.objects.filter(scope="tenant_day").values_list("key", "count"))
    assert back == {running.tenant_id: 30}


def test_a_pause_leaves_what_was_tried_to_wait_for_a_new_slot(running):
    Message.objects.filter(pk=Message.objects.first().pk).update(tries=1)

    campaigns.pause(running, actor=SYSTEM, reason="")

    assert list(Message.objects.values_list("status", flat=True)) == ["deferred"]


def test_resume_plans_again_and_nobody_twice(running):
    campaigns.pause(running, actor=SYSTEM, reason="")
    campaigns.resume(running, actor=SYSTEM)

    run = planner.run(running.tenant, cron.now())

    assert (run.planned, Message.objects.values("contact").distinct().count()) == (30, 30)


def test_cancel_ends_everything_that_waits(running):
    Message.objects.filter(pk=Message.objects.first().pk).update(status="deferred", tries=1)

    campaigns.cancel(running, actor=SYSTEM, reason="wrong list")

    assert set(Message.objects.values_list("status", "reason")) == {("cancelled", "campaign_cancelled")}
    assert set(Enrolment.objects.values_list("status", "stop_reason")) == {("stopped", "campaign_cancelled")}
    with pytest.raises(InvalidMove):
        campaigns.resume(running, actor=SYSTEM)


def test_a_suspended_tenant_has_nothing_planned(running):
    tenants.suspend(running.tenant, actor=SYSTEM, reason="unpaid")

    assert not Message.objects.exists()
    assert planner.run(Tenant.objects.get(pk=running.tenant_id), cron.now()) is None


@pytest.mark.parametrize(("role", "allowed"), [("analyst", False), ("operator", True), ("ops_manager", True)])
def test_only_operators_and_managers_pause(running, role, allowed):
    outcome = nullcontext() if allowed else pytest.raises(NotAllowed)

    with outcome:
        campaigns.pause(running, actor=actor_as(role), reason="late list")

    running.refresh_from_db()
    assert running.status == ("paused" if allowed else "running")
    assert Message.objects.exists() is not allowed
