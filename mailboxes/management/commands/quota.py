"""quota group NAME | account HOST:PORT | receiver OPERATOR."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mailboxes.models import ProviderAccount, QuotaGroup
from mailboxes.services import quotas
from outreach.common import dry_runs, isolation
from outreach.common.errors import BadInput, Missing, OutreachError
from tenants.management import acting

GROUP = ("licences", "daily_cap", "user_daily_cap", "per_second", "is_trial", "note")


class Command(BaseCommand):
    help = "Say what hosts and receivers take, and which accounts share a quota."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        group = acts.add_parser("group", help="make or change a quota group")
        group.add_argument("name")
        group.add_argument("--kind", choices=QuotaGroup.Kind.values, help="default for a new one: other")
        group.add_argument("--licences", type=int)
        group.add_argument("--daily-cap", type=int, metavar="N", help="messages in 24 hours, all together")
        group.add_argument("--user-daily-cap", type=int, metavar="N", help="messages in 24 hours, each mailbox")
        group.add_argument("--per-second", type=float, metavar="RATE")
        group.add_argument("--is-trial", action="store_true", default=None)
        group.add_argument("--note")
        account = acts.add_parser("account", help="let an account's mailboxes count in a group")
        account.add_argument("server", metavar="HOST:PORT")
        account.add_argument("--tenant", required=True, metavar="SLUG")
        account.add_argument("--group", metavar="NAME", help="leave out: in none")
        account.add_argument("--hourly-cap", type=int, metavar="N", help="messages an hour; -1: no limit")
        receiver = acts.add_parser("receiver", help="limit what an organisational domain sends to an operator")
        receiver.add_argument("operator", choices=quotas.OPERATORS)
        receiver.add_argument("--hourly-cap", type=int, metavar="N", help="leave out: no limit")
        receiver.add_argument("--daily-cap", type=int, metavar="N", help="in 24 hours; leave out: no limit")
        for one in (group, account, receiver):
            one.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")
            one.add_argument("--json", action="store_true", help="print one JSON object")
            one.add_argument("--dry-run", action="store_true", help="say what would happen and change nothing")

    def handle(self, *, act: str, actor: str | None = None, **options: Any) -> None:
        try:
            report = getattr(self, f"_{act}")(actor, options)
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            self.stdout.write(" ".join(f"{key}={value}" for key, value in report.items()))

    def _group(self, email: str | None, options: dict[str, Any]) -> dict[str, Any]:
        values = {key: options[key] for key in GROUP if options[key] is not None}
        with acting.acting(email) as who, isolation.everything(), dry_runs.perhaps(options["dry_run"]):
            found = QuotaGroup.objects.filter(name=options["name"].strip()).first()
            if found is None:
                found = quotas.add_group(options["name"], options["kind"] or "other", actor=who, **values)
            else:
                kind = {"kind": options["kind"]} if options["kind"] else {}
                found = quotas.change_group(found, actor=who, **kind, **values)
            quota = found.quota
        return {
            "group": found.name, "kind": found.kind, "daily": quota.daily, "user_daily": quota.user_daily,
            "per_second": quota.per_second,
        }  # fmt: skip

    def _account(self, email: str | None, options: dict[str, Any]) -> dict[str, Any]:
        host, _, port = options["server"].rpartition(":")
        if not host or not port.isdecimal():
            raise BadInput("A server is HOST:PORT.", field="server")
        with acting.in_tenant(options["tenant"], email) as (tenant, who), dry_runs.perhaps(options["dry_run"]):
            accounts = ProviderAccount.objects.filter(tenant=tenant, host=host.lower(), port=int(port)).order_by("pk")
            group = None
            if options["group"]:
                group = QuotaGroup.objects.filter(name=options["group"].strip()).first()
                if group is None:
                    raise Missing(f"There is no quota group {options['group']!r}.")
            if not accounts:
                raise Missing(f"{tenant.slug} has no account at {options['server']}.")
            for account in accounts:
                quotas.share_account(account, group, actor=who)
                if options["hourly_cap"] is not None:
                    cap = None if options["hourly_cap"] < 0 else options["hourly_cap"]
                    quotas.limit_account(account, cap, actor=who)
        return {"accounts": len(accounts), "group": group and group.name, "hourly_cap": options["hourly_cap"]}

    def _receiver(self, email: str | None, options: dict[str, Any]) -> dict[str, Any]:
        with acting.acting(email) as who, isolation.everything(), dry_runs.perhaps(options["dry_run"]):
            limit = quotas.limit_receiver(
                options["operator"], hourly_cap=options["hourly_cap"], daily_cap=options["daily_cap"], actor=who
            )
        return {"receiver": limit.operator, "hourly_cap": limit.hourly_cap, "daily_cap": limit.daily_cap}
