"""The messages of sequences: what they say, what came of each wording, and how a launched one is changed."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from campaigns import reports
from campaigns.models import Campaign, Step
from campaigns.services import steps
from outreach.common.freshness import kept
from outreach.common.intervals import Share
from tenants.admin.acting import ReasonForm
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import link_to
from tenants.services.actors import Actor

NAMES = {
    "replied": _("answered"),
    "bounced": _("bounced"),
    "opted_out": _("opted out"),
    "complained": _("complained"),
}


class RevisionForm(ReasonForm):
    """A step's new wording and delay. Steps with variants are revised whole, by command or API."""

    subject = forms.CharField(max_length=500, widget=UnfoldAdminTextInputWidget, label=_("Subject"))
    text = forms.CharField(widget=UnfoldAdminTextareaWidget, label=_("Text"), strip=False)
    html = forms.CharField(widget=UnfoldAdminTextareaWidget, label=_("HTML"), strip=False, required=False)
    delay_days = forms.IntegerField(
        min_value=0, max_value=365, widget=UnfoldAdminIntegerFieldWidget, label=_("Working days after the step before")
    )
    delay_hours = forms.IntegerField(
        min_value=0, max_value=8760, widget=UnfoldAdminIntegerFieldWidget, label=_("Hours besides")
    )


def revise(step: Step, *, actor: Actor, reason: str, **block: Any) -> Step:
    """A new version in place of the step."""
    return steps.revise(step.campaign, step.position, block, actor=actor, reason=reason)


@admin.register(Step)
class StepAdmin(TenantAdmin):
    area = "campaigns"
    list_display = (
        "subject", "campaign", "position", "version", "delay_days", "delay_hours", "frozen_at", "message_list",
    )  # fmt: skip
    list_filter = ("tenant",)
    linked_by = ("campaign__id__exact",)
    list_select_related = ("campaign",)
    search_fields = ("subject",)
    actions = ("revise",)
    change_form_outer_before_template = "console/step_wordings.html"
    change_form_outer_after_template = "console/step_preview.html"
    fieldsets = (
        (None, {"fields": ("subject", "campaign", "tenant", "position", "version", "frozen_at", "message_list")}),
        (_("After the step before"), {"fields": ("delay_days", "delay_hours")}),
    )

    @admin.display(description=_("messages"))
    def message_list(self, row):
        return link_to("campaigns_message", _("messages"), step__id__exact=row.pk)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        extra = {**(extra_context or {}), "may_test": request.actor.can("campaigns.test")}
        row = self.get_object(request, object_id) if object_id.isdecimal() else None
        if row is not None:
            heard = kept(("wordings", row.pk), lambda: reports.wordings(row))
            extra |= {"wordings": [shown(row, each) for each in heard], "variants": list(row.variants.all())}
        return super().change_view(request, object_id, form_url, extra)

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        is_latest = not row.campaign.steps.filter(position=row.position, version__gt=row.version).exists()
        may_change = row.frozen_at is not None and is_latest and bool(Campaign.MOVES[row.campaign.status])
        return super().detail_actions(request, row) if may_change and not row.variants.exists() else []

    @admin.action(description=_("Revise"), permissions=["start"])
    def revise(self, request, queryset):
        question = _("Whoever is planned from now on gets the new version; what is planned or sent keeps the old one.")
        row = queryset.first()
        written = {
            "subject": row.subject, "text": row.text_body, "html": row.html_body, "delay_days": row.delay_days,
            "delay_hours": row.delay_hours,
        } if row is not None and queryset.count() == 1 else {}  # fmt: skip
        return self.ask(request, queryset, revise, question=question, form_class=RevisionForm, initial=written)

    def has_start_permission(self, request):
        return request.actor.can("campaigns.start")


def shown(step: Step, heard: reports.Heard) -> dict[str, Any]:
    """One wording as the page draws it."""
    of_wording = {"step__id__exact": step.pk, "status__exact": "sent"}
    if heard.variant_id is not None:
        of_wording["variant__id__exact"] = heard.variant_id
    return {
        "label": heard.label,
        "sent": heard.sent,
        "url": f"{reverse('admin:campaigns_message_changelist')}?{urlencode(of_wording)}",
        "shares": [drawn(NAMES[name], share) for name, share in heard.shares.items()],
    }


def drawn(name: Any, share: Share) -> dict[str, Any]:
    """A share with its interval: numbers in per cent, and where the line and the point stand on a scale of 0 to 100."""
    low, high = 100 * share.low, 100 * share.high
    value = share.value
    return {
        "name": name,
        "hits": share.hits,
        "value": None if value is None else 100 * value,
        "low": low,
        "high": high,
        "x": f"{low:.2f}%",
        "width": f"{max(high - low, 0.5):.2f}%",
        "at": "" if value is None else f"{100 * value:.2f}%",
    }
