"""Provider accounts paused, suspended, put back to work. All mailboxes that leave by one stop with it."""

from __future__ import annotations

from mailboxes.models import Mailbox, ProviderAccount
from outreach.common import hooks, repeating
from tenants.services import approvals, audit
from tenants.services.actors import Actor


def _stop(account: ProviderAccount, state: str, actor: Actor, reason: str) -> ProviderAccount:
    actor.require("mailboxes.set_account_state", account)
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    before = account.state
    account.move_to(state)
    account.state_reason = reason
    account.save(update_fields=["state", "state_reason"])
    # Locked in id order, as everywhere, before any of their messages.
    boxes = Mailbox.objects.filter(home=account).order_by("pk").select_for_update(no_key=True)
    hooks.call("mailboxes.withdrawn", mailbox_ids=list(boxes.values_list("pk", flat=True)), reason=reason)
    audit.record(actor, f"account.{state}", account, reason=reason, before=before, after=state)
    return account


@repeating.atomic
def pause(account: ProviderAccount, *, actor: Actor, reason: str) -> ProviderAccount:
    """Nothing more leaves by this account; the waiting mail of its mailboxes goes back to the planner."""
    return _stop(account, ProviderAccount.State.PAUSED, actor, reason)


@repeating.atomic
def suspend(account: ProviderAccount, *, actor: Actor, reason: str) -> ProviderAccount:
    """As pause, for an account that its host or we have closed."""
    return _stop(account, ProviderAccount.State.SUSPENDED, actor, reason)


@repeating.atomic
def activate(
    account: ProviderAccount, *, actor: Actor, reason: str = "", approval: int | None = None
) -> ProviderAccount:
    """Its mailboxes are planned again from the next run on; a block by time is lifted too. Raises NeedsApproval."""
    actor.require("mailboxes.set_account_state", account)
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    before = account.state
    account.move_to(ProviderAccount.State.ACTIVE)
    used = approvals.require(actor, "account.reopen", account, approval=approval)
    account.state_reason, account.blocked_until = reason, None
    account.save(update_fields=["state", "state_reason", "blocked_until"])
    audit.record(
        actor, "account.active", account, reason=reason, before=before, after=account.state, approval=used and used.pk
    )
    return account
