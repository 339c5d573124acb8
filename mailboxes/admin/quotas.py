"""What hosts and receivers take: limits of the platform, of no tenant."""

from __future__ import annotations

from django.contrib import admin

from mailboxes.models import QuotaGroup, ReceiverDomain, ReceiverLimit
from tenants.admin.base import TenantAdmin


class OfThePlatform(TenantAdmin):
    """Rows of no tenant: for platform admins."""

    view_permission = "tenants.administer"
    sortable_by = ()

    def visible_to(self, request, queryset):
        return queryset


@admin.register(QuotaGroup)
class QuotaGroupAdmin(OfThePlatform):
    list_display = ("name", "kind", "licences", "is_trial", "daily_cap", "user_daily_cap", "per_second", "note")
    fields = (*list_display, "created_at")
    list_filter = ("kind",)
    stops = {"organisation": "pk"}


@admin.register(ReceiverLimit)
class ReceiverLimitAdmin(OfThePlatform):
    list_display = ("operator", "hourly_cap", "daily_cap")
    fields = list_display


@admin.register(ReceiverDomain)
class ReceiverDomainAdmin(OfThePlatform):
    list_display = ("name", "operator", "checked_at")
    fields = list_display
    search_fields = ("name",)
    list_filter = ("operator",)
