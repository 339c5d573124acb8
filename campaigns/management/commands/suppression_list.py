"""suppression_list [create|remove|export] NAME: named lists of what must not be mailed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from campaigns.models import SuppressionList
from campaigns.services import exporting, suppression_lists
from outreach.common import dry_runs, yaml_files
from outreach.common.errors import BadInput, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant
from tenants.services.actors import Actor

KINDS = [kind for kind in SuppressionList.Kind.values if kind != SuppressionList.Kind.OPT_OUT]


class Command(BaseCommand):
    help = "Show suppression lists with their counts; make one, remove one with all its entries, export one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("act", nargs="?", choices=("show", "create", "remove", "export"), default="show")
        parser.add_argument("name", nargs="?", default="", help="the list's name")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--tenant", metavar="SLUG", help="a list of this tenant")
        where.add_argument("--platform", action="store_true", help="a list that holds for everybody")
        parser.add_argument("--kind", choices=KINDS, help="create: what it is a list of")
        parser.add_argument("--owner", default="", help="create: who answers for it")
        parser.add_argument("--source", default="", help="create: where it comes from")
        parser.add_argument("--reason", default="", help="remove: why these people may be mailed again")
        parser.add_argument("--to", metavar="FILE", help="export: the CSV file; addresses are masked, with their hash")
        parser.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen and change nothing")
        second_person.add_arguments(parser)

    def handle(self, *, act: str, tenant: str | None, actor: str | None = None, **options: Any) -> None:
        try:
            if not all(yaml_files.storable(options[name]) for name in ("name", "owner", "source", "reason")):
                raise BadInput("An argument holds bytes that are no text.")
            if act != "show" and not options["name"].strip():
                raise BadInput("Name the list.", field="name")
            with acting.in_tenant_or_all(tenant, actor) as (owner, who):
                report = getattr(self, f"_{act}")(owner, who, options)
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        self._print(report, as_json=options["json"])

    def _show(self, owner: Tenant | None, who: Actor, options: dict[str, Any]) -> dict[str, Any]:
        if owner:
            who.require("campaigns.view", owner)
        else:
            who.require("campaigns.suppress_platform")
        rows = SuppressionList.objects.filter(tenant=owner)
        rows = rows.filter(name=options["name"].strip()) if options["name"] else rows
        return {"lists": shown(list(rows))}

    def _create(self, owner: Tenant | None, who: Actor, options: dict[str, Any]) -> dict[str, Any]:
        given = {name: options[name] for name in ("owner", "source")}
        with dry_runs.perhaps(options["dry_run"]):
            row = suppression_lists.create(owner, options["name"], kind=options["kind"] or "", actor=who, **given)
            return shown([row])[0]

    def _remove(self, owner: Tenant | None, who: Actor, options: dict[str, Any]) -> dict[str, Any]:
        with second_person.asked(who, options), dry_runs.perhaps(options["dry_run"]):
            row = suppression_lists.find(owner, options["name"])
            row = suppression_lists.remove(row, actor=who, reason=options["reason"], approval=options["approval"])
            return shown([row])[0]

    def _export(self, owner: Tenant | None, who: Actor, options: dict[str, Any]) -> dict[str, Any]:
        if not options["to"]:
            raise BadInput("Name the file: --to FILE.", field="to")
        row = suppression_lists.find(owner, options["name"])
        with exporting.export_suppression_lists(SuppressionList.objects.filter(pk=row.pk), actor=who) as made:
            try:
                with Path(options["to"]).open("xb") as file:
                    shutil.copyfileobj(made, file)
            except OSError as error:
                raise BadInput(f"{options['to']} can't be written: {error.strerror}.", field="to") from error
        return shown([row])[0] | {"file": options["to"]}

    def _print(self, report: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(report, default=str))
            return
        for line in report.get("lists", [report]):
            self.stdout.write(" ".join(f"{key}={value}" for key, value in line.items()))
        if report.get("lists") == []:
            self.stdout.write("There is no suppression list.")


def shown(rows: list[SuppressionList]) -> list[dict[str, Any]]:
    counts = suppression_lists.counts(rows)
    return [
        {
            "suppression_list": row.pk, "name": row.name, "kind": row.kind, "owner": row.owner, "source": row.source,
            "entries": counts[row.pk][0], "lifted": counts[row.pk][1], "removed_at": row.removed_at,
        }
        for row in rows
    ]  # fmt: skip
