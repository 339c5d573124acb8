"""Contact lists and their entries."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from campaigns.admin.narrowing import OnlyFilter
from campaigns.admin.searching import IndexedSearch
from campaigns.models import ContactImport, ContactList, ListEntry
from campaigns.services import exporting
from outreach.common.freshness import kept
from tenants.admin.base import ReadOnlyInline, TenantAdmin
from tenants.admin.columns import labelled, link_to
from tenants.admin.exporting import Exports


class ImportInline(ReadOnlyInline):
    """The files that filled this list, newest first."""

    area = "campaigns"
    model = ContactImport
    fields = ("file_name", "created_at", "state_label", "created", "updated", "unchanged", "refused", "suppressed")
    readonly_fields = ("state_label",)

    state_label = labelled("state", _("state"))


@admin.register(ContactList)
class ContactListAdmin(Exports, TenantAdmin):
    area = "campaigns"
    list_display = ("name", "tenant", "entry_list", "campaign_list", "import_list", "created_at", "archived_at")
    list_filter = ("tenant",)
    list_select_related = ("tenant",)
    search_fields = ("name",)
    actions = ("export",)
    exported, exported_as = exporting.export_lists, "contacts"
    fields = ("name", "tenant", "people", "entry_list", "import_list", "campaign_list", "created_at", "archived_at")
    inlines = (ImportInline,)

    @admin.display(description=_("entries"))
    def entry_list(self, row):
        return link_to("campaigns_listentry", _("entries"), contact_list__id__exact=row.pk)

    @admin.display(description=_("imports"))
    def import_list(self, row):
        return link_to("campaigns_contactimport", _("imports"), contact_list__id__exact=row.pk)

    @admin.display(description=_("people"))
    def people(self, row):
        return kept(("list", row.pk), row.entries.count, seconds=30)

    @admin.display(description=_("campaigns"))
    def campaign_list(self, row):
        return link_to("campaigns_campaign", _("campaigns"), contact_list__id__exact=row.pk)


@admin.register(ListEntry)
class ListEntryAdmin(IndexedSearch, TenantAdmin):
    area = "campaigns"
    list_display = ("id", "contact", "contact_list", "tenant")
    list_display_links = ("id",)
    list_select_related = ("contact", "contact_list", "tenant")
    list_filter = (OnlyFilter,)
    linked_by = ("contact_list__id__exact", "contact__id__exact")
    search_help_text = _("A whole e-mail address or a row number.")
    ordering = ("-pk",)
    sortable_by = ()
    fields = ("contact", "contact_list", "tenant")
