"""What hosts let an organisation send in 24 hours, as plain numbers.

Sources: Google Workspace 2000 messages a user (500 on trial), support.google.com/a/answer/166852; Exchange Online
500 x licences^0.7 + 9500 external recipients a tenant (5000 on trial), techcommunity.microsoft.com 4372797. A number
that a group carries itself comes first, since hosts change theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

WORKSPACE_USER, WORKSPACE_TRIAL_USER = 2000, 500
MICROSOFT_TRIAL = 5000


@dataclass(frozen=True, slots=True)
class Quota:
    """Messages per rolling 24 hours of all together and of one mailbox, and per second; None: no limit."""

    daily: int | None = None
    user_daily: int | None = None
    per_second: float | None = None


def microsoft_tenant(licences: int) -> int:
    """External recipients in 24 hours: 1 licence 10,000, 100 licences 22,059, 1000 licences 72,446."""
    return int(500 * licences**0.7 + 9500)


def of(
    kind: str,
    *,
    licences: int | None = None,
    is_trial: bool = False,
    daily_cap: int | None = None,
    user_daily_cap: int | None = None,
    per_second: float | None = None,
) -> Quota:
    """What holds for a group of that kind; numbers given outright come first."""
    daily, user = daily_cap, user_daily_cap
    if kind == "workspace" and user is None:
        user = WORKSPACE_TRIAL_USER if is_trial else WORKSPACE_USER
    if kind == "microsoft" and daily is None:
        if is_trial:
            daily = MICROSOFT_TRIAL
        elif licences:
            daily = microsoft_tenant(licences)
    return Quota(daily, user, per_second)
