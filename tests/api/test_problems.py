"""Every refusal has the shape of RFC 9457, whoever noticed what is wrong."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest
from django.urls import include, path
from rest_framework.routers import SimpleRouter

from campaigns.api.campaigns import CampaignOutput
from campaigns.models import Campaign
from outreach import urls
from outreach.common import errors, isolation
from tenants.api.base import ReadOnlyTenantViewSet
from tests import factories
from tests.api.conftest import Api, is_problem


class FailingViewSet(ReadOnlyTenantViewSet):
    """Raises what the test wants."""

    view_permission = "campaigns.view"
    queryset = Campaign.objects.order_by("pk")
    serializer_class = CampaignOutput
    error: ClassVar[Exception]

    def list(self, request):
        raise self.error


class BrokenOutput(CampaignOutput):
    """Gives what no renderer can write."""

    def to_representation(self, instance):
        return {"id": object()}


class UnwritableViewSet(ReadOnlyTenantViewSet):
    view_permission = "campaigns.view"
    queryset = Campaign.objects.order_by("pk")
    serializer_class = BrokenOutput


private = SimpleRouter()
private.register("failing", FailingViewSet)
private.register("unwritable", UnwritableViewSet, basename="unwritable")
urlpatterns = [path("api/v1/private/", include(private.urls)), *urls.urlpatterns]
handler400, handler404, handler500 = urls.handler400, urls.handler404, urls.handler500

OURS = [
    (errors.OutreachError("No."), 400, "error"),
    (errors.BadInput("No."), 400, "bad_input"),
    (errors.Unknown("No."), 401, "unknown_key"),
    (errors.NotAllowed("No."), 403, "not_allowed"),
    (errors.Missing("No."), 404, "missing"),
    (errors.InvalidMove("No."), 409, "invalid_move"),
    (errors.TooMany("No."), 429, "too_many"),
    (errors.NotReady("No.", missing=["A pool."]), 409, "not_ready"),
    (errors.NeedsApproval("No."), 409, "approval_needed"),
    (errors.Unavailable("No."), 503, "unavailable"),
]


def test_no_error_of_ours_is_left_out():
    assert {type(error) for error, *_ in OURS} >= {
        found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, Exception)
    }


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(("error", "status", "code"), OURS, ids=lambda value: type(value).__name__)
def test_errors_of_ours_become_problems(api, monkeypatch, error, status, code):
    monkeypatch.setattr(FailingViewSet, "error", error, raising=False)

    problem = is_problem(api.get("private/failing/"), status, code)

    assert problem["detail"] == "No."
    assert problem["instance"] == "/api/v1/private/failing/"


@pytest.mark.urls(__name__)
def test_what_is_missing_and_what_field_is_wrong_is_told(api, monkeypatch):
    monkeypatch.setattr(FailingViewSet, "error", errors.NotReady("No.", missing=["A pool."]), raising=False)
    assert api.get("private/failing/").json()["missing"] == ["A pool."]
    monkeypatch.setattr(FailingViewSet, "error", errors.BadInput("Too long.", field="name"), raising=False)
    assert api.get("private/failing/").json()["errors"] == {"name": ["Too long."]}


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("place", ["private/failing/", "private/unwritable/"])
def test_an_unexpected_error_tells_nothing_of_the_inside(ours, api, monkeypatch, capsys, place):
    monkeypatch.setattr(FailingViewSet, "error", ZeroDivisionError("inner secret"), raising=False)
    before = isolation.current()

    answer = api.get(place)

    is_problem(answer, 500, "internal")
    assert "inner" not in answer.content.decode()
    assert "object" not in answer.content.decode()
    assert isolation.current() == before


def test_nothing_there(ours, api):
    for place in ("campaigns/999999/", "campaigns/abc/", "nonsense/", "campaigns", "", "campaigns/1/fly/", "a/\n/b"):
        is_problem(api.get(place), 404, "missing")


def test_outside_of_the_api_pages_stay_pages(client, db):
    assert client.get("/api/nonsense").headers["Content-Type"] == "application/problem+json"
    assert client.get("/nonsense").headers["Content-Type"].startswith("text/html")


def test_a_method_that_is_not_there(ours, api):
    answer = api.client.delete(f"/api/v1/campaigns/{ours.campaign.pk}/", headers=api.headers)
    is_problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD"
    is_problem(api.get(f"campaigns/{ours.campaign.pk}/pause/"), 405, "method_not_allowed")
    is_problem(api.client.options("/api/v1/campaigns/", headers=api.headers), 405, "method_not_allowed")


def test_what_we_do_not_speak(ours, api):
    asks_html = Api(**api.headers, Accept="text/html")
    is_problem(asks_html.get("campaigns/"), 406, "not_acceptable")
    form = api.client.post(f"/api/v1/campaigns/{ours.campaign.pk}/pause/", {"reason": "x"}, headers=api.headers)
    is_problem(form, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "body",
    [
        b"{", b"[]", b"1", b"null", b'"x"', b'{"reason": NaN}', b"\xff\xfe", b"[" * 100_000, b'{"a":' * 50_000,
        b'{"reason": ' + b"9" * 5000 + b"}",
    ],
    ids=lambda body: repr(body[:12]),
)  # fmt: skip
def test_malformed_json(ours, api, body):
    place = f"/api/v1/campaigns/{ours.campaign.pk}/pause/"
    is_problem(
        api.client.generic("POST", place, body, content_type="application/json", headers=api.headers), 400, "bad_input"
    )
    ours.campaign.refresh_from_db()
    assert ours.campaign.status == "running"


def test_a_body_beyond_what_is_read(ours, api, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    answer = api.post("suppressions/", {"entries": ["a@example.net"] * 200})
    is_problem(answer, 413, "too_large")


def test_validation_names_each_field(ours, api):
    problem = is_problem(
        api.post("suppressions/", {"entries": ["a@example.net", "", "x" * 300], "reason": "because"}), 400, "bad_input"
    )
    assert sorted(problem["errors"]) == ["entries.1", "entries.2", "reason"]


def test_a_refusal_of_a_service_keeps_its_facts(ours, api):
    draft = factories.campaign(ours.tenant)
    problem = is_problem(api.post(f"campaigns/{draft.pk}/start/"), 409, "not_ready")
    assert "The campaign has no pool to send from." in problem["missing"]
    problem = is_problem(api.post(f"campaigns/{ours.campaign.pk}/resume/"), 409, "invalid_move")
    assert problem["source"] == "running"


def test_answers_are_kept_by_nobody(ours, api):
    assert api.get("contacts/").headers["Cache-Control"] == "no-store"
    assert json.loads(api.get("contacts/").content)["results"]
