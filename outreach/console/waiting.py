"""What waits for whom: domains and mailboxes that are not ready, by who has to act."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from deliverability import reports
from deliverability.admin.domains import as_file
from mailboxes.models import SendingDomain
from tenants.models import Tenant
from tenants.services.actors import visible_to

TITLES = {
    "dns": gettext_lazy("The client's DNS administrator"),
    "registrar": gettext_lazy("The registrar"),
    "ops": gettext_lazy("Ops"),
    "nobody": gettext_lazy("Nobody: the console looks again by itself"),
}
HELD = {
    "sign_in_failed": (gettext_lazy("The host refused the sign-in."), gettext_lazy("Set the password.")),
    "locked": (gettext_lazy("Locked by a person, or by a password that can't be opened."),
               gettext_lazy("Lift the hold, or set the password.")),
    "quarantined": (gettext_lazy("Quarantined."), gettext_lazy("Release them when the cause is gone.")),
    "account": (gettext_lazy("The account they leave by was stopped."), gettext_lazy("Put the account back to work.")),
}  # fmt: skip


def _tenants(request: Any) -> Any:
    """The tenants whose fleet this person may see."""
    actor = request.actor
    if not (actor.can("mailboxes.view") and actor.can("deliverability.view")):
        raise PermissionDenied
    rows = visible_to(actor, Tenant.objects.exclude(status=Tenant.Status.CLOSED), "mailboxes.view")
    return visible_to(actor, rows, "deliverability.view")


def waiting(request: Any) -> HttpResponse:
    """The page, for all tenants or for one (?tenant=SLUG)."""
    from django.contrib import admin

    tenants = _tenants(request)
    slug = request.GET.get("tenant", "")
    shown = tenants.filter(slug=slug) if slug else tenants
    if slug and not shown.exists():
        raise Http404
    entries = reports.waiting(shown, now().date())
    context = {
        **admin.site.each_context(request),
        "title": _("What waits for whom"),
        "entries": [_shown(entry) for entry in entries if slug or not entry.is_empty],
        "only": slug,
        "all_url": reverse("admin:waiting"),
        "done": not slug and all(entry.is_empty for entry in entries),
    }
    return TemplateResponse(request, "console/waiting.html", context)


def records(request: Any, slug: str, kind: str) -> HttpResponseBase:
    """The records to publish for all of a tenant's domains that are in use: what its DNS administrator gets."""
    tenant = _tenants(request).filter(slug=slug).first()
    if tenant is None or kind not in ("csv", "zone"):
        raise Http404
    rows = SendingDomain.objects.filter(tenant=tenant).exclude(state=SendingDomain.State.RETIRED).order_by("name")
    return as_file(list(rows), kind, f"records-{tenant.slug}")


def _shown(entry: reports.OfTenant) -> dict[str, Any]:
    mailboxes = reverse("admin:mailboxes_mailbox_changelist")
    domains = reverse("admin:mailboxes_sendingdomain_changelist")
    held = [
        {
            "count": each.count,
            "url": f"{mailboxes}?{urlencode(each.lookups)}",
            "subject": each.subject,
            "text": HELD[each.what][0],
            "reason": each.reason,
            "remedy": HELD[each.what][1],
        }
        for each in entry.held
    ]
    turns = [
        {"who": who, "title": TITLES[who], "rows": rows, "held": held if who == "ops" else []}
        for who, rows in entry.domains.items()
        if rows or (who == "ops" and held)
    ]
    tenant = {"tenant__id__exact": entry.tenant.pk}
    return {
        "tenant": entry.tenant,
        "turns": turns,
        "ready": entry.ready,
        "not_ready": len(entry.not_ready),
        "idle": entry.idle,
        "is_cut": entry.is_cut,
        "ready_url": f"{domains}?{urlencode({**tenant, 'state__in': 'verified,degraded'})}",
        "not_ready_url": f"{domains}?{urlencode({**tenant, 'state__in': ','.join(reports.NOT_READY)})}",
        "records": [
            (kind, reverse("admin:waiting_records", args=[entry.tenant.slug, kind])) for kind in ("zone", "csv")
        ],
    }
