"""What the database shows while a request is answered: the key's tenant, to the last byte and no longer."""

from __future__ import annotations

import pytest
from django.db import connection
from django.urls import include, path
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter

from campaigns.api.campaigns import CampaignOutput
from campaigns.models import Campaign
from outreach import urls
from outreach.common import isolation
from tenants.api.base import ReadOnlyTenantViewSet
from tests import factories
from tests.api.conftest import Api, is_problem, key_of
from tests.console.conftest import client_of, person

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


class LateRenderer(JSONRenderer):
    """Asks the database when everything else is done, as a template would."""

    def render(self, data, *args, **kwargs):
        return super().render([*data, seen()] if isinstance(data, list) else data, *args, **kwargs)


class WatchedViewSet(ReadOnlyTenantViewSet):
    view_permission = "campaigns.view"
    queryset = Campaign.objects.order_by("pk")
    serializer_class = CampaignOutput
    renderer_classes = (LateRenderer,)

    def list(self, request):
        return Response([seen()])

    def create(self, request):
        return Response([seen()])


def seen() -> list:
    """The names of campaigns that show, without any query set of ours, and whether a transaction is open."""
    return [sorted(Campaign.objects.values_list("name", flat=True)), connection.in_atomic_block]


watched = SimpleRouter()
watched.register("watched", WatchedViewSet)
urlpatterns = [path("api/v1/private/", include(watched.urls)), *urls.urlpatterns]


@pytest.fixture
def mine():
    tenant = factories.tenant()
    factories.campaign(tenant, name="Mine")
    factories.campaign(factories.tenant(), name="Theirs")
    return tenant


def test_reading_is_one_transaction_in_the_keys_scope_rendering_included(mine):
    assert Api(key_of(mine)).get("private/watched/").json() == [[["Mine"], True]] * 2


def test_acting_is_in_the_scope_and_leaves_transactions_to_the_services(mine):
    assert Api(key_of(mine)).post("private/watched/").json() == [[["Mine"], False]] * 2


def test_the_scope_is_left_after_an_answer_and_after_an_error(mine, monkeypatch):
    def fails(self, data, *args, **kwargs):
        raise ZeroDivisionError

    api, before = Api(key_of(mine)), isolation.current()
    api.get("private/watched/")
    assert isolation.current() == before
    monkeypatch.setattr(LateRenderer, "render", fails)
    api.get("private/watched/")
    assert isolation.current() == before
    assert not connection.in_atomic_block


def test_a_session_beside_the_key_widens_nothing(mine):
    chief = client_of(person("chief@example.com", "platform_admin", is_superuser=True))

    answer = chief.get("/api/v1/private/watched/", headers={"Authorization": f"Bearer {key_of(mine)}"})

    assert answer.json() == [[["Mine"], True]] * 2


def test_a_statement_that_fails_spoils_no_later_request(mine, monkeypatch):
    def fails(self, request):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    api = Api(key_of(mine))
    with monkeypatch.context() as patch:
        patch.setattr(WatchedViewSet, "list", fails)
        is_problem(api.get("private/watched/"), 500, "internal")
    assert api.get("private/watched/").json() == [[["Mine"], True]] * 2
