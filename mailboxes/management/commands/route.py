"""route show|set DOMAIN"""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mailboxes.models import ProviderAccount, SendingDomain, Standby
from mailboxes.services import domains, routes
from outreach.common import dry_runs
from outreach.common.errors import Missing, OutreachError
from tenants.management import acting
from tenants.models import Tenant


class Command(BaseCommand):
    help = "Show or set which accounts stand in, in order, while those of a domain's mailboxes are out."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        for name, text in (("show", "who stands in, and who may"), ("set", "the accounts in order; none: nobody")):
            act = acts.add_parser(name, help=text)
            act.add_argument("domain")
            if name == "set":
                act.add_argument("accounts", nargs="*", metavar="ACCOUNT", help="HOST:PORT, or the name of a service")
                act.add_argument("--reason", default="", help="stands in the audit")
            acting.add_arguments(act)

    def handle(self, *, act: str, domain: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        try:
            with acting.in_tenant(tenant, actor) as (owner, who), dry_runs.perhaps(options["dry_run"]):
                row = _domain(owner, domain)
                who.require("mailboxes.view", row)
                if act == "set":
                    accounts = [_account(owner, name) for name in options["accounts"]]
                    routes.set_route(row, accounts, actor=who, reason=options["reason"])
                rows = Standby.objects.filter(domain=row).select_related("account").order_by("position")
                found = [
                    {"account": str(each.account), "ready": each.ready, "why": each.ready_reason,
                     "carries": each.account.guests.filter(domain=row).count()}
                    for each in rows
                ]  # fmt: skip
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        if options["json"]:
            self.stdout.write(json.dumps({"domain": row.name, "standbys": found}))
            return
        for each in found:
            said = {True: "ready", False: "not ready", None: "not checked yet"}[each["ready"]]
            self.stdout.write(f"{each['account']}: {said}, carries {each['carries']} mailboxes. {each['why']}".rstrip())
        if not found:
            self.stdout.write("no permitted standby: an outage means waiting")


def _domain(owner: Tenant, name: str) -> SendingDomain:
    found = SendingDomain.objects.filter(tenant=owner, name=domains.parse_name(name)).first()
    if found is None:
        raise Missing(f"{owner.slug} has no domain {name[:100]}.")
    return found


def _account(owner: Tenant, name: str) -> ProviderAccount:
    accounts = ProviderAccount.objects.filter(tenant=owner).order_by("pk")
    named = next((account for account in accounts if str(account) == name), None)
    if named is None:
        raise Missing(f"{owner.slug} has no account {name[:100]}.")
    return named
