"""What paid verifiers were asked, day by day."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from deliverability.models import VerifierUse
from tenants.admin.base import TenantAdmin


@admin.register(VerifierUse)
class VerifierUseAdmin(TenantAdmin):
    area = "deliverability"
    list_display = ("day", "verifier", "tenant", "asked", "answered", "costs")
    list_filter = ("tenant",)
    list_select_related = ("tenant",)
    fields = list_display

    @admin.display(description=_("cost"), ordering="cost")
    def costs(self, row):
        return f"{row.cost} {row.currency}"
