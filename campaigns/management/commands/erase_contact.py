"""Erase a person: personal data goes, the keyed hash of the address stays and blocks."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from campaigns.services import erasing
from outreach.common import dry_runs, yaml_files
from outreach.common.errors import BadInput, OutreachError
from tenants.management import acting


class Command(BaseCommand):
    help = "Erase the contact of an address, and keep the address blocked by its keyed hash. It can't be undone."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", help="in any spelling; it is blocked even if nobody has it")
        parser.add_argument("--reason", required=True, help="as the number of the request; stands in the audit")
        acting.add_arguments(parser)

    def handle(self, *, address: str, tenant: str, reason: str, actor: str | None = None, **options: Any) -> None:
        try:
            if not (yaml_files.storable(reason) and yaml_files.storable(address)):
                raise BadInput("The address or --reason holds bytes that are no text.")
            with acting.in_tenant(tenant, actor) as (owner, who), dry_runs.perhaps(options["dry_run"]):
                done = erasing.erase_address(owner, address, actor=who, reason=reason)
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        counts = asdict(done)
        self.stdout.write(
            json.dumps(counts) if options["json"] else "  ".join(f"{name}={n}" for name, n in counts.items())
        )
