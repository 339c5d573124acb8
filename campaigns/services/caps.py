"""How many messages a campaign may have, a day and in all, changed while it runs."""

from __future__ import annotations

from campaigns.ledger import moves, planning
from campaigns.models import Campaign
from campaigns.services import campaigns, specs
from outreach.common import repeating
from outreach.common.errors import BadInput, InvalidMove
from tenants.services import audit
from tenants.services.actors import Actor


@repeating.atomic
def set_caps(
    campaign: Campaign, *, daily_cap: int | None, total_cap: int | None, actor: Actor, reason: str = ""
) -> Campaign:
    """Messages a day and in all from now on, today and what went out before included; None: no limit of its own.

    A lower cap takes back what waits, and the next plan fills up to it; what left stays counted. The total counts each
    message once however often it is tried, follow-ups too, and not those that were suppressed or cancelled. When it is
    used up people wait, the campaign goes on to run and `explain` says so: only a higher total or a cancellation ends
    that. Raises BadInput for a number out of bounds, InvalidMove for a campaign that has ended.
    """
    actor.require("campaigns.start", campaign)
    for name, cap in (("daily_cap", daily_cap), ("total_cap", total_cap)):
        if cap is not None and not 0 <= cap <= specs.MOST:
            raise BadInput(f"{name}: from 0 to {specs.MOST:,} messages, or no cap.", field=name)
    campaigns.want_plan(campaign.tenant_id)  # locks the tenant's row, which comes first
    campaign = Campaign.objects.select_for_update(no_key=True).get(pk=campaign.pk)
    if not Campaign.MOVES[campaign.status]:
        raise InvalidMove(f"{campaign} is {campaign.status}; it sends no more.", source=campaign.status, target="")
    before = (campaign.daily_cap, campaign.total_cap)
    campaign.daily_cap, campaign.total_cap = daily_cap, total_cap
    campaign.save(update_fields=["daily_cap", "total_cap"])
    if any(
        now is not None and (was is None or now < was) for was, now in zip(before, (daily_cap, total_cap), strict=True)
    ):
        planning.wait(campaign.tenant_id)
        moves.take_back("m.campaign_id = %(campaign)s", {"campaign": campaign.pk})
    audit.record(actor, "campaign.caps_set", campaign, reason=reason, before=before, after=[daily_cap, total_cap])
    return campaign
