"""stop SCOPE [TARGET] --reason TEXT [--until WHEN] | stop --lift ID --reason TEXT | stop: what stands still."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.timezone import now

from campaigns.ledger import covering
from campaigns.models import Stop
from campaigns.services import stops
from outreach.common import dry_runs, yaml_files
from outreach.common.errors import BadInput, Missing, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant
from tenants.services.actors import Actor, visible_to


class Command(BaseCommand):
    help = "Pull the stop lever on a scope, lift a stop, or show what stands still."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("scope", nargs="?", help=f"{', '.join(Stop.Scope.values)}; SCOPE:TARGET will do as well")
        parser.add_argument("target", nargs="?", default="", help="its name or id; an account is HOST:PORT")
        parser.add_argument("--tenant", metavar="SLUG", help="whose account, pool or campaign; the tenant to stop")
        parser.add_argument("--organisational", default="", metavar="DOMAIN", help="its mail to the receiver alone")
        parser.add_argument("--reason", default="", help="stands with the stop and in the audit")
        parser.add_argument("--until", metavar="WHEN", help="90m, 4h, 2d, or 2026-05-01T08:00+02:00; else until lifted")
        parser.add_argument("--lift", type=int, metavar="ID", help="let go on what that stop holds")
        parser.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen and change nothing")
        second_person.add_arguments(parser)

    def handle(self, *, scope: str | None, tenant: str | None, actor: str | None = None, **options: Any) -> None:
        try:
            if not all(yaml_files.storable(options[name]) for name in ("reason", "target", "organisational")):
                raise BadInput("An argument holds bytes that are no text.")
            with acting.in_tenant_or_all(tenant, actor) as (owner, who):
                if options["lift"] is not None:
                    report = self._lift(who, options)
                elif scope:
                    report = self._pull(scope, owner, who, options)
                else:
                    report = {"stops": [_shown(stop, covered) for stop, covered in standing(who)]}
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        self._print(report, as_json=options["json"])

    def _pull(self, scope: str, owner: Tenant | None, who: Actor, options: dict[str, Any]) -> dict[str, Any]:
        scope, _, named = scope.partition(":")
        target = stops.find(
            scope, options["target"] or named, tenant=owner, organisational=options["organisational"], actor=who
        )
        until = stops.parse_until(options["until"] or "", now())
        _, covered = stops.preview(scope, target, actor=who)
        with dry_runs.perhaps(options["dry_run"]):
            stop = stops.pull(scope, target, actor=who, reason=options["reason"], until=until)
            return _shown(stop, covered) | {"taken_back": stop.taken_back}

    def _lift(self, who: Actor, options: dict[str, Any]) -> dict[str, Any]:
        stop = Stop.objects.filter(pk=options["lift"]).first() if 0 < options["lift"] < 2**63 else None
        if stop is None:
            raise Missing(f"There is no stop {options['lift']}; `stop` lists those that are open.")
        with second_person.asked(who, options), dry_runs.perhaps(options["dry_run"]):
            stop = stops.lift(stop, actor=who, reason=options["reason"], approval=options["approval"])
            return {"stop": stop.pk, "scope": stop.scope, "what": stop.label, "lifted_at": stop.lifted_at}

    def _print(self, report: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(report, default=str))
            return
        for line in report.get("stops", [report]):
            self.stdout.write(" ".join(f"{key}={value}" for key, value in line.items()))
        if report.get("stops") == []:
            self.stdout.write("Nothing stands still.")


def standing(who: Actor) -> list[tuple[Stop, covering.Covered]]:
    """What stands still, of what the actor may see, each with how much that is."""
    found = list(visible_to(who, stops.standing()))
    return list(zip(found, covering.count(found), strict=True))


def _shown(stop: Stop, covered: covering.Covered) -> dict[str, Any]:
    return {
        "stop": stop.pk,
        "scope": stop.scope,
        "what": stop.label,
        "tenant": stop.tenant and stop.tenant.slug,
        "reason": stop.reason,
        "since": stop.since,
        "until": stop.until,
        **asdict(covered),
    }
