"""What is known of sending domains, for pages and commands: what to publish, and what waits for whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, Q, QuerySet

from campaigns.models import Contact
from deliverability.dns import records, verdict
from deliverability.dns.findings import Finding, found
from deliverability.dns.records import Record
from deliverability.models import DomainCheck
from deliverability.services import checks
from mailboxes.models import Mailbox, ProviderAccount, SendingDomain
from outreach.common import freshness
from tenants.models import Tenant

ORDER: tuple[verdict.Who, ...] = ("dns", "registrar", "ops", "nobody")
RENEWAL_DAYS = 30  # before the registration ends somebody has to know
MOST_DOMAINS = 1000  # on one page
NOT_READY = ("new", "degraded", "blocked")


def records_of(domains: Iterable[SendingDomain]) -> list[Record]:
    """What these domains' owners have to publish, domain by domain."""
    return [record for _row, wanted in checks.wanted_of(list(domains)) for record in records.needed(wanted)]


def cells(record: Record) -> list[str]:
    """One record as a line of records.COLUMNS."""
    return [record.domain, record.check, record.name, record.type, record.shown, record.why]


@dataclass(frozen=True, slots=True)
class Waiting:
    """One thing that one domain waits for."""

    domain: SendingDomain
    finding: Finding
    mailboxes: int  # of the domain, that are in use
    since: datetime | None = None  # of the check


@dataclass(frozen=True, slots=True)
class Held:
    """Mailboxes that wait for the same thing; `lookups` narrow their list to these."""

    what: str  # sign_in_failed, locked, quarantined, account
    count: int
    lookups: dict[str, Any]
    subject: str = ""
    reason: str = ""


@dataclass(slots=True)
class OfTenant:
    """What one tenant waits for, by who has to act."""

    tenant: Tenant
    domains: dict[verdict.Who, list[Waiting]] = field(default_factory=lambda: {who: [] for who in ORDER})
    held: list[Held] = field(default_factory=list)
    not_ready: set[int] = field(default_factory=set)  # domains that may not send
    idle: int = 0  # mailboxes of those
    ready: int = 0  # domains that may
    is_cut: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.held and not any(self.domains.values())


def waiting(tenants: QuerySet[Tenant], today: date) -> list[OfTenant]:
    """What waits for whom in each of these tenants, in a handful of queries for all; also where nothing does."""
    found = {tenant.pk: OfTenant(tenant) for tenant in tenants.order_by("name")}
    rows = SendingDomain.objects.filter(tenant__in=found).order_by("tenant_id", "name")
    boxes = dict(
        Mailbox.objects.filter(tenant__in=found)
        .exclude(state=Mailbox.State.RETIRED)
        .order_by()
        .values_list("domain_id")
        .annotate(n=Count("pk"))
    )
    for row, check in _to_show(rows, found, today):
        entry = found[row.tenant_id]
        for item in _of(row, check, today):
            waits = Waiting(row, item, boxes.get(row.pk, 0), check and check.at)
            entry.domains[verdict.turn_of(item) if item.check != "domain" else _turn(item)].append(waits)
    for pk, state, tenant_id in rows.values_list("pk", "state", "tenant_id"):
        if state in NOT_READY:
            found[tenant_id].not_ready.add(pk)
            found[tenant_id].idle += boxes.get(pk, 0) if state != "degraded" else 0
        if state in SendingDomain.SENDABLE:
            found[tenant_id].ready += 1
    for tenant_id, held in _held(found):
        found[tenant_id].held.append(held)
    return list(found.values())


def _to_show(
    rows: QuerySet[SendingDomain], found: dict[int, OfTenant], today: date
) -> list[tuple[SendingDomain, DomainCheck | None]]:
    """The domains with something to say, and their last checks, whose findings are read for these only."""
    last = DomainCheck.objects.filter(tenant__in=found).order_by("domain_id", "-at", "-pk").distinct("domain_id")
    levels = {domain: (pk, level) for pk, domain, level in last.values_list("pk", "domain_id", "level")}
    failing = [domain for domain, (_, level) in levels.items() if level == DomainCheck.Level.FAIL]
    ends = Q(renews_on__lte=today + timedelta(days=RENEWAL_DAYS)) & ~Q(state=SendingDomain.State.RETIRED)
    shown = list(rows.filter(Q(state__in=NOT_READY) | Q(pk__in=failing) | ends)[: MOST_DOMAINS + 1])
    if len(shown) > MOST_DOMAINS:
        for entry in found.values():
            entry.is_cut = True
    wanted = [levels[row.pk][0] for row in shown if row.pk in levels]
    known = {check.domain_id: check for check in DomainCheck.objects.filter(pk__in=wanted)}
    return [(row, known.get(row.pk)) for row in shown[:MOST_DOMAINS]]


