"""What of the fleet may need a second person: more mail from a mailbox, and opening what was closed."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from mailboxes.models import Mailbox, ProviderAccount, SendingDomain
from tenants.acts import Act, Terms, register, up_to
from tenants.models import ApprovalPolicy


def raised_cap(policy: ApprovalPolicy, mailbox: Mailbox, *, daily_cap: int) -> Terms | None:
    """A cap above the line that is higher than the one of now; lowering one is free."""
    if policy.cap_above is None or daily_cap <= max(policy.cap_above, mailbox.daily_cap):
        return None
    return {"daily_cap": daily_cap}


def left_ramp(policy: ApprovalPolicy, mailbox: Mailbox) -> Terms | None:
    """A tenant that has a line for caps has one for leaving a ramp early: the cap jumps where steps were to lead."""
    if policy.cap_above is None or mailbox.daily_cap <= mailbox.cap_of_day:
        return None
    return {"daily_cap": mailbox.daily_cap}


def left_domain_ramp(policy: ApprovalPolicy, domain: SendingDomain) -> Terms | None:
    """As for a mailbox; `daily_cap` is what it may send then, None: as much as its mailboxes may."""
    if policy.cap_above is None or domain.ramp_cap is None:
        return None
    if domain.daily_cap is not None and domain.daily_cap <= domain.ramp_cap:
        return None
    return {"daily_cap": domain.daily_cap}


def covers_cap(agreed: Terms, asked: Terms) -> bool:
    """An agreement to so much a day or no limit covers less."""
    if agreed["daily_cap"] is None or asked["daily_cap"] is None:
        return agreed["daily_cap"] is None
    return asked["daily_cap"] <= agreed["daily_cap"]


def released(policy: ApprovalPolicy, mailbox: Mailbox) -> Terms | None:
    return {} if policy.release else None


def reopened(policy: ApprovalPolicy, account: ProviderAccount) -> Terms | None:
    return {} if policy.account else None


RAISE_CAP = Act(
    "mailbox.raise_cap", _("Raising a cap"), "mailboxes.Mailbox", "mailboxes.set_cap", raised_cap,
    up_to("daily_cap"), ("daily_cap",),
)  # fmt: skip
LEAVE_RAMP = Act(
    "mailbox.leave_ramp", _("Leaving a ramp early"), "mailboxes.Mailbox", "mailboxes.ramp", left_ramp,
    up_to("daily_cap"),
)  # fmt: skip
LEAVE_DOMAIN_RAMP = Act(
    "domain.leave_ramp", _("Leaving a domain's ramp early"), "mailboxes.SendingDomain", "mailboxes.ramp",
    left_domain_ramp, covers_cap,
)  # fmt: skip
RELEASE = Act("mailbox.release", _("Releasing from quarantine"), "mailboxes.Mailbox", "mailboxes.release", released)
REOPEN = Act(
    "account.reopen", _("Reopening a provider account"), "mailboxes.ProviderAccount", "mailboxes.set_account_state",
    reopened,
)  # fmt: skip


def register_all() -> None:
    for act in (RAISE_CAP, LEAVE_RAMP, LEAVE_DOMAIN_RAMP, RELEASE, REOPEN):
        register(act)
