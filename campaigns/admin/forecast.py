"""The forecast as pages: of a campaign, of a pool, of a tenant."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, JsonResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _

from campaigns import reports
from campaigns.models import Campaign
from campaigns.pipeline.forecasting import loading, results, wording
from campaigns.pipeline.forecasting.terms import CampaignForecast, Forecast, PoolForecast
from mailboxes.models import Pool
from outreach.common.freshness import kept
from tenants.admin.base import TenantAdmin
from tenants.models import Tenant
from tenants.services import actors

KEPT_SECONDS = 60


class ForecastPages(TenantAdmin):
    """Mix-in for the campaigns' admin; pools show to who may look at mailboxes."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/forecast/", view(self.campaign_forecast), name="campaigns_campaign_forecast"),
            path("<int:pk>/forecast.json", view(self.campaign_curve), name="campaigns_campaign_forecast_curve"),
            path("forecast/tenant/<int:tenant_id>/", view(self.tenant_forecast), name="campaigns_forecast_tenant"),
            path("forecast/pool/<int:pool_id>/", view(self.pool_forecast), name="campaigns_forecast_pool"),
            path("forecast/pool/<int:pool_id>/curve.json", view(self.pool_curve), name="campaigns_forecast_pool_curve"),
            *super().get_urls(),
        ]

    def campaign_forecast(self, request: Any, pk: int) -> HttpResponse:
        """One campaign, with its pool; one that does not run is taken as started now."""
        campaign = self._campaign(request, pk)
        found = results.narrowed(forecast_of(campaign.tenant, campaign), campaign.pk)
        return self._page(request, campaign.tenant, found, back=self.url_of(campaign), name=campaign, draft=campaign)

    def tenant_forecast(self, request: Any, tenant_id: int) -> HttpResponse:
        """Everything that a tenant has running or scheduled."""
        tenant = self._seen(request, Tenant.objects.filter(pk=tenant_id), "campaigns.view")
        may_look = request.actor.can("tenants.view", tenant.pk)
        back = reverse("admin:tenants_tenant_change", args=[tenant.pk]) if may_look else ""
        return self._page(request, tenant, forecast_of(tenant), back=back, name=tenant)

    def pool_forecast(self, request: Any, pool_id: int) -> HttpResponse:
        """One pool, and the campaigns that send from it."""
        pool = self._pool(request, pool_id)
        found = results.of_pool(forecast_of(pool.tenant), pool.pk)
        back = reverse("admin:mailboxes_pool_change", args=[pool.pk])
        return self._page(request, pool.tenant, found, back=back, name=pool)

    def campaign_curve(self, request: Any, pk: int) -> JsonResponse:
        """What goes out each day and what is due at its end, as {"x": Unix seconds of the day, "lines": {...}}."""
        campaign = self._campaign(request, pk)
        found = results.narrowed(forecast_of(campaign.tenant, campaign), campaign.pk)
        return JsonResponse(curve_of(found.campaigns[0]) if found.campaigns else {"x": [], "lines": {}})

    def pool_curve(self, request: Any, pool_id: int) -> JsonResponse:
        """Capacity, demand and what goes out, in the same form. ?campaign= takes that campaign as started now."""
        pool = self._pool(request, pool_id)
        given = request.GET.get("campaign", "")
        draft = (
            self._campaign(request, int(given)) if given.isascii() and given.isdecimal() and len(given) < 19 else None
        )
        if draft is not None and draft.tenant_id != pool.tenant_id:
            raise Http404
        found = results.of_pool(forecast_of(pool.tenant, draft), pool.pk)
        return JsonResponse(curve_of_pool(found.pools[0]) if found.pools else {"x": [], "lines": {}})

    def _campaign(self, request: Any, pk: int) -> Campaign:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).select_related("tenant").filter(pk=pk).first()
        if found is None:
            raise Http404
        return found

    def _pool(self, request: Any, pool_id: int) -> Pool:
        pool = self._seen(request, Pool.objects.select_related("tenant").filter(pk=pool_id), "mailboxes.view")
        if not request.actor.can("campaigns.view", pool.tenant_id):
            raise PermissionDenied
        return pool

    def _seen(self, request: Any, rows: Any, permission: str) -> Any:
        if not request.actor.can(permission):
            raise PermissionDenied
        found = actors.visible_to(request.actor, rows, permission).first()
        if found is None:
            raise Http404
        return found

    def _page(
        self, request: Any, tenant: Tenant, found: Forecast, *, back: str, name: Any, draft: Campaign | None = None
    ) -> HttpResponse:
        may_see_pools = request.actor.can("mailboxes.view", tenant.pk)
        what_if = draft if draft is not None and draft.status not in loading.GOING else None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Forecast: %s") % name,
            "opts": self.opts,
            "name": name,
            "back": back,
            "days": len(found.days),
            "what_if": what_if,
            "campaigns": [campaign_row(one, len(found.days)) for one in found.campaigns],
            "pools": [pool_row(one, draft) for one in found.pools] if may_see_pools else [],
        }
        if draft is not None and found.campaigns:
            context["chart_url"] = reverse("admin:campaigns_campaign_forecast_curve", args=[draft.pk])
        return TemplateResponse(request, "console/forecast.html", context)


def forecast_of(tenant: Tenant, draft: Campaign | None = None) -> Forecast:
    """The tenant's forecast of this minute; a campaign that is over adds nothing."""
    if draft is not None and (draft.status in loading.GOING or draft.status in reports.FINISHED):
        draft = None
    key = ("forecast", tenant.pk, None if draft is None else draft.pk)
    return kept(key, lambda: loading.forecast(tenant, now(), draft=draft), seconds=KEPT_SECONDS)


def campaign_row(found: CampaignForecast, days: int) -> dict[str, Any]:
    return {
        "it": found,
        "url": reverse("admin:campaigns_campaign_forecast", args=[found.id]),
        "status": Campaign.Status(found.status).label,
        "done": wording.done(found, days),
        "limit": wording.limit(found.limit, found.limit_name),
        "days": [{"it": day, "limit": wording.limit(day.limit, day.limit_name)} for day in found.days],
    }


def pool_row(found: PoolForecast, draft: Campaign | None) -> dict[str, Any]:
    chart = reverse("admin:campaigns_forecast_pool_curve", args=[found.id])
    return {
        "it": found,
        "url": reverse("admin:campaigns_forecast_pool", args=[found.id]),
        "shortfall": wording.shortfall(found),
        "chart_url": f"{chart}?campaign={draft.pk}" if draft is not None else chart,
    }


def curve_of(found: CampaignForecast) -> dict[str, Any]:
    """A campaign's days as the chart wants them."""
    lines = {"planned": [day.waiting for day in found.days], "sent": [day.sent for day in found.days]}
    return {"x": [_seconds(day.day) for day in found.days], "lines": lines}


def curve_of_pool(found: PoolForecast) -> dict[str, Any]:
    """A pool's days as the chart wants them."""
    lines = {
        "allowed": [day.capacity for day in found.days],
        "planned": [day.demand for day in found.days],
        "sent": [day.sent for day in found.days],
    }
    return {"x": [_seconds(day.day) for day in found.days], "lines": lines}


def _seconds(day: date) -> int:
    """A day as a label, which the browser writes out in UTC again."""
    return int(datetime.combine(day, time(), UTC).timestamp())
