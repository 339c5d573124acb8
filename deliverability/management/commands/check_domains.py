"""check_domains: the records of a tenant's sending domains are looked at now, and their states follow."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.timezone import now

from deliverability.services import checks
from mailboxes.models import SendingDomain
from outreach.common import progress, yaml_files
from outreach.common.errors import Missing, OutreachError
from tenants.management import acting
from tenants.models import Tenant
from tenants.services import tenants
from tenants.services.actors import Actor, visible_to

EXIT = {"failed": 2, "unknown": 3}
AT_ONCE = 100  # domains between two steps of the progress bar


class Command(BaseCommand):
    help = (
        "Check sending domains and move their states: verified once all is in order, degraded after two failing "
        "checks. "
        "Exit 0 if all may send, 2 if one fails, 3 if none fails but something could not be found out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="default: all that are not retired")
        parser.add_argument("--tenant", metavar="SLUG", help="default: all tenants")
        parser.add_argument("--nameserver", metavar="HOST:PORT", default="", help="ask this server, an IP address")
        parser.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, names: list[str], tenant: str | None, **options: Any) -> None:
        try:
            with acting.acting(options["actor"]) as actor:
                resolver = checks.resolver(options["nameserver"])
                found = chosen(actor, names, tenant)
                rows: list[dict[str, Any]] = []
                with progress.bar(len(found), "check_domains", unit="domains") as bar:
                    for start in range(0, len(found), AT_ONCE):
                        rows += check(found[start : start + AT_ONCE], resolver, actor)
                        bar.update(len(found[start : start + AT_ONCE]))
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        self.say(rows, as_json=options["json"])
        outcomes = {row["outcome"] for row in rows}
        for outcome, code in EXIT.items():
            if outcome in outcomes:
                raise SystemExit(code)

    def say(self, rows: list[dict[str, Any]], *, as_json: bool) -> None:
        """One object, or a line for each domain with its worst findings."""
        counts = {outcome: sum(row["outcome"] == outcome for row in rows) for outcome in ("sound", "failed", "unknown")}
        if as_json:
            self.stdout.write(json.dumps({"checked": len(rows), **counts, "domains": rows}))
            return
        for row in rows:
            self.stdout.write(f"{row['domain']} {row['state']} {row['outcome']}")
            for finding in row["findings"]:
                if finding["level"] in ("fail", "unknown"):
                    self.stdout.write(f"    {finding['level']:<7}  {finding['check']:<8}  {finding['text']}")
                    if finding["remedy"]:
                        self.stdout.write(f"{'':23}-> {finding['remedy']}")
        self.stdout.write(f"checked={len(rows)} " + " ".join(f"{name}={n}" for name, n in counts.items()))


def check(domains: list[SendingDomain], resolver: Any, actor: Actor) -> list[dict[str, Any]]:
    """Check these, and tell what was found of each and what state it has now."""
    done = checks.run(domains, resolver, actor=actor, now=now())
    states = dict(SendingDomain.objects.filter(pk__in=[row.pk for row in domains]).values_list("pk", "state"))
    return [
        {
            "domain": row.name,
            "state": states[row.pk],
            "outcome": done.checks[row.pk].outcome,
            "level": done.checks[row.pk].level,
            "findings": done.checks[row.pk].findings,
        }
        for row in domains
        if row.pk in done.checks
    ]


def chosen(actor: Actor, names: list[str], slug: str | None) -> list[SendingDomain]:
    """The domains of these names, else those in use; of one tenant or of all that the actor sees. Raises Missing."""
    rows = visible_to(actor, SendingDomain.objects.order_by("name"), "mailboxes.view")
    owner: Tenant | None = None
    if slug is not None:
        owner = tenants.find(slug)
        rows = rows.filter(tenant=owner)
    if not names:
        return list(rows.exclude(state=SendingDomain.State.RETIRED))
    wanted = [name.strip().lower().removesuffix(".") for name in names]
    found = {row.name: row for row in rows.filter(name__in=filter(yaml_files.storable, wanted))}
    for name in wanted:
        if name not in found:
            raise Missing(f"There is no sending domain {name!r}{f' of {owner.slug}' if owner else ''}.")
    return [found[name] for name in wanted]
