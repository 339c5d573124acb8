"""Every kind of page works under a policy without eval, inline scripts, style elements and style attributes."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import reverse

from outreach.common import freshness
from tests.browser.test_console import signed_in  # noqa: F401  # the fixture
from tests.console.conftest import World

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
OUR_PAGES = ("index", "account", "roles", "break_glass", "uncertain", "second_factor", "password_change", "verify")


@pytest.fixture
def page(signed_in):  # noqa: F811
    return signed_in


def test_no_page_is_refused_anything_by_its_policy(page):
    world = World(people=27)
    freshness.forget()
    urls = [reverse(f"admin:{name}") for name in OUR_PAGES]
    for model, model_admin in admin.site._registry.items():
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        urls.append(reverse(f"{name}_changelist"))
        if getattr(model_admin, "add_form", None) is not None:
            urls.append(reverse(f"{name}_add"))
    urls += [
        reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
        for row in (world.campaign, world.tenant, world.mailboxes[0], world.step, world.messages[0], world.list)
    ]
    refused = {}

    for url in urls:
        assert page.goto(url).status == 200, url
        page.wait_for_load_state("networkidle")
        if page.troubles:
            refused[url] = page.troubles[:2]
            page.troubles.clear()

    assert refused == {}
    policy = page.goto(reverse("admin:index")).headers["content-security-policy"]
    assert "unsafe" not in policy


def test_menus_open_and_the_side_bar_folds(page):
    page.goto(reverse("admin:tenants_tenant_changelist"))

    page.type("#nav-filter", "tenan")
    page.wait_for_selector("#search-results a")
    page.keyboard.press("Escape")
    assert page.input_value("#nav-filter") == ""
    assert page.locator("#search-results").is_hidden()

    bar = page.locator("#nav-sidebar-apps")
    assert bar.is_visible()
    page.click("span.material-symbols-outlined:has-text('dock_to_right') >> visible=true")
    page.wait_for_timeout(500)
    assert page.evaluate("localStorage.getItem('sidebarDesktopOpen')") == "0"
    page.click("span.material-symbols-outlined:has-text('dock_to_right') >> visible=true")

    page.click("[x-on\\:click='openUserLinks = !openUserLinks']")
    page.click("a:has-text('Your sign-in')")
    page.wait_for_url("**/console/account/")
    assert page.troubles == []


def test_the_theme_changes_and_stays(page):
    page.goto(reverse("admin:roles"))

    page.locator("[x-on\\:click=\"switchTheme('dark')\"]").first.evaluate("button => button.click()")
    assert "dark" in page.get_attribute("html", "class")
    page.reload()

    assert "dark" in page.get_attribute("html", "class")
    assert page.troubles == []
