"""Provider accounts."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count
from django.utils.translation import gettext_lazy as _

from mailboxes.models import ProviderAccount
from mailboxes.services import providers
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to


@admin.register(ProviderAccount)
class ProviderAccountAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("server", "state_label", "tenant", "security", "mailbox_list", "blocked_until", "state_reason")
    list_filter = ("state", "security", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("host",)
    stops = {"account": "pk"}
    fieldsets = (
        (None, {"fields": ("tenant", "kind", "host", "port", "security", "mailbox_list")}),
        (_("State"), {"fields": ("state_label", "state_reason", "blocked_until", "created_at")}),
    )
    actions = ("pause", "suspend", "activate")
    targets = {"pause": "paused", "suspend": "suspended", "activate": "active"}

    state_label = labelled("state", _("state"))

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(n_mailboxes=Count("mailboxes"))

    @admin.display(description=_("server"), ordering="host")
    def server(self, row):
        return str(row)

    @admin.display(description=_("mailboxes"), ordering="n_mailboxes")
    def mailbox_list(self, row):
        return link_to("mailboxes_mailbox", row.n_mailboxes, home__id__exact=row.pk)

    @admin.action(description=_("Pause"), permissions=["set_state"])
    def pause(self, request, queryset):
        question = _("Nothing more leaves by these accounts; the mail that waits in their mailboxes goes back.")
        return self.ask(request, queryset, providers.pause, question=question)

    @admin.action(description=_("Suspend"), permissions=["set_state"])
    def suspend(self, request, queryset):
        question = _("For accounts that are closed at their host: nothing more leaves by them.")
        return self.ask(request, queryset, providers.suspend, question=question)

    @admin.action(description=_("Put back to work"), permissions=["set_state"])
    def activate(self, request, queryset):
        return self.each(request, queryset, providers.activate)

    def has_set_state_permission(self, request):
        return request.actor.can("mailboxes.set_account_state")
