"""What stands still, and why."""

from __future__ import annotations

from django.contrib import admin

from campaigns.models import Stop
from tenants.admin.base import TenantAdmin


@admin.register(Stop)
class StopAdmin(TenantAdmin):
    area = "campaigns"
    list_display = ("scope", "label", "tenant", "cause", "reason", "since", "until", "lifted_at")
    fields = (*list_display, "operator", "organisational")
    list_filter = ("scope", "cause", "tenant")
    list_select_related = ("tenant",)
    sortable_by = ()
