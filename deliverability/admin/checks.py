"""Checks of domains, one after the other."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from deliverability.models import DomainCheck
from deliverability.services import checks
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, row_link


@admin.register(DomainCheck)
class DomainCheckAdmin(TenantAdmin):
    area = "deliverability"
    list_display = ("at", "domain_link", "tenant", "level_label", "outcome_label", "against")
    list_filter = ("outcome", "level", "tenant")
    linked_by = ("domain__id__exact",)
    list_select_related = ("domain", "tenant")
    fields = ("domain_link", "tenant", "at", "level_label", "outcome_label", "all_findings")

    level_label = labelled("level", _("level"))
    outcome_label = labelled("outcome", _("so it"))

    @admin.display(description=_("domain"), ordering="domain__name")
    def domain_link(self, row):
        return row_link("mailboxes_sendingdomain", row.domain_id, row.domain)

    @admin.display(description=_("against it"))
    def against(self, row):
        """What fails, by check."""
        return ", ".join(f"{each.check} {each.code}" for each in checks.findings_of(row) if each.level == "fail")

    @admin.display(description=_("findings"))
    def all_findings(self, row):
        lines = ((each.level, each.level, each.check, each.text) for each in checks.findings_of(row))
        return format_html_join("", '<p><span class="state state-{}">{}</span> {}: {}</p>', lines)
