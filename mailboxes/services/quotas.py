"""Limits of the platform: what hosts and receivers take, and which accounts and mailboxes share a quota."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from mailboxes.models import Mailbox, ProviderAccount, QuotaGroup, ReceiverLimit
from outreach.common import hooks, repeating
from outreach.common.errors import BadInput
from tenants.services import audit
from tenants.services.actors import Actor

MOST = 100_000_000  # messages in 24 hours
NUMBERS: dict[str, tuple[float, float]] = {
    "licences": (1, 10_000_000),
    "daily_cap": (0, MOST),
    "user_daily_cap": (0, MOST),
    "per_second": (0.01, 100_000),
}
OPERATORS = ("google", "microsoft", "yahoo", "apple", "mailru", "yandex", "proofpoint", "mimecast", "other")


@transaction.atomic
def add_group(name: str, kind: str, *, actor: Actor, **values: Any) -> QuotaGroup:
    """A new quota group; numbers that are left out are those of its kind. Raises BadInput that names the field."""
    actor.require("tenants.administer")
    group = QuotaGroup(name=_name(name), kind=kind)
    _set(group, values)
    try:
        with transaction.atomic():
            group.save()
    except IntegrityError as error:
        raise BadInput(f"There is a quota group {group.name!r} already.", field="name") from error
    audit.record(actor, "quota_group.added", group, kind=kind, **{key: getattr(group, key) for key in NUMBERS})
    return group


@transaction.atomic
def change_group(group: QuotaGroup, *, actor: Actor, **values: Any) -> QuotaGroup:
    """Other numbers from now on. Mail that a lower one leaves no room for is taken back by each tenant's next plan."""
    actor.require("tenants.administer")
    group = QuotaGroup.objects.select_for_update().get(pk=group.pk)
    before = {key: getattr(group, key) for key in values}
    _set(group, values)
    group.save()
    changed = {key: value for key, value in values.items() if before[key] != value}
    audit.record(actor, "quota_group.changed", group, before={key: before[key] for key in changed}, after=changed)
    return group


@repeating.atomic
def share_account(account: ProviderAccount, group: QuotaGroup | None, *, actor: Actor) -> ProviderAccount:
    """Let all mailboxes of the account count in that group, those with one of their own left out; None: in none.

    What they had waiting goes back to the planner first, so that nothing is given back to a group that never had it.
    """
    actor.require("tenants.administer")
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    before = account.quota_group_id
    boxes = Mailbox.objects.filter(home=account, quota_group=None).order_by("pk").select_for_update(no_key=True)
    _withdraw(list(boxes.values_list("pk", flat=True)))
    account.quota_group = group
    account.save(update_fields=["quota_group"])
    audit.record(actor, "account.quota_shared", account, before=before, after=account.quota_group_id)
    return account


@repeating.atomic
def share_mailbox(mailbox: Mailbox, group: QuotaGroup | None, *, actor: Actor) -> Mailbox:
    """Let one mailbox count in that group instead of its account's; None: in its account's again."""
    actor.require("tenants.administer")
    mailbox = Mailbox.objects.select_for_update(no_key=True).get(pk=mailbox.pk)
    before = mailbox.quota_group_id
    _withdraw([mailbox.pk])
    mailbox.quota_group = group
    mailbox.save(update_fields=["quota_group"])
    audit.record(actor, "mailbox.quota_shared", mailbox, before=before, after=mailbox.quota_group_id)
    return mailbox


@repeating.atomic
def limit_account(account: ProviderAccount, hourly_cap: int | None, *, actor: Actor) -> ProviderAccount:
    """Messages an hour of all its mailboxes together; None: no limit. A lower one takes back what waits."""
    actor.require("mailboxes.set_account_state", account)
    _check("hourly_cap", hourly_cap, 0, MOST)
    account = ProviderAccount.objects.select_for_update(no_key=True).get(pk=account.pk)
    before, account.hourly_cap = account.hourly_cap, hourly_cap
    account.save(update_fields=["hourly_cap"])
    if hourly_cap is not None and (before is None or hourly_cap < before):
        boxes = Mailbox.objects.filter(home=account).order_by("pk").select_for_update(no_key=True)
        hooks.call(
            "mailboxes.cap_lowered", mailbox_ids=list(boxes.values_list("pk", flat=True)), reason="account cap lowered"
        )
    audit.record(actor, "account.cap_set", account, before=before, after=hourly_cap)
    return account


@transaction.atomic
def limit_receiver(operator: str, *, hourly_cap: int | None, daily_cap: int | None, actor: Actor) -> ReceiverLimit:
    """What one organisational domain may send to that operator an hour and in 24 hours; None: no limit."""
    actor.require("tenants.administer")
    if operator not in OPERATORS:
        raise BadInput(f"{operator!r} is no receiver; there are {', '.join(OPERATORS)}.", field="operator")
    _check("hourly_cap", hourly_cap, 0, MOST)
    _check("daily_cap", daily_cap, 0, MOST)
    limit, _ = ReceiverLimit.objects.select_for_update().get_or_create(operator=operator)
    before = {"hourly_cap": limit.hourly_cap, "daily_cap": limit.daily_cap}
    limit.hourly_cap, limit.daily_cap = hourly_cap, daily_cap
    limit.save()
    hooks.call("mailboxes.receiver_limited", operator=operator)
    audit.record(
        actor, "receiver.limited", limit, before=before, after={"hourly_cap": hourly_cap, "daily_cap": daily_cap}
    )
    return limit


def _withdraw(ids: list[int]) -> None:
    if ids:
        # Waits for a plan under way, which would reserve in the group of before.
        hooks.call("mailboxes.cap_lowered", mailbox_ids=ids, reason="shares another quota")


def _name(given: str) -> str:
    name = given.strip()
    if not name or len(name) > 100 or "\0" in name:
        raise BadInput("A quota group has a name of 1 to 100 characters.", field="name")
    return name


def _set(group: QuotaGroup, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if key == "name":
            group.name = _name(value)
        elif key in NUMBERS:
            _check(key, value, *NUMBERS[key])
            setattr(group, key, value)
        elif key in ("kind", "is_trial", "note"):
            setattr(group, key, value)
        else:
            raise BadInput(f"{key} is nothing of a quota group.", field=key)
    if group.kind not in QuotaGroup.Kind.values:
        raise BadInput(f"{group.kind!r} is no kind; there are {', '.join(QuotaGroup.Kind.values)}.", field="kind")


def _check(key: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise BadInput(f"{key} is from {low:,} to {high:,}, or empty.", field=key)
