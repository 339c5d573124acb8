"""The start page: what runs, what the fleet does, what needs a person. Its numbers renew themselves."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import ngettext, ngettext_lazy

from campaigns import reports as campaign_reports
from campaigns.admin.campaigns import parts_of, series
from campaigns.models import Campaign, PlanRun
from campaigns.services import stops
from mailboxes import reports as mailbox_reports
from mailboxes.models import Mailbox
from outreach.common.freshness import kept
from outreach.console import queues, standing
from outreach.console.look import is_superuser
from tenants.admin.columns import since
from tenants.models import Approval, Tenant
from tenants.services.actors import Actor, visible_to

OPEN = ("running", "paused", "halted", "scheduled")
SHOWN_CAMPAIGNS = 12
SHOWN_FINISHED = 3
STUCK_MINUTES = 5  # a batch open for longer: no worker takes it
SILENT_MINUTES = 5  # a tenant with running campaigns is planned every minute
RANGES = {"quarter": (900, 10), "hour": (3600, 60), "day": (86400, 600)}  # seconds shown, seconds per point

HELD = ngettext_lazy("%d mailbox is held", "%d mailboxes are held")
ACCOUNTS = ngettext_lazy("%d provider account is stopped or blocked", "%d provider accounts are stopped or blocked")
DOMAINS = ngettext_lazy("%d sending domain is degraded or blocked", "%d sending domains are degraded or blocked")
QUARANTINED = ngettext_lazy("%d mailbox is in quarantine", "%d mailboxes are in quarantine")
BLOCKED = ngettext_lazy("%d mailbox is blocked for a time", "%d mailboxes are blocked for a time")
STUCK = ngettext_lazy(
    "%d batch has been open for more than five minutes", "%d batches have been open for more than five minutes"
)
DOUBTFUL = ngettext_lazy("%d message may or may not have gone out", "%d messages may or may not have gone out")


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a person should look at. `level` is danger or warning."""

    level: str
    text: str
    url: str


def overview(request: Any) -> dict[str, Any]:
    """Everything the start page shows, as template context."""
    if not request.actor.can("campaigns.view"):
        without_role = request.actor.tenant_ids == frozenset()
        return {"nothing_to_see": True, "without_role": without_role, "is_superuser": is_superuser(request)}
    tenants = request.actor.tenants_with("campaigns.view")
    shows_fleet = request.actor.can("mailboxes.view")
    boxes_of = request.actor.tenants_with("mailboxes.view")
    fleet = kept(("fleet", boxes_of), lambda: mailbox_reports.fleet(boxes_of))
    jobs = kept("queues", queues.look)
    open_work = kept(("batches", tenants), lambda: _batches(tenants))
    running = _campaigns(tenants)
    doubtful = kept(("uncertain", tenants), lambda: list(campaign_reports.uncertain(tenants)))
    runs = kept(("runs", tenants), lambda: _with_tenants(campaign_reports.last_runs(tenants)))
    last_hour = kept(("sent", "hour", tenants), lambda: _sent("hour", tenants))
    return {
        "shows_fleet": shows_fleet,
        "fleet": fleet,
        "fleet_states": _states(fleet),
        "jobs": jobs,
        "open_work": open_work,
        "running": running,
        "doubtful": doubtful,
        "runs": runs,
        "sent_hour": sum(last_hour["sent"]),
        "sent_minute": last_hour["sent"][-2] if len(last_hour["sent"]) > 1 else 0,
        "needs": [
            *_stops(request.actor),
            *_to_decide(request.actor),
            *needs(fleet, jobs, open_work, running, runs, shows_fleet=shows_fleet),
        ],
        "at": now(),
    }


def live(request: Any) -> HttpResponse:
    """The part of the start page that renews itself; an old browser tab that is no page gets sent home."""
    if "HX-Request" not in request.headers:
        return HttpResponseRedirect(reverse("admin:index"))
    return render(request, "console/live.html", overview(request))


def sent(request: Any) -> JsonResponse:
    """Mails sent in each step of the last hour or day: {"times": [Unix seconds], "sent": [...], "step": seconds}."""
    if not request.actor.can("campaigns.view"):
        raise PermissionDenied
    name = request.GET.get("range", "hour")
    name = name if name in RANGES else "hour"
    tenants = request.actor.tenants_with("campaigns.view")
    return JsonResponse(kept(("sent", name, tenants), lambda: _sent(name, tenants)))


def uncertain(request: Any) -> HttpResponse:
    """The operator queue: mails of which nobody knows whether they went out, as a narrowed list of messages."""
    return HttpResponseRedirect(f"{reverse('admin:campaigns_message_changelist')}?status__exact=uncertain")


# --- where the numbers come from ---------------------------------------------------------------------------


def _campaigns(tenants: frozenset[int] | None) -> list[dict[str, Any]]:
    """The open campaigns, and the last ones that ended, each with its progress bar."""
    rows = Campaign.objects.select_related("tenant")
    if tenants is not None:
        rows = rows.filter(tenant__in=tenants)
    found = list(rows.filter(status__in=OPEN).order_by("-started_at", "-pk")[:SHOWN_CAMPAIGNS])
    found += rows.filter(status="completed").order_by("-completed_at", "-pk")[:SHOWN_FINISHED]
    progress = campaign_reports.progress(found)
    return [{"row": row, "progress": progress[row.pk], "parts": parts_of(progress[row.pk], row.pk)} for row in found]


def _batches(tenants: frozenset[int] | None) -> dict[str, int]:
    return campaign_reports.batches(tenants, now() - timedelta(minutes=STUCK_MINUTES))


