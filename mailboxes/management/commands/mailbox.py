"""mailbox cap ADDRESS N | release ADDRESS."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mailboxes.models import Mailbox
from mailboxes.services import mailboxes
from outreach.common import dry_runs, yaml_files
from outreach.common.errors import BadInput, Missing, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant


class Command(BaseCommand):
    help = "Change a mailbox's daily cap, or release it from quarantine."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        cap = acts.add_parser("cap", help="messages a day from now on")
        cap.add_argument("address")
        cap.add_argument("daily_cap", type=int, metavar="N")
        release = acts.add_parser("release", help="let it send again")
        release.add_argument("address")
        release.add_argument("--reason", default="", help="stands with the mailbox and in the audit")
        for one in (cap, release):
            acting.add_arguments(one)
            second_person.add_arguments(one)

    def handle(self, *, act: str, address: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        try:
            with (
                acting.in_tenant(tenant, actor) as (owner, who),
                second_person.asked(who, options),
                dry_runs.perhaps(options["dry_run"]),
            ):
                box = find(owner, address)
                if act == "cap":
                    box = mailboxes.set_cap(box, options["daily_cap"], actor=who, approval=options["approval"])
                else:
                    if not yaml_files.storable(options["reason"]):
                        raise BadInput("--reason: holds bytes that are no text.")
                    box = mailboxes.release(box, actor=who, reason=options["reason"], approval=options["approval"])
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        report = {"mailbox": box.pk, "address": box.address, "state": box.state, "daily_cap": box.daily_cap}
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            self.stdout.write(" ".join(f"{key}={value}" for key, value in report.items()))


def find(owner: Tenant, address: str) -> Mailbox:
    """The tenant's mailbox of that address. Raises Missing."""
    found = None
    if yaml_files.storable(address):
        found = Mailbox.objects.filter(tenant=owner, address_key=address.strip().lower()).first()
    if found is None:
        raise Missing(f"{owner.slug} has no mailbox {address!r}.")
    return found
