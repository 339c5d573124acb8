"""The pages that say why: of a campaign, a mailbox, a tenant; of a person and of a message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from campaigns.models import Campaign, Contact, Message
from campaigns.pipeline import (
    explain,
    explain_mailbox,
    explain_message,
    explain_stops,
    explain_story,
    explain_today,
)
from campaigns.pipeline.explain_causes import Explanation
from campaigns.pipeline.explain_story import Story
from campaigns.pipeline.explain_words import moment
from mailboxes.models import Mailbox
from outreach.common import isolation
from outreach.common.links import Link
from tenants.admin.links import url_of
from tenants.models import Tenant
from tenants.services import actors

PARTS = ("sent", "uncertain", "failed", "working", "planned")


def campaign(request: Any, pk: int) -> HttpResponse:
    """Why a campaign sent what it sent today; somebody who sees no mailboxes is told of the fleet as a whole."""
    row = _row(request, Campaign, pk, "campaigns.view")
    found = _explained(explain.campaign, row)
    if not request.actor.can("mailboxes.view", row.tenant_id):
        found = explain.for_client(found)
    return _page(request, found, Link("campaigns_campaign", pk=pk))


def mailbox(request: Any, pk: int) -> HttpResponse:
    """Why a mailbox sent what it sent today."""
    row = _row(request, Mailbox, pk, "mailboxes.view", "campaigns.view")
    return _page(request, _explained(explain_mailbox.mailbox, row), Link("mailboxes_mailbox", pk=pk))


def tenant(request: Any, pk: int) -> HttpResponse:
    """Why a tenant sent what it sent today."""
    row = _row(request, Tenant, pk, "tenants.view", "campaigns.view", "mailboxes.view")
    return _page(request, _explained(explain.tenant, row), Link("tenants_tenant", pk=pk))


def contact(request: Any, pk: int) -> HttpResponse:
    """Why a person gets mail or none, campaign by campaign."""
    row = _row(request, Contact, pk, "campaigns.view")
    scope = isolation.current()
    found = explain_story.contact(
        row, explain_today.clock(), knows_platform=scope is not None and scope.platform
    )  # fmt: skip
    return _story(request, found, Link("campaigns_contact", pk=pk))


def message(request: Any, pk: int) -> HttpResponse:
    """What became of a message, and what it waits for."""
    row = _row(request, Message, pk, "campaigns.view")
    return _story(request, explain_message.message(row, explain_today.clock()), Link("campaigns_message", pk=pk))


def _story(request: Any, found: Story, subject: Link) -> HttpResponse:
    zone = ZoneInfo(found.zone)

    def when(at: datetime | None) -> str:
        return moment(at, found.at, zone) if at is not None else ""

    parts = [
        {
            "part": part,
            "url": url_of(request, part.link),
            "next": when(part.next_at),
            "checks": [
                {"check": check, "url": url_of(request, check.link), "until": when(check.until)}
                for check in part.checks
            ],
        }
        for part in found.parts
    ]
    context = {
        **admin.site.each_context(request),
        "title": _("Why: %s") % found.name,
        "found": found,
        "subject_url": url_of(request, subject),
        "parts": parts,
        "at": f"{found.at.astimezone(zone):%H:%M:%S}",
    }
    return TemplateResponse(request, "console/explain_story.html", context)


def _row(request: Any, model: Any, pk: int, *permissions: str) -> Any:
    """The row, if this person may know of it and look at all that its page tells."""
    rows = actors.visible_to(request.actor, model.objects.filter(pk=pk), permissions[0])
    row = rows.first() if pk < 2**63 else None
    if row is None:
        raise Http404
    tenant_id = row.pk if model is Tenant else row.tenant_id
    if not all(request.actor.can(permission, tenant_id) for permission in permissions):
        raise PermissionDenied
    return row


def _explained(act: Callable[..., Explanation], row: Any) -> Explanation:
    scope = isolation.current()
    return act(
        row, explain_today.clock(), queue=explain_stops.look_at_queue(),
        knows_platform=scope is not None and scope.platform,
    )  # fmt: skip


def _page(request: Any, found: Explanation, subject: Link) -> HttpResponse:
    zone = ZoneInfo(found.zone)

    def url(link: Link | None) -> str:
        return url_of(request, link)

    def when(at: datetime | None) -> str:
        return moment(at, found.at, zone) if at is not None else ""

    causes = [
        {
            "cause": cause, "url": url(cause.link), "rows_url": url(cause.rows or cause.link),
            "since": when(cause.since), "next": when(cause.next_at),
        }
        for cause in found.causes
    ]  # fmt: skip
    context = {
        **admin.site.each_context(request),
        "title": _("Why: %s") % found.name,
        "found": found,
        "subject_url": url(subject),
        "today": [{"number": number, "url": url(number.link)} for number in found.today],
        "day_parts": _bar([(name, label, count, url(link)) for name, label, count, link in _of_day(found)]),
        "cause_parts": _bar(_of_causes(found, url)),
        "causes": causes,
        "ready_at": when(found.ready_at),
        "ended": [{"number": number, "url": url(number.link)} for number in found.ended],
        "tables": [
            {"table": table, "rows": [{"values": values, "url": url(link)} for values, link in table.rows]}
            for table in found.figures
        ],
        "at": f"{found.at.astimezone(zone):%H:%M:%S}",
    }
    return TemplateResponse(request, "console/explain.html", context)


def _of_day(found: Explanation) -> list[tuple[str, str, int, Link | None]]:
    """Today's parts of the first bar, and who still waits."""
    parts: list[tuple[str, str, int, Link | None]] = []
    for number in found.today:
        if number.name in PARTS:
            count = number.count - found.overdue if number.name == "planned" else number.count
            parts.append((number.name, number.label, count, number.link))
    parts.sort(key=lambda part: PARTS.index(part[0]))
    return [*parts, ("waiting", _("waiting"), found.waiting, None)]


def _of_causes(found: Explanation, url: Callable[[Link | None], str]) -> list[tuple[str, str, int, str]]:
    parts = [
        (f"cause-{cause.kind}", cause.title, cause.decides, url(cause.rows or cause.link))
        for cause in found.causes
        if cause.decides
    ]
    return [*parts, ("planned", _("go with the planner's next run"), found.ready, "")]


def _bar(parts: list[tuple[str, str, int, str]]) -> list[dict[str, Any]]:
    """Name, label, count, link, and x and width in per cent, left to right."""
    total = sum(count for _name, _label, count, _url in parts)
    found, x = [], 0.0
    for name, label, count, url in parts:
        width = 100 * count / total if total else 0.0
        found.append({"name": name, "label": label, "n": count, "url": url, "x": f"{x:.3f}%", "width": f"{width:.3f}%"})
        x += width
    return found
