"""People."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.utils.html import format_html_join
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from campaigns.admin.bulk import ActsOnMany, TagFilter
from campaigns.admin.conversations import AnsweredForm, ReleaseForm
from campaigns.admin.searching import IndexedSearch
from campaigns.models import Enrolment, Suppression
from campaigns.services import conversations, erasing, exporting, replies, suppression
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


class ContactPages(ActsOnMany, Exports, IndexedSearch, TenantAdmin):
    """Registered by deliverability, which adds the verdicts on addresses."""

    area = "campaigns"
    address_lookup = "address_hash"
    search_help_text = _("A whole e-mail address or a row number; else the beginning of a name, company or address.")
    list_display = (
        "email", "name", "company", "country", "person_kind", "lawful_basis", "tag_list", "tenant",
        "message_list",
    )  # fmt: skip
    linked_by = ("first_import__id__exact", "company_domain__exact")
    list_filter = ("person_kind", "lawful_basis", TagFilter, "tenant")
    list_select_related = ("tenant",)
    ordering = ("-pk",)
    sortable_by = ()
    inlines = (EnrolmentInline,)
    change_form_outer_before_template = "console/why_contact.html"
    actions = ("mark_answered", "release", "tag", "untag", "add_to_list", "remove_from_list", "export", "erase")
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
                    "tag_list",
                    "list_list",
                    "kept_from_mail_by",
                    "message_list",
                )
            },
        ),
        (
            _("Provenance"),
            {
                "fields": (
                    *("person_kind", "source", "lawful_basis", "basis_date", "basis_expires_on", "basis_evidence"),
                    *("basis_terms", "collected_directly", "import_link"),
                )
            },
        ),
        (_("Conversation"), {"fields": ("conversation_since", "how", "conversation_ended_at", "quiet_until")}),
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

    @admin.display(description=_("tags"))
    def tag_list(self, row):
        return ", ".join(row.tags)

    @admin.display(description=_("lists"))
    def list_list(self, row):
        return link_to("campaigns_listentry", _("lists"), contact__id__exact=row.pk)

    @admin.display(description=_("first import"))
    def import_link(self, row):
        if row.first_import_id is None:
            return "-"
        return link_to("campaigns_contactimport", f"#{row.first_import_id}", id__exact=row.first_import_id)

    @admin.display(description=_("by what"), empty_value="")
    def how(self, row):
        return replies.VIAS.get(row.conversation_via)

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        is_held = row.conversation_since is not None or (row.quiet_until is not None and row.quiet_until > now())
        fits = {"release": is_held, "mark_answered": row.conversation_since is None}
        return [action for action in super().detail_actions(request, row) if fits.get(action["name"], True)]

    @admin.action(description=_("Mark as answered"), permissions=["converse"])
    def mark_answered(self, request, queryset):
        question = _("No campaign writes to them until somebody releases them; the one that wrote last ends for them.")
        return self.ask(request, queryset, replies.human, question=question, form_class=AnsweredForm)

    @admin.action(description=_("Release from the conversation"), permissions=["converse"])
    def release(self, request, queryset):
        question = _("Campaigns write to these people again. What their answer ended stays ended.")
        return self.ask(request, queryset, conversations.release, question=question, form_class=ReleaseForm)

    @admin.action(description=_("Erase"), permissions=["erase"])
    def erase(self, request, queryset):
        question = _(
            "Names, addresses and all else that is known of these people go for good, and what waits for them is "
            "cancelled. Their addresses stay blocked by a hash that nobody can read."
        )
        return self.ask(request, queryset, erasing.erase, question=question)

    def has_erase_permission(self, request):
        return request.actor.can("campaigns.erase")

    def has_converse_permission(self, request):
        return request.actor.can("campaigns.converse")

    @admin.display(description=_("messages"))
    def message_list(self, row):
        return link_to("campaigns_message", _("messages"), contact__id__exact=row.pk)
