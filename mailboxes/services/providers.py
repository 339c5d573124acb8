"""Provider accounts paused, suspended, put back to work. All mailboxes that leave by one stop with it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.timezone import now

from mailboxes import hosts
from mailboxes.models import Mailbox, ProviderAccount, SendingDomain
from mailboxes.services import routes
from outreach.common import hooks, repeating
from outreach.common.errors import BadInput
from tenants.models.records import BASES, HTTPS
from tenants.services import approvals, audit
from tenants.services.actors import Actor

MOST_TERMS = 30


def _stop(account: ProviderAccount, state: str, actor: Actor, reason: str) -> ProviderAccount:
    actor.require("mailboxes.set_account_state", account)
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    before = account.state
    account.move_to(state)
    account.state_reason = reason
    account.circuit, account.probe_at = ProviderAccount.Circuit.CLOSED, None
    account.save(update_fields=["state", "state_reason", "circuit", "probe_at"])
    if state == ProviderAccount.State.SUSPENDED:
        hooks.call("mailboxes.account_suspended", account=account, actor=actor, reason=reason)
    # Locked in id order, as everywhere, before any of their messages.
    boxes = Mailbox.objects.filter(Q(home=account) | Q(standby=account)).order_by("pk").select_for_update(no_key=True)
    hooks.call("mailboxes.withdrawn", mailbox_ids=list(boxes.values_list("pk", flat=True)), reason=reason)
    routes.settle(account.tenant_id, actor=actor)
    audit.record(actor, f"account.{state}", account, reason=reason, before=before, after=state)
    return account


@repeating.atomic
def pause(account: ProviderAccount, *, actor: Actor, reason: str) -> ProviderAccount:
    """Nothing more leaves by this account; the waiting mail of its mailboxes goes back to the planner."""
    return _stop(account, ProviderAccount.State.PAUSED, actor, reason)


@repeating.atomic
def suspend(account: ProviderAccount, *, actor: Actor, reason: str) -> ProviderAccount:
    """As pause, for an account that its host or we have closed; no standby takes its mail.

    The running campaigns of all pools that have a mailbox there pause with the reason: what is left of them would carry
    the same mail round an enforcement.
    """
    return _stop(account, ProviderAccount.State.SUSPENDED, actor, reason)


@repeating.atomic
def activate(
    account: ProviderAccount, *, actor: Actor, reason: str = "", approval: int | None = None
) -> ProviderAccount:
    """Its mailboxes are planned again from the next run on; a block by time is lifted too.

    After a suspension `reason` has to say what the host answered. Raises BadInput, NeedsApproval.
    """
    actor.require("mailboxes.set_account_state", account)
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    before = account.state
    if before == ProviderAccount.State.SUSPENDED and not reason.strip():
        raise BadInput("Write what the host answered: its word lifts a suspension, not ours.", field="reason")
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


@repeating.atomic
def set_bases(
    account: ProviderAccount,
    bases: Iterable[str],
    *,
    link: str = "",
    on: date | None = None,
    actor: Actor,
    reason: str = "",
    approval: int | None = None,
) -> ProviderAccount:
    """Say mail of which lawful bases the host's terms allow; where they say so, and when somebody read them.

    Fewer bases hold at once: what waits in its mailboxes goes back. More need a second person; nothing leaves for the
    first time by an account that allows none. Raises NotAllowed, NeedsApproval, BadInput that names the field.
    """
    actor.require("mailboxes.set_bases", account)
    chosen = _chosen(bases)
    link = link.strip()
    if chosen or link:
        _check_link(link)
    if chosen and on is None:
        raise BadInput("Write the day on which somebody read the host's terms.", field="on")
    if on is not None and on > now().date():
        raise BadInput("Nobody has read the host's terms in the future.", field="on")
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    before = sorted(account.allowed_bases)
    used = approvals.require(actor, "account.allow_bases", account, approval=approval, bases=chosen)
    account.allowed_bases, account.bases_link, account.bases_on = chosen, link, on
    account.save(update_fields=["allowed_bases", "bases_link", "bases_on"])
    boxes = Mailbox.objects.filter(home=account).order_by("pk").select_for_update(no_key=True)
    hooks.call(
        "mailboxes.bases_changed", mailbox_ids=list(boxes.values_list("pk", flat=True)), tenant_id=account.tenant_id,
        fewer=not set(before) <= set(chosen), more=not set(chosen) <= set(before),
    )  # fmt: skip
    audit.record(
        actor, "account.bases_set", account, reason=reason, before=before, after=sorted(chosen), link=link,
        on=on and on.isoformat(), approval=used and used.pk,
    )  # fmt: skip
    return account


def _chosen(bases: Iterable[str]) -> list[str]:
    given = set(bases)
    if unknown := sorted(given - set(BASES)):
        raise BadInput(f"{unknown[0][:40]!r} is no basis; there are {', '.join(BASES)}.", field="bases")
    return [name for name in BASES if name in given]


def _check_link(link: str) -> None:
    longest = ProviderAccount._meta.get_field("bases_link").max_length or 0
    try:
        HTTPS(link)
    except ValidationError as error:
        raise BadInput(
            "Write where the host's terms stand, an address that begins with https://.", field="link"
        ) from error
    if len(link) > longest:
        raise BadInput(f"The link has more than {longest} characters.", field="link")
