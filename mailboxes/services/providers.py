"""Provider accounts paused, suspended, put back to work. All mailboxes that leave by one stop with it."""

from __future__ import annotations

from collections.abc import Iterable

from mailboxes import hosts
from mailboxes.models import Mailbox, ProviderAccount, SendingDomain
from outreach.common import hooks, repeating
from outreach.common.errors import BadInput
from tenants.services import approvals, audit
from tenants.services.actors import Actor

MOST_TERMS = 30


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


@repeating.atomic
def set_spf_terms(
    account: ProviderAccount, spf_terms: Iterable[str], *, actor: Actor, reason: str = ""
) -> ProviderAccount:
    """Say what SPF has to cover for mail that leaves by this account: addresses, networks, include:NAME.

    None: as known of the host. The domains that use it are checked anew soon. Raises BadInput.
    """
    actor.require("mailboxes.import", account)
    try:
        terms = list(dict.fromkeys(hosts.parse_term(term) for term in spf_terms if term.strip()))
    except ValueError as error:
        raise BadInput(
            f"Write addresses, networks or include:NAME, with blanks between: {error}", field="spf_terms"
        ) from error
    if len(terms) > MOST_TERMS:
        raise BadInput(f"At most {MOST_TERMS} terms, since SPF allows ten look-ups.", field="spf_terms")
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    before, account.spf_terms = account.spf_terms, terms
    account.save(update_fields=["spf_terms"])
    used = Mailbox.objects.filter(home=account).values("domain_id")
    SendingDomain.objects.filter(pk__in=used).exclude(state=SendingDomain.State.RETIRED).update(check_due_at=None)
    audit.record(actor, "account.spf_terms_set", account, reason=reason, before=before, after=terms)
    return account
