"""People."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from campaigns.admin.searching import IndexedSearch
from campaigns.models import Contact, Enrolment, Suppression
from campaigns.services import exporting, suppression
from tenants.admin.base import ReadOnlyInline, TenantAdmin
from tenants.admin.columns import labelled, link_to, row_link
from tenants.admin.exporting import Exports


def of_entry(row: Suppression) -> str:
    """Why an entry is there, and in which list."""
    return ", ".join(filter(None, [row.get_reason_display(), str(row.suppression_list or "")]))


class EnrolmentInline(ReadOnlyInline):
    """The campaigns that this person is in."""

    area = "campaigns"
    model = Enrolment
    fields = ("campaign", "step", "state", "stop_reason", "waits_for", "due_at")
    readonly_fields = ("state",)

    state = labelled("status", _("status"))

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("campaign", "mailbox")


@admin.register(Contact)
class ContactAdmin(Exports, IndexedSearch, TenantAdmin):
    area = "campaigns"
    address_lookup = "address_hash"
    search_help_text = _("A whole e-mail address or a row number; else the beginning of a name, company or address.")
    list_display = ("email", "name", "company", "country", "person_kind", "lawful_basis", "tenant", "message_list")
    linked_by = ("first_import__id__exact",)
    list_filter = ("person_kind", "lawful_basis", "tenant")
    list_select_related = ("tenant",)
    ordering = ("-pk",)
    sortable_by = ()
    inlines = (EnrolmentInline,)
    actions = ("export",)
    exported, exported_as = exporting.export_contacts, "contacts"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "email",
                    "first_name",
                    "last_name",
                    "company",
                    "country",
                    "time_zone",
                    "tenant",
                    "kept_from_mail_by",
                    "message_list",
                )
            },
        ),
        (
            _("Provenance"),
            {"fields": ("person_kind", "source", "lawful_basis", "basis_date", "basis_expires_on", "basis_evidence")},
        ),
        (_("Free fields"), {"fields": ("fields", "created_at")}),
    )

    def search_text(self, queryset, term):
        places = ("email_key", "last_name", "company", "first_name")
        found = Q()
        for place in places:
            found |= Q(
                **{f"{place}__istartswith" if place != "email_key" else "email_key__startswith": term.casefold()}
            )
        return queryset.filter(found)

    @admin.display(description=_("kept from mail by"))
    def kept_from_mail_by(self, row):
        """The tenant's own entries; of whatever else holds, only that it does."""
        own, platform = suppression.standing(row)
        links = [row_link("campaigns_suppression", each.pk, f"{each} ({of_entry(each)})") for each in own]
        return format_html_join(
            ", ", "{}", ((each,) for each in [*links, *([_("platform limit")] if platform else [])])
        )

    @admin.display(description=_("name"))
    def name(self, row):
        return f"{row.first_name} {row.last_name}".strip()

    @admin.display(description=_("messages"))
    def message_list(self, row):
        return link_to("campaigns_message", _("messages"), contact__id__exact=row.pk)
