"""The console asks a second person where one is needed, lists what waits, and lets the right one decide."""

from __future__ import annotations

import pytest
from django.core.exceptions import NON_FIELD_ERRORS

from campaigns.models import Campaign, Contact, Suppression
from deliverability.models import DomainCheck
from tenants.models import Approval, ApprovalPolicy
from tests import factories
from tests.console.conftest import client_of, person
from tests.console.wall import named

pytestmark = pytest.mark.django_db
LIST = "/console/tenants/approval/"


@pytest.fixture
def first(world):
    return client_of(person("first@example.com", "ops_manager", world.tenant))


@pytest.fixture
def second(world):
    return client_of(person("second@example.com", "ops_manager", world.tenant))


@pytest.fixture
def strict(world):
    Approval.objects.all().delete()
    DomainCheck.objects.all().delete()  # which would want a tick before each launch
    strict = {"launch_above": 5, "cap_above": 50, "export_above": 3}
    strict |= dict.fromkeys(("release", "lift", "account", "bases"), True)
    ApprovalPolicy.objects.filter(tenant=world.tenant).update(**strict)
    return world


def draft(world):
    return factories.campaign(world.tenant, world.pool, world.list)


def acts(client, row, action, **more):
    data = {"action": action, "_selected_action": [row.pk], "index": "0", "from_detail": "1", **more}
    return client.post(named(type(row), "changelist"), data, follow=True)


def said(answer):
    return " ".join(map(str, answer.context["messages"]))


def decide(client, approval, action, **more):
    data = {"action": action, "_selected_action": [approval.pk], "index": "0", "confirmed": "1", **more}
    return client.post(LIST, data, follow=True)


def test_a_large_launch_waits_for_a_second_person(strict, first, second):
    campaign = draft(strict)

    page = acts(first, campaign, "start")
    assert "This needs a second person" in page.content.decode()
    assert not Approval.objects.exists()
    answer = acts(first, campaign, "start", second_person="The fair is next week")
    assert "waits for a second person" in said(answer)
    approval = Approval.objects.get()
    assert (approval.act, approval.subject_id, approval.reason) == (
        "campaign.launch", campaign.pk, "The fair is next week",
    )  # fmt: skip
    assert acts(first, campaign, "start").status_code == 200
    campaign.refresh_from_db()
    assert campaign.status == "draft"

    assert "can't agree" in said(decide(first, approval, "grant"))
    decide(second, approval, "grant", note="Checked the list")
    approval.refresh_from_db()
    assert (approval.state, approval.note) == ("granted", "Checked the list")

    acts(first, campaign, "start")
    campaign.refresh_from_db()
    approval.refresh_from_db()
    assert (campaign.status, approval.state) == ("running", "used")


def test_a_raised_cap_keeps_its_number_through_the_question(strict, first, second):
    box = strict.mailboxes[0]
    box.daily_cap = 40
    box.save(update_fields=["daily_cap"])

    page = acts(first, box, "set_cap", confirmed="1", daily_cap="80")
    assert '<input type="hidden" name="daily_cap" value="80">' in page.content.decode()
    acts(first, box, "set_cap", confirmed="1", daily_cap="80", second_person="Warm for a month")
    approval = Approval.objects.get()
    assert approval.terms == {"daily_cap": 80}
    decide(second, approval, "grant")
    acts(first, box, "set_cap", confirmed="1", daily_cap="80")
    box.refresh_from_db()
    assert box.daily_cap == 80


def test_lifting_a_suppression_waits_for_a_second_person(strict, first, second):
    entry = Suppression.objects.filter(tenant=strict.tenant).first()
    acts(first, entry, "lift", confirmed="1", reason="They wrote", second_person="They wrote to us")
    entry.refresh_from_db()
    assert entry.lifted_at is None
    decide(second, Approval.objects.get(), "grant")
    acts(first, entry, "lift", confirmed="1", reason="They wrote")
    entry.refresh_from_db()
    assert entry.lifted_at is not None


