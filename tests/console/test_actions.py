"""Actions call services; who may not act changes nothing."""

from __future__ import annotations

import re

import pytest
import time_machine
from django.urls import reverse
from django.utils.timezone import now

from campaigns.admin.campaigns import closed_soon
from campaigns.models import Campaign, Suppression
from mailboxes.models import Mailbox
from outreach.common import isolation
from tenants.models import SecondFactor, Tenant, User
from tests.console.conftest import client_of


def act(client, row, action: str, **values):
    meta = row._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")
    return client.post(url, {"action": action, "_selected_action": row.pk, "index": "0", **values}, follow=True)


def said(answer) -> str:
    return " | ".join(str(message) for message in answer.context["messages"])


def test_pausing_a_campaign_calls_the_service(world, as_chief):
    answer = act(as_chief, world.campaign, "pause")

    world.campaign.refresh_from_db()
    assert world.campaign.status == "paused"
    assert "Done for 1 row." in said(answer)


def test_a_refusal_of_the_service_is_shown_and_changes_nothing(world, as_chief):
    act(as_chief, world.campaign, "pause")

    answer = act(as_chief, world.campaign, "pause")

    world.campaign.refresh_from_db()
    assert world.campaign.status == "paused"
    assert "Done" not in said(answer)
    assert said(answer)


def test_quarantine_asks_first(world, as_chief):
    box = world.mailboxes[1]

    page = act(as_chief, box, "quarantine").content.decode()
    box.refresh_from_db()
    assert box.state == "active"
    assert box.address in page

    act(as_chief, box, "quarantine", confirmed="1", reason="many bounces")
    box.refresh_from_db()
    assert (box.state, box.state_reason) == ("quarantined", "many bounces")


def test_a_reason_is_wanted(world, as_chief):
    box = world.mailboxes[1]

    act(as_chief, box, "quarantine", confirmed="1", reason=" ")

    box.refresh_from_db()
    assert box.state == "active"


def test_many_rows_at_once_are_counted(world, as_chief):
    url = reverse("admin:mailboxes_mailbox_changelist")
    chosen = [box.pk for box in world.mailboxes[:3]]

    answer = as_chief.post(
        url,
        {"action": "quarantine", "_selected_action": chosen, "index": "0", "confirmed": "1", "reason": "test"},
        follow=True,
    )

    assert "Done for 3 rows." in said(answer)
    assert Mailbox.objects.filter(state="quarantined").count() == 3


@pytest.mark.parametrize(("action", "becomes"), [("settle_sent", "sent"), ("settle_failed", "failed")])
def test_doubt_about_a_message_is_ended_with_evidence_only(action, becomes, world, as_chief):
    message = world.uncertain

    act(as_chief, message, action, confirmed="1", evidence=" ")
    message.refresh_from_db()
    assert message.status == "uncertain"

    act(as_chief, message, action, confirmed="1", evidence="the host's log says so")
    message.refresh_from_db()
    assert (message.status, message.reply_text) == (becomes, "the host's log says so")


def test_an_act_from_the_detail_page_returns_there(world, as_chief):
    answer = act(as_chief, world.campaign, "pause", from_detail="1")

    assert answer.redirect_chain[-1][0] == reverse("admin:campaigns_campaign_change", args=[world.campaign.pk])


ACTS = [
    ("campaign", "pause"), ("campaign", "cancel"), ("campaign", "start"), ("campaign", "resume"),
    ("mailbox", "quarantine"), ("mailbox", "release"), ("mailbox", "hold"), ("mailbox", "retire"),
    ("mailbox", "set_cap"), ("account", "pause"), ("account", "suspend"), ("tenant", "suspend"),
    ("message", "settle_sent"), ("message", "settle_failed"), ("mailbox", "set_password"),
]  # fmt: skip


@pytest.mark.attack("A29")
@pytest.mark.parametrize(("what", "action"), ACTS)
def test_an_analyst_acts_in_no_way(what, action, world, as_analyst):
    row = {
        "campaign": world.campaign,
        "mailbox": world.mailboxes[0],
        "account": world.mailboxes[0].home,
        "tenant": world.tenant,
        "message": world.uncertain,
    }[what]
    before = type(row).objects.filter(pk=row.pk).values().get()

    act(as_analyst, row, action, confirmed="1", reason="because", evidence="because", daily_cap="1", password="x")

    assert type(row).objects.filter(pk=row.pk).values().get() == before


