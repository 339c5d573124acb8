"""Write a tenant's record from a YAML file, and show its checklist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from outreach.common import yaml_files
from outreach.common.errors import BadInput, OutreachError
from tenants.management import acting
from tenants.models import Tenant
from tenants.services import records
from tenants.services.actors import Actor


class Command(BaseCommand):
    help = (
        "Show a tenant's checklist; with FILE (YAML) write its record first. Keys: "
        + ", ".join(records.FIELDS)
        + "; and checklist, with a state for each row that a person decides."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", metavar="SLUG")
        parser.add_argument("file", metavar="FILE", nargs="?", help="YAML; what it leaves out stays as it is")
        parser.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")
        parser.add_argument("--dry-run", action="store_true", help="say what would be red and change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, slug: str, file: str | None, dry_run: bool, **options: Any) -> None:
        try:
            with acting.in_tenant(slug, options["actor"]) as (tenant, actor), transaction.atomic():
                if file:
                    take(tenant, read(Path(file)), actor)
                found = records.lines(tenant)
                transaction.set_rollback(dry_run)
        except OutreachError as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": error.code, "message": str(error), **error.details}))
            raise CommandError(str(error), returncode=2 if isinstance(error, BadInput) else 1) from error
        if options["json"]:
            red = [line.rule.key for line in found if not line.is_green]
            self.stdout.write(json.dumps({"tenant": slug, "ready": not red, "red": red, "dry_run": dry_run}))
            return
        for line in found:
            mark = "ok " if line.is_green else "red"
            self.stdout.write(f"{mark}  {line.rule.title}" + ("" if line.is_green else f": {line.rule.remedy}"))


def take(tenant: Tenant, values: dict[str, Any], actor: Actor) -> None:
    """Write what a file says. Raises BadInput that names the key."""
    decisions = values.pop("checklist", {})
    if not isinstance(decisions, dict):
        raise BadInput("checklist: write a state for each key, as in provenance: done.", field="checklist")
    records.write(tenant, values, actor=actor)
    for key, state in decisions.items():
        records.decide(tenant, str(key), str(state), actor=actor)


def read(file: Path) -> dict[str, Any]:
    """The keys and values of a record's file. Raises BadInput."""
    found = yaml_files.read(file)
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise BadInput(f"{file}: write one key and its value on each line, as in legal_name: Acme Ltd.")
    return found
