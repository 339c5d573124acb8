"""The page of a sending domain and the list of what waits, as a person meets them."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests import factories
from tests.browser.test_console import signed_in  # noqa: F401 (a fixture)
from tests.console.conftest import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_records_are_copied_and_what_waits_leads_to_them(signed_in):  # noqa: F811
    page = signed_in
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    world = World(people=9)
    domain = world.mailboxes[0].domain
    factories.domain(world.tenant, name="fresh.example", state="new")

    page.goto(reverse("admin:waiting"))
    assert "Its records were not looked at yet." in page.inner_text(".waiting")
    page.click(f".waiting td a:has-text('{domain.name}')")
    page.click("button.copy >> nth=0")
    page.wait_for_selector("button.copy:has-text('copied')")

    assert page.evaluate("navigator.clipboard.readText()") == "v=spf1 ip4:127.0.0.1 ~all"
    assert page.troubles == []