@pytest.mark.parametrize(
    "page",
    [
        "tenants/user/", "tenants/secondfactor/", "axes/accesslog/", "tenants/lease/", "django_rq/dashboard/",
        "django_rq/dashboard/queues/0/empty/", "tenants/user/add/", "tenants/tenant/add/",
    ],
)  # fmt: skip
def test_an_analyst_sees_no_page_of_the_platform(page, world, as_analyst):
    assert as_analyst.get(f"/console/{page}").status_code == 403


def test_an_analyst_reads_and_is_offered_no_act(world, as_analyst):
    page = as_analyst.get(reverse("admin:campaigns_campaign_change", args=[world.campaign.pk]))

    assert page.status_code == 200
    assert page.context["detail_actions"] == []


def test_the_page_offers_only_what_the_state_allows(world, as_chief):
    page = as_chief.get(reverse("admin:campaigns_campaign_change", args=[world.campaign.pk]))

    assert [action["name"] for action in page.context["detail_actions"]] == [
        "pause", "recall", "cancel", "clone", "set_handover", "set_caps", "export",
    ]  # fmt: skip


def test_a_tenant_is_made_by_its_service(as_chief, db):
    url = reverse("admin:tenants_tenant_add")
    form = {"slug": "acme", "name": "Acme", "time_zone": "Europe/Kyiv", "postal_address": "1 Road"}

    assert as_chief.post(url, form | {"slug": "Not A Slug"}).status_code == 200
    assert as_chief.post(url, form | {"time_zone": "Kyiv"}).status_code == 200
    assert not isolation.all_tenants()
    as_chief.post(url, form)

    with isolation.everything():
        assert Tenant.objects.get().time_zone == "Europe/Kyiv"


def test_a_person_is_made_with_a_sign_in_shown_once(as_chief, client, db):
    url = reverse("admin:tenants_user_add")

    answer = as_chief.post(url, {"email": "new@example.com"})

    made = User.objects.get(email="new@example.com")
    assert not made.is_superuser
    password = re.search(r"<code>([\w-]{20})</code>", answer.content.decode())[1]
    assert made.check_password(password)
    assert made.one_time_until > now()
    assert not SecondFactor.objects.filter(user=made).exists()
    assert "no-store" in answer["Cache-Control"]
    assert as_chief.post(url, {"email": "NEW@example.com"}).status_code == 200
    assert User.objects.filter(email__iexact="new@example.com").count() == 1


@pytest.mark.attack("A31")
def test_who_is_shut_out_is_out_at_once(as_chief, analyst, as_analyst):
    assert as_analyst.get("/console/").status_code == 200

    act(as_chief, analyst, "shut_out", confirmed="1")

    assert as_analyst.get("/console/").status_code == 302


def test_nobody_shuts_themselves_out(as_chief, chief):
    act(as_chief, chief, "shut_out", confirmed="1")

    chief.refresh_from_db()
    assert chief.is_active


def test_a_new_second_factor_voids_the_old_session(as_chief, analyst):
    old = client_of(analyst)

    answer = act(as_chief, analyst, "renew", confirmed="1")

    analyst.refresh_from_db()
    assert analyst.check_password(re.search(r"<code>([\w-]{20})</code>", answer.content.decode())[1])
    assert not SecondFactor.objects.filter(user=analyst).exists()
    assert old.get("/console/").status_code == 302


def test_suppressions_by_hand_reach_the_service(world, as_chief):
    url = reverse("admin:campaigns_suppression_add")
    before = Suppression.objects.count()

    bad = as_chief.post(url, {"scope": world.tenant.pk, "entries": "not an address@", "reason": "manual"})
    assert bad.status_code == 200
    assert Suppression.objects.count() == before
    as_chief.post(
        url, {"scope": world.tenant.pk, "entries": f"{world.people[0].email}\n*.evil.example", "reason": "opt_out"}
    )

    assert Suppression.objects.filter(via="console", reason="opt_out", tenant=world.tenant).count() == 2
    world.messages[0].refresh_from_db()
    assert world.messages[0].status == "suppressed"  # it was planned: the stop is pushed


