"""Take contacts from a file into a tenant and one of its lists, or take an import back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandParser

from campaigns.services import contact_imports, contact_preview, importing
from outreach.common.errors import BadInput
from outreach.common.import_commands import SHOWN
from outreach.common.refusals import Report
from tenants.management.imports import TenantImport
from tenants.models import Tenant
from tenants.services.actors import Actor


class Command(TenantImport):
    help = (
        "Import contacts. Columns: email, person_kind, source, lawful_basis, basis_date; optional first_name, "
        "last_name, company, country, time_zone, basis_expires_on, basis_evidence, basis_terms, collected_directly "
        "(yes, no), tags (with ; between); others are kept as fields."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--list", metavar="NAME", default="", help="made if there is none of that name")

    def imported(
        self, tenant: Tenant, actor: Actor, options: dict[str, Any], common: dict[str, Any]
    ) -> Iterable[Report]:
        if not options["list"].strip():
            raise BadInput("Name the list that the contacts enter with --list NAME.", field="list")
        shown = 0 if options["json"] else SHOWN
        most = contact_preview.ALL if options["preview"] else shown
        return importing.import_contacts(
            tenant, options["file"], list_name=options["list"], actor=actor, preview=most, **common
        )

    def rolled_back(self, tenant: Tenant, number: int, actor: Actor) -> tuple[dict[str, Any], list[str]]:
        rolled = contact_imports.roll_back(contact_imports.find(tenant, number), actor=actor)
        done = rolled.done
        counts = {"removed": done.removed, "restored": done.restored, "kept": done.kept}
        kept = [{"reason": reason, "count": count, "people": people} for reason, (count, people) in rolled.kept.items()]
        said = [" ".join(f"{name}={count}" for name, count in counts.items()), *rolled.sentences()]
        return {"import": done.pk, "state": done.state, **counts, "stay": kept}, said
