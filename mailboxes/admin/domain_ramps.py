"""The days of domains' ramps, and a domain's ramp as a picture on its page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, JsonResponse
from django.urls import path, reverse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectWidget

from mailboxes.admin.ramps import LISTED_DAYS, chart_of
from mailboxes.models import DomainRampDay, RampPlan, SendingDomain
from mailboxes.services import domain_ramp, ramp
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled
from tenants.services.actors import visible_to


@admin.register(DomainRampDay)
class DomainRampDayAdmin(TenantAdmin):
    area = "mailboxes"
    list_display = ("day", "domain", "tenant", "kind_label", "cap", "allowed", "planned", "sent", "why", "until")
    list_filter = ("kind", "reason", "tenant")
    linked_by = ("domain__id__exact",)
    list_select_related = ("domain", "tenant")
    ordering = ("-day", "pk")
    sortable_by = ()
    fields = list_display

    kind_label = labelled("kind", _("the cap"))

    @admin.display(description=_("why"))
    def why(self, row):
        return row.why


class PlanField(forms.ModelChoiceField):
    """Plans of several tenants may have one name."""

    def label_from_instance(self, obj):
        return f"{obj.name} ({obj.tenant})"


class DomainRampPage(TenantAdmin):
    """Mix-in for the page of a sending domain: console/domain_ramp.html, and the actions of RAMP_ACTIONS."""

    def get_urls(self):
        view = self.admin_site.admin_view(self.ramp_chart)
        return [path("<int:pk>/ramp.json", view, name="mailboxes_sendingdomain_ramp"), *super().get_urls()]

    def change_view(self, request: Any, object_id: str, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        extra = dict(extra_context or {})
        domain = self.get_object(request, object_id)
        if request.method == "GET" and domain is not None:
            if domain_ramp.is_too_young(domain, ramp.day_of(domain.tenant)):
                extra["sends_from"] = domain_ramp.not_before(domain)
            days = list(DomainRampDay.objects.filter(domain=domain).order_by("-day")[:LISTED_DAYS])
            if days:
                extra["ramp_days"], extra["ramp_last"] = days, days[0]
                extra["ramp_chart_url"] = reverse("admin:mailboxes_sendingdomain_ramp", args=[domain.pk])
                days_of = reverse("admin:mailboxes_domainrampday_changelist")
                extra["ramp_days_url"] = f"{days_of}?domain__id__exact={domain.pk}"
        return super().change_view(request, object_id, form_url, extra)

    def ramp_chart(self, request: Any, pk: int) -> JsonResponse:
        """As for mailboxes: {"x": Unix seconds of the day, "lines": {name: numbers or null}}."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        domain = self.get_queryset(request).filter(pk=pk).first()
        if domain is None:
            raise Http404
        return JsonResponse(chart_of(DomainRampDay.objects.filter(domain=domain)))

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        fits = {
            "start_ramp": row.state != SendingDomain.State.RETIRED,
            "leave_ramp": row.ramp_id is not None,
        }
        return [action for action in super().detail_actions(request, row) if fits.get(action["name"], True)]

    @admin.action(description=_("Put on a ramp"), permissions=["ramp"])
    def start_ramp(self, request, queryset):
        question = _("The cap of all mailboxes together begins low and rises by mail that really went out.")
        plans = visible_to(request.actor, RampPlan.objects.filter(archived_at=None), "mailboxes.ramp")
        plans = plans.filter(tenant__in=queryset.order_by().values("tenant")).select_related("tenant")

        class PlanForm(forms.Form):
            plan = PlanField(plans, widget=UnfoldAdminSelectWidget, label=_("Plan"))

        return self.ask(request, queryset, domain_ramp.start_domain_ramp, question=question, form_class=PlanForm)

    @admin.action(description=_("Take off the ramp"), permissions=["ramp"])
    def leave_ramp(self, request, queryset):
        question = _("Only its own daily cap holds from now on, if it has one.")
        return self.ask(request, queryset, domain_ramp.leave_domain_ramp, question=question)

    def has_ramp_permission(self, request):
        return request.actor.can("mailboxes.ramp")


RAMP_ACTIONS = ("start_ramp", "leave_ramp")
