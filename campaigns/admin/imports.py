"""Imports of contacts: in the browser, and taking one back."""

from __future__ import annotations

from django import forms
from django.contrib import admin, messages
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from campaigns.models import ContactImport, ContactUpload, ContactUploadPart, ImportedContact
from campaigns.services import contact_imports, contact_rows, uploads
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to
from tenants.admin.uploads import UploadForm, UploadPages, UploadParts


@admin.register(ContactImport)
class ContactImportAdmin(TenantAdmin):
    area = "campaigns"
    list_display = (
        "file_name", "contact_list", "created_at", "state_label", "created", "updated", "unchanged", "refused",
        "suppressed", "tenant", "people",
    )  # fmt: skip
    list_filter = ("state", "tenant")
    list_select_related = ("tenant", "contact_list")
    linked_by = ("contact_list__id__exact",)
    search_fields = ("file_name", "source")
    fieldsets = (
        (None, {"fields": ("file_name", "file_hash", "source", "renamed", "contact_list", "tenant")}),
        (_("Who and when"), {"fields": ("by_kind", "by_user", "by_key_id", "created_at", "undo_until")}),
        (_("Result"), {"fields": ("created", "updated", "unchanged", "refused", "suppressed", "people", "row_list")}),
        (_("State"), {"fields": ("state_label", "rolled_back_at", "removed", "restored", "kept")}),
    )
    actions = ("roll_back",)
    targets = {"roll_back": "rolled_back"}
    list_before_template = "console/contact_import_list.html"

    state_label = labelled("state", _("state"))

    def changelist_view(self, request, extra_context=None):
        extra = {"may_import": request.actor.can("campaigns.import_contacts"), **(extra_context or {})}
        return super().changelist_view(request, extra)

    @admin.display(description=_("columns by another name"))
    def renamed(self, row):
        return ", ".join(f"{given} = {known}" for given, known in row.columns.items()) or "-"

    @admin.display(description=_("people"))
    def people(self, row):
        return link_to("campaigns_contact", _("people it brought first"), first_import__id__exact=row.pk)

    @admin.display(description=_("changed contacts"))
    def row_list(self, row):
        return link_to("campaigns_importedcontact", _("changed contacts"), of__id__exact=row.pk)

    @admin.action(description=_("Roll back"), permissions=["roll_back"])
    def roll_back(self, request, queryset):
        def act(row, *, actor, reason):
            rolled = contact_imports.roll_back(row, actor=actor, reason=reason)
            for sentence in rolled.sentences():
                self.message_user(request, sentence, messages.WARNING)

        question = _(
            "Contacts get back what they had before. New ones are removed with their list entries, but those stay who"
            " are enrolled, whom another list has or a later import changed."
        )
        return self.ask(request, queryset, act, question=question)

    def has_roll_back_permission(self, request):
        return request.actor.can("campaigns.import_contacts")


@admin.register(ImportedContact)
class ImportedContactAdmin(TenantAdmin):
    area = "campaigns"
    list_display = ("id", "of", "subject", "tenant")
    list_filter = ("tenant",)
    linked_by = ("of__id__exact",)
    list_select_related = ("of", "tenant")
    fields = ("of", "subject", "before", "after", "tenant")

    @admin.display(description=_("of"))
    def subject(self, row):
        return link_to("campaigns_contact", _("contact %d") % row.contact_ref, id__exact=row.contact_ref)


class ContactUploadForm(UploadForm):
    """A file of contacts and where they go."""

    list_name = forms.CharField(
        max_length=200, label=_("List"), widget=UnfoldAdminTextInputWidget,
        help_text=_("The contacts enter it; it is made if there is none of that name."),
    )  # fmt: skip


@admin.register(ContactUpload)
class ContactUploadAdmin(UploadPages):
    area = "campaigns"
    shape, take = contact_rows.SHAPE, uploads.take
    add_form, add_permission = ContactUploadForm, "campaigns.import_contacts"
    add_title, subject_title = _("Import contacts"), _("contact")
    list_display = ("file_name", "list_name", "created_at", "state_label", "by_user", "tenant", "import_link")
    fields = (
        "file_name", "file_hash", "size", "source", "sheet", "list_name", "tenant", "by_user", "created_at",
    )  # fmt: skip


@admin.register(ContactUploadPart)
class ContactUploadPartAdmin(UploadParts):
    area = "campaigns"
