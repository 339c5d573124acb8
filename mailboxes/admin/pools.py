"""Pools."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpResponse, JsonResponse
from django.urls import path, reverse
from django.utils.formats import date_format
from django.utils.timezone import now
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from mailboxes import capacity as rule
from mailboxes.models import Mailbox, Pool
from mailboxes.services import capacity, ramp, reserves
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import link_to

DAYS = 28
SHOWN = (0, 1, 7, 14, 21, 27)  # days of the table; the picture has all


@admin.register(Pool)
class PoolAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("name", "tenant", "all_mailboxes", "sending", "reserves", "stopped", "campaign_list")
    list_filter = ("tenant",)
    list_select_related = ("tenant",)
    search_fields = ("name",)
    stops = {"pool": "pk"}
    fields = ("name", "tenant", "all_mailboxes", "sending", "reserves", "stopped", "created_at", "archived_at")
    change_form_outer_before_template = "console/pool.html"

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.capacity_chart)
        return [
            path("<int:pk>/capacity.json", view, name="mailboxes_pool_capacity"),
            path("<int:pk>/gap.json", self.admin_site.admin_view(self.gap), name="mailboxes_pool_gap"),
            *super().get_urls(),
        ]

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        pool = self.get_object(request, object_id)
        if request.method == "GET" and pool is not None:
            extra["capacity"] = shown(days_of(pool))
            extra |= {
                "reserves": reserves.of_pool(pool), "gap_url": reverse("admin:mailboxes_pool_gap", args=[pool.pk]),
            }  # fmt: skip
            extra["capacity_chart_url"] = reverse("admin:mailboxes_pool_capacity", args=[pool.pk])
            if request.actor.can("campaigns.view", pool.tenant_id):
                extra["forecast_url"] = reverse("admin:campaigns_forecast_pool", args=[pool.pk])
        return super().change_view(request, object_id, form_url, extra)

    def capacity_chart(self, request: Any, pk: int) -> JsonResponse:
        """Messages a day all in all and by state: {"x": Unix seconds of the day, "lines": {name: numbers}}."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        pool = self.get_queryset(request).filter(pk=pk).first()
        if pool is None:
            raise Http404
        found = days_of(pool)
        if not found.counts:
            return JsonResponse({"x": [], "lines": {}})
        x = [int(datetime.combine(day, time(), UTC).timestamp()) for day in found.days]
        return JsonResponse({"x": x, "lines": {"allowed": found.total, **found.by_state}})

    def gap(self, request: Any, pk: int) -> JsonResponse:
        """What is missing on each of the next days: {"x": Unix seconds of the day, "lines": {"missing": mails}}."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        pool = self.get_queryset(request).filter(pk=pk).first()
        if pool is None:
            raise Http404
        found = reserves.of_pool(pool)
        first = datetime.combine(found.today, time(), UTC)
        days = [int((first + timedelta(days=n)).timestamp()) for n in range(len(found.coming))]
        return JsonResponse({"x": days, "lines": {"missing": found.coming}})

    def get_queryset(self, request):
        sending = Q(mailboxes__state__in=("active", "ramping", "probing"), mailboxes__hold=Mailbox.Hold.NONE)
        reserves = Q(mailboxes__state=Mailbox.State.RESERVE)
        stopped = Q(mailboxes__state=Mailbox.State.QUARANTINED) | ~Q(mailboxes__hold=Mailbox.Hold.NONE)
        return (
            super()
            .get_queryset(request)
            .annotate(
                n_all=Count("mailboxes"),
                n_sending=Count("mailboxes", filter=sending),
                n_reserves=Count("mailboxes", filter=reserves),
                n_stopped=Count("mailboxes", filter=stopped & Q(mailboxes__isnull=False)),
            )
        )

    @admin.display(description=_("mailboxes"), ordering="n_all")
    def all_mailboxes(self, row):
        return link_to("mailboxes_mailbox", row.n_all, pool__id__exact=row.pk)

    @admin.display(description=_("sending"), ordering="n_sending")
    def sending(self, row):
        return link_to("mailboxes_mailbox", row.n_sending, pool__id__exact=row.pk, condition="sending")

    @admin.display(description=_("reserves"), ordering="n_reserves")
    def reserves(self, row):
        return link_to("mailboxes_mailbox", row.n_reserves, pool__id__exact=row.pk, state__exact="reserve")

    @admin.display(description=_("quarantined or held"), ordering="n_stopped")
    def stopped(self, row):
        return link_to("mailboxes_mailbox", row.n_stopped, pool__id__exact=row.pk, condition="stopped")

    @admin.display(description=_("campaigns"))
    def campaign_list(self, row):
        return link_to("campaigns_campaign", _("campaigns"), pool__id__exact=row.pk)


def days_of(pool: Pool) -> rule.PoolDays:
    """The pool's capacity today and on the days to come."""
    at = now()
    loaded = capacity.load(pool.tenant, at, pool_id=pool.pk)
    return rule.pool_days(loaded.fleet, pool.pk, rule.days_from(ramp.day_of(pool.tenant, at), DAYS))


def shown(found: rule.PoolDays) -> dict[str, Any]:
    """The same as the page's table wants it; states in their own order."""
    labels = {state: label for state, label in Mailbox.State.choices if state in found.counts}
    return {
        "heads": [gettext("today"), *(date_format(found.days[n], "j M") for n in SHOWN[1:])],
        "rows": [
            {
                "state": state,
                "label": label,
                "count": found.counts[state],
                "values": [found.by_state[state][n] for n in SHOWN],
            }
            for state, label in labels.items()
        ],
        "count": sum(found.counts.values()),
        "total": [found.total[n] for n in SHOWN],
        "promotable": [found.promotable[n] for n in SHOWN],
        "stopped": found.stopped,
        "limits": found.limits,
        "labels": json.dumps({"allowed": gettext("all in all"), **{key: str(text) for key, text in labels.items()}}),
    }
