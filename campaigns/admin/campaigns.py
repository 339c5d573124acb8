"""Campaigns: how far each is, and the acts that start and stop them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin
from django.http import Http404, JsonResponse
from django.template.loader import render_to_string
from django.urls import path, reverse
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.timezone import now
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminIntegerFieldWidget, UnfoldAdminSelectWidget

from campaigns import calendars, reports
from campaigns.admin.launching import NOT_STARTED, LaunchPages
from campaigns.admin.preview import PreviewPages
from campaigns.admin.testing import TestPages
from campaigns.models import Campaign, Step
from campaigns.services import campaigns, caps, exporting
from outreach.common.freshness import kept
from tenants.admin.base import ReadOnlyInline
from tenants.admin.columns import labelled, link_to, row_link
from tenants.admin.exporting import Exports

CHART_POINTS = 240
STEPS_SECONDS = (10, 60, 300, 600, 3600, 6 * 3600, 86400)


class StepInline(ReadOnlyInline):
    """The messages of the sequence."""

    area = "campaigns"
    model = Step
    fields = ("position", "version", "delay_days", "delay_hours", "text", "frozen_at")

    @admin.display(description=_("subject"))
    def text(self, row):
        return row_link("campaigns_step", row.pk, row.subject)


class HandoverForm(forms.Form):
    """What becomes of threads."""

    handover = forms.ChoiceField(
        choices=Campaign.Handover.choices, widget=UnfoldAdminSelectWidget, label=_("Their threads")
    )


class CapsForm(forms.Form):
    """Messages a day and in all."""

    daily_cap = forms.IntegerField(
        required=False, min_value=0, widget=UnfoldAdminIntegerFieldWidget, label=_("Messages a day")
    )
    total_cap = forms.IntegerField(
        required=False, min_value=0, widget=UnfoldAdminIntegerFieldWidget, label=_("Messages in all")
    )


@admin.register(Campaign)
class CampaignAdmin(Exports, PreviewPages, TestPages, LaunchPages):
    area = "campaigns"
    list_display = (
        "name",
        "status_label",
        "tenant",
        "pool",
        "progress_bar",
        "people",
        "sent",
        "failed",
        "uncertain",
        "started_at",
    )
    list_filter = ("status", "tenant")
    linked_by = ("pool__id__exact", "contact_list__id__exact")
    list_select_related = ("tenant", "pool")
    search_fields = ("name",)
    inlines = (StepInline,)
    change_form_outer_before_template = "console/campaign_overview.html"
    fieldsets = (
        (None, {"fields": ("name", "tenant", "pool", "contact_list")}),
        (
            _("State"),
            {"fields": ("status_label", "status_reason", "scheduled_for", "started_at", "completed_at", "created_at")},
        ),
        (
            _("Sending"),
            {
                "fields": (
                    *("window", "days", "window_zone", "holidays", "pace", "batch_size", "daily_cap", "total_cap"),
                )
            },
        ),
        (_("Sequence"), {"fields": ("handover", "stop_on_colleague", "doubt")}),
        (_("Launch"), {"fields": ("canary", "canary_size", "canary_hours", "balancing_test", "cloned_from")}),
    )
    actions = (
        *("start", "unschedule", "pause", "recall", "resume", "cancel", "clone", "set_handover", "set_caps", "export"),
    )
    exported, exported_as = exporting.export_messages, "messages"
    targets = {"pause": "paused", "cancel": "cancelled"}
    stops = {"campaign": "pk"}

    status_label = labelled("status", _("status"))

    def get_urls(self):
        chart = path("<int:pk>/chart.json", self.admin_site.admin_view(self.chart), name="campaigns_campaign_chart")
        return [chart, *super().get_urls()]

    # --- numbers, kept for a moment: a campaign of a million messages takes a while to count --------------

    def get_changelist_instance(self, request):
        changelist = super().get_changelist_instance(request)
        found = reports.progress(changelist.result_list)
        for row in changelist.result_list:
            row.progress = found[row.pk]
        return changelist

    def _of(self, row: Campaign) -> reports.Progress:
        if not hasattr(row, "progress"):
            row.progress = reports.progress([row])[row.pk]  # type: ignore[attr-defined]
        return row.progress  # type: ignore[attr-defined]

    @admin.display(description=_("progress"))
    def progress_bar(self, row):
        return render_to_string(
            "console/bar.html", {"parts": parts_of(self._of(row), row.pk), "progress": self._of(row)}
        )

    @admin.display(description=_("people"))
    def people(self, row):
        return link_to("campaigns_enrolment", f"{self._of(row).people:,}", campaign__id__exact=row.pk)

    @admin.display(description=_("sent"))
    def sent(self, row):
        return self._messages(row, "sent")

    @admin.display(description=_("failed"))
    def failed(self, row):
        return self._messages(row, "failed")

    @admin.display(description=_("uncertain"))
    def uncertain(self, row):
        return self._messages(row, "uncertain")

    def _messages(self, row: Campaign, status: str) -> str:
        n = self._of(row).messages.get(status, 0)
        return link_to("campaigns_message", f"{n:,}", campaign__id__exact=row.pk, status__exact=status)

    @admin.display(description=_("window"))
    def window(self, row):
        if row.window_from == row.window_until:
            return _("all day")
        return f"{row.window_from:%H:%M}-{row.window_until:%H:%M}"

    @admin.display(description=_("days"))
    def days(self, row):
        chosen = sorted(set(row.window_days))
        return _("every day") if len(chosen) == 7 else ", ".join(str(WEEKDAYS_ABBR[day]) for day in chosen)

    # --- one campaign -------------------------------------------------------------------------------------

    def change_view(self, request, object_id, form_url="", extra_context=None):
        extra = dict(extra_context or {})
        row = self.get_object(request, object_id) if object_id.isdecimal() else None
        if row is not None:
            progress = self._of(row)
            extra |= {
                "progress": progress,
                "parts": parts_of(progress, row.pk),
                "waits": kept(("waits", row.pk), lambda: reports.waits(row.pk)),
                "closed": closed_soon(row),
                "chart_url": reverse("admin:campaigns_campaign_chart", args=[row.pk]),
                "forecast_url": reverse("admin:campaigns_campaign_forecast", args=[row.pk]),
                "preview_url": reverse("admin:campaigns_campaign_preview", args=[row.pk]),
                **self.launch_context(row),
                **self.test_context(request, row),
            }
        return super().change_view(request, object_id, form_url, extra)

    def chart(self, request, pk):
        """Two series as JSON: mails sent in each step of time, and mails per mailbox, most first."""
        if not self.has_view_permission(request):
            raise Http404
        campaign = self.get_queryset(request).filter(pk=pk).first()
        if campaign is None:
            raise Http404
        return JsonResponse(kept(("chart", pk), lambda: chart_of(campaign)))

    # --- acts ---------------------------------------------------------------------------------------------

    def detail_actions(self, request: Any, row: Any) -> list[dict[str, str]]:
        fits = {
            "start": row.status in NOT_STARTED,
            "unschedule": row.status == Campaign.Status.SCHEDULED,
            "recall": row.status in (Campaign.Status.RUNNING, *Campaign.STOPPED),
            "resume": row.status in Campaign.STOPPED,
            "set_handover": bool(Campaign.MOVES[row.status]),
            "set_caps": bool(Campaign.MOVES[row.status]),
        }
        return [action for action in super().detail_actions(request, row) if fits.get(action["name"], True)]

    @admin.action(description=_("Pause sending"), permissions=["pause"])
    def pause(self, request, queryset):
        return self.each(request, queryset, campaigns.pause, reason="Paused in console")

    @admin.action(description=_("Resume"), permissions=["resume"])
    def resume(self, request, queryset):
        return self.each(request, queryset, campaigns.resume)

    @admin.action(description=_("Cancel for good"), permissions=["cancel"])
    def cancel(self, request, queryset):
        question = _("Nothing more of these campaigns goes out. There is no way back.")
        return self.ask(request, queryset, campaigns.cancel, question=question)

    @admin.action(description=_("Change the handover of threads"), permissions=["start"])
    def set_handover(self, request, queryset):
        question = _("What becomes of people in the middle of a thread whose mailbox is taken out of use from now on.")
        return self.ask(request, queryset, campaigns.set_handover, question=question, form_class=HandoverForm)

    @admin.action(description=_("Change the caps"), permissions=["start"])
    def set_caps(self, request, queryset):
        question = _(
            "The caps hold from now on, with what went out before; a lower one takes waiting mail back. Empty: no cap."
        )
        row = queryset.first() if queryset.count() == 1 else None
        initial = {name: getattr(row, name) for name in CapsForm.base_fields} if row else None
        return self.ask(
            request, queryset, caps.set_caps, question=question, form_class=CapsForm, initial=initial,
            reason="Changed in console",
        )  # fmt: skip

    @admin.display(description=_("clicks"))
    def click_list(self, row):
        return link_to("campaigns_click", _("links that were followed"), campaign__id__exact=row.pk)

    def has_start_permission(self, request):
        return request.actor.can("campaigns.start")

    def has_pause_permission(self, request):
        return request.actor.can("campaigns.pause")

    def has_resume_permission(self, request):
        return request.actor.can("campaigns.resume")

    def has_cancel_permission(self, request):
        return request.actor.can("campaigns.cancel")


def closed_soon(campaign: Campaign) -> list[calendars.Closed]:
    """The next holidays on which windows of a campaign that is under way stay shut."""
    if not campaign.zones or not Campaign.MOVES[campaign.status]:
        return []
    today = now().astimezone(ZoneInfo(campaign.tenant.time_zone)).date()
    return calendars.to_come(campaign.zones, campaign.window_days, today)


LABELS = {
    "sent": _("sent"),
    "uncertain": _("uncertain"),
    "failed": _("failed"),
    "suppressed": _("suppressed"),
    "cancelled": _("cancelled"),
    "working": _("being sent"),
    "deferred": _("deferred"),
    "planned": _("planned"),
    "waiting": _("waiting"),
}


def parts_of(progress: reports.Progress, campaign_id: int) -> list[dict[str, Any]]:
    """The parts of a progress bar, left to right: name, label, count, link, and x and width in per cent."""
    of_campaign = f"campaign__id__exact={campaign_id}"
    messages = reverse("admin:campaigns_message_changelist")
    found, x = [], 0.0
    for name, statuses in (*reports.PARTS.items(), ("waiting", ())):
        n = progress.part(name) if statuses else progress.waiting
        width = 100 * n / progress.total if progress.total else 0.0
        url = f"{messages}?{of_campaign}&status__in={','.join(statuses)}"
        if len(statuses) == 1:
            url = f"{messages}?{of_campaign}&status__exact={statuses[0]}"
        if not statuses:
            url = f"{reverse('admin:campaigns_enrolment_changelist')}?{of_campaign}&due_at__isnull=False"
        found.append(
            {"name": name, "label": LABELS[name], "n": n, "url": url, "x": f"{x:.3f}%", "width": f"{width:.3f}%"}
        )
        x += width
    return found


def chart_of(campaign: Campaign) -> dict[str, Any]:
    """What the campaign's page draws. Times are Unix seconds; `sent` counts mails per `step` seconds."""
    ends = campaign.completed_at or now()
    began = campaign.started_at or ends
    span = max((ends - began).total_seconds(), 60)
    step = next((s for s in STEPS_SECONDS if span / s <= CHART_POINTS), STEPS_SECONDS[-1])
    since = max(began, ends - timedelta(seconds=step * CHART_POINTS)) - timedelta(seconds=step)
    counts = reports.sent_by_time(since, step, campaign_id=campaign.pk)
    times, sent = series(counts, since, ends, step)
    mailboxes = reports.sent_by_mailbox(campaign.pk)
    return {
        "step": step,
        "times": times,
        "sent": sent,
        "mailboxes": [address for _pk, address, _n in mailboxes],
        "shares": [n for _pk, _address, n in mailboxes],
        "at": int(time.time()),
    }


def series(counts: dict[int, int], since: datetime, until: datetime, step: int) -> tuple[list[int], list[int]]:
    """Fill the empty steps with 0, so that a pause shows as one."""
    first = int(since.astimezone(UTC).timestamp()) // step * step
    last = max([int(until.timestamp()) // step * step, *counts])
    times = list(range(first, last + step, step))
    return times, [counts.get(moment, 0) for moment in times]
