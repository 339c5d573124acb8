"""Who holds which role where, and who broke the glass."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from tenants.admin.base import TenantAdmin
from tenants.models import BreakGlass, Membership
from tenants.services import members


@admin.register(Membership)
class MembershipAdmin(TenantAdmin):
    """Roles of people. A manager sees those of the own tenants, a platform admin those of staff as well."""

    view_permission = "tenants.manage_members"
    list_display = ("user", "role", "where", "expires_at", "ended_at", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "tenant")
    search_fields = ("user__email",)
    fields = ("user", "role", "where", "expires_at", "ended_at", "created_at")
    linked_by = ("tenant__id__exact", "user__id__exact")
    actions = ("end",)

    @admin.display(description=_("tenant"), ordering="tenant")
    def where(self, row):
        return row.tenant or _("every tenant")

    @admin.action(description=_("End the membership"), permissions=["end"])
    def end(self, request, queryset):
        return self.each(request, queryset, members.end)

    def has_end_permission(self, request):
        return request.actor.can("tenants.manage_members")


@admin.register(BreakGlass)
class BreakGlassAdmin(TenantAdmin):
    """Each time a superuser got in without a membership, with the reason."""

    view_permission = "tenants.manage_members"
    list_display = ("user", "tenant", "reason", "created_at", "until", "ended_at")
    list_select_related = ("user", "tenant")
    fields = list_display
    linked_by = ("tenant__id__exact",)
    actions = ("mend",)

    @admin.action(description=_("End the access now"), permissions=["mend"])
    def mend(self, request, queryset):
        return self.each(request, queryset, members.mend)

    def has_mend_permission(self, request):
        return request.actor.can("tenants.manage_members")
