"""account_bases HOST:PORT --allow BASIS ... --link URL --on DAY"""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mailboxes.models import ProviderAccount
from mailboxes.services import providers
from outreach.common import dry_runs
from outreach.common.errors import BadInput, Missing, OutreachError
from tenants.management import acting, second_person
from tenants.models.records import BASES


class Command(BaseCommand):
    help = "Say mail of which lawful bases a provider account may carry, by its host's terms; without --allow: none."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("server", metavar="HOST:PORT")
        parser.add_argument("--allow", nargs="*", default=[], metavar="BASIS", help=", ".join(BASES))
        parser.add_argument("--link", default="", metavar="URL", help="where the host's terms stand")
        parser.add_argument("--on", metavar="DAY", help="when somebody read them, as in 2026-01-31")
        parser.add_argument("--reason", default="", help="stands in the audit")
        acting.add_arguments(parser)
        second_person.add_arguments(parser)

    def handle(self, *, server: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        try:
            with (
                acting.in_tenant(tenant, actor) as (owner, who),
                second_person.asked(who, options),
                dry_runs.perhaps(options["dry_run"]),
            ):
                accounts = [
                    providers.set_bases(
                        account, options["allow"], link=options["link"], on=_day(options["on"]), actor=who,
                        reason=options["reason"], approval=options["approval"],
                    )
                    for account in _find(owner, server)
                ]  # fmt: skip
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        allowed = accounts[0].allowed_bases
        report = {"accounts": len(accounts), "server": server, "allowed": allowed}
        told = f"accounts={len(accounts)} allowed={','.join(allowed) or 'none'}"
        self.stdout.write(json.dumps(report) if options["json"] else told)


def _find(owner: Any, server: str) -> list[ProviderAccount]:
    host, _, port = server.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal() and len(port) < 6):
        raise BadInput("A server is HOST:PORT.", field="server")
    found = ProviderAccount.objects.filter(tenant=owner, host=host.lower(), port=int(port)).order_by("pk")
    if not found:
        raise Missing(f"{owner.slug} has no account at {server}.")
    return list(found)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise BadInput("--on: write a day as in 2026-01-31.", field="on") from error
