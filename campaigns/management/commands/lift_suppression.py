"""Lift a suppression: these people may be mailed again."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from campaigns.models import Suppression
from campaigns.services import suppression
from outreach.common import dry_runs, yaml_files
from outreach.common.errors import BadInput, Missing, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant

DIGITS = 18  # of a bigint, all of them safe


class Command(BaseCommand):
    help = "Lift a tenant's suppression of an address, a domain or a wildcard."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("entry", help="an address, example.com, *.example.com, or the row's number as #12")
        parser.add_argument("--reason", required=True, help="why they may be mailed again; stands in the audit")
        acting.add_arguments(parser)
        second_person.add_arguments(parser)

    def handle(self, *, entry: str, tenant: str, reason: str, actor: str | None = None, **options: Any) -> None:
        try:
            if not yaml_files.storable(reason):
                raise BadInput("--reason: holds bytes that are no text.")
            with (
                acting.in_tenant(tenant, actor) as (owner, who),
                second_person.asked(who, options),
                dry_runs.perhaps(options["dry_run"]),
            ):
                row = suppression.lift(find(owner, entry), actor=who, reason=reason, approval=options["approval"])
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        report = {"suppression": row.pk, "entry": str(row), "lifted_at": row.lifted_at}
        self.stdout.write(
            json.dumps(report, default=str) if options["json"] else f"Lifted {row}; it held because of {row.reason}."
        )


def find(owner: Tenant, text: str) -> Suppression:
    """The tenant's only entry in force for exactly this, or that of the row's number. Raises BadInput, Missing."""
    rows = Suppression.objects.filter(tenant=owner, lifted_at=None).select_related("suppression_list")
    number = text.strip().removeprefix("#")
    if text.strip().startswith("#") and number.isascii() and number.isdecimal() and len(number) <= DIGITS:
        found = list(rows.filter(pk=int(number)))
    else:
        wanted = suppression.entry(text, suppression.hasher())
        found = list(rows.filter(campaign=None, hash=wanted.hash).order_by("pk"))
    if not found:
        raise Missing(
            f"{owner.slug} has no suppression of {text.strip()} in force; one of the platform is lifted in the console."
        )
    if len(found) > 1:
        named = ", ".join(f"#{row.pk} ({row.suppression_list or row.get_reason_display()})" for row in found)
        raise BadInput(f"{len(found)} entries hold {found[0]}: {named}. Lift each by its number, if all are to go.")
    return found[0]
