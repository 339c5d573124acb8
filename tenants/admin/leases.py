"""Which process leads."""

from __future__ import annotations

from django.contrib import admin

from tenants.admin.base import TenantAdmin
from tenants.models import Lease


@admin.register(Lease)
class LeaseAdmin(TenantAdmin):
    view_permission = "tenants.administer"
    list_display = ("name", "holder", "until")
    fields = ("name", "holder", "until")
    sortable_by = ()

    def visible_to(self, request, queryset):
        """Leases belong to the platform."""
        return queryset
