"""The tenant, the list, and what is known of complaints."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from campaigns.findings import Finding, Level
from campaigns.pipeline.preflight.ground import Ground
from outreach.common.links import Link
from tenants.models import Tenant
from tenants.services import records


def tenant(ground: Ground) -> Iterator[Finding]:
    """Only an active tenant whose checklist is green sends; the postal address is one of its rows."""
    owner = ground.tenant
    page = Link("tenants_tenant", pk=owner.pk)
    if owner.status != Tenant.Status.ACTIVE:
        text = _("The tenant is %s; only an active one sends.") % owner.status
        yield Finding("tenant_not_active", Level.ERROR, text, rows=page)
    for line in records.lines(owner, ground.now.date()):
        if not line.is_green:
            text = _("%(tenant)s, checklist: %(what)s is missing. %(remedy)s") % {
                "tenant": owner.slug, "what": line.rule.title, "remedy": line.rule.remedy,
            }  # fmt: skip
            yield Finding(f"checklist:{line.rule.key}", Level.ERROR, text, rows=page)


def contact_list(ground: Ground) -> Iterator[Finding]:
    """There is somebody to write to."""
    campaign = ground.campaign
    if campaign.contact_list is None:
        yield Finding("no_list", Level.ERROR, _("The campaign has no list of contacts."), rows=ground.own_page)
    elif not ground.people:
        text = _("The list %s is empty; import contacts into it.") % campaign.contact_list
        yield Finding("empty_list", Level.ERROR, text, rows=ground.members())


def complaints(ground: Ground) -> Iterator[Finding]:
    """How much room complaints leave: of mail to receivers that report them, which none does so far."""
    if ground.people:
        text = _("No receiver reports spam complaints yet, so nobody knows how much room is left before the limit.")
        yield Finding("complaints_unknown", Level.NOTE, text, _("Watch the opt-outs and the replies that say stop."))
