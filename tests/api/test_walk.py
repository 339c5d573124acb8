"""A key of one tenant gets nothing of another's: along every route, behind each of the two walls alone."""

from __future__ import annotations

import pytest
from django.urls import include, path
from rest_framework.routers import SimpleRouter

from campaigns.api.campaigns import CampaignOutput
from campaigns.models import Campaign
from outreach import api as outreach_api
from outreach import urls
from outreach.common import isolation
from tenants.api.base import ReadOnlyTenantViewSet
from tenants.services.actors import Actor
from tests.api.conftest import Api, key_of
from tests.api.walk import walk

pytestmark = pytest.mark.attack("A26")


class LeakyViewSet(ReadOnlyTenantViewSet):
    """A planted fault: it forgets to ask whose rows they are."""

    view_permission = "campaigns.view"
    queryset = Campaign.objects.order_by("pk")
    serializer_class = CampaignOutput

    def get_queryset(self):
        return Campaign.objects.order_by("pk")


leaky = SimpleRouter()
leaky.register("leaky", LeakyViewSet)
urlpatterns = [path("api/v1/private/", include(leaky.urls)), *urls.urlpatterns]


@pytest.fixture
def outer_wall_open(monkeypatch):
    """Row-level security shows everything, so that only the query sets keep tenants apart."""
    monkeypatch.setattr(Actor, "scope", lambda actor: isolation.everything())


def test_neither_tenant_gets_rows_of_the_other(ours, theirs):
    assert walk(outreach_api.router, "", Api(key_of(ours.tenant)), theirs.tenant) == []
    assert walk(outreach_api.router, "", Api(key_of(theirs.tenant)), ours.tenant) == []


@pytest.mark.usefixtures("outer_wall_open")
def test_query_sets_keep_tenants_apart_without_row_level_security(ours, theirs):
    assert walk(outreach_api.router, "", Api(key_of(ours.tenant)), theirs.tenant) == []


@pytest.mark.urls(__name__)
@pytest.mark.usefixtures("outer_wall_open")
def test_the_walk_finds_a_view_that_forgets_the_tenant(ours, theirs):
    assert walk(leaky, "private/", Api(key_of(ours.tenant)), theirs.tenant) == [
        "get private/leaky/ {}: shows 1 rows of another tenant",
        "get private/leaky/ {}: shows 1 rows of another tenant",
        "get private/leaky/{pk}/: 200 for a row of another tenant",
    ]


@pytest.mark.urls(__name__)
def test_row_level_security_holds_where_a_view_forgets_the_tenant(ours, theirs):
    assert walk(leaky, "private/", Api(key_of(ours.tenant)), theirs.tenant) == []


def test_every_view_of_the_router_names_what_looking_takes():
    named = {name: viewset.view_permission for name, viewset, _ in outreach_api.router.registry}
    assert [name for name, permission in named.items() if not permission.endswith(".view")] == []


def test_ones_own_rows_show(ours, api):
    for name, _viewset, _basename in outreach_api.router.registry:
        rows = api.get(f"{name}/").json()["results"]
        assert rows, name
        assert api.get(f"{name}/{rows[0]['id']}/").json() == rows[0]


def test_the_scope_is_left_whatever_comes_of_a_request(ours, api):
    before = isolation.current()

    for path_ in ("campaigns/", "campaigns/999/", "campaigns/?nonsense=1", "messages/?status=x"):
        api.get(path_)
        assert isolation.current() == before
