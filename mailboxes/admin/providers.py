"""Provider accounts."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.db.models import Count
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextInputWidget

from mailboxes import hosts
from mailboxes.models import ProviderAccount
from mailboxes.services import providers
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to


class SpfForm(forms.Form):
    """Terms with blanks between."""

    spf_terms = forms.CharField(
        max_length=2000,
        required=False,
        widget=UnfoldAdminTextInputWidget,
        label=_("Terms"),
        help_text=_("As in: include:_spf.example.net 192.0.2.7 198.51.100.0/24. Empty: as known of the host."),
    )

    def clean_spf_terms(self):
        return self.cleaned_data["spf_terms"].split()


@admin.register(ProviderAccount)
class ProviderAccountAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("server", "state_label", "tenant", "security", "mailbox_list", "blocked_until", "state_reason")
    list_filter = ("state", "security", "tenant")
    list_select_related = ("tenant",)
    search_fields = ("host",)
    fieldsets = (
        (None, {"fields": ("tenant", "kind", "host", "port", "security", "mailbox_list")}),
        (_("What SPF has to cover"), {"fields": ("spf",)}),
        (_("State"), {"fields": ("state_label", "state_reason", "blocked_until", "created_at")}),
    )
    actions = ("pause", "suspend", "activate", "set_spf_terms")
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

    @admin.display(description=_("terms"))
    def spf(self, row):
        terms = hosts.spf_terms(row.host, row.spf_terms)
        if not terms:
            return _("nobody said: no domain that uses it can be verified")
        return " ".join(terms) + ("" if row.spf_terms else f" ({_('as known of the host')})")

    @admin.action(description=_("Set what SPF has to cover"), permissions=["set_spf_terms"])
    def set_spf_terms(self, request, queryset):
        question = _("The domains whose mailboxes leave by these accounts are checked for it within minutes.")
        return self.ask(request, queryset, providers.set_spf_terms, question=question, form_class=SpfForm)

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

    def has_set_spf_terms_permission(self, request):
        return request.actor.can("mailboxes.import")

    def has_set_state_permission(self, request):
        return request.actor.can("mailboxes.set_account_state")