def _of(row: SendingDomain, check: DomainCheck | None, today: date) -> list[Finding]:
    """What stands against a domain, the last check's findings included."""
    items = [each for each in checks.findings_of(check) if each.level in ("fail", "unknown")]
    if row.state == SendingDomain.State.BLOCKED:
        remedy = "Find cause and remedy, then lift the block with both as the reason."
        items.insert(0, _own("blocked", f"Blocked by a person: {row.state_reason}", remedy))
    elif row.state in (SendingDomain.State.NEW, SendingDomain.State.DEGRADED) and not items:
        until = f"It is {row.state} until its records were looked at again."
        text = "Its records were not looked at yet." if check is None else until
        items.append(_own("unchecked", text, "The console looks within minutes."))
    if row.renews_on and row.renews_on <= today + timedelta(days=RENEWAL_DAYS) and row.state != "retired":
        when = "ended" if row.renews_on < today else "ends"
        text = f"The registration {when} on {row.renews_on:%Y-%m-%d}."
        items.append(_own("renewal", text, f"Renew it at {row.registrar or 'its registrar'}, and enter the new date."))
    return items


def _own(code: str, text: str, remedy: str) -> Finding:
    return found("domain", "fail", code, text, remedy)


def _turn(item: Finding) -> verdict.Who:
    turns: dict[str, verdict.Who] = {"blocked": "ops", "renewal": "registrar"}
    return turns.get(item.code, "nobody")


def _held(found: dict[int, OfTenant]) -> list[tuple[int, Held]]:
    """Mailboxes that a person has to see to, by tenant and cause."""
    boxes = Mailbox.objects.filter(tenant__in=found).exclude(state=Mailbox.State.RETIRED).order_by()
    counted: dict[tuple[int, str], int] = defaultdict(int)
    for tenant_id, hold, n in boxes.exclude(hold="none").values_list("tenant_id", "hold").annotate(n=Count("pk")):
        counted[tenant_id, hold] += n
    rows = [
        (tenant_id, Held(hold, n, {"tenant__id__exact": tenant_id, "hold__exact": hold}))
        for (tenant_id, hold), n in sorted(counted.items())
    ]
    quarantined = boxes.filter(state=Mailbox.State.QUARANTINED).values_list("tenant_id").annotate(n=Count("pk"))
    for tenant_id, n in quarantined:
        rows.append(
            (tenant_id, Held("quarantined", n, {"tenant__id__exact": tenant_id, "state__exact": "quarantined"}))
        )
    stopped = ProviderAccount.objects.filter(tenant__in=found).exclude(state=ProviderAccount.State.ACTIVE)
    in_use = Count("mailboxes", filter=~Q(mailboxes__state=Mailbox.State.RETIRED))
    for account in stopped.annotate(n=in_use).order_by("host", "port"):
        if account.n:
            lookups = {"home__id__exact": account.pk}
            rows.append((account.tenant_id, Held("account", account.n, lookups, str(account), account.state_reason)))
    return rows


def verdicts(tenants: Sequence[Tenant]) -> list[tuple[Tenant, list[tuple[str, str, int]]]]:
    """How many contacts of each tenant have which verdict for which reason, the most first; kept for a moment."""

    def count(tenant_id: int) -> list[tuple[str, str, int]]:
        rows = Contact.objects.filter(tenant_id=tenant_id).order_by().values_list("validity", "validity_reason")
        return sorted(rows.annotate(n=Count("pk")), key=lambda row: (-row[2], row))

    return [(row, freshness.kept(("verdicts", row.pk), lambda pk=row.pk: count(pk))) for row in tenants]
