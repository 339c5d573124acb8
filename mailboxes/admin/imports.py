"""Imports of mailboxes and sending domains, and taking one back."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Import, ImportedRow
from mailboxes.services import imports
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to


@admin.register(Import)
class ImportAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = (
        "file_name", "kind", "created_at", "state_label", "created", "updated", "unchanged", "refused", "tenant",
        "row_list",
    )  # fmt: skip
    list_filter = ("kind", "state", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("file_name", "source")
    fieldsets = (
        (None, {"fields": ("kind", "file_name", "file_hash", "source", "renamed", "tenant")}),
        (_("Who and when"), {"fields": ("by_kind", "by_user", "by_key_id", "created_at", "undo_until")}),
        (_("Result"), {"fields": ("created", "updated", "unchanged", "refused", "row_list")}),
        (_("State"), {"fields": ("state_label", "rolled_back_at")}),
    )
    actions = ("roll_back",)
    targets = {"roll_back": "rolled_back"}

    list_before_template = "console/import_list.html"

    state_label = labelled("state", _("state"))

    def changelist_view(self, request, extra_context=None):
        extra = {"may_import": request.actor.can("mailboxes.import"), **(extra_context or {})}
        return super().changelist_view(request, extra)

    @admin.display(description=_("columns by another name"))
    def renamed(self, row):
        return ", ".join(f"{given} = {known}" for given, known in row.columns.items()) or "-"

    @admin.display(description=_("rows"))
    def row_list(self, row):
        return link_to("mailboxes_importedrow", _("rows"), of__id__exact=row.pk)

    @admin.action(description=_("Roll back"), permissions=["roll_back"])
    def roll_back(self, request, queryset):
        question = _(
            "Mailboxes and domains get back what they had before; new ones are deleted, or retired if they have mail."
        )
        return self.ask(request, queryset, imports.roll_back, question=question)

    def has_roll_back_permission(self, request):
        return request.actor.can("mailboxes.import")


@admin.register(ImportedRow)
class ImportedRowAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("line", "of", "is_new", "subject", "tenant")
    list_filter = ("is_new", "tenant")
    linked_by = ("of__id__exact",)
    list_select_related = ("of", "tenant")
    fields = ("of", "line", "is_new", "subject", "before", "after", "tenant")

    @admin.display(description=_("of"))
    def subject(self, row):
        if row.domain_ref is not None:
            return link_to("mailboxes_sendingdomain", _("domain %d") % row.domain_ref, id__exact=row.domain_ref)
        return link_to("mailboxes_mailbox", _("mailbox %d") % row.mailbox_ref, id__exact=row.mailbox_ref)
