"""Client companies."""

from __future__ import annotations

from zoneinfo import available_timezones

from django import forms
from django.contrib import admin
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from tenants.admin.approvals import PolicyPage
from tenants.admin.columns import labelled, link_to
from tenants.admin.records import CapForm, FrequencyForm, RecordPages
from tenants.models import Tenant
from tenants.services import tenants


class TenantForm(forms.Form):
    """What a new tenant needs."""

    slug = forms.CharField(
        max_length=40,
        widget=UnfoldAdminTextInputWidget,
        label=_("Slug"),
        help_text=_("Lower-case letters, digits and hyphens; names the tenant in commands and headers."),
    )
    name = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, label=_("Name"))
    time_zone = forms.CharField(
        max_length=64,
        initial="UTC",
        widget=UnfoldAdminTextInputWidget,
        label=_("Time zone"),
        help_text=_("As in Europe/Kyiv."),
    )
    postal_address = forms.CharField(
        widget=UnfoldAdminTextareaWidget, label=_("Postal address"), help_text=_("Stands in every message.")
    )

    def clean_time_zone(self) -> str:
        zone = self.cleaned_data["time_zone"].strip()
        if zone not in available_timezones():
            raise forms.ValidationError(_("This is no IANA time zone; write for example Europe/Kyiv."))
        return zone


@admin.register(Tenant)
class TenantsAdmin(RecordPages, PolicyPage):
    list_display = ("name", "state", "slug", "time_zone", "daily_cap", "campaign_list", "mailbox_list", "created_at")
    list_filter = ("status",)
    search_fields = ("name", "slug")
    fieldsets = (
        (None, {"fields": ("name", "slug", "state", "time_zone", "daily_cap", "complaint_list", "postal_address")}),
        (_("How often"), {"fields": ("frequency_days", "frequency_person", "frequency_company")}),
        (_("Times"), {"fields": ("created_at", "plan_wanted_at")}),
    )
    actions = ("suspend", "set_cap", "set_frequency")
    targets = {"suspend": Tenant.Status.SUSPENDED}
    stops = {"tenant": "pk"}
    add_form, add_permission = TenantForm, "tenants.create"

    change_form_outer_before_template = "console/tenant_checklist.html"

    state = labelled("status", _("status"))

    def change_view(self, request, object_id, form_url="", extra_context=None):
        tenant = self.get_object(request, object_id) if request.method == "GET" else None
        extra = dict(extra_context or {})
        if tenant is not None:
            rows = self.checklist_of(request, tenant)
            extra |= {"checklist": rows, "red": sum(not row["line"].is_green for row in rows)}
            if request.actor.can("campaigns.view", tenant.pk):
                extra["forecast_url"] = reverse("admin:campaigns_forecast_tenant", args=[tenant.pk])
            if request.actor.can("tenants.set_record", tenant.pk):
                extra["record_url"] = reverse("admin:tenants_tenant_record", args=[tenant.pk])
            if request.actor.can("tenants.approve", tenant.pk):
                extra["policy_url"] = reverse("admin:tenants_tenant_policy", args=[tenant.pk])
        return super().change_view(request, object_id, form_url, extra)

    @admin.display(description=_("campaigns"))
    def campaign_list(self, row):
        return link_to("campaigns_campaign", _("campaigns"), tenant__id__exact=row.pk)

    @admin.display(description=_("mailboxes"))
    def mailbox_list(self, row):
        return link_to("mailboxes_mailbox", _("mailboxes"), tenant__id__exact=row.pk)

    @admin.display(description=_("complaints"))
    def complaint_list(self, row):
        """Each address that complained is suppressed for that reason, so these rows are the count."""
        lookups = {"tenant__id__exact": row.pk, "reason__exact": "complaint"}
        return link_to("campaigns_suppression", _("complaints"), **lookups)

    def add_with(self, request, values):
        return tenants.create(actor=request.actor, **values)

    @admin.action(description=_("Suspend: stop everything this tenant sends"), permissions=["suspend"])
    def suspend(self, request, queryset):
        question = _("Everything the tenant has waiting stops at once; mail past its final dot can not be called back.")
        return self.ask(request, queryset, tenants.suspend, question=question)

    @admin.action(description=_("Change the daily cap"), permissions=["set_record"])
    def set_cap(self, request, queryset):
        question = _("The cap holds from now on, today included; a lower one takes waiting mail back. Empty: no cap.")
        return self.ask(
            request, queryset, tenants.set_daily_cap, question=question, form_class=CapForm, now="daily_cap"
        )

    @admin.action(description=_("Change how often people are written to"), permissions=["set_record"])
    def set_frequency(self, request, queryset):
        question = _(
            "The limits count the messages of all campaigns, those of before included. Tighter ones take waiting mail "
            "back; whoever has had enough waits and is written to later."
        )
        initial = {"days": 7}
        if queryset.count() == 1:
            initial = {name: getattr(queryset[0], f"frequency_{name}") for name in FrequencyForm.base_fields}
        return self.ask(
            request, queryset, tenants.set_frequency, question=question, form_class=FrequencyForm, initial=initial
        )

    def has_set_record_permission(self, request):
        return request.actor.can("tenants.set_record")

    def has_suspend_permission(self, request):
        return request.actor.can("tenants.suspend")
