"""ramp start|stop|show ADDRESS...|--pool NAME|--domain NAME... --tenant SLUG."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailboxes.models import DomainRampDay, Mailbox, Pool, RampDay, RampPlan, SendingDomain
from mailboxes.services import domain_ramp, ramp
from outreach.common import dry_runs, yaml_files
from outreach.common.errors import BadInput, Missing, NeedsApproval, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant
from tenants.services.actors import Actor

Ramped = Mailbox | SendingDomain


class Command(BaseCommand):
    help = "Put mailboxes or sending domains on a ramp, take them off, or show where they stand."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        start = acts.add_parser("start", help="the cap begins low and rises by mail that went out")
        start.add_argument(
            "--plan", metavar="NAME", help="without it: standard, for domains: domains; made when missing"
        )
        stop = acts.add_parser("stop", help="from now on the mailbox's own cap alone holds")
        stop.add_argument("--reason", default="", help="stands in the audit")
        second_person.add_arguments(stop)
        show = acts.add_parser("show", help="the cap of today, and why")
        for one in (start, stop, show):
            one.add_argument("addresses", nargs="*", metavar="ADDRESS")
            one.add_argument("--pool", metavar="NAME", help="all mailboxes of the pool that are not retired")
            one.add_argument("--domain", nargs="+", default=[], metavar="NAME", help="sending domains, not mailboxes")
            acting.add_arguments(one, writes=one is not show)

    def handle(self, *, act: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        try:
            with acting.in_tenant(tenant, actor) as (owner, who):
                rows = chosen(owner, options["addresses"], options["pool"], options["domain"])
                report = show(who, rows) if act == "show" else self.change(act, owner, who, rows, options)
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        self.say(report, as_json=options["json"])
        if report.get("refused"):
            raise CommandError(f"Refused: {'; '.join(report['refused'][:20])}", returncode=2)

    def change(
        self, act: str, owner: Tenant, who: Actor, rows: Sequence[Ramped], options: dict[str, Any]
    ) -> dict[str, Any]:
        """One transaction for each mailbox, since each act locks the audit to its end; with --dry-run one for all."""
        reason = options.get("reason", "")
        if not yaml_files.storable(reason):
            raise BadInput("--reason: holds bytes that are no text.")
        done, refused = 0, []
        with dry_runs.perhaps(options["dry_run"]):
            plan = plan_of(owner, options["plan"], who, bool(options["domain"])) if act == "start" else None
            for n, row in enumerate(rows, 1):
                try:
                    if plan is not None:
                        start(row, plan, who)
                    else:
                        with second_person.asked(who, options):
                            leave(row, who, reason, options["approval"])
                    done += 1
                except NeedsApproval:
                    if len(rows) == 1:
                        raise
                    refused.append(f"{row} needs a second person")
                except OutreachError as error:
                    refused.append(str(error))
                if n % 100 == 0:
                    self.stderr.write(f"{n:,} of {len(rows):,}", ending="\r")
        return {"act": act, "done": done, "refused": refused, "dry_run": options["dry_run"]}

    def say(self, report: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(report))
        elif "act" not in report:
            (rows,) = report.values()
            for row in rows:
                self.stdout.write(" ".join(f"{key}={'' if value is None else value}" for key, value in row.items()))
        else:
            self.stdout.write(f"act={report['act']} done={report['done']} refused={len(report['refused'])}")


def start(row: Ramped, plan: RampPlan, who: Actor) -> None:
    if isinstance(row, SendingDomain):
        domain_ramp.start_domain_ramp(row, plan, actor=who)
    else:
        ramp.start_ramp(row, plan, actor=who)


def leave(row: Ramped, who: Actor, reason: str, approval: int | None) -> None:
    if isinstance(row, SendingDomain):
        domain_ramp.leave_domain_ramp(row, actor=who, reason=reason, approval=approval)
    else:
        ramp.leave_ramp(row, actor=who, reason=reason, approval=approval)


def chosen(owner: Tenant, addresses: Sequence[str], pool: str | None, domains: Sequence[str]) -> Sequence[Ramped]:
    """The mailboxes of those addresses, or of the pool, or the domains. Raises BadInput, Missing."""
    if bool(addresses) + (pool is not None) + bool(domains) != 1:
        raise BadInput("Name addresses, or a pool with --pool, or domains with --domain.")
    if domains:
        return chosen_domains(owner, domains)
    rows = Mailbox.objects.filter(tenant=owner).select_related("ramp").order_by("pk")
    if pool is not None:
        if not yaml_files.storable(pool) or not Pool.objects.filter(tenant=owner, name=pool).exists():
            raise Missing(f"{owner.slug} has no pool {pool!r}.")
        return list(rows.filter(pool__name=pool).exclude(state=Mailbox.State.RETIRED))
    wanted = [address.strip().lower() for address in addresses]
    found = {box.address_key: box for box in rows.filter(address_key__in=filter(yaml_files.storable, wanted))}
    for key in wanted:
        if key not in found:
            raise Missing(f"{owner.slug} has no mailbox {key!r}.")
    return list(found.values())


def chosen_domains(owner: Tenant, names: Sequence[str]) -> list[SendingDomain]:
    wanted = [name.strip().lower().removesuffix(".") for name in names]
    rows = SendingDomain.objects.filter(tenant=owner, name__in=filter(yaml_files.storable, wanted))
    found = {domain.name: domain for domain in rows.select_related("ramp").order_by("pk")}
    for name in wanted:
        if name not in found:
            raise Missing(f"{owner.slug} has no sending domain {name!r}.")
    return list(found.values())


def plan_of(owner: Tenant, name: str | None, who: Actor, of_domains: bool) -> RampPlan:
    """The plan of that name; without a name the standard one, made if need be."""
    if name is not None and not yaml_files.storable(name):
        raise BadInput("--plan: holds bytes that are no text.")
    if name is None and of_domains:
        return domain_ramp.standard_plan(owner, actor=who)
    plan = ramp.find_plan(owner, name or ramp.STANDARD)
    if plan is None and name is not None:
        raise Missing(f"{owner.slug} has no ramp plan {name!r}.")
    return plan or ramp.add_plan(owner, ramp.STANDARD, actor=who)


def show(who: Actor, rows: Sequence[Ramped]) -> dict[str, Any]:
    """Where each mailbox or domain stands; the last day's decision with its reason."""
    for row in rows[:1]:
        who.require("mailboxes.view", row)
    if rows and isinstance(rows[0], SendingDomain):
        of_domains = DomainRampDay.objects.filter(domain__in=[row.pk for row in rows]).order_by("domain_id", "-day")
        latest = {day.domain_id: day for day in of_domains.distinct("domain_id")}
        return {"domains": [_of_domain(row, latest.get(row.pk)) for row in rows if isinstance(row, SendingDomain)]}
    days = RampDay.objects.filter(mailbox__in=[row.pk for row in rows]).order_by("mailbox_id", "-day")
    last = {day.mailbox_id: day for day in days.distinct("mailbox_id")}
    return {"mailboxes": [{"address": str(row), **_standing(row, last.get(row.pk))} for row in rows]}


def _of_domain(domain: SendingDomain, day: DomainRampDay | None) -> dict[str, Any]:
    first = domain_ramp.not_before(domain)
    return {"domain": domain.name, **_standing(domain, day), "sends_from": first and first.isoformat()}


def _standing(row: Ramped, day: RampDay | DomainRampDay | None) -> dict[str, Any]:
    return {
        "state": row.state,
        "plan": row.ramp and row.ramp.name,
        "ramp_cap": row.ramp_cap,
        "daily_cap": row.daily_cap,
        "cap": row.cap_of_day,
        "day": day and day.day.isoformat(),
        "decision": day and day.kind,
        "why": day and str(day.why),
        "until": day and day.until and day.until.isoformat(),
    }
