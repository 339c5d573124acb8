"""The console as a person meets it: sign in, watch, look closer, act."""

from __future__ import annotations

from base64 import b32decode

import pytest
from django.urls import reverse
from django_otp.oath import totp

from campaigns.services import campaigns
from mailboxes.models import Mailbox
from outreach.common import freshness
from tenants.services import invitations
from tenants.services.actors import SYSTEM
from tests import factories
from tests.console.conftest import PASSWORD, World, code_of, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def signed_in(page, running_servers):
    freshness.forget()
    chief = person("chief@example.com", "platform_admin", is_superuser=True)
    page.goto("/console/")
    page.fill("[name=username]", chief.email)
    page.fill("[name=password]", PASSWORD)
    page.fill("[name=otp_token]", code_of(chief))
    page.click("button[type=submit]")
    page.wait_for_url("**/console/")
    return page


def test_the_start_page_renews_itself_and_keeps_its_chart(signed_in):
    page = signed_in
    assert "No campaign is running." in page.inner_text("#live")

    world = World(people=27)
    freshness.forget()

    page.wait_for_selector(f"text={world.campaign.name}", timeout=15_000)
    page.wait_for_selector("#sent canvas")
    page.click(".ranges button:has-text('Day')")
    page.wait_for_timeout(5_000)  # one more renewal
    assert page.locator("#sent canvas").is_visible()
    assert page.inner_text(".ranges .is-on") == "Day"
    assert page.troubles == []


def test_a_number_opens_its_rows(signed_in):
    page = signed_in
    World(people=27)
    freshness.forget()
    page.reload()

    page.click(".legend a:has-text('failed')")

    page.wait_for_url("**/campaigns/message/**")
    assert page.locator("tbody .state-failed").count() == 3
    assert page.troubles == []


def test_a_campaign_is_paused_from_its_page(signed_in):
    page = signed_in
    world = World(people=27)
    page.goto(reverse("admin:campaigns_campaign_change", args=[world.campaign.pk]))
    page.wait_for_selector(".plot canvas >> nth=1")

    page.click("button:has-text('Pause sending')")

    page.wait_for_selector(".state-paused")
    world.campaign.refresh_from_db()
    assert world.campaign.status == "paused"
    assert page.troubles == []


def test_mailboxes_chosen_in_the_list_are_quarantined_after_a_reason(signed_in):
    page = signed_in
    World(people=9)
    page.goto(reverse("admin:mailboxes_mailbox_changelist"))
    for i in range(2):
        page.locator("tbody input.action-select").nth(i).check()
    page.select_option("select[name=action]", "quarantine")
    page.click("#changelist-form button:has-text('Run')")
    page.fill("[name=reason]", "many bounces")

    page.click("button:has-text('Quarantine')")

    page.wait_for_selector("text=Done for 2 rows.")
    assert Mailbox.objects.filter(state="quarantined", state_reason="many bounces").count() == 2
    assert page.troubles == []


@pytest.mark.attack("A22")
def test_a_mail_body_runs_nothing_in_the_preview(signed_in):
    page = signed_in
    world = World(people=9)
    world.step.html_body = (
        "<p id=x>Hello</p><script>document.title='owned';parent.owned=1</script><img src=x onerror='parent.owned=1'>"
    )
    world.step.save()

    page.goto(reverse("admin:campaigns_step_change", args=[world.step.pk]))
    page.frame_locator("iframe.preview").locator("#x").wait_for()
    page.wait_for_timeout(300)

    assert page.evaluate("window.owned") is None
    assert "owned" not in page.title()


def test_nothing_is_wider_than_a_telephone(signed_in):
    page = signed_in
    world = World(people=27)
    page.set_viewport_size({"width": 390, "height": 800})
    campaign = reverse("admin:campaigns_campaign_change", args=[world.campaign.pk])
    for address in ("/console/", campaign, reverse("admin:mailboxes_mailbox_changelist")):
        page.goto(address)
        page.wait_for_timeout(400)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, address


def test_the_sign_in_page_is_styled_and_asks_for_all_three(page):
    page.goto("/console/login/")

    assert page.locator("form input:visible").count() == 3
    assert page.troubles == []


def test_an_invited_person_joins_and_signs_in(page, running_servers):
    """In a browser, since only that sends the headers by which a form may be refused."""
    tenant = factories.tenant()
    _invited, token = invitations.invite("new@example.com", "client_viewer", tenant.pk, actor=SYSTEM)
    page.goto(f"/console/invitation/{token}/")
    assert "new@example.com is invited to" in page.inner_text("body")

    for chosen in ("short", "correct horse battery staple"):
        page.fill("[name=password]", chosen)
        page.fill("[name=again]", chosen)
        page.click("button[type=submit]")
        page.wait_for_load_state()
        if chosen == "short":
            assert "too short" in page.inner_text(".error")
    page.click("text=Sign in")
    page.fill("[name=username]", "new@example.com")
    page.fill("[name=password]", chosen)
    page.click("button[type=submit]")
    page.wait_for_url("**/second-factor/**")
    page.fill("[name=code]", f"{totp(b32decode(page.inner_text('.source'))):06d}")
    page.click("text=Go on")
    page.wait_for_load_state()
    assert page.locator(".codes li").count() == 10
    page.goto("/console/")
    assert page.troubles == []


def test_the_forecast_draws_a_campaign_its_pool_and_the_pools_capacity(signed_in):
    page, tenant = signed_in, factories.tenant()
    boxes = factories.fleet(tenant, 6, daily_cap=20, each=lambda i: {"state": "reserve" if i == 5 else "active"})
    listed = factories.contact_list(tenant)
    factories.people(tenant, listed, 300)
    campaign = campaigns.start(factories.campaign(tenant, boxes[0].pool, listed), actor=SYSTEM)

    page.goto(reverse("admin:campaigns_campaign_change", args=[campaign.pk]))
    page.click("text=When it is done: forecast")
    page.wait_for_selector(".plot canvas >> nth=1")  # its own and its pool's
    assert "done on " in page.inner_text("table.plain >> nth=0")

    page.goto(reverse("admin:mailboxes_pool_change", args=[campaign.pool_id]))
    page.wait_for_selector(".plot canvas")
    legend = page.inner_text(".u-legend")
    assert [name for name in ("all in all", "active", "reserve") if name not in legend] == []
    assert page.troubles == []
