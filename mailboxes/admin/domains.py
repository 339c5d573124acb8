"""Sending domains."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count
from django.utils.translation import gettext_lazy as _

from mailboxes.admin.domain_ramps import RAMP_ACTIONS, DomainRampPage
from mailboxes.models import SendingDomain
from tenants.admin.columns import labelled, link_to


@admin.register(SendingDomain)
class SendingDomainAdmin(DomainRampPage):
    area = "mailboxes"
    list_display = ("name", "state_label", "tenant", "hourly_cap", "mailbox_list", "created_at")
    list_filter = ("state", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("name",)
    fields = ("name", "tenant", "state_label", "hourly_cap", "mailbox_list", "created_at")
    actions = RAMP_ACTIONS
    change_form_outer_before_template = "console/domain.html"

    state_label = labelled("state", _("state"))

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(n_mailboxes=Count("mailboxes"))

    @admin.display(description=_("mailboxes"), ordering="n_mailboxes")
    def mailbox_list(self, row):
        return link_to("mailboxes_mailbox", row.n_mailboxes, domain__id__exact=row.pk)
