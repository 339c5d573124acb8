"""Sending domains."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count
from django.utils.translation import gettext_lazy as _

from mailboxes.models import SendingDomain
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to


@admin.register(SendingDomain)
class SendingDomainAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("name", "state_label", "tenant", "hourly_cap", "mailbox_list", "created_at")
    list_filter = ("state", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("name",)
    stops = {"domain": "pk"}
    fields = ("name", "tenant", "state_label", "hourly_cap", "mailbox_list", "created_at")

    state_label = labelled("state", _("state"))

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(n_mailboxes=Count("mailboxes"))

    @admin.display(description=_("mailboxes"), ordering="n_mailboxes")
    def mailbox_list(self, row):
        return link_to("mailboxes_mailbox", row.n_mailboxes, domain__id__exact=row.pk)
