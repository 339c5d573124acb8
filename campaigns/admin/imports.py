"""Imports of contacts."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from campaigns.models import ContactImport
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to


@admin.register(ContactImport)
class ContactImportAdmin(TenantAdmin):
    area = "campaigns"
    list_display = (
        "file_name", "contact_list", "created_at", "state_label", "created", "updated", "unchanged", "refused",
        "suppressed", "tenant",
    )  # fmt: skip
    list_filter = ("state", "tenant")
    list_select_related = ("tenant", "contact_list")
    search_fields = ("file_name", "source")
    fieldsets = (
        (None, {"fields": ("file_name", "file_hash", "source", "contact_list", "tenant")}),
        (_("Who and when"), {"fields": ("by_kind", "by_user", "by_key_id", "created_at", "undo_until")}),
        (_("Result"), {"fields": ("created", "updated", "unchanged", "refused", "suppressed", "people")}),
        (_("State"), {"fields": ("state_label", "rolled_back_at")}),
    )

    state_label = labelled("state", _("state"))

    @admin.display(description=_("people"))
    def people(self, row):
        return link_to("campaigns_contact", _("people it brought first"), first_import__id__exact=row.pk)
