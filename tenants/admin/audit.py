"""Who did what: the audit as a list with filters, and one act with what it changed."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import QuerySet
from django.utils.html import format_html
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _

from tenants.admin.base import TenantAdmin
from tenants.admin.columns import row_link
from tenants.admin.exporting import Exports
from tenants.models import AuditChain, AuditEntry
from tenants.services import exporting

# The different actions, each found by one look into its index instead of by reading all entries.
ACTIONS = """
WITH RECURSIVE found AS (
    (SELECT action FROM tenants_auditentry ORDER BY action LIMIT 1)
    UNION ALL
    SELECT (SELECT e.action FROM tenants_auditentry e WHERE e.action > f.action ORDER BY e.action LIMIT 1)
    FROM found f WHERE f.action IS NOT NULL
)
SELECT action FROM found WHERE action IS NOT NULL"""


class ActionFilter(admin.SimpleListFilter):
    """One kind of act, of those that happened."""

    title, parameter_name = _("action"), "action"

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(ACTIONS)
            return [(action, action) for (action,) in cursor.fetchall()]

    def queryset(self, request: Any, queryset: QuerySet) -> QuerySet:
        return queryset.filter(action=self.value()) if self.value() else queryset


class SinceFilter(admin.SimpleListFilter):
    """How far back."""

    title, parameter_name = _("time"), "since"
    SPANS = (("hour", _("the last hour"), 1), ("day", _("the last day"), 24), ("week", _("the last 7 days"), 168),
             ("month", _("the last 30 days"), 720))  # fmt: skip

    def lookups(self, request: Any, model_admin: Any) -> list[tuple[str, Any]]:
        return [(key, title) for key, title, _hours in self.SPANS]

    def queryset(self, request: Any, queryset: QuerySet) -> QuerySet:
        hours = {key: hours for key, _title, hours in self.SPANS}.get(str(self.value()))
        return queryset.filter(at__gte=now() - timedelta(hours=hours)) if hours else queryset


class AuditPage(TenantAdmin):
    """For who may read the audit: of the own tenants, or of all and of the platform."""

    view_permission = "tenants.audit"
    is_of_audit = True


@admin.register(AuditEntry)
class AuditEntryAdmin(Exports, AuditPage):
    exported, exported_as, export_permission = staticmethod(exporting.export_audit), "audit", "tenants.audit"

    list_display = ("at", "action", "who", "about", "reason", "where", "ip")
    list_filter = (SinceFilter, ActionFilter, "actor_kind", "tenant")
    linked_by = ("actor_user__id__exact", "tenant__id__exact", "subject", "subject_id", "request_id")
    list_select_related = ("tenant", "actor_user")
    search_fields = ("=request_id", "=ip")
    search_help_text = _("An IP address, or the id of a request or job.")
    sortable_by = ()
    actions = ("export",)
    fieldsets = (
        (None, {"fields": ("action", "about", "where", "reason")}),
        (_("What changed"), {"fields": ("was", "became", "more")}),
        (_("By whom"), {"fields": ("who", "actor_kind", "actor_key_id", "actor_name", "ip", "request_id", "via")}),
        (_("In the chain"), {"fields": ("seq", "at", "fingerprint")}),
    )

    @admin.display(description=_("by"))
    def who(self, row):
        if row.actor_user_id:
            return row.actor_user or _("user %s") % row.actor_user_id
        return _("key %s") % row.actor_key_id if row.actor_key_id else row.actor_name or row.actor_kind

    @admin.display(description=_("of"))
    def about(self, row):
        """The row that was acted on, as a link where it has a page."""
        try:
            meta = apps.get_model(row.subject)._meta
        except (LookupError, ValueError):
            return row.subject
        if row.subject_id is None:
            return meta.verbose_name_plural
        text = f"{meta.verbose_name} {row.subject_id}"
        known = apps.get_model(row.subject) in self.admin_site._registry
        return row_link(f"{meta.app_label}_{meta.model_name}", row.subject_id, text) if known else text

    @admin.display(description=_("tenant"))
    def where(self, row):
        return row.tenant or _("platform")

    @admin.display(description=_("before"))
    def was(self, row):
        return shown(row.before)

    @admin.display(description=_("after"))
    def became(self, row):
        return shown(row.after)

    @admin.display(description=_("facts"))
    def more(self, row):
        return shown(row.facts or None)

    @admin.display(description=_("hash"))
    def fingerprint(self, row):
        return bytes(row.hash).hex()


def shown(value: Any) -> Any:
    """A value of the audit as a person reads it."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return format_html('<pre class="facts">{}</pre>', json.dumps(value, indent=2, ensure_ascii=False))


@admin.register(AuditChain)
class AuditChainAdmin(AuditPage):
    """How many entries each chain has; verify_audit says whether they are what was written."""

    list_display = ("where", "seq", "fingerprint")
    list_select_related = ("tenant",)
    fields = list_display
    sortable_by = ()

    where, fingerprint = AuditEntryAdmin.where, AuditEntryAdmin.fingerprint
