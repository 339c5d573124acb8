"""Counted limits."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from mailboxes.models import Allowance, AllowanceReturn, Mailbox, ProviderAccount, QuotaGroup, SendingDomain
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import row_link
from tenants.models import Tenant

OWNERS = {
    "mailbox_day": "mailboxes_mailbox",
    "mailbox_hour": "mailboxes_mailbox",
    "domain_hour": "mailboxes_sendingdomain",
    "domain_day": "mailboxes_sendingdomain",
    "account_hour": "mailboxes_provideraccount",
    "quota_hour": "mailboxes_quotagroup",
    "tenant_day": "tenants_tenant",
    "campaign_day": "campaigns_campaign",
    "campaign_total": "campaigns_campaign",
}

# Campaigns stand above this app, and a receiver is no row.
NAMED = {
    "mailbox_day": Mailbox,
    "mailbox_hour": Mailbox,
    "domain_hour": SendingDomain,
    "domain_day": SendingDomain,
    "account_hour": ProviderAccount,
    "quota_hour": QuotaGroup,
    "tenant_day": Tenant,
}


class OfScope(TenantAdmin):
    """Rows whose `key` is the id of what their scope names."""

    area = "mailboxes"
    list_filter = ("scope", "tenant")
    list_select_related = ("tenant",)
    sortable_by = ()

    def get_changelist_instance(self, request):
        """The names of what the page's rows belong to, in one query for each kind."""
        changelist = super().get_changelist_instance(request)
        for scope, model in NAMED.items():
            rows = [row for row in changelist.result_list if row.scope == scope]
            names = model.objects.in_bulk({row.key for row in rows}) if rows else {}
            for row in rows:
                row.owner_name = names.get(row.key)
        return changelist

    @admin.display(description=_("of"))
    def owner(self, row):
        if row.scope == Allowance.Scope.RECEIVER_HOUR:
            return getattr(row, "label", "") or f"#{row.key}"
        return row_link(OWNERS[row.scope], row.key, getattr(row, "owner_name", None) or f"#{row.key}")


@admin.register(Allowance)
class AllowanceAdmin(OfScope):
    list_display = ("scope", "owner", "tenant", "period_start", "reserved", "cap", "left")
    fields = ("scope", "owner", "tenant", "period_start", "reserved", "cap", "left")
    linked_by = ("key__exact",)

    @admin.display(description=_("left"))
    def left(self, row):
        return row.cap - row.reserved


@admin.register(AllowanceReturn)
class AllowanceReturnAdmin(OfScope):
    list_display = ("scope", "owner", "tenant", "period_start", "count")
    fields = ("scope", "owner", "tenant", "period_start", "count")
    ordering = ("-pk",)
