"""What deliverability knows when the apps below ask."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.utils.translation import gettext as _

from campaigns.findings import Finding, Level, Report
from campaigns.models import Campaign
from deliverability.dns.verdict import DECISIVE
from deliverability.services import checks
from mailboxes.models import Mailbox, SendingDomain
from outreach.common import hooks
from outreach.common.links import Link


def preflight(*, campaign: Campaign, report: Report, **_hook: Any) -> None:
    """Add what the last checks of the pool's domains found against SPF, DKIM, DMARC and MX, alike ones as one."""
    if campaign.pool_id is None:
        return
    boxes = Mailbox.objects.filter(pool=campaign.pool_id).exclude(state=Mailbox.State.RETIRED)
    domains = SendingDomain.objects.filter(pk__in=boxes.values("domain"), state__in=SendingDomain.SENDABLE)
    names = dict(domains.values_list("pk", "name"))
    alike: dict[tuple[str, str, str], list[tuple[int, str, str]]] = defaultdict(list)
    for pk, check in checks.latest(list(names)).items():
        for each in checks.findings_of(check):
            if each.check in DECISIVE and each.level in ("fail", "warn"):
                alike[each.level, each.check, each.code].append((pk, each.text, each.remedy))
    for (level, check, code), found in sorted(alike.items()):
        ids = sorted({pk for pk, _text, _remedy in found})
        text = _("%(what)s of %(domain)s: %(text)s") % {
            "what": check.upper(), "domain": names[found[0][0]], "text": found[0][1],
        }  # fmt: skip
        if len(ids) > 1:
            text += " " + _("The same holds for %d more.") % (len(ids) - 1)
        report.findings.append(
            Finding(
                f"dns:{check}_{code}", Level.WARNING if level == "fail" else Level.NOTE, text, found[0][2], len(ids),
                len(names), Link("mailboxes_sendingdomain", {"id__in": ",".join(map(str, ids[:100]))}), "dns",
            )
        )  # fmt: skip


def register() -> None:
    hooks.register("campaigns.preflight", preflight)
