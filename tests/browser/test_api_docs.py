"""The API's page in a browser, under the policy that lets no inline script run."""

from __future__ import annotations

import pytest

from tests import factories
from tests.api.conftest import key_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_the_page_lists_the_api_and_asks_it_with_a_key(page, running_servers):
    tenant = factories.tenant()
    page.goto("/api/v1/docs/")

    page.wait_for_selector("text=/api/v1/campaigns/{id}/pause/")
    page.click("button.authorize")
    page.fill(".modal-ux input", key_of(tenant))
    page.click(".modal-ux button.authorize")
    page.click(".modal-ux button.btn-done")
    page.click("#operations-tenants-tenants_list .opblock-summary-control")
    page.click("#operations-tenants-tenants_list .try-out__btn")
    page.click("#operations-tenants-tenants_list button.execute")
    page.wait_for_selector(f".live-responses-table >> text={tenant.slug}")

    assert page.troubles == []
