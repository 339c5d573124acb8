"""Wordings of steps."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from campaigns.models import Variant
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import link_to


@admin.register(Variant)
class VariantAdmin(TenantAdmin):
    area = "campaigns"
    list_display = ("label", "subject", "step", "tenant", "message_list")
    linked_by = ("step__id__exact",)
    list_select_related = ("step", "tenant")
    search_fields = ("subject",)
    fields = ("label", "step", "subject", "text_body", "html_body", "created_at", "tenant", "message_list")

    @admin.display(description=_("messages"))
    def message_list(self, row):
        return link_to("campaigns_message", _("messages"), variant__id__exact=row.pk)
