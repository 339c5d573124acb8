"""Whether the fleet can send it, and when the last mail goes out."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from campaigns.findings import Finding, Level
from campaigns.pipeline.forecasting import loading, wording
from campaigns.pipeline.preflight.ground import Ground
from outreach.common.links import Link


def finishing(ground: Ground) -> Iterator[Finding]:
    """The forecast's answer, for the campaign as started now."""
    campaign = ground.campaign
    if campaign.pool_id is None or not ground.people or not ground.wordings:
        return
    draft = None if campaign.status in loading.GOING else campaign
    found = loading.forecast(ground.tenant, ground.now, draft=draft)
    mine = next((one for one in found.campaigns if one.id == campaign.pk), None)
    if mine is None:
        return
    limit = wording.limit(mine.limit, mine.limit_name)
    rows = Link("campaigns_campaign", pk=campaign.pk, page="forecast")
    done = wording.done(mine, len(found.days))
    text = _("%(total)s mails: %(done)s.") % {"total": f"{mine.total:,}", "done": done}
    if limit:
        text += " " + _("What limits most: %s.") % limit
    if mine.done_on is None and mine.left:
        remedy = _("Add mailboxes, or widen the window.")
        yield Finding("not_finished", Level.WARNING, text, remedy, mine.left, mine.total, rows)
    else:
        yield Finding("finishing", Level.NOTE, text, rows=rows)
