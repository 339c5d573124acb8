"""Sending domains added, changed, stopped, put back, retired, and judged by the checks of their DNS.

A domain that may send no more withdraws its mailboxes: the apps above take their waiting mail back in the same
transaction (hook mailboxes.withdrawn). Only a check makes one verified; whoever lifts a block makes it new again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now as this_moment

from mailboxes.models import Mailbox, SendingDomain
from outreach.common import addresses, hooks, repeating
from outreach.common.errors import BadInput, InvalidMove
from tenants.models import Tenant
from tenants.services import audit
from tenants.services.actors import Actor

MOST_A_DAY = 10_000_000
MOST_SELECTORS = 20
SELECTOR_CHARS = 63
EARLIEST = date(1985, 1, 1)  # no domain is older
NUMBERS = ("hourly_cap", "daily_cap")
HOSTS = ("tracking_host", "return_path")
DATES = ("registered_on", "renews_on")
CHANGEABLE = (*NUMBERS, "dkim_selectors", *HOSTS, "registrar", *DATES)
OF_DNS = frozenset({"dkim_selectors", "tracking_host", "return_path"})  # a change of these wants a new check


def locked(domain: SendingDomain) -> SendingDomain:
    """The row as it is now, held until the transaction ends."""
    return SendingDomain.objects.select_for_update(no_key=True).get(pk=domain.pk)


@transaction.atomic
def add(tenant: Tenant, name: str, *, actor: Actor, **values: Any) -> SendingDomain:
    """A new domain, which sends nothing before a check found its records in order. Raises BadInput with the field."""
    actor.require("mailboxes.import", tenant)
    domain = SendingDomain(tenant=tenant, name=parse_name(name))
    for field, value in judge(values, domain.name).items():
        setattr(domain, field, value)
    _refuse_taken(domain)
    _saved(domain)
    audit.record(actor, "domain.added", domain, after={key: plain(getattr(domain, key)) for key in values})
    return domain


@repeating.atomic
def change(domain: SendingDomain, *, actor: Actor, reason: str = "", **values: Any) -> SendingDomain:
    """Set what is given of CHANGEABLE. A lower cap takes mail back that no longer fits; other records are checked soon.

    Raises BadInput that names the field, InvalidMove for a retired domain.
    """
    actor.require("mailboxes.import", domain)
    domain = locked(domain)
    if domain.state == SendingDomain.State.RETIRED:
        raise InvalidMove(f"{domain} is retired, and there is no way back.", source=domain.state, target="")
    wanted = judge(values, domain.name)
    changed = {key: value for key, value in wanted.items() if value != getattr(domain, key)}
    if not set(changed).isdisjoint(NUMBERS):
        actor.require("mailboxes.set_cap", domain)
    before = {key: plain(getattr(domain, key)) for key in changed}
    lowered = any(is_lower(value, getattr(domain, key)) for key, value in changed.items() if key in NUMBERS)
    for key, value in changed.items():
        setattr(domain, key, value)
    if not OF_DNS.isdisjoint(changed):
        domain.check_due_at = None
    _refuse_taken(domain)
    _saved(domain, [*changed, "check_due_at"])
    if lowered:
        hooks.call("mailboxes.cap_lowered", mailbox_ids=mailboxes_of(domain), reason="cap of the domain lowered")
    after = {key: plain(getattr(domain, key)) for key in changed}
    audit.record(actor, "domain.changed", domain, reason=reason, before=before, after=after)
    return domain


@repeating.atomic
def block(domain: SendingDomain, *, actor: Actor, reason: str) -> SendingDomain:
    """Nothing more leaves from this domain until a person lifts it; its waiting mail goes back to the planner."""
    actor.require("mailboxes.quarantine", domain)
    domain = locked(domain)
    before = domain.state
    domain.move_to(SendingDomain.State.BLOCKED)
    domain.state_reason = reason
    domain.save(update_fields=["state", "state_reason"])
    hooks.call("mailboxes.withdrawn", mailbox_ids=mailboxes_of(domain), reason=reason)
    audit.record(actor, "domain.blocked", domain, reason=reason, before=before, after=domain.state)
    return domain


@repeating.atomic
def unblock(domain: SendingDomain, *, actor: Actor, reason: str) -> SendingDomain:
    """Lift a block, with cause and remedy as the reason: the domain is new again and sends once a check verified it."""
    actor.require("mailboxes.release", domain)
    if not reason.strip():
        raise BadInput("Say what the cause was and what was done about it.", field="reason")
    domain = locked(domain)
    if domain.state != SendingDomain.State.BLOCKED:
        raise InvalidMove(f"{domain} is {domain.state}, not blocked.", source=domain.state, target="new")
    domain.move_to(SendingDomain.State.NEW)
    domain.state_reason, domain.check_due_at = reason, None
    domain.save(update_fields=["state", "state_reason", "check_due_at"])
    audit.record(actor, "domain.unblocked", domain, reason=reason, before="blocked", after=domain.state)
    return domain


@repeating.atomic
def retire(domain: SendingDomain, *, actor: Actor, reason: str, now: datetime | None = None) -> SendingDomain:
    """Out of use for good. Its MX and unsubscribe host have to stay alive until `keep_alive_until`."""
    actor.require("mailboxes.quarantine", domain)
    actor.require("mailboxes.release", domain)  # who may not put one back may not end one either
    domain = locked(domain)
    before = domain.state
    domain.move_to(SendingDomain.State.RETIRED)
    domain.state_reason, domain.retired_at = reason, now or this_moment()
    domain.save(update_fields=["state", "state_reason", "retired_at"])
    hooks.call("mailboxes.withdrawn", mailbox_ids=mailboxes_of(domain), reason=reason)
    until = keep_alive_until([domain]).get(domain.pk)
    audit.record(
        actor, "domain.retired", domain, reason=reason, before=before, after=domain.state,
        keep_alive_until=until and until.date(),
    )  # fmt: skip
    return domain


def take_verdict(domain: SendingDomain, state: str, reason: str, *, actor: Actor) -> bool:
    """Take over what a check found, in the check's own transaction with the row locked; False: nothing moved.

    The audit tells of verified and degraded; a failing domain that stays what it is only gets its reason.
    """
    before = domain.state
    if state == before and reason == domain.state_reason:
        return False
    if state != before:
        domain.move_to(state)
    domain.state_reason = reason
    domain.save(update_fields=["state", "state_reason"])
    if state == before:
        return False
    if state == SendingDomain.State.VERIFIED:
        Tenant.objects.filter(pk=domain.tenant_id).update(plan_wanted_at=this_moment())
    audit.record(actor, f"domain.{state}", domain, reason=reason, before=before, after=state)
    return True


# --- what retiring leaves to be done -----------------------------------------------------------------------


def last_sent(domains: Iterable[SendingDomain]) -> dict[int, datetime]:
    """When the last mail of each domain went out, by id; domains that never sent are missing."""
    found: dict[int, datetime] = {}
    hooks.call("mailboxes.last_sent", domain_ids=[domain.pk for domain in domains], found=found)
    return found


def keep_alive_until(domains: Iterable[SendingDomain]) -> dict[int, datetime]:
    """Until when MX and unsubscribe host of each domain have to answer; those that never sent are missing."""
    days = timedelta(days=settings.KEEP_ALIVE_DAYS)
    return {pk: at + days for pk, at in last_sent(domains).items()}


def mailboxes_of(domain: SendingDomain) -> list[int]:
    """Its mailboxes, locked in id order as everywhere, before any of their messages."""
    rows = Mailbox.objects.filter(domain=domain).order_by("pk").select_for_update(no_key=True)
    return list(rows.values_list("pk", flat=True))


# --- what may be set ----------------------------------------------------------------------------------------


def parse_name(text: str) -> str:
    """The name of a sending domain as it is stored. Raises BadInput."""
    name = addresses.parse_domain(text)
    if len(name) > 253:
        raise BadInput("A domain has at most 253 characters.", field="name")
    return name


def judge(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The values as they are stored. Raises BadInput that names the field."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key in NUMBERS:
            if value is not None and not 0 <= value <= MOST_A_DAY:
                raise BadInput(f"A cap is from 0 to {MOST_A_DAY:,}; leave it empty for none.", field=key)
            found[key] = value
        elif key == "dkim_selectors":
            found[key] = selectors(value)
        elif key in HOSTS:
            found[key] = _host(value, key)
        elif key == "registrar":
            if len(value) > 100 or "\0" in value:
                raise BadInput("A registrar has at most 100 characters.", field=key)
            found[key] = value.strip()
        elif key in DATES:
            if value is not None and value < EARLIEST:
                raise BadInput(f"{key} can't be before {EARLIEST.year}.", field=key)
            found[key] = value
        else:
            raise BadInput(f"{key} is nothing that can be set of a domain.", field=key)
    if found.get("tracking_host") == name:
        raise BadInput(
            "The host of the links can't be the domain itself: its MX needs that name.", field="tracking_host"
        )
    return found


def selectors(given: Iterable[str]) -> list[str]:
    """DKIM selectors in the order given, each once. Raises BadInput."""
    found = list(dict.fromkeys(selector.strip().lower() for selector in given if selector.strip()))
    for selector in found:
        labels = selector.split(".")
        fits = all(label and label.isascii() and label.replace("-", "").replace("_", "").isalnum() for label in labels)
        if not fits or len(selector) > SELECTOR_CHARS:
            raise BadInput(f"{selector[:70]!r} is no DKIM selector.", field="dkim_selectors")
    if len(found) > MOST_SELECTORS:
        raise BadInput(f"A domain has at most {MOST_SELECTORS} selectors.", field="dkim_selectors")
    return found


def _host(value: str | None, key: str) -> str | None:
    text = (value or "").strip()
    if not text:
        return None if key == "tracking_host" else ""
    try:
        return parse_name(text)
    except BadInput as error:
        raise BadInput(f"{text[:100]!r} is no host name.", field=key) from error


def plain(value: Any) -> Any:
    """A value for the audit and for previews: a list as text."""
    return " ".join(value) if isinstance(value, list) else value


def is_lower(new: int | None, old: int | None) -> bool:
    """Whether a cap of `new` lets less through than `old`; None is no limit."""
    return new is not None and (old is None or new < old)


def of_others(tenant_id: int, names: Iterable[str], hosts: Iterable[str]) -> tuple[set[str], set[str]]:
    """Which of these names, and which of these tracking hosts, belong to other tenants."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, name FROM domains_of_others(%s, %s, %s)", [tenant_id, list(names), list(hosts)])
        found = cursor.fetchall()
    return {name for kind, name in found if kind == "name"}, {name for kind, name in found if kind == "tracking_host"}


def _refuse_taken(domain: SendingDomain) -> None:
    hosts = [domain.tracking_host] if domain.tracking_host else []
    names, others = of_others(domain.tenant_id, [domain.name], hosts)
    if names:
        raise BadInput(f"{domain.name} belongs to another tenant.", field="name")
    own = SendingDomain.objects.exclude(pk=domain.pk).filter(tracking_host__in=hosts)
    if others or own.exists():
        raise BadInput(f"{domain.tracking_host} is the tracking host of another domain.", field="tracking_host")


def _saved(domain: SendingDomain, fields: list[str] | None = None) -> None:
    try:
        with transaction.atomic():
            domain.save(update_fields=fields)
    except IntegrityError as error:
        raise BadInput(f"There is a domain {domain.name} already.", field="name") from error
