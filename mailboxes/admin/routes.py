"""Routes of domains, and what accounts' own results were."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, F, Q
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from mailboxes.models import AccountMinute, ProviderAccount, SendingDomain, Standby
from mailboxes.services import routes
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import link_to, row_link, since


class RouteForm(forms.Form):
    """The accounts that stand in, in order."""

    reason = forms.CharField(max_length=200, required=False, widget=UnfoldAdminTextInputWidget, label=_("Reason"))

    def __init__(self, *args: Any, domain: SendingDomain, **kwargs: Any) -> None:
        now = list(Standby.objects.filter(domain=domain).order_by("position").values_list("account_id", flat=True))
        super().__init__(*args, **kwargs)
        accounts = ProviderAccount.objects.filter(tenant=domain.tenant_id).order_by("name", "host", "port")
        self.places = [f"account{place}" for place in range(1, routes.LONGEST_ROUTE + 1)]
        for place, name in enumerate(self.places):
            self.fields[name] = forms.ModelChoiceField(
                accounts,
                required=False,
                label=_("Account %d") % (place + 1),
                widget=UnfoldAdminSelectWidget,
                empty_label=_("nobody"),
                initial=now[place] if place < len(now) else None,
            )
        self.order_fields([*self.places, "reason"])

    def chosen(self, values: dict[str, Any]) -> list[ProviderAccount]:
        """Those who were named, one after the other."""
        return [values[name] for name in self.places if values.get(name)]


@admin.register(Standby)
class StandbyAdmin(TenantAdmin):
    """Who stands in for whom; it is set on the page of the domain."""

    area = "mailboxes"
    list_display = (
        "domain_link", "position", "account_link", "tenant", "ready_label", "ready_reason", "checked", "guests",
    )  # fmt: skip
    fields = (
        "domain_link", "position", "account_link", "tenant", "ready_label", "ready_reason", "ready_at", "guests",
        "created_at",
    )  # fmt: skip
    list_filter = ("ready", "tenant")
    list_select_related = ("domain", "account", "tenant")
    linked_by = ("domain__id__exact", "account__id__exact")
    ordering = ("domain__name", "position")

    @admin.display(description=_("domain"), ordering="domain__name")
    def domain_link(self, row):
        return row_link("mailboxes_sendingdomain", row.domain_id, row.domain)

    @admin.display(description=_("account"))
    def account_link(self, row):
        return row_link("mailboxes_provideraccount", row.account_id, row.account)

    @admin.display(description=_("may stand in"), ordering="ready")
    def ready_label(self, row):
        return {True: _("yes"), False: _("no")}.get(row.ready, _("not checked yet"))

    @admin.display(description=_("checked"), ordering="ready_at")
    def checked(self, row):
        return since(row.ready_at)

    def get_queryset(self, request):
        theirs = Q(account__guests__domain=F("domain"))
        return super().get_queryset(request).annotate(n_guests=Count("account__guests", filter=theirs))

    @admin.display(description=_("mailboxes that it carries now"), ordering="n_guests")
    def guests(self, row):
        return link_to(
            "mailboxes_mailbox", row.n_guests, domain__id__exact=row.domain_id, standby__id__exact=row.account_id
        )


@admin.register(AccountMinute)
class AccountMinuteAdmin(TenantAdmin):
    """Tries by the minute; those that broke speak of the account itself."""

    area = "mailboxes"
    list_display = ("minute", "account_link", "tenant", "tries", "broken", "mean", "longest_ms")
    fields = ("account_link", "tenant", "minute", "tries", "broken", "mean", "longest_ms")
    list_filter = ("tenant",)
    list_select_related = ("account", "tenant")
    linked_by = ("account__id__exact",)

    @admin.display(description=_("account"))
    def account_link(self, row):
        return row_link("mailboxes_provideraccount", row.account_id, row.account)

    @admin.display(description=_("mean ms"))
    def mean(self, row):
        return round(row.total_ms / max(row.tries, 1))
