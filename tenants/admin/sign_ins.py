"""By what people sign in and where they are: looked at by platform admins, without anything secret."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from tenants.admin.base import TenantAdmin
from tenants.admin.columns import state
from tenants.models import RecoverySheet, SecondFactor, SignedIn
from tenants.services import sessions


class SignInAdmin(TenantAdmin):
    """Rows of people, who belong to no tenant."""

    view_permission = "tenants.administer"
    list_select_related = ("user",)
    search_fields = ("user__email",)

    def visible_to(self, request, queryset):
        return queryset

    @admin.display(description=_("wrong codes in a row"))
    def wrong_codes(self, row):
        return row.throttling_failure_count


@admin.register(SecondFactor)
class SecondFactorAdmin(SignInAdmin):
    """Authenticator apps. A new one is asked for on the user's page; its person sets it up."""

    list_display = ("user", "usable", "created_at", "last_used_at", "wrong_codes")
    list_filter = ("confirmed",)
    fields = list_display

    @admin.display(description=_("confirmed"))
    def usable(self, row):
        return state("yes", _("yes")) if row.confirmed else state("no", _("no"))


@admin.register(RecoverySheet)
class RecoverySheetAdmin(SignInAdmin):
    """Sheets of one-use codes."""

    list_display = ("user", "left", "created_at", "last_used_at", "wrong_codes")
    fields = list_display

    @admin.display(description=_("codes left"))
    def left(self, row):
        return len(row.hashes)


@admin.register(SignedIn)
class SignedInAdmin(SignInAdmin):
    """Sessions of everybody."""

    list_display = ("user", "address", "browser", "created_at", "seen_at", "ended_at")
    fields = list_display
    linked_by = ("user__id__exact",)
    actions = ("end",)

    @admin.action(description=_("End the session"), permissions=["end"])
    def end(self, request, queryset):
        return self.each(request, queryset, sessions.end)

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        return [] if row.ended_at else super().detail_actions(request, row)

    def has_end_permission(self, request):
        return request.actor.can("tenants.administer")
