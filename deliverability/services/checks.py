"""Checks of sending domains against DNS: what is asked, what is kept of the answers, what state follows.

Threads ask DNS and see no model; the rows are written by the caller's thread, one short transaction for each domain, so
none is open while a name server keeps us waiting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from deliverability.dns import checks, dmarc, mx, spf, standby, verdict
from deliverability.dns.findings import Finding, found, worst
from deliverability.dns.records import Wanted
from deliverability.dns.resolver import RUN_SECONDS, Resolver
from deliverability.models import DomainCheck
from mailboxes import hosts
from mailboxes.models import Mailbox, ProviderAccount, SendingDomain, Standby
from mailboxes.services import domains as sending_domains
from mailboxes.services import routes
from outreach.common import repeating
from outreach.common.errors import BadInput
from tenants.services.actors import Actor

log = structlog.get_logger(__name__)

DEGRADED_AFTER = timedelta(minutes=10)  # two failing checks that far apart
CLAIM = timedelta(minutes=5)  # a worker that died gives its domains back after that
KEPT_DAYS = 90
AT_ONCE = 200  # domains of one claim

CLAIM_SQL = """
UPDATE mailboxes_sendingdomain SET check_due_at = %(until)s WHERE id IN (
    SELECT id FROM mailboxes_sendingdomain
    WHERE tenant_id = %(tenant)s AND (check_due_at IS NULL OR check_due_at <= %(now)s)
        AND (state <> 'retired' OR retired_at > %(alive)s)
    ORDER BY check_due_at NULLS FIRST, id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
) RETURNING id"""


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be found out about one domain; plain values for the threads."""

    domain_id: int
    wanted: Wanted
    is_retired: bool = False
    standbys: tuple[standby.Asked, ...] = ()


@dataclass(slots=True)
class Result:
    """What became of some domains: the ids by outcome and of those that moved, and all findings by domain."""

    checked: int = 0
    outcomes: dict[str, int] = field(default_factory=lambda: dict.fromkeys(DomainCheck.Outcome.values, 0))
    verified: list[int] = field(default_factory=list)
    degraded: list[int] = field(default_factory=list)
    checks: dict[int, DomainCheck] = field(default_factory=dict)


def resolver(nameserver: str = "", *, run_seconds: float = RUN_SECONDS) -> Resolver:
    """A resolver for HOST:PORT, else for DNS_NAMESERVER, else for what this machine asks. Raises BadInput."""
    given = nameserver or settings.DNS_NAMESERVER
    try:
        return Resolver([address_of(given)] if given else None, run_seconds=run_seconds)
    except ValueError as error:
        raise BadInput(f"The name server {given!r} can't be asked: {error}", field="nameserver") from error


def address_of(text: str) -> tuple[str, int]:
    """HOST:PORT, HOST, [IPv6]:PORT or IPv6. Raises ValueError."""
    host, port = text, "53"
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or "53"
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65536):
        raise ValueError(f"{port!r} is no port")
    return host, int(port)


def run(domains: Iterable[SendingDomain], resolver: Resolver, *, actor: Actor, now: datetime) -> Result:
    """Check these domains, at most DNS_CHECKS_AT_ONCE at a time; keep what was found and move their states.

    Each domain is asked about with a fresh copy of `resolver`. Safe beside another run: states are judged on locked
    rows. Needs no transaction around it, and must have none but in tests.
    """
    rows = list(domains)
    for row in {row.tenant_id: row for row in rows}.values():
        actor.require("deliverability.check", row)
    result = Result()
    for question, findings, ways in _answers(questions(rows), resolver):
        check = keep(question.domain_id, findings, actor=actor, now=now, result=result)
        if check is not None:
            result.checks[check.domain_id] = check
            if ways:
                routes.note_ready(check.domain, ways, actor=actor, now=now)
    return result


def check_now(domain: SendingDomain, *, actor: Actor, now: datetime) -> DomainCheck | None:
    """Check one domain at once; None if it went meanwhile."""
    return run([domain], resolver(), actor=actor, now=now).checks.get(domain.pk)


def run_due(tenant_id: int, *, actor: Actor, now: datetime, limit: int = AT_ONCE) -> Result:
    """Check the domains of a tenant whose turn it is; nobody else takes them meanwhile."""
    values: dict[str, Any] = {"tenant": tenant_id, "now": now, "until": now + CLAIM, "limit": limit}
    values["alive"] = now - timedelta(days=settings.KEEP_ALIVE_DAYS)
    with connection.cursor() as cursor:
        cursor.execute(CLAIM_SQL, values)
        ids = [row[0] for row in cursor.fetchall()]
    rows = SendingDomain.objects.filter(pk__in=ids).order_by("pk")
    return run(rows, resolver(), actor=actor, now=now) if ids else Result()


