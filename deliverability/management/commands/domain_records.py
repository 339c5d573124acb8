"""domain_records: what to publish for sending domains, as a table, zone file, CSV or JSON."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from deliverability import reports
from deliverability.dns import records
from deliverability.management.commands.check_domains import chosen
from outreach.common import csv_files
from outreach.common.errors import OutreachError
from tenants.management import acting


class Command(BaseCommand):
    help = "Print the DNS records that sending domains need, for whoever runs their DNS."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME")
        parser.add_argument("--tenant", metavar="SLUG", help="all of its domains that are not retired")
        parser.add_argument("--format", choices=("table", "zone", "csv", "json"), default="table")
        parser.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")
        parser.add_argument("--json", action="store_true", help="as --format json")

    def handle(self, *, names: list[str], tenant: str | None, **options: Any) -> None:
        if not names and tenant is None:
            raise CommandError("Name domains, or a tenant with --tenant.", returncode=1)
        as_json = options["json"] or options["format"] == "json"
        try:
            with acting.acting(options["actor"]) as actor:
                rows = chosen(actor, names, tenant)
                found = reports.records_of(rows)
        except OutreachError as error:
            raise acting.refused(self, error, as_json=as_json) from error
        if as_json:
            self.stdout.write(json.dumps({"domains": len(rows), "records": [row.as_dict() for row in found]}))
        elif options["format"] == "zone":
            self.stdout.write(records.as_zone(found), ending="")
        elif options["format"] == "csv":
            with csv_files.write(found, records.COLUMNS, reports.cells) as file:
                self.stdout.write(file.read().decode("utf-8-sig"), ending="")
        else:
            self.stdout.write(records.as_table(found))
