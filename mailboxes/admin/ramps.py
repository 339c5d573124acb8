"""Ramp plans and the days of ramps, with their pictures."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpResponse, JsonResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from mailboxes import ramp as rule
from mailboxes.models import RampDay, RampPlan
from mailboxes.services import ramp
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled, link_to
from tenants.models import Tenant
from tenants.services import actors

SHOWN_DAYS = 120
LISTED_DAYS = 14
NUMBERS = tuple(ramp.BOUNDS)


def plan_form() -> type[forms.Form]:
    """The name and the numbers of a plan; a field for each, in the bounds of RULES."""

    def number(name: str) -> forms.Field:
        low, high = ramp.BOUNDS[name]
        field = RampPlan._meta.get_field(name)
        return forms.IntegerField(
            min_value=low,
            max_value=high,
            initial=field.default,
            label=field.verbose_name.capitalize(),
            widget=UnfoldAdminIntegerFieldWidget,
        )

    name = forms.CharField(max_length=100, label=gettext_lazy("Name"), widget=UnfoldAdminTextInputWidget)
    return type("PlanForm", (forms.Form,), {"name": name, **{key: number(key) for key in NUMBERS}})


class NewPlanForm(plan_form()):  # type: ignore[misc]
    """Whose, and the numbers."""

    tenant = forms.ModelChoiceField(Tenant.objects.none(), label=gettext_lazy("Tenant"), widget=UnfoldAdminSelectWidget)
    field_order = ("tenant", "name", *NUMBERS)

    def __init__(self, *args: Any, tenants: Any = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if tenants is not None:
            self.fields["tenant"].queryset = tenants  # type: ignore[attr-defined]


@admin.register(RampPlan)
class RampPlanAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("name", "tenant", "start", "growth_percent", "every_days", "ceiling", "days_needed", "mailbox_list")
    list_filter = ("tenant",)
    list_select_related = ("tenant",)
    search_fields = ("name",)
    fields = ("name", "tenant", *NUMBERS, "days_needed", "mailbox_list", "created_at", "archived_at")
    change_form_outer_before_template = "console/ramp_plan.html"
    add_form, add_permission = NewPlanForm, "mailboxes.ramp"

    def get_queryset(self, request):
        return super().get_queryset(request).annotate(n_mailboxes=Count("mailboxes")).order_by("name", "pk")

    def get_urls(self):
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/curve.json", view(self.curve), name="mailboxes_rampplan_curve"),
            path("<int:pk>/numbers/", view(self.numbers_view), name="mailboxes_rampplan_numbers"),
            *super().get_urls(),
        ]

    @admin.display(description=gettext_lazy("days to the end"))
    def days_needed(self, row):
        return rule.days_to_ceiling(row.rule)

    @admin.display(description=gettext_lazy("mailboxes"), ordering="n_mailboxes")
    def mailbox_list(self, row):
        return link_to("mailboxes_mailbox", row.n_mailboxes, ramp__id__exact=row.pk)

    def add_view(self, request: Any, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        tenants = actors.visible_to(request.actor, Tenant.objects.order_by("name"), self.add_permission)
        form = NewPlanForm(request.POST or None, tenants=tenants)

        def save(values: dict[str, Any]) -> RampPlan:
            return ramp.add_plan(values.pop("tenant"), values.pop("name"), actor=request.actor, **values)

        return self.form_page(request, form, title=_("New ramp plan"), save=save)

    def numbers_view(self, request: Any, pk: int) -> HttpResponse:
        """Change the plan; its mailboxes follow from their next day on."""
        plan = self._plan(request, pk)
        if not request.actor.can("mailboxes.ramp", plan.tenant_id):
            raise PermissionDenied
        now = {key: getattr(plan, key) for key in ("name", *NUMBERS)}
        form = plan_form()(request.POST or None, initial=now)

        def save(values: dict[str, Any]) -> RampPlan:
            return ramp.change_plan(plan, actor=request.actor, **values)

        return self.form_page(request, form, title=_("Change the plan %s") % plan, save=save, done=_("Saved."))

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        plan = self.get_object(request, object_id)
        if request.method == "GET" and plan is not None:
            extra["chart_url"] = reverse("admin:mailboxes_rampplan_curve", args=[plan.pk])
            extra["steps"] = steps_of(plan.rule)
            if request.actor.can("mailboxes.ramp", plan.tenant_id):
                extra["numbers_url"] = reverse("admin:mailboxes_rampplan_numbers", args=[plan.pk])
        return super().change_view(request, object_id, form_url, extra)

    def curve(self, request: Any, pk: int) -> JsonResponse:
        """The cap on each day if every one is used, as {"x": days from 1, "lines": {...}}."""
        plan = self._plan(request, pk).rule
        days = rule.days_to_ceiling(plan) + 2 * plan.every_days
        return JsonResponse({"x": list(range(1, days + 1)), "lines": {"allowed": rule.curve(plan, days)}})

    def _plan(self, request: Any, pk: int) -> RampPlan:
        if not self.has_view_permission(request):
            raise PermissionDenied
        plan = self.get_queryset(request).filter(pk=pk).first()
        if plan is None:
            raise Http404
        return plan


def steps_of(plan: rule.Plan) -> list[dict[str, int]]:
    """The first day of each cap, from 1, and the cap."""
    days = range(0, rule.days_to_ceiling(plan) + 1, plan.every_days)
    return [{"day": n + 1, "cap": rule.cap_on(plan, n)} for n in days]


@admin.register(RampDay)
class RampDayAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("day", "mailbox", "tenant", "kind_label", "cap", "allowed", "planned", "sent", "why", "until")
    list_filter = ("kind", "reason", "tenant")
    linked_by = ("mailbox__id__exact",)
    list_select_related = ("mailbox", "tenant")
    ordering = ("-day", "pk")
    sortable_by = ()
    fields = list_display

    kind_label = labelled("kind", gettext_lazy("the cap"))

    @admin.display(description=gettext_lazy("why"))
    def why(self, row):
        return row.why


class RampPage(TenantAdmin):
    """Mix-in for the mailbox's page: its ramp as a picture, and the last days as a table."""

    def get_urls(self):
        view = self.admin_site.admin_view(self.ramp_chart)
        return [path("<int:pk>/ramp.json", view, name="mailboxes_mailbox_ramp"), *super().get_urls()]

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        box = self.get_object(request, object_id)
        if request.method == "GET" and box is not None:
            days = list(RampDay.objects.filter(mailbox=box).order_by("-day")[:LISTED_DAYS])
            if days:
                extra["ramp_days"], extra["ramp_last"] = days, days[0]
                extra["ramp_chart_url"] = reverse("admin:mailboxes_mailbox_ramp", args=[box.pk])
                extra["ramp_days_url"] = f"{reverse('admin:mailboxes_rampday_changelist')}?mailbox__id__exact={box.pk}"
        return super().change_view(request, object_id, form_url, extra)

    def ramp_chart(self, request: Any, pk: int) -> JsonResponse:
        """What each day allowed, planned and sent: {"x": Unix seconds of the day, "lines": {name: numbers or null}}."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        box = self.get_queryset(request).filter(pk=pk).first()
        if box is None:
            raise Http404
        return JsonResponse(chart_of(RampDay.objects.filter(mailbox=box)))


def chart_of(rows: QuerySet[Any]) -> dict[str, Any]:
    """The last SHOWN_DAYS of a mailbox or domain; days without a row are gaps."""
    found = {row.day: row for row in rows.order_by("-day")[:SHOWN_DAYS]}
    if not found:
        return {"x": [], "lines": {}}
    first, end = max(min(found), max(found) - timedelta(days=SHOWN_DAYS)), max(found)
    days = [first + timedelta(days=n) for n in range((end - first).days + 1)]
    lines = {
        name: [getattr(found[day], name) if day in found else None for day in days]
        for name in ("allowed", "planned", "sent")
    }
    return {"x": [_seconds(day) for day in days], "lines": lines}


def _seconds(day: date) -> int:
    """A day as a label, which the browser writes out in UTC again."""
    return int(datetime.combine(day, time(), UTC).timestamp())
