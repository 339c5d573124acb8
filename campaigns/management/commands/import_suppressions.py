"""Suppress the addresses and domains of a CSV file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandParser

from campaigns.services import importing_suppressions, suppression_lists
from outreach.common.import_commands import ImportCommand
from outreach.common.refusals import Report
from tenants.management import acting
from tenants.services import tenants


class Command(ImportCommand):
    help = (
        "Import suppressions. Columns: email, domain or address (either of them); optional kind (address, domain, "
        "wildcard), reason (opt_out, hard_bounce, complaint, import, manual), source and proof."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--tenant", metavar="SLUG", help="for everything this tenant sends")
        where.add_argument("--platform", action="store_true", help="for everything anybody sends")
        parser.add_argument("--list", metavar="NAME", help="the suppression list they stand in; see suppression_list")

    def reports(self, options: dict[str, Any]) -> Iterable[Report]:
        with acting.acting(options["actor"]) as actor:
            tenant = tenants.find(options["tenant"]) if options["tenant"] else None
            name = options["list"]
            yield from importing_suppressions.import_suppressions(
                tenant,
                options["file"],
                actor=actor,
                dry_run=options["dry_run"],
                refused_path=options["refused"],
                sheet=options["sheet"],
                suppression_list=suppression_lists.find(tenant, name) if name is not None else None,
            )
