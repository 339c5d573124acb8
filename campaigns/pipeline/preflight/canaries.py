"""Whether the campaign begins with a few, and how many of its people were never written to."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from campaigns.findings import Finding, Level
from campaigns.pipeline.preflight.ground import Ground
from campaigns.services import canaries


def announced(ground: Ground) -> Iterator[Finding]:
    """What the canary will do, or that it was switched off although nobody knows these people's addresses."""
    campaign = ground.campaign
    if not ground.people or campaign.started_at is not None:
        return
    fresh = canaries.never_mailed(campaign)
    if not fresh.people:
        return
    values = {
        "n": f"{fresh.people:,}", "size": f"{campaign.canary_size:,}", "hours": campaign.canary_hours,
    }  # fmt: skip
    if not campaign.canary:
        if fresh.people > campaign.canary_size:
            text = _("The canary is switched off, and %(n)s people of the list come from imports never mailed before.")
            yield Finding(
                "no_canary", Level.NOTE, text % values, _("Switch it on: bad lists show in the first mails."),
                fresh.people, ground.people, ground.members(),
            )  # fmt: skip
    elif fresh.people > campaign.canary_size:
        text = _(
            "%(n)s people come from imports never mailed before: %(size)s of them go first, everybody else "
            "%(hours)s hours later, if not too many bounce or complain."
        )
        yield Finding("canary", Level.NOTE, text % values, "", fresh.people, ground.people, ground.members())
