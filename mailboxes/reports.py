"""The fleet in numbers, each from one set-based query."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce, Least
from django.utils.timezone import now

from mailboxes.models import Allowance, Mailbox, ProviderAccount, SendingDomain
from tenants.models import Tenant

SENDING = Q(state__in=("active", "ramping", "probing"), hold=Mailbox.Hold.NONE)
HELD = ~Q(hold=Mailbox.Hold.NONE)
CAP_OF_DAY = Least("daily_cap", Coalesce("ramp_cap", "daily_cap"))


def day_label(zone: str, at: datetime) -> datetime:
    """The period_start of a day's allowance: the date in the zone, written as midnight UTC."""
    return datetime.combine(at.astimezone(ZoneInfo(zone)).date(), time(), UTC)


def reserved_today(mailboxes: Iterable[Mailbox]) -> dict[int, int]:
    """Mailbox id: messages that its allowance of today holds, sent ones included. Wants `tenant` loaded."""
    rows = list(mailboxes)
    at = now()
    labels = {row.tenant_id: day_label(row.tenant.time_zone, at) for row in rows}
    held = Allowance.objects.filter(
        scope=Allowance.Scope.MAILBOX_DAY, key__in=[row.pk for row in rows], period_start__in=set(labels.values())
    )
    owner = {row.pk: row.tenant_id for row in rows}
    return {
        key: reserved
        for key, start, reserved in held.values_list("key", "period_start", "reserved")
        if labels[owner[key]] == start
    }


@dataclass(frozen=True, slots=True)
class Fleet:
    """Counts of mailboxes, and of today's allowances; `states` is state: count."""

    total: int
    states: dict[str, int] = field(default_factory=dict)
    sending: int = 0
    held: int = 0
    blocked: int = 0
    busy: int = 0
    cap: int = 0
    reserved: int = 0
    used: int = 0
    accounts_stopped: int = 0
    domains_stopped: int = 0


def fleet(tenant_ids: frozenset[int] | None = None) -> Fleet:
    """The fleet of these tenants (None: of all) as it stands now."""
    at = now()

    def of(rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows if tenant_ids is None else rows.filter(tenant__in=tenant_ids)

    states = dict(of(Mailbox.objects.all()).order_by().values_list("state").annotate(n=Count("pk")))
    sums = of(Mailbox.objects.all()).aggregate(
        sending=Count("pk", filter=SENDING),
        held=Count("pk", filter=HELD),
        blocked=Count("pk", filter=Q(blocked_until__gt=at)),
        busy=Count("pk", filter=Q(held_until__gt=at)),
        cap=Sum(CAP_OF_DAY, filter=SENDING, default=0),
    )
    return Fleet(
        total=sum(states.values()),
        states=states,
        accounts_stopped=of(ProviderAccount.objects.all()).filter(~Q(state="active") | Q(blocked_until__gt=at)).count(),
        domains_stopped=of(SendingDomain.objects.all()).filter(state__in=("degraded", "blocked")).count(),
        **sums,
        **_used(tenant_ids, at),
    )


def _used(tenant_ids: frozenset[int] | None, at: datetime) -> dict[str, int]:
    """Mailboxes with something reserved today, and how much, each tenant by its own date."""
    tenants = Tenant.objects.values_list("pk", "time_zone")
    if tenant_ids is not None:
        tenants = tenants.filter(pk__in=tenant_ids)
    by_label: dict[datetime, list[int]] = {}
    for pk, zone in tenants:
        by_label.setdefault(day_label(zone, at), []).append(pk)
    today = Q(pk__in=[])
    for label, ids in by_label.items():
        today |= Q(period_start=label, tenant__in=ids)
    found = Allowance.objects.filter(today, scope=Allowance.Scope.MAILBOX_DAY).aggregate(
        used=Count("pk", filter=Q(reserved__gt=0)), reserved=Sum(F("reserved"), default=0)
    )
    return {"used": found["used"], "reserved": found["reserved"]}
