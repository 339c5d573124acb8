"""What the planner did, and the pieces of work it led to."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from campaigns.models import Batch, PlanRun
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import link_to, state


@admin.register(PlanRun)
class PlanRunAdmin(TenantAdmin):
    area = "campaigns"
    list_display = (
        "started_at",
        "tenant",
        "took",
        "looked_at",
        "planned",
        "retries",
        "returned",
        "taken_back",
        "gates",
        "bounds",
    )
    list_filter = ("tenant",)
    list_select_related = ("tenant",)
    sortable_by = ()
    fieldsets = (
        (None, {"fields": ("tenant", "started_at", "finished_at", "took")}),
        (_("Result"), {"fields": ("looked_at", "planned", "retries", "returned", "taken_back", "gates", "bounds")}),
    )

    @admin.display(description=_("took"))
    def took(self, row):
        return f"{row.seconds * 1000:,.0f} ms"

    @admin.display(description=_("refused by gates"))
    def gates(self, row):
        return listing(row.refused)

    @admin.display(description=_("bounded by"))
    def bounds(self, row):
        return listing(row.limits)


def listing(values):
    """A JSON object of numbers as `name value, name value`."""
    if not isinstance(values, dict):
        return str(values or "")
    return ", ".join(f"{name} {value}" for name, value in sorted(values.items()))


class OpenFilter(admin.SimpleListFilter):
    """Batches that are not done yet."""

    title, parameter_name = _("work"), "work"

    def lookups(self, request, model_admin):
        return [("open", _("open")), ("done", _("done"))]

    def queryset(self, request, queryset):
        if self.value() in ("open", "done"):
            return queryset.filter(done_at__isnull=self.value() == "open")
        return queryset


@admin.register(Batch)
class BatchAdmin(TenantAdmin):
    area = "campaigns"
    list_display = (
        "id",
        "campaign",
        "tenant",
        "work",
        "size",
        "created_at",
        "rung_at",
        "rings",
        "done_at",
        "message_list",
    )
    list_filter = (OpenFilter, "tenant")
    linked_by = ("campaign__id__exact",)
    list_select_related = ("campaign", "tenant")
    sortable_by = ()
    fields = ("campaign", "tenant", "size", "created_at", "rung_at", "rings", "done_at", "message_list")

    @admin.display(description=_("work"))
    def work(self, row):
        return state("done", _("done")) if row.done_at else state("planned", _("open"))

    @admin.display(description=_("messages"))
    def message_list(self, row):
        return link_to("campaigns_message", _("messages"), batch__id__exact=row.pk)