def tenants_with_due(now: datetime) -> list[int]:
    """The tenants that have domains whose turn it is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT tenant_id FROM mailboxes_sendingdomain WHERE (check_due_at IS NULL OR check_due_at <= %s) "
            "AND (state <> 'retired' OR retired_at > %s) ORDER BY tenant_id",
            [now, now - timedelta(days=settings.KEEP_ALIVE_DAYS)],
        )
        return [row[0] for row in cursor.fetchall()]


def forget(tenant_id: int, *, now: datetime) -> int:
    """Delete checks older than KEPT_DAYS; a domain's last one is never that old while it is in use."""
    return DomainCheck.objects.filter(tenant=tenant_id, at__lt=now - timedelta(days=KEPT_DAYS)).delete()[0]


# --- asking ---------------------------------------------------------------------------------------------------


def questions(domains: Sequence[SendingDomain]) -> list[Question]:
    """What to ask for these domains, in three queries for all of them."""
    named: dict[int, list[standby.Asked]] = defaultdict(list)
    for entry in Standby.objects.filter(domain__in=[row.pk for row in domains]).select_related("account"):
        named[entry.domain_id].append(_asked(entry.account))
    return [
        Question(row.pk, wanted, row.state == SendingDomain.State.RETIRED, tuple(named[row.pk]))
        for row, wanted in wanted_of(domains)
    ]


def _asked(account: ProviderAccount) -> standby.Asked:
    terms = hosts.spf_terms(account.host, account.spf_terms)
    named = account.options.get("dkim_selectors", ())
    return standby.Asked(account.pk, str(account), terms, tuple(map(str, named)) if isinstance(named, list) else ())


def wanted_of(domains: Sequence[SendingDomain]) -> Iterator[tuple[SendingDomain, Wanted]]:
    """Each domain with what is known of it: the accounts that its mailboxes leave by decide what SPF has to cover."""
    accounts: dict[int, set[int]] = defaultdict(set)
    boxes = Mailbox.objects.filter(domain__in=[row.pk for row in domains]).exclude(state=Mailbox.State.RETIRED)
    for domain_id, home_id in boxes.order_by().values_list("domain_id", "home_id").distinct():
        accounts[domain_id].add(home_id)
    known = ProviderAccount.objects.in_bulk(list(set().union(*accounts.values())))
    for row in domains:
        ways = sorted((known[pk] for pk in accounts[row.pk]), key=lambda account: (account.host, account.port))
        terms = {account: hosts.spf_terms(account.host, account.spf_terms) for account in ways}
        links = (row.tracking_host, settings.TRACKING_TARGET) if row.tracking_host else None
        yield (
            row,
            Wanted(
                domain=row.name,
                spf_terms=tuple(dict.fromkeys(term for each in terms.values() for term in each)),
                unknown=tuple(dict.fromkeys(account.host for account, each in terms.items() if not each)),
                selectors=tuple(row.dkim_selectors),
                hosts=tuple(dict.fromkeys(filter(None, (hosts.known(account.host) for account in ways)))),
                return_path=row.return_path,
                links=links,
                reports=settings.DMARC_REPORTS,
            ),
        )


Ways = dict[int, tuple[bool | None, str]]  # of each standby: whether it is ready, and why


def _answers(asked: Sequence[Question], resolver: Resolver) -> Iterator[tuple[Question, list[Finding], Ways]]:
    """The findings of each question, and what they say of its standbys, as they come in."""
    if not asked:
        return
    threads = ThreadPoolExecutor(min(len(asked), settings.DNS_CHECKS_AT_ONCE), thread_name_prefix="dns")
    try:
        running: dict[Future[tuple[list[Finding], Ways]], Question] = {
            threads.submit(_look, question, resolver): question for question in asked
        }
        for done in as_completed(running):
            yield running[done], *done.result()
    finally:
        threads.shutdown(cancel_futures=True)


def _look(question: Question, resolver: Resolver) -> tuple[list[Finding], Ways]:
    """As `look`, and at each standby."""
    fresh, wanted = resolver.fresh(), question.wanted
    envelope = wanted.return_path or wanted.domain
    ways = {asked.account_id: standby.check(fresh, wanted.domain, envelope, asked) for asked in question.standbys}
    return look(question, resolver), ways


