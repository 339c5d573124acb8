"""The pages and the API that send tests."""

from __future__ import annotations

import pytest
from django.urls import reverse

from campaigns.models import SeedAddress, TestSend
from campaigns.services import testing
from tests import factories
from tests.api.conftest import Api, is_problem, key_of
from tests.console.conftest import client_of, person
from tests.console.test_actions import act

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("running_servers")]


def page_of(draft) -> str:
    return reverse("admin:campaigns_campaign_test", args=[draft.campaign.pk])


def test_the_page_sends_one_and_the_campaign_shows_it(draft):
    client = client_of(draft.user)
    form = client.get(page_of(draft), {"step": 2})
    values = {"to": draft.user.email, "step": "2", "contact": "bob@acme.example", "mailbox": ""}

    answer = client.post(page_of(draft), values, follow=True)
    draft.work()
    page = client.get(reverse("admin:campaigns_campaign_change", args=[draft.campaign.pk])).content.decode()

    assert form.context["form"].fields["to"].choices == [(draft.user.email, draft.user.email)]
    assert form.context["form"]["step"].value() == "2"
    assert [str(each) for each in answer.context["messages"]] == ["A test mail to o***@agency.example is on its way."]
    assert TestSend.objects.get().step.position == 2
    assert "o***@agency.example" in page
    assert "2.0.0 Ok: queued as 1" in page
    assert page_of(draft) in page


def test_the_page_takes_no_address_beside_its_choices(draft):
    answer = client_of(draft.user).post(page_of(draft), {"to": "ann@acme.example", "step": "1"})

    assert list(answer.context["form"].errors) == ["to"]
    assert TestSend.objects.count() == 0


def test_an_analyst_sees_neither_link_nor_page(draft):
    client = client_of(person("eyes@agency.example", "analyst", draft.tenant))
    step = reverse("admin:campaigns_step_change", args=[draft.campaign.steps.first().pk])

    assert client.get(page_of(draft)).status_code == 403
    assert client.post(page_of(draft), {"to": "eyes@agency.example", "step": "1"}).status_code == 403
    pages = [client.get(reverse("admin:campaigns_campaign_change", args=[draft.campaign.pk])), client.get(step)]
    assert [page_of(draft) in page.content.decode() for page in pages] == [False, False]
    assert page_of(draft) in client_of(draft.user).get(step).content.decode()
    assert TestSend.objects.count() == 0


def test_another_tenants_campaign_is_not_there(draft):
    stranger = client_of(person("stranger@other.example", "operator", factories.tenant()))

    assert stranger.get(page_of(draft)).status_code == 404
    assert stranger.post(page_of(draft), {"to": "stranger@other.example", "step": "1"}).status_code == 404
    assert TestSend.objects.count() == 0


def test_a_seed_is_added_confirmed_and_archived_in_the_console(draft):
    client = client_of(draft.user)
    values = {"tenant": draft.tenant.pk, "address": "inbox@panel.example", "note": "Panel"}
    client.post(reverse("admin:campaigns_seedaddress_add"), values)
    row = SeedAddress.objects.get()

    act(client, row, "confirm", confirmed="1", code="x")
    assert SeedAddress.objects.get().code_tries == 1
    act(client, row, "confirm", confirmed="1", code=draft.code_of(row))
    assert SeedAddress.objects.get().verified_at is not None
    act(client, row, "archive")
    assert SeedAddress.objects.get().archived_at is not None


def test_the_api_queues_one(draft):
    api = Api(key_of(draft.tenant))

    answer = api.post(f"campaigns/{draft.campaign.pk}/test/", {"to": draft.user.email, "contact": "bob@acme.example"})

    test = TestSend.objects.get()
    assert (answer.status_code, answer.json()["id"], answer.json()["state"]) == (202, test.pk, "queued")
    assert (test.by_kind, test.by_user) == ("key", None)


def test_the_api_refuses_in_words_and_counts(draft):
    api, path = Api(key_of(draft.tenant)), f"campaigns/{draft.campaign.pk}/test/"

    is_problem(api.post(path, {"to": "ann@acme.example"}), 400, "bad_input")
    is_problem(Api(key_of(draft.tenant, "campaigns.view")).post(path, {"to": draft.user.email}), 403, "not_allowed")
    is_problem(Api(key_of(factories.tenant())).post(path, {"to": draft.user.email}), 404, "missing")
    assert TestSend.objects.count() == 0
    for _ in range(testing.PER_HOUR):
        assert api.post(path, {"to": draft.user.email}).status_code == 202
    is_problem(api.post(path, {"to": draft.user.email}), 429, "too_many")
    assert TestSend.objects.count() == testing.PER_HOUR
