"""Take mailboxes from a file into a tenant."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandParser

from mailboxes.services import importing
from outreach.common.import_commands import ImportCommand
from outreach.common.refusals import Report
from tenants.management import acting


class Command(ImportCommand):
    help = (
        "Import mailboxes. Columns: address, pool, smtp_host, smtp_port, smtp_security (tls, starttls); optional "
        "display_name, reserve (yes, no), smtp_username, smtp_password, daily_cap, min_gap_seconds."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--tenant", metavar="SLUG", required=True)

    def reports(self, options: dict[str, Any]) -> Iterable[Report]:
        with acting.in_tenant(options["tenant"], options["actor"]) as (tenant, actor):
            yield from importing.import_mailboxes(
                tenant,
                options["file"],
                actor=actor,
                dry_run=options["dry_run"],
                refused_path=options["refused"],
                sheet=options["sheet"],
            )
