"""Starts at a time: set, taken back, and done when the time has come."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.utils.timezone import is_naive, now
from django.utils.translation import gettext as _

from campaigns.models import Campaign
from campaigns.services import campaigns, preflighting
from outreach.common import repeating
from outreach.common.errors import BadInput, NotReady, OutreachError
from tenants.models import Tenant
from tenants.services import approvals, audit
from tenants.services.actors import Actor

log = structlog.get_logger(__name__)

REASON_CHARS = 500
MOST_AHEAD = timedelta(days=36_525)  # what any zone can still tell


@repeating.atomic
def schedule(
    campaign: Campaign, at: datetime, *, actor: Actor, approval: int | None = None, accept: Collection[str] = ()
) -> Campaign:  # fmt: skip
    """Let a campaign start by itself at that time. Everything is looked at now, and once more then.

    A second person's agreement is used up now and holds for these people and this wording only. A campaign that is
    scheduled already gets another time. Raises as campaigns.start does; BadInput for a time that has passed.
    """
    actor.require("campaigns.start", campaign)
    if is_naive(at):
        raise BadInput("at: the time needs its offset, as in 2026-05-01T08:00+02:00.", field="at")
    if at <= now():
        raise BadInput("at: that time has passed; name one to come, or start it now.", field="at")
    if at > now() + MOST_AHEAD:
        raise BadInput(f"at: more than {MOST_AHEAD.days:,} days away.", field="at")
    campaign = campaigns.locked(campaign)
    before = campaign.status
    if campaign.status != Campaign.Status.SCHEDULED:
        campaign.move_to(Campaign.Status.SCHEDULED)
    ticked = preflighting.settle(campaign, preflighting.look(campaign), actor=actor, accept=accept, what="be scheduled")
    agreed = campaign.launch_approval
    if agreed is None or not approvals.still_covers(agreed, "campaign.launch", campaign):
        used = approvals.require(actor, "campaign.launch", campaign, approval=approval)
        campaign.launch_approval = used.pk if used else None
    campaign.scheduled_for, campaign.status_reason = at, ""
    campaign.save(
        update_fields=["status", "status_reason", "scheduled_for", "launch_approval", "accepted_warnings"]
    )  # fmt: skip
    facts: dict[str, Any] = {"approval": campaign.launch_approval, "accepted": ticked, "at": at.isoformat()}
    audit.record(actor, "campaign.scheduled", campaign, before=before, after=campaign.status, **facts)
    return campaign


@repeating.atomic
def unschedule(campaign: Campaign, *, actor: Actor, reason: str = "") -> Campaign:
    """Make a scheduled campaign a draft again. A second person's agreement to it is gone. Raises InvalidMove."""
    actor.require("campaigns.pause", campaign)
    campaign = campaigns.locked(campaign)
    before = campaign.status
    if before != Campaign.Status.SCHEDULED:
        campaign.move_to("unscheduled")  # no state has this move: raises with the state in its sentence
    campaign.move_to(Campaign.Status.DRAFT)
    campaign.scheduled_for = campaign.launch_approval = None
    campaign.status_reason = reason
    campaign.save(update_fields=["status", "status_reason", "scheduled_for", "launch_approval"])
    audit.record(actor, "campaign.unscheduled", campaign, reason=reason, before=before, after=campaign.status)
    return campaign


@repeating.atomic
def start_due(campaign: Campaign, at: datetime, *, actor: Actor) -> Campaign:
    """Start a campaign whose time has come, or put it in review with what has come in between; said in the log.

    A tenant that is suspended keeps its time: the campaign starts when the tenant goes on.
    """
    actor.require("campaigns.start", campaign)
    campaign = campaigns.locked(campaign)
    is_due = campaign.scheduled_for is not None and campaign.scheduled_for <= at
    if campaign.status != Campaign.Status.SCHEDULED or not is_due or campaign.tenant.status == Tenant.Status.SUSPENDED:
        return campaign
    before, planned_for = campaign.status, campaign.scheduled_for
    try:
        preflighting.settle(campaign, preflighting.look(campaign), actor=actor, accept=(), what="start")
        if not approvals.still_covers(campaign.launch_approval, "campaign.launch", campaign):
            text = _("Its people or its wording are not those that a second person agreed to.")
            raise NotReady(f"{campaign} can't start yet: {text}", missing=[text])
    except OutreachError as error:
        return _review(campaign, error, actor)
    campaign.move_to(Campaign.Status.RUNNING)
    used = campaign.launch_approval
    campaigns.launch(campaign)
    facts: dict[str, Any] = {"approval": used, "scheduled_for": planned_for and planned_for.isoformat()}
    audit.record(actor, "campaign.started", campaign, before=before, after=campaign.status, **facts)
    campaign.refresh_from_db()
    return campaign


def _review(campaign: Campaign, error: OutreachError, actor: Actor) -> Campaign:
    campaign.move_to(Campaign.Status.REVIEW)
    campaign.status_reason = (_("It did not start at its time: %s") % error)[:REASON_CHARS]
    campaign.scheduled_for = campaign.launch_approval = None
    campaign.save(update_fields=["status", "status_reason", "scheduled_for", "launch_approval"])
    log.warning("alert.campaign_not_started", campaign_id=campaign.pk, tenant_id=campaign.tenant_id, why=error.code)
    audit.record(actor, "campaign.not_started", campaign, before=Campaign.Status.SCHEDULED, after=campaign.status)
    return campaign
