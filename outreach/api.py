"""The API under /api/v1/: where each address leads, and the description of all of them."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.urls import path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import JSONRenderer
from rest_framework.routers import SimpleRouter

from campaigns.api import campaigns, explain, mail, people
from mailboxes.api import fleet
from outreach.common import problems
from outreach.headers import EVERYWHERE
from tenants.api import approvals, tenants
from tenants.api.limits import ByAddress

app_name = "api"

router = SimpleRouter()
router.register("campaigns", campaigns.CampaignViewSet)
router.register("steps", campaigns.StepViewSet)
router.register("contacts", explain.ExplainedContactViewSet)
router.register("lists", people.ListViewSet)
router.register("enrolments", people.EnrolmentViewSet)
router.register("suppressions", people.SuppressionViewSet)
router.register("suppression-lists", people.SuppressionListViewSet)
router.register("messages", explain.ExplainedMessageViewSet)
router.register("attempts", mail.AttemptViewSet)
router.register("batches", mail.BatchViewSet)
router.register("plan-runs", mail.PlanRunViewSet)
router.register("pools", fleet.PoolViewSet)
router.register("sending-domains", fleet.DomainViewSet)
router.register("provider-accounts", fleet.AccountViewSet)
router.register("mailboxes", explain.ExplainedMailboxViewSet)
router.register("allowances", fleet.AllowanceViewSet)
router.register("tenants", tenants.OwnTenantViewSet)
router.register("approvals", approvals.ApprovalViewSet)

# Swagger writes style attributes and draws icons from data addresses; its scripts are files of ours.
SWAGGER = "script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"


class Schema(SpectacularAPIView):
    """The description, made anew for each request; whoever asks often waits."""

    throttle_classes = (ByAddress,)

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if response.exception:
            response.accepted_renderer = JSONRenderer()  # a problem is JSON, also for who wants the description as YAML
        return response


class Docs(SpectacularSwaggerSplitView):
    """The Swagger page: HTML without inline script, which the browser's policy would refuse."""

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers["Content-Security-Policy"] = f"{EVERYWHERE}; {SWAGGER}"
        return response


def nowhere(request: Any, rest: str) -> HttpResponse:
    """What no other address took."""
    return problems.answer(request, 404)


urlpatterns = [
    path("schema/", Schema.as_view(), name="schema"),
    path("docs/", Docs.as_view(url_name="api:schema", title="Outreach console: API"), name="docs"),
    *router.urls,
    re_path(r"^(?P<rest>(?s:.*))\Z", nowhere, name="nowhere"),
]
