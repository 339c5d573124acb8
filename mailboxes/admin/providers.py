"""Provider accounts."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.urls import path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSingleDateWidget,
    UnfoldAdminTextInputWidget,
)

from mailboxes import hosts
from mailboxes.models import ProviderAccount, QuotaGroup
from mailboxes.services import circuits, providers, quotas
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to
from tenants.models.records import BASES


class LimitsForm(forms.Form):
    """What all mailboxes of an account may send together."""

    hourly_cap = forms.IntegerField(
        min_value=0, required=False, label=_("Messages an hour; empty: no limit"), widget=UnfoldAdminIntegerFieldWidget
    )
    quota_group = forms.ModelChoiceField(
        QuotaGroup.objects.order_by("name"), required=False, label=_("Quota group"), widget=UnfoldAdminSelectWidget
    )

    def __init__(self, *args: Any, of_platform: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not of_platform:
            del self.fields["quota_group"]


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


class BasesForm(forms.Form):
    """What the host's terms allow, and where they say so."""

    bases = forms.MultipleChoiceField(
        choices=[(name, name.replace("_", " ")) for name in BASES],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        label=_("Lawful bases of the mail that it may carry"),
        help_text=_("None: nobody new is written to by it."),
    )
    link = forms.CharField(
        max_length=500, required=False, widget=UnfoldAdminTextInputWidget, label=_("Where the host's terms stand")
    )
    on = forms.DateField(required=False, widget=UnfoldAdminSingleDateWidget, label=_("Read on"))
    reason = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget, label=_("Reason"))


@admin.register(ProviderAccount)
class ProviderAccountAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = (
        "server", "state_label", "circuit", "tenant", "kind", "mailbox_list", "guest_list", "hourly_cap",
        "blocked_until", "state_reason",
    )  # fmt: skip
    list_filter = ("state", "circuit", "kind", "tenant")
    list_select_related = ("tenant", "quota_group")
    search_fields = ("host",)
    linked_by = ("quota_group__id__exact",)
    change_form_outer_before_template = "console/numbers_link.html"
    stops = {"account": "pk"}
    fieldsets = (
        (None, {"fields": ("tenant", "kind", "host", "port", "security", "mailbox_list")}),
        (_("Limits"), {"fields": ("hourly_cap", "quota_group", "hours")}),
        (_("Reading"), {"fields": ("imap_host", "imap_port")}),
        (_("What SPF has to cover"), {"fields": ("spf",)}),
        (_("What its host allows"), {"fields": ("bases_allowed", "bases_link", "bases_on")}),
        (_("State"), {"fields": ("state_label", "state_reason", "blocked_until", "created_at")}),
        (_("Its own results"), {"fields": ("circuit", "failures", "probe_at", "last_hour", "guest_list", "routes")}),
    )
    actions = ("pause", "suspend", "activate", "set_bases", "set_spf_terms")
    targets = {"pause": "paused", "suspend": "suspended", "activate": "active"}

    state_label = labelled("state", _("state"))

    def get_queryset(self, request):
        return (
            super()
            .get_queryset(request)
            .annotate(n_mailboxes=Count("mailboxes", distinct=True), n_guests=Count("guests", distinct=True))
        )

    @admin.display(description=_("server"), ordering="host")
    def server(self, row):
        return str(row)

    @admin.display(description=_("mailboxes"), ordering="n_mailboxes")
    def mailbox_list(self, row):
        return link_to("mailboxes_mailbox", row.n_mailboxes, home__id__exact=row.pk)

    @admin.display(description=_("mailboxes that it stands in for"), ordering="n_guests")
    def guest_list(self, row):
        return link_to("mailboxes_mailbox", row.n_guests, standby__id__exact=row.pk)

    @admin.display(description=_("stands in for"))
    def routes(self, row):
        return link_to("mailboxes_standby", _("%d domains") % row.routes.count(), account__id__exact=row.pk)

    @admin.display(description=_("last hour"))
    def last_hour(self, row):
        found = circuits.health([row.pk]).get(row.pk)
        if not found:
            return _("nothing was tried")
        text = _("%(tries)d tries, %(broken)d broken, %(mean_ms)d ms on average, %(longest_ms)d at most") % found
        return link_to("mailboxes_accountminute", text, account__id__exact=row.pk)

    @admin.display(description=_("counted hours"))
    def hours(self, row):
        return link_to("mailboxes_allowance", _("of this account"), scope__exact="account_hour", key__exact=row.pk)

    def get_urls(self):
        view = self.admin_site.admin_view(self.limits_view)
        return [path("<int:pk>/limits/", view, name="mailboxes_provideraccount_limits"), *super().get_urls()]

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        if object_id.isdecimal() and self.has_set_state_permission(request):
            extra["numbers_url"] = reverse("admin:mailboxes_provideraccount_limits", args=[object_id])
        return super().change_view(request, object_id, form_url, extra)

    def limits_view(self, request: Any, pk: int) -> HttpResponse:
        """Its cap of an hour, and for platform admins the quota group that its mailboxes count in."""
        account = self.get_queryset(request).filter(pk=pk).first()
        if account is None:
            raise Http404
        if not request.actor.can("mailboxes.set_account_state", account.tenant_id):
            raise PermissionDenied
        now = {"hourly_cap": account.hourly_cap, "quota_group": account.quota_group_id}
        form = LimitsForm(request.POST or None, initial=now, of_platform=request.actor.can("tenants.administer"))

        def save(values: dict[str, Any]) -> ProviderAccount:
            if values["hourly_cap"] != account.hourly_cap:
                quotas.limit_account(account, values["hourly_cap"], actor=request.actor)
            if "quota_group" in values and values["quota_group"] != account.quota_group:
                quotas.share_account(account, values["quota_group"], actor=request.actor)
            return account

        return self.form_page(request, form, title=gettext("Limits of %s") % account, save=save, done=gettext("Saved."))

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

    @admin.display(description=_("bases"), empty_value=_("none: nobody new is written to"))
    def bases_allowed(self, row):
        return ", ".join(name.replace("_", " ") for name in row.allowed_bases) or None

    @admin.action(description=_("Set allowed bases"), permissions=["set_bases"])
    def set_bases(self, request, queryset):
        question = _("More than before takes a second person. A pool carries only what all its accounts allow.")
        one = queryset.first() if queryset.count() == 1 else None
        initial = {"bases": one.allowed_bases, "link": one.bases_link, "on": one.bases_on} if one else {}
        return self.ask(
            request, queryset, providers.set_bases, question=question, form_class=BasesForm, initial=initial
        )

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
        question = _("Their mail is planned again. After a suspension, write what the host answered.")
        return self.ask(request, queryset, providers.activate, question=question)

    def has_set_bases_permission(self, request):
        return request.actor.can("mailboxes.set_bases")

    def has_set_spf_terms_permission(self, request):
        return request.actor.can("mailboxes.import")

    def has_set_state_permission(self, request):
        return request.actor.can("mailboxes.set_account_state")
