"""Make a tenant."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from outreach.common.errors import BadInput, OutreachError
from tenants.management import acting
from tenants.services import tenants


class Command(BaseCommand):
    help = "Create a tenant: a client company that owns mailboxes, contacts and campaigns."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", metavar="SLUG", help="lower-case letters, digits and hyphens")
        parser.add_argument("--name", default="", help="as people call it; default: the slug")
        parser.add_argument(
            "--time-zone", default="UTC", help="IANA name, as in Europe/Kyiv; its days are the caps' days"
        )
        parser.add_argument(
            "--postal-address", default="", help="stands in every message; needed before a campaign starts"
        )
        parser.add_argument("--actor", metavar="EMAIL", help="who creates it; default: the system")
        parser.add_argument("--dry-run", action="store_true", help="check, change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, slug: str, dry_run: bool, **options: Any) -> None:
        try:
            with acting.acting(options["actor"]) as actor, transaction.atomic():
                tenant = tenants.create(
                    slug,
                    actor=actor,
                    name=options["name"],
                    time_zone=options["time_zone"],
                    postal_address=options["postal_address"],
                )
                transaction.set_rollback(dry_run)
        except OutreachError as error:
            if options["json"]:
                self.stdout.write(
                    json.dumps({"error": error.code, "message": str(error), **error.details}, default=str)
                )
            raise CommandError(str(error), returncode=2 if isinstance(error, BadInput) else 1) from error
        result = {
            "id": None if dry_run else tenant.pk,
            "slug": tenant.slug,
            "name": tenant.name,
            "time_zone": tenant.time_zone,
            "postal_address": tenant.postal_address,
            "dry_run": dry_run,
        }
        if options["json"]:
            self.stdout.write(json.dumps(result, ensure_ascii=False))
        else:
            said = "would be created" if dry_run else "is created"
            self.stdout.write(f"Tenant {tenant.slug} ({tenant.name}, {tenant.time_zone}) {said}.")
