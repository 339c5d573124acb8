"""Before and after the start of a campaign: the preflight page, starts at a time, canaries, clones, recalls."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from unfold.widgets import UnfoldAdminTextInputWidget

from campaigns.admin.forecast import ForecastPages
from campaigns.findings import Finding, Report
from campaigns.models import Campaign, Canary
from campaigns.pipeline.preflight import probing
from campaigns.services import campaigns, canaries, cloning, preflighting, scheduling
from outreach.common.errors import BadInput, NeedsApproval, OutreachError
from outreach.common.freshness import kept
from tenants.admin.base import TenantAdmin
from tenants.admin.columns import labelled
from tenants.admin.links import url_of

KEPT_SECONDS = 60
NOT_STARTED = (Campaign.Status.DRAFT, Campaign.Status.REVIEW, Campaign.Status.SCHEDULED)


def report_of(campaign: Campaign, *, fresh: bool = False) -> Report:
    """The preflight of this minute, or of this moment."""
    if fresh:
        return preflighting.look(campaign)
    return kept(("preflight", campaign.pk), lambda: preflighting.look(campaign), seconds=KEPT_SECONDS)


class NameForm(forms.Form):
    """What the new campaign is called."""

    name = forms.CharField(max_length=200, widget=UnfoldAdminTextInputWidget, label=_("Name of the new campaign"))


class LaunchPages(ForecastPages):
    """Mix-in for the campaigns' admin."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.preflight_page)
        return [path("<int:pk>/preflight/", view, name="campaigns_campaign_preflight"), *super().get_urls()]

    def preflight_page(self, request: Any, pk: int) -> HttpResponse:
        """What stands against the start; ticks, and the buttons that start it now or at a time."""
        campaign = self._campaign(request, pk)
        page = reverse("admin:campaigns_campaign_preflight", args=[pk])
        if request.method == "POST":
            if not self.has_start_permission(request):  # type: ignore[attr-defined]
                raise PermissionDenied
            answer = self._posted(request, campaign)
            return answer if answer is not None else HttpResponseRedirect(f"{page}?fresh=1")
        report = report_of(campaign, fresh=bool(request.GET.get("fresh")))
        unticked = {finding.code for finding in report.unticked(campaign.accepted_warnings)}
        may_start = self.has_start_permission(request)  # type: ignore[attr-defined]
        context = {
            **self.admin_site.each_context(request),
            "title": _now("Before the start: %s") % campaign,
            "opts": self.opts,
            "campaign": campaign,
            "back": self.url_of(campaign),
            "report": report,
            "errors": self._lines(request, report.errors),
            "warnings": [
                line | {"ticked": line["it"].code not in unticked} for line in self._lines(request, report.warnings)
            ],
            "notes": self._lines(request, report.notes),
            "checks": sorted(report.seconds.items(), key=lambda each: -each[1]),
            "seconds": sum(report.seconds.values()),
            "may_start": may_start and campaign.status in NOT_STARTED,
            "is_ready": not report.errors,
            "zone": campaign.tenant.time_zone,
            "scheduled_for": in_zone(campaign),
            "probes": campaign.probes,
        }
        return TemplateResponse(request, "console/preflight.html", context)

    def _lines(self, request: Any, findings: list[Finding]) -> list[dict[str, Any]]:
        return [{"it": finding, "url": url_of(request, finding.rows)} for finding in findings]

    def _posted(self, request: Any, campaign: Campaign) -> HttpResponse | None:
        act, accept = request.POST.get("act", ""), request.POST.getlist("accept")
        try:
            if act == "probe":
                probing.probe(campaign, actor=request.actor)
                done: Any = _("The links and the unsubscribe button were asked.")
            elif act == "launch":
                campaigns.start(campaign, actor=request.actor, accept=accept)
                self.message_user(request, _("%s is running.") % campaign, messages.SUCCESS)
                return HttpResponseRedirect(self.url_of(campaign))
            elif act == "schedule":
                at = moment(request.POST.get("at", ""), campaign.tenant.time_zone)
                scheduling.schedule(campaign, at, actor=request.actor, accept=accept)
                done = _("%s will start by itself.") % campaign
            else:
                raise BadInput(_now("There is no such act."))
        except NeedsApproval as error:
            return self.second_person(request, [error], ids=[])
        except OutreachError as error:
            self.message_user(request, str(error), messages.ERROR)
            return None
        self.message_user(request, done, messages.SUCCESS)
        return None

    # --- acts of the list and of the page of one ------------------------------------------------------------

    @admin.action(description=_("Start"), permissions=["start"])
    def start(self, request: Any, queryset: Any) -> HttpResponse | None:
        """Start each; where a single one can't yet, show why, with the ticks."""
        rows = list(queryset[:2])
        answer = self.each(request, queryset, campaigns.start)
        if len(rows) == 1 and (answer is None or isinstance(answer, HttpResponseRedirect)):
            rows[0].refresh_from_db()
            if rows[0].status in NOT_STARTED:
                return HttpResponseRedirect(reverse("admin:campaigns_campaign_preflight", args=[rows[0].pk]))
        return answer

    @admin.action(description=_("Don't start it by itself"), permissions=["pause"])
    def unschedule(self, request: Any, queryset: Any) -> HttpResponse | None:
        return self.each(request, queryset, scheduling.unschedule, reason="Unscheduled in console")

    @admin.action(description=_("Recall what is planned"), permissions=["pause"])
    def recall(self, request: Any, queryset: Any) -> HttpResponse | None:
        taken = []

        def recall(campaign: Campaign, **values: Any) -> None:
            taken.append(campaigns.recall(campaign, **values))

        answer = self.each(request, queryset, recall, reason="Recalled in console")
        if taken:
            text = ngettext("%s mail was taken back.", "%s mails were taken back.", sum(taken)) % f"{sum(taken):,}"
            self.message_user(request, text, messages.SUCCESS)
        return answer

    @admin.action(description=_("Clone"), permissions=["clone"])
    def clone(self, request: Any, queryset: Any) -> HttpResponse | None:
        question = _("A draft with the same list, pool, window and wording. Nobody is in it, and nothing is ticked.")
        return self.ask(request, queryset, cloning.clone, question=str(question), form_class=NameForm)

    def has_clone_permission(self, request: Any) -> bool:
        return request.actor.can("campaigns.create")

    def launch_context(self, row: Campaign) -> dict[str, Any]:
        """What the page of one campaign shows of its start."""
        waits = row.status in NOT_STARTED
        return {
            "missing": [str(finding.sentence) for finding in report_of(row).errors] if waits else [],
            "preflight_url": reverse("admin:campaigns_campaign_preflight", args=[row.pk]) if waits else "",
            "canary": canaries.told(row),
            "scheduled_for": in_zone(row),
        }

    def _campaign(self, request: Any, pk: int) -> Campaign:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_queryset(request).select_related("tenant", "pool", "contact_list").filter(pk=pk).first()
        if found is None:
            raise Http404
        return found


def in_zone(campaign: Campaign) -> str:
    """When it starts by itself, by its tenant's clock and with the name of the zone."""
    if campaign.scheduled_for is None:
        return ""
    zone = campaign.tenant.time_zone
    return f"{campaign.scheduled_for.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} {zone}"


def moment(text: str, zone: str) -> datetime:
    """What a browser's field for a time gives, read in the tenant's zone. Raises BadInput."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(_now("Write the time as 2026-05-01T08:00."), field="at") from error
    return at if at.tzinfo else at.replace(tzinfo=ZoneInfo(zone))


@admin.register(Canary)
class CanaryAdmin(TenantAdmin):
    area = "campaigns"
    list_display = (
        "campaign", "state_label", "size", "sent", "bounced", "complained", "since", "full_at", "decided_at", "tenant",
    )  # fmt: skip
    list_filter = ("state", "tenant")
    linked_by = ("campaign__id__exact",)
    list_select_related = ("campaign", "tenant")
    ordering = ("-pk",)
    sortable_by = ()
    fields = (
        "campaign", "tenant", "state_label", "size", "hours", "sent", "bounced", "complained", "since", "full_at",
        "held_until", "decided_at", "reason",
    )  # fmt: skip

    state_label = labelled("state", _("state"))
