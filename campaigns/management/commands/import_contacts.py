"""Take contacts from a file into a tenant and one of its lists."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandParser

from campaigns.services import importing
from outreach.common.import_commands import ImportCommand
from outreach.common.refusals import Report
from tenants.management import acting


class Command(ImportCommand):
    help = (
        "Import contacts. Columns: email, person_kind, source, lawful_basis, basis_date; optional first_name, "
        "last_name, company, country, time_zone, basis_expires_on, basis_evidence; others are kept as fields."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--tenant", metavar="SLUG", required=True)
        parser.add_argument("--list", metavar="NAME", required=True, help="made if there is none of that name")

    def reports(self, options: dict[str, Any]) -> Iterable[Report]:
        with acting.in_tenant(options["tenant"], options["actor"]) as (tenant, actor):
            yield from importing.import_contacts(
                tenant,
                options["file"],
                list_name=options["list"],
                actor=actor,
                dry_run=options["dry_run"],
                refused_path=options["refused"],
                sheet=options["sheet"],
            )
