"""A forecast in words: what limits, when it is done, what is short."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from campaigns.pipeline.forecasting.terms import CampaignForecast, Forecast, Limit, PoolForecast

LIMITS = {
    Limit.MAILBOXES: gettext_lazy("the mailboxes' daily caps"),
    Limit.GAP: gettext_lazy("the gap between mails of a mailbox"),
    Limit.CAMPAIGN: gettext_lazy("the campaign's daily cap"),
    Limit.TOTAL: gettext_lazy("the campaign's total"),
    Limit.TENANT: gettext_lazy("the tenant's daily cap"),
    Limit.SHARED: gettext_lazy("a limit that several share"),
    Limit.NO_MAILBOX: gettext_lazy("no mailbox of the pool may send"),
    Limit.STOPPED: gettext_lazy("people belong to mailboxes that are stopped"),
    Limit.FOLLOW_UPS: gettext_lazy("everybody waits for the time of the next message"),
    Limit.WINDOW: gettext_lazy("the window is closed"),
    Limit.NONE: "",
}


def limit(kind: Limit, name: str) -> str:
    """What limits, with its name where several share it."""
    return _("the limit of %s") % name if kind == Limit.SHARED and name else str(LIMITS[kind])


def done(found: CampaignForecast, days: int) -> str:
    """When the campaign's last mail goes out."""
    if found.done_on is not None:
        return _("done on %s") % found.done_on.isoformat()
    if not found.left:
        return _("nothing left to send")
    return ngettext("not within %d day", "not within %d days", days) % days


def shortfall(found: PoolForecast) -> str:
    """What to do about the first day on which the pool is short; empty if there is none."""
    if found.short_on is None:
        return ""
    parts = [_("short of %(n)s mails on %(day)s") % {"n": f"{found.short_by:,}", "day": found.short_on.isoformat()}]
    if found.promotable:
        parts.append(_("its reserves, promoted by then, carry %s of them") % f"{found.promotable:,}")
    if found.reserves:
        text = (
            ngettext("start ramping %d reserve today", "start ramping %d reserves today", found.reserves)
            % found.reserves
        )
        if found.reserves_at_share is not None:
            text += " " + _("(%d if they stay reserves)") % found.reserves_at_share
        parts.append(text)
    if found.limit_name:
        parts.append(_("not behind %s, whose limit is reached") % found.limit_name)
    return "; ".join(parts)


def lines(found: Forecast) -> Iterator[str]:
    """The forecast as a command prints it."""
    for campaign in found.campaigns:
        why = limit(campaign.limit, campaign.limit_name)
        yield (
            f"{campaign.name}: {done(campaign, len(found.days))}; {campaign.left:,} of {campaign.total:,} left then"
            + (f"; {why}" if why else "")
        )
    for pool in found.pools:
        yield f"pool {pool.name}: {shortfall(pool) or _('enough on every day')}"
    if found.campaigns:
        yield ""
        yield "day         " + "".join(f"{campaign.name[:16]:>18}" for campaign in found.campaigns)
        for n, day in enumerate(found.days):
            yield f"{day.isoformat()}  " + "".join(f"{campaign.days[n].sent:>18,}" for campaign in found.campaigns)
    if found.pools:
        yield ""
        yield "day         pool                    capacity    demand      sent     short"
        for pool in found.pools:
            for row in pool.days:
                yield (
                    f"{row.day.isoformat()}  {pool.name[:20]:<20}{row.capacity:>12,}{row.demand:>10,}{row.sent:>10,}"
                    f"{row.shortfall:>10,}"
                )
