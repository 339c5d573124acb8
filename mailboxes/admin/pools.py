"""Pools."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpResponse, JsonResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Mailbox, Pool
from mailboxes.services import reserves
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import link_to


@admin.register(Pool)
class PoolAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("name", "tenant", "all_mailboxes", "sending", "reserves", "stopped", "campaign_list")
    list_filter = ("tenant",)
    list_select_related = ("tenant",)
    search_fields = ("name",)
    fields = ("name", "tenant", "all_mailboxes", "sending", "reserves", "stopped", "created_at", "archived_at")

    change_form_outer_before_template = "console/pool_reserves.html"

    def get_urls(self):
        view = self.admin_site.admin_view(self.gap)
        return [path("<int:pk>/gap.json", view, name="mailboxes_pool_gap"), *super().get_urls()]

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        pool = self.get_object(request, object_id)
        if request.method == "GET" and pool is not None:
            extra |= {
                "reserves": reserves.of_pool(pool), "gap_url": reverse("admin:mailboxes_pool_gap", args=[pool.pk]),
            }  # fmt: skip
        return super().change_view(request, object_id, form_url, extra)

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