def test_an_export_of_many_people_waits_for_a_second_person(strict, first, second):
    data = {"action": "export", "_selected_action": [row.pk for row in strict.people], "index": "0"}
    url = named(Contact, "changelist")
    assert "This needs a second person" in first.post(url, data).content.decode()
    first.post(url, data | {"second_person": "The client leaves"})
    decide(second, Approval.objects.get(), "grant")
    assert first.post(url, data)["Content-Type"] == "text/csv"
    assert "This needs a second person" in first.post(url, data).content.decode()


def test_many_rows_are_asked_about_at_once_and_the_others_go_through(strict, first):
    small = factories.contact_list(strict.tenant)
    factories.people(strict.tenant, small, 2)
    rows = [draft(strict), draft(strict), factories.campaign(strict.tenant, strict.pool, small)]

    data = {"action": "start", "_selected_action": [row.pk for row in rows], "index": "0"}
    page = first.post(named(Campaign, "changelist"), data)
    assert page.context["ids"] == tuple(sorted((rows[0].pk, rows[1].pk), reverse=True)) or set(page.context["ids"]) == {
        rows[0].pk, rows[1].pk,
    }  # fmt: skip
    again = {**data, "_selected_action": list(page.context["ids"]), "second_person": "Two lists of one fair"}
    first.post(named(Campaign, "changelist"), again)

    assert {approval.subject_id for approval in Approval.objects.all()} == {rows[0].pk, rows[1].pk}
    assert [Campaign.objects.get(pk=row.pk).status for row in rows] == ["draft", "draft", "running"]


def test_the_work_list_shows_what_waits_and_the_start_page_says_so(strict, first, second):
    campaign = draft(strict)
    acts(first, campaign, "start", second_person="The fair <b>is</b> next week")

    text = second.get(LIST).content.decode()
    assert "The fair &lt;b&gt;is&lt;/b&gt; next week" in text
    assert named(Campaign, "change", campaign.pk) in text
    assert "1 act waits for your decision" in second.get("/console/").content.decode()
    assert "waits for your decision" not in first.get("/console/").content.decode()
    decide(second, Approval.objects.get(), "refuse", note="Not this week")
    assert "Not this week" not in second.get(LIST).content.decode()
    assert "Launching" in second.get(LIST, {"state": "refused"}).content.decode()


@pytest.mark.attack("A26", "A29")
def test_strangers_and_operators_decide_nothing(strict, first, second_world):
    campaign = draft(strict)
    acts(first, campaign, "start", second_person="The fair")
    approval = Approval.objects.get(tenant=strict.tenant)
    stranger = client_of(person("stranger@example.com", "ops_manager", second_world.tenant))
    operator = client_of(person("operator@example.com", "operator", strict.tenant))

    assert stranger.get(f"{LIST}{approval.pk}/change/").status_code == 404
    for client in (stranger, operator):
        for action in ("grant", "refuse"):
            decide(client, approval, action, note="x")
    approval.refresh_from_db()
    assert approval.state == "asked"


def test_the_lines_are_moved_on_the_tenants_page(strict, first, second):
    url = f"/console/tenants/tenant/{strict.tenant.pk}/policy/"
    values = {"launch_above": "5", "cap_above": "50", "export_above": "3", "release": "on", "lift": "on",
              "account": "on", "bases": "on", "decide_hours": "72", "use_hours": "24"}  # fmt: skip
    assert url in first.get(named(type(strict.tenant), "change", strict.tenant.pk)).content.decode()

    first.post(url, values | {"launch_above": "4"})
    assert ApprovalPolicy.objects.get(tenant=strict.tenant).launch_above == 4
    answer = first.post(url, values | {"launch_above": "500"})
    assert "second person" in str(answer.context["form"].errors[NON_FIELD_ERRORS])
    first.post(url, values | {"launch_above": "500", "second_person": "A larger client"})
    decide(second, Approval.objects.get(), "grant")
    first.post(url, values | {"launch_above": "500"})
    assert ApprovalPolicy.objects.get(tenant=strict.tenant).launch_above == 500
    operator = client_of(person("operator@example.com", "operator", strict.tenant))
    assert operator.get(url).status_code == 403
