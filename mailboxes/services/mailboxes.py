"""Mailboxes held, capped, and given a password; what takes them out of use and back comes from rooms of its own.

A mailbox that may send no more is withdrawn: the apps above take its waiting mail back in the same
transaction (hook mailboxes.withdrawn), and the row lock decides the race with a final dot.
"""

from __future__ import annotations

from django.db import transaction

from mailboxes.edits import MOST_PER_DAY
from mailboxes.models import Mailbox
from mailboxes.models.mailboxes import MAILBOX_PASSWORD
from mailboxes.services.quarantine import RELEASABLE, probe, quarantine, release
from mailboxes.services.retiring import retire
from outreach.common import hooks, repeating
from outreach.common.errors import BadInput, InvalidMove
from outreach.common.sealing import SealBroken
from tenants.services import approvals, audit, sealing
from tenants.services.actors import Actor

__all__ = [
    "LONGEST_PASSWORD", "MOST_PER_DAY", "RELEASABLE", "probe", "quarantine", "release", "retire", "set_cap", "set_hold",
    "set_password",
]  # fmt: skip
LONGEST_PASSWORD = 1000  # characters


def _locked(mailbox: Mailbox) -> Mailbox:
    return Mailbox.objects.select_for_update(no_key=True).get(pk=mailbox.pk)


@repeating.atomic
def set_hold(mailbox: Mailbox, hold: str, *, actor: Actor, reason: str = "") -> Mailbox:
    """Stop the mailbox in whatever state it is (locked, sign_in_failed), or let it go on (none).

    Letting it go on forgets its failures and its block. Raises BadInput for a hold that does not
    exist, InvalidMove when nothing would change.
    """
    actor.require("mailboxes.hold", mailbox)
    if hold not in Mailbox.Hold.values:
        raise BadInput(f"{hold!r} is no hold; there are {', '.join(Mailbox.Hold.values)}.", field="hold")
    mailbox = _locked(mailbox)
    if mailbox.hold == hold:
        raise InvalidMove(f"The hold of {mailbox} is {hold} already.", source=hold, target=hold)
    before = mailbox.hold
    mailbox.hold, mailbox.state_reason = hold, reason
    if hold == Mailbox.Hold.NONE:
        mailbox.failures, mailbox.blocked_until = 0, None
    mailbox.save(update_fields=["hold", "state_reason", "failures", "blocked_until"])
    if hold == Mailbox.Hold.NONE:
        audit.record(actor, "mailbox.hold_lifted", mailbox, reason=reason, before=before, after=hold)
    else:
        hooks.call("mailboxes.withdrawn", mailbox_ids=[mailbox.pk], reason=reason)
        audit.record(actor, "mailbox.held", mailbox, reason=reason, before=before, after=hold)
    return mailbox


@transaction.atomic
def set_password(mailbox: Mailbox, password: str, *, actor: Actor) -> Mailbox:
    """Sign in with that password from now on; it is kept sealed and shown to nobody.

    Lifts a hold of a failed sign-in, and the lock of a password that could not be opened; any other lock stays.
    Raises BadInput that names the field, InvalidMove for a retired mailbox.
    """
    actor.require("mailboxes.import", mailbox)
    if not password or len(password) > LONGEST_PASSWORD or "\0" in password:
        raise BadInput(f"A password has 1 to {LONGEST_PASSWORD} characters, and none is NUL.", field="password")
    mailbox = _locked(mailbox)
    if mailbox.state == Mailbox.State.RETIRED:
        raise InvalidMove(f"{mailbox} is retired, and there is no way back.", source=mailbox.state, target="")
    lifted = mailbox.hold == Mailbox.Hold.SIGN_IN_FAILED or (mailbox.hold == Mailbox.Hold.LOCKED and _is_shut(mailbox))
    if lifted:
        mailbox.hold, mailbox.state_reason, mailbox.failures, mailbox.blocked_until = Mailbox.Hold.NONE, "", 0, None
    mailbox.username = mailbox.username or mailbox.address
    place = MAILBOX_PASSWORD.place(mailbox.tenant_id, mailbox.seal_ref)
    mailbox.sealed_password = sealing.keyring().seal(password.encode(), place)
    mailbox.save(
        update_fields=["sealed_password", "username", "hold", "state_reason", "failures", "blocked_until"],
    )
    audit.record(actor, "mailbox.password_set", mailbox, hold_lifted=lifted)
    return mailbox


def _is_shut(mailbox: Mailbox) -> bool:
    """Whether there is a password that can't be opened."""
    place = MAILBOX_PASSWORD.place(mailbox.tenant_id, mailbox.seal_ref)
    try:
        if mailbox.sealed_password:
            sealing.keyring().open(bytes(mailbox.sealed_password), place)
    except SealBroken:
        return True
    return False


@repeating.atomic
def set_cap(mailbox: Mailbox, daily_cap: int, *, actor: Actor, approval: int | None = None) -> Mailbox:
    """Messages per day from now on, today included. A lower cap takes mail back that no longer fits.

    Raises BadInput, and NeedsApproval for a raise beyond the tenant's line.
    """
    actor.require("mailboxes.set_cap", mailbox)
    if not 0 <= daily_cap <= MOST_PER_DAY:
        raise BadInput(f"A cap is from 0 to {MOST_PER_DAY:,} messages a day.", field="daily_cap")
    mailbox = _locked(mailbox)
    used = approvals.require(actor, "mailbox.raise_cap", mailbox, approval=approval, daily_cap=daily_cap)
    before, mailbox.daily_cap = mailbox.daily_cap, daily_cap
    mailbox.save(update_fields=["daily_cap"])
    if daily_cap < before:
        hooks.call("mailboxes.cap_lowered", mailbox_ids=[mailbox.pk], reason="cap lowered")
    audit.record(actor, "mailbox.cap_set", mailbox, before=before, after=daily_cap, approval=used and used.pk)
    return mailbox