def _with_tenants(runs: list[PlanRun]) -> list[PlanRun]:
    named = Tenant.objects.in_bulk({run.tenant_id for run in runs})
    for run in runs:
        run.tenant = named[run.tenant_id]
        run.ago = since(run.started_at)  # type: ignore[attr-defined]
    return runs


def _sent(name: str, tenants: frozenset[int] | None) -> dict[str, Any]:
    span, step = RANGES[name]
    until = now()
    since = until - timedelta(seconds=span)
    first = int(since.timestamp()) // step * step
    counts = campaign_reports.sent_by_time(datetime.fromtimestamp(first, UTC), step, tenant_ids=tenants)
    times, mails = series(counts, since, until, step)
    return {"times": times, "sent": mails, "step": step, "at": int(time.time())}


def _states(fleet: mailbox_reports.Fleet) -> list[dict[str, Any]]:
    """State, its name, how many, and the list they open."""
    url = reverse("admin:mailboxes_mailbox_changelist")
    return [
        {"name": value, "label": label, "n": fleet.states.get(value, 0), "url": f"{url}?state__exact={value}"}
        for value, label in Mailbox.State.choices
        if fleet.states.get(value)
    ]


def needs(
    fleet: mailbox_reports.Fleet,
    jobs: queues.Queues,
    open_work: dict[str, int],
    running: list[dict[str, Any]],
    runs: list[PlanRun],
    *,
    shows_fleet: bool,
) -> list[Need]:
    """What a person should look at, the worst first; computed from what the page has loaded anyway.

    A client's people see campaigns alone: workers, queues and mailboxes are not theirs to mend.
    """
    halted = _halted(running)
    if not shows_fleet:
        return halted
    mailboxes = reverse("admin:mailboxes_mailbox_changelist")
    accounts = reverse("admin:mailboxes_provideraccount_changelist")
    domains = reverse("admin:mailboxes_sendingdomain_changelist")
    batches = reverse("admin:campaigns_batch_changelist")
    found = []
    if jobs.down:
        text = _("The job queue does not answer. Nothing is lost: mail waits in the database until it is back.")
        found.append(Need("danger", text, reverse("admin:index")))
    elif not jobs.workers:
        found.append(Need("danger", _("No worker is running, so nothing is sent."), reverse("admin:index")))
    found += _silent(running, runs) + halted
    doubtful = sum(entry["progress"].part("uncertain") for entry in running)
    counted = (
        ("danger", fleet.held, HELD, f"{mailboxes}?condition=held"),
        ("danger", fleet.accounts_stopped, ACCOUNTS, accounts),
        ("danger", fleet.domains_stopped, DOMAINS, domains),
        ("warning", fleet.states.get("quarantined", 0), QUARANTINED, f"{mailboxes}?state__exact=quarantined"),
        ("warning", fleet.blocked, BLOCKED, f"{mailboxes}?condition=blocked"),
        ("warning", open_work["stuck"], STUCK, f"{batches}?work=open"),
        ("warning", doubtful, DOUBTFUL, reverse("admin:uncertain")),
    )
    found += [Need(level, text % n, url) for level, n, text, url in counted if n]
    return sorted(found, key=lambda need: need.level != "danger")


def _stops(actor: Actor) -> list[Need]:
    """What somebody stopped: what stands still altogether by itself, the rest as a number."""
    url = reverse("admin:campaigns_stop_changelist")
    found = [Need("danger", stop.text, stop.url or reverse("admin:index")) for stop in standing.wide(actor)]
    if not actor.can("mailboxes.view"):  # stops name pools, servers and domains
        return found
    count = visible_to(actor, stops.standing().exclude(scope__in=standing.WIDE)).count()
    if count:
        text = ngettext("%d stop holds mail back.", "%d stops hold mail back.", count) % count
        found.append(Need("warning", text, f"{url}?holds=yes"))
    return found


def _to_decide(actor: Actor) -> list[Need]:
    """What waits for a second person, and this one may decide."""
    if not actor.can("tenants.approve"):
        return []
    waiting = Approval.objects.filter(state=Approval.State.ASKED, expires_at__gt=now()).exclude(asked_by=actor.user_id)
    count = visible_to(actor, waiting, "tenants.approve").count()
    if not count:
        return []
    text = ngettext("%d act waits for your decision.", "%d acts wait for your decision.", count) % count
    return [Need("warning", text, reverse("admin:tenants_approval_changelist"))]


def _halted(running: list[dict[str, Any]]) -> list[Need]:
    rows = [entry["row"] for entry in running if entry["row"].status == "halted"]
    return [
        Need(
            "danger",
            _("%(campaign)s is halted: %(reason)s")
            % {"campaign": row, "reason": row.status_reason or _("no reason given")},
            reverse("admin:campaigns_campaign_change", args=[row.pk]),
        )
        for row in rows
    ]


def _silent(running: list[dict[str, Any]], runs: list[PlanRun]) -> list[Need]:
    """Tenants with a running campaign whose planner has not run for a while."""
    limit = now() - timedelta(minutes=SILENT_MINUTES)
    seen = {run.tenant_id: run.started_at for run in runs}
    url = reverse("admin:campaigns_planrun_changelist")
    silent = {
        entry["row"].tenant
        for entry in running
        if entry["row"].status == "running"
        and entry["row"].started_at
        and entry["row"].started_at < limit
        and seen.get(entry["row"].tenant_id, limit) <= limit
    }
    return [
        Need(
            "danger",
            _("The planner has not run for %s for five minutes.") % tenant,
            f"{url}?tenant__id__exact={tenant.pk}",
        )
        for tenant in silent
    ]