def look(question: Question, resolver: Resolver) -> list[Finding]:
    """Ask DNS for everything about one domain. No model, no settings, no connection: threads run it."""
    wanted, fresh = question.wanted, resolver.fresh()
    if question.is_retired:  # late replies and opt-outs still have to find their way
        findings = mx.check(fresh, wanted.domain)
        return findings + _links(fresh, wanted)
    try:
        ways = hosts.ways_out(wanted.spf_terms)
    except ValueError as error:
        text, remedy = f"What SPF has to cover can't be read: {error}.", "Correct the SPF terms of the account."
        return [found("spf", "unknown", "way_out_unknown", text, remedy)]
    if wanted.return_path in ("", wanted.domain):
        findings = checks.check(fresh, wanted.domain, selectors=wanted.selectors)
        envelope = wanted.domain
    else:
        findings = checks.check(fresh, wanted.domain, selectors=wanted.selectors)
        envelope = wanted.return_path
        findings = [finding for finding in findings if finding.check != "spf"]  # receivers ask the envelope's domain
        findings += spf.check(fresh, envelope) + mx.check(fresh, envelope)
        findings.append(dmarc.alignment(fresh, "spf", envelope, wanted.domain))
    covered = spf.covers(fresh, envelope, ways)
    findings += [replace(each, level="fail") if each.level == "warn" else each for each in covered]
    for server in wanted.unknown:
        text = f"What mail leaves by behind {server} is not known, so nobody can tell whether SPF covers it."
        findings.append(found("spf", "unknown", "way_out_unknown", text, f"Set the SPF terms of the account {server}."))
    return list(dict.fromkeys(findings + _links(fresh, wanted)))


def _links(resolver: Resolver, wanted: Wanted) -> list[Finding]:
    return [checks.tracking.check(resolver, *wanted.links)] if wanted.links else []


# --- keeping and judging ---------------------------------------------------------------------------------------


@repeating.atomic
def keep(
    domain_id: int, findings: Sequence[Finding], *, actor: Actor, now: datetime, result: Result | None = None
) -> DomainCheck | None:
    """Store one check and move the domain's state by it; None if the domain is gone.

    New becomes verified by a sound check only. Verified becomes degraded by a failing one if another failed at least
    DEGRADED_AFTER before, with none sound since. What could not be told moves nothing.
    """
    domain = SendingDomain.objects.select_for_update(no_key=True).filter(pk=domain_id).first()
    if domain is None:
        return None
    actor.require("deliverability.check", domain)
    outcome = verdict.outcome(findings)
    failed_before = outcome == "failed" and _failed_before(domain, now)
    check = DomainCheck.objects.create(
        tenant_id=domain.tenant_id,
        domain=domain,
        at=now,
        level=worst(findings),
        outcome=outcome,
        findings=[finding.as_dict() for finding in findings],
    )
    move = verdict.judge(domain.state, findings, failed_before=failed_before)
    domain.checked_at = now
    domain.check_due_at = now + _pause(domain, outcome)
    domain.save(update_fields=["checked_at", "check_due_at"])
    moved = move is not None and sending_domains.take_verdict(domain, move.state, move.reason, actor=actor)
    if result is not None:
        result.checked += 1
        result.outcomes[outcome] += 1
        if moved:
            (result.verified if domain.state == SendingDomain.State.VERIFIED else result.degraded).append(domain.pk)
    return check


def _failed_before(domain: SendingDomain, now: datetime) -> bool:
    earlier = DomainCheck.objects.filter(domain=domain)
    sound = earlier.filter(outcome=DomainCheck.Outcome.SOUND, at__lte=now).order_by("-at").values_list("at", flat=True)
    failed = earlier.filter(outcome=DomainCheck.Outcome.FAILED, at__lte=now - DEGRADED_AFTER)
    return failed.filter(at__gt=last).exists() if (last := sound.first()) else failed.exists()


def _pause(domain: SendingDomain, outcome: str) -> timedelta:
    if domain.state == SendingDomain.State.RETIRED:
        return timedelta(days=1)
    settled = outcome == DomainCheck.Outcome.SOUND
    return timedelta(seconds=settings.DOMAIN_CHECK_SECONDS if settled else settings.DOMAIN_CHECK_AGAIN_SECONDS)


def latest(domains: Iterable[Any]) -> dict[int, DomainCheck]:
    """The last check of each of these domains (rows or ids), by domain id."""
    rows = DomainCheck.objects.filter(domain__in=list(domains)).order_by("domain_id", "-at", "-pk")
    return {row.domain_id: row for row in rows.distinct("domain_id")}


def findings_of(check: DomainCheck | None) -> list[Finding]:
    """What a check found, as it was found."""
    return [Finding(**each | {"evidence": tuple(each["evidence"])}) for each in (check.findings if check else [])]
