"""Pools."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, Q
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Mailbox, Pool
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import link_to


@admin.register(Pool)
class PoolAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("name", "tenant", "all_mailboxes", "sending", "reserves", "stopped", "campaign_list")
    list_filter = ("tenant",)
    list_select_related = ("tenant",)
    search_fields = ("name",)
    stops = {"pool": "pk"}
    fields = ("name", "tenant", "all_mailboxes", "sending", "reserves", "stopped", "created_at", "archived_at")

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
