"""Links that were followed."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from campaigns.models import Click
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import row_link


@admin.register(Click)
class ClickAdmin(TenantAdmin):
    area = "campaigns"
    list_display = ("at", "url", "is_early", "of_message", "campaign", "tenant")
    list_filter = ("is_early", "tenant")
    linked_by = ("campaign__id__exact", "message_ref__exact")
    list_select_related = ("campaign", "tenant")
    sortable_by = ()
    fields = ("at", "url", "number", "is_early", "of_message", "campaign", "tenant")

    @admin.display(description=_("message"))
    def of_message(self, row):
        return row_link("campaigns_message", row.message_ref, f"#{row.message_ref}")
