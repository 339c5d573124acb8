"""What is looked at before a campaign starts or goes on, and the ticks that a person sets under its warnings.

The checks live above and in the apps above, so they come by the hook `campaigns.preflight`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.utils.timezone import now

from campaigns.findings import Finding, Report
from campaigns.models import Campaign
from outreach.common import hooks
from outreach.common.errors import NotReady
from tenants.services.actors import Actor


class NeedsTick(NotReady):
    """Nothing blocks, but somebody has to accept the warnings first; `warnings` has their codes."""

    code = "warnings_not_accepted"


def look(campaign: Campaign) -> Report:
    """Everything that stands against the campaign or is worth knowing, as of now."""
    report = Report(now())
    hooks.call("campaigns.preflight", campaign=campaign, report=report)
    report.sort()
    return report


def settle(campaign: Campaign, report: Report, *, actor: Actor, accept: Collection[str], what: str) -> list[str]:
    """Let a campaign pass that has no errors and whose warnings are accepted, in `accept` now or before.

    Puts the ticks into the campaign, which the caller saves, and returns the codes of those that are new. A tick holds
    until the warning becomes worse. Raises NotReady with what is missing, NeedsTick with the codes that want a tick.
    """
    require_no_errors(campaign, report, what=what)
    if unticked := report.unticked(campaign.accepted_warnings, accept):
        missing = [said(finding) for finding in unticked]
        raise NeedsTick(
            f"{campaign} can't {what} until somebody accepts: {' '.join(missing)}", missing=missing,
            warnings=[finding.code for finding in unticked],
        )  # fmt: skip
    ticked = [finding for finding in report.unticked(campaign.accepted_warnings) if finding.code in accept]
    codes = {finding.code for finding in ticked}
    kept = [each for each in campaign.accepted_warnings if each["code"] not in codes]
    campaign.accepted_warnings = kept + [_tick(finding, actor, report) for finding in ticked]
    return sorted(codes)


def require_no_errors(campaign: Campaign, report: Report, *, what: str) -> None:
    """Raises NotReady with a sentence for each error."""
    if report.errors:
        missing = [str(finding.sentence) for finding in report.errors]
        raise NotReady(f"{campaign} can't {what} yet: {' '.join(missing)}", missing=missing)


def _tick(finding: Finding, actor: Actor, report: Report) -> dict[str, Any]:
    who = {"user": actor.user_id, "key": actor.key_id}
    return {
        "code": finding.code, "grade": finding.grade, "count": finding.count, "at": report.at.isoformat(), **who,
    }  # fmt: skip


def said(finding: Finding) -> str:
    """A warning with the code by which it is accepted."""
    return f"{finding.sentence} ({finding.code})"
