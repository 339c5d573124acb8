"""Lift a suppression: these people may be mailed again."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from campaigns.models import Suppression
from campaigns.services import suppression
from outreach.common import yaml_files
from outreach.common.errors import BadInput, Missing, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant


class Command(BaseCommand):
    help = "Lift a tenant's suppression of an address, a domain or a wildcard."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("entry", help="an address, example.com, or *.example.com")
        parser.add_argument("--tenant", required=True, metavar="SLUG")
        parser.add_argument("--reason", required=True, help="why they may be mailed again; stands in the audit")
        parser.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")
        parser.add_argument("--dry-run", action="store_true", help="say what would happen and change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        second_person.add_arguments(parser)

    def handle(self, *, entry: str, tenant: str, reason: str, actor: str | None = None, **options: Any) -> None:
        try:
            if not yaml_files.storable(reason):
                raise BadInput("--reason: holds bytes that are no text.")
            with (
                acting.in_tenant(tenant, actor) as (owner, who),
                second_person.asked(who, options),
                transaction.atomic(),
            ):
                row = suppression.lift(find(owner, entry), actor=who, reason=reason, approval=options["approval"])
                transaction.set_rollback(options["dry_run"])
        except OutreachError as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": error.code, "approval": error.details.get("approval")}))
            raise CommandError(str(error), returncode=1) from error
        report = {"suppression": row.pk, "entry": str(row), "lifted_at": row.lifted_at}
        self.stdout.write(
            json.dumps(report, default=str) if options["json"] else f"Lifted {row}; it held because of {row.reason}."
        )


def find(owner: Tenant, text: str) -> Suppression:
    """The tenant's entry in force for exactly this. Raises BadInput, Missing."""
    wanted = suppression.entry(text, suppression.hasher())
    found = Suppression.objects.filter(tenant=owner, campaign=None, hash=wanted.hash, lifted_at=None).first()
    if found is None:
        raise Missing(
            f"{owner.slug} has no suppression of {text.strip()} in force; one of the platform is lifted there."
        )
    return found
