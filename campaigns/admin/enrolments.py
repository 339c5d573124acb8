"""Who is where in which campaign."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from campaigns.admin.searching import IndexedSearch
from campaigns.models import Enrolment
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to, row_link


@admin.register(Enrolment)
class EnrolmentAdmin(IndexedSearch, TenantAdmin):
    area = "campaigns"
    search_help_text = _("A whole e-mail address or a row number.")
    list_display = ("id", "person", "campaign", "status_label", "step", "stop_reason", "waits_for", "due_at", "zone")
    list_filter = ("status", "tenant")
    linked_by = (
        "campaign__id__exact",
        "contact__id__exact",
        "mailbox__id__exact",
        "waits_for__exact",
        "due_at__isnull",
        "stop_reason__exact",
        "zone__in",
    )
    list_select_related = ("contact", "campaign")
    ordering = ("-pk",)
    sortable_by = ()
    fieldsets = (
        (None, {"fields": ("person", "campaign", "tenant", "mailbox", "message_list")}),
        (_("State"), {"fields": ("status_label", "stop_reason", "step", "waits_for", "due_at", "zone", "created_at")}),
    )

    status_label = labelled("status", _("status"))

    @admin.display(description=_("contact"))
    def person(self, row):
        return row_link("campaigns_contact", row.contact_id, row.contact.email)

    @admin.display(description=_("messages"))
    def message_list(self, row):
        return link_to("campaigns_message", _("messages"), enrolment__id__exact=row.pk)
