"""The page that shows a mail as one person would get it."""

from __future__ import annotations

import re

import pytest

from campaigns.models import Message
from tests import factories
from tests.campaigns.test_preview import draft
from tests.console.conftest import client_of, person


@pytest.mark.django_db
def test_the_page_shows_it_in_a_sandbox_and_leads_to_the_others(as_chief):
    campaign, people, box = draft(
        each=lambda i: {"first_name": ["Ann", "", "<b>Bo</b>"][i]}, html_body='<p onclick="x">Dear {{ first_name }}</p>'
    )
    page = f"/console/campaigns/campaign/{campaign.pk}/preview/"

    first = as_chief.get(page).content.decode()
    lacking = as_chief.get(page, {"lacking": people[0].pk}).content.decode()
    third = as_chief.get(page, {"q": people[2].email}).content.decode()
    nobody = as_chief.get(page, {"q": "x@y.example"}).content.decode()

    assert f"Jo Doe &lt;{box.address}&gt;" in first
    assert "List-Unsubscribe-Post" in first
    assert re.search(r'<iframe class="preview"\s+sandbox=""', first)
    assert 'srcdoc="&lt;p onclick=&quot;x&quot;&gt;Dear Ann' in first
    assert f"?step=1&amp;contact={people[1].pk}" in first
    assert "There is no mail for this person." in lacking
    assert 'data-name="missing_field"' in lacking
    assert people[1].email in lacking
    assert "&lt;p onclick=&quot;x&quot;&gt;Dear &amp;lt;b&amp;gt;Bo" in third
    assert "x@y.example is not in the list of" in nobody
    assert as_chief.get(page, {"contact": "9" * 40, "step": "x", "lacking": "\u00b2"}).status_code == 200
    assert not Message.objects.exists()


@pytest.mark.django_db
def test_the_page_of_another_tenants_campaign_is_not_there():
    campaign, _people, _box = draft()
    stranger = person("stranger@example.com", "operator", factories.tenant())

    assert client_of(stranger).get(f"/console/campaigns/campaign/{campaign.pk}/preview/").status_code == 404