def test_a_tenants_cap_is_changed_on_its_page_and_taken_away(as_chief, world):
    url = reverse("admin:tenants_tenant_changelist")
    act = {"action": "set_cap", "_selected_action": world.tenant.pk, "index": "0", "confirmed": "1"}

    as_chief.post(url, act | {"daily_cap": "7"})
    world.tenant.refresh_from_db()
    assert world.tenant.daily_cap == 7
    as_chief.post(url, act | {"daily_cap": "-1"})
    world.tenant.refresh_from_db()
    assert world.tenant.daily_cap == 7
    as_chief.post(url, act | {"daily_cap": ""})
    world.tenant.refresh_from_db()
    assert world.tenant.daily_cap is None


def test_how_often_people_are_written_to_is_changed_beside_what_holds_now(as_chief, world):
    Tenant.objects.filter(pk=world.tenant.pk).update(frequency_days=9, frequency_person=4)

    form = act(as_chief, world.tenant, "set_frequency").context["form"]
    assert [form[name].value() for name in ("days", "person", "company")] == [9, 4, None]
    act(as_chief, world.tenant, "set_frequency", confirmed="1", days="14", person="2", company="")
    act(as_chief, world.tenant, "set_frequency", confirmed="1", days="0", person="2", company="")

    world.tenant.refresh_from_db()
    found = (world.tenant.frequency_days, world.tenant.frequency_person, world.tenant.frequency_company)
    assert found == (14, 2, None)


def test_a_campaigns_caps_are_changed_beside_what_holds_now(as_chief, world):
    Campaign.objects.filter(pk=world.campaign.pk).update(daily_cap=50, total_cap=None)

    form = act(as_chief, world.campaign, "set_caps").context["form"]
    assert [form[name].value() for name in ("daily_cap", "total_cap")] == [50, None]
    act(as_chief, world.campaign, "set_caps", confirmed="1", daily_cap="", total_cap="7000")

    world.campaign.refresh_from_db()
    assert (world.campaign.daily_cap, world.campaign.total_cap) == (None, 7000)


def test_a_campaigns_page_names_the_next_holidays_that_close_it(as_chief, world):
    Campaign.objects.filter(pk=world.campaign.pk).update(zones=["Europe/Berlin DE", "UTC"])
    url = reverse("admin:campaigns_campaign_change", args=[world.campaign.pk])

    page = as_chief.get(url)

    assert {each.country for each in page.context["closed"]} <= {"DE"}
    with time_machine.travel("2026-12-20T10:00:00Z", tick=False):
        found = closed_soon(Campaign.objects.get(pk=world.campaign.pk))
    assert [(each.day.isoformat(), each.name) for each in found[:3]] == [
        ("2026-12-25", "Christmas Day"), ("2026-12-26", "Second Day of Christmas"), ("2027-01-01", "New Year's Day"),
    ]  # fmt: skip


def test_a_cap_is_asked_for_beside_the_present_one(as_chief, world):
    """An empty field means no cap, so a single row's begins with what is there."""
    Tenant.objects.filter(pk=world.tenant.pk).update(daily_cap=4000)
    Mailbox.objects.filter(pk=world.mailboxes[0].pk).update(daily_cap=25)

    page = act(as_chief, world.tenant, "set_cap")
    assert page.context["form"]["daily_cap"].value() == 4000
    assert "daily cap: 4,000" in page.content.decode()
    Tenant.objects.filter(pk=world.tenant.pk).update(daily_cap=None)
    assert "daily cap: none" in act(as_chief, world.tenant, "set_cap").content.decode()
    chosen = [box.pk for box in world.mailboxes[:2]]
    page = act(as_chief, world.mailboxes[0], "set_cap", _selected_action=chosen)
    assert page.context["form"]["daily_cap"].value() is None
    assert "daily cap: 25" in page.content.decode()


@pytest.mark.parametrize("from_detail", ["", "1"])
def test_going_back_leads_to_where_the_act_was_asked_for(as_chief, world, from_detail):
    page = act(as_chief, world.mailboxes[0], "quarantine", from_detail=from_detail)

    detail = reverse("admin:mailboxes_mailbox_change", args=[world.mailboxes[0].pk])
    assert page.context["back"] == (detail if from_detail else reverse("admin:mailboxes_mailbox_changelist"))


@pytest.mark.parametrize("page", ["invitation", "membership"])
def test_no_role_is_chosen_beforehand(as_chief, db, page):
    form = as_chief.get(reverse(f"admin:tenants_{page}_add")).context["form"]

    assert form["role"].value() is None
    assert form.fields["role"].choices[0][0] == ""
