"""basis_rules show | set COUNTRY"""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from campaigns import bases as rules
from campaigns.basis_table import KINDS, OTHERS
from campaigns.models import Contact
from campaigns.services import bases
from mailboxes.services import ramp
from outreach.common import dry_runs
from outreach.common.errors import BadInput, OutreachError
from tenants.management import acting, second_person


class Command(BaseCommand):
    help = "Who may be written to in which country on what ground: show the table of a tenant, set a rule of its own."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        show = acts.add_parser("show", help="the table that holds, with where each row is from")
        show.add_argument("--country", metavar="XX", help="one country only")
        show.add_argument("--day", metavar="DAY", help="on that day; default: today in the tenant's zone")
        acting.add_arguments(show, writes=False)
        one = acts.add_parser("set", help="a rule of the tenant's own, in place of what held before")
        one.add_argument("country", metavar="XX", help="two letters; '*': unknown countries and all without a row")
        one.add_argument("--people", choices=Contact.PersonKind.values, default="", help="default: all kinds")
        how = one.add_mutually_exclusive_group(required=True)
        how.add_argument(
            "--allow", action="append", metavar="GROUND", help="as in 'implied_consent enquiry 6 months'; repeat it"
        )
        how.add_argument("--nobody", action="store_true", help="nobody may be written to")
        how.add_argument("--default", action="store_true", help="back to the default")
        one.add_argument("--from", dest="day", metavar="DAY", help="default: today in the tenant's zone")
        one.add_argument("--reason", required=True, help="what it rests on: who says so, and where")
        acting.add_arguments(one)
        second_person.add_arguments(one)

    def handle(self, *, act: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        try:
            with acting.in_tenant(tenant, actor) as (owner, who):
                getattr(self, f"_{act}")(owner, who, options)
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error

    def _show(self, owner: Any, who: Any, options: dict[str, Any]) -> None:
        who.require("campaigns.view", owner)
        table = bases.effective(owner, _day(options["day"]) or ramp.day_of(owner))
        wanted = options["country"]
        countries = table.countries if wanted is None else [wanted.upper()]
        rows = []
        for country in countries:
            for kind in KINDS:
                cell = table.cell(country, kind)
                if cell is not None:
                    origin = f"{'own' if cell.origin.is_own else 'default'} {cell.origin.number}"
                    rows.append(
                        {"country": country or "*", "people": kind, "allowed": bases.in_codes(cell.grounds),
                         "from": origin, "checked": cell.origin.checked, "rests_on": cell.origin.source}
                    )  # fmt: skip
        if options["json"]:
            self.stdout.write(json.dumps({"version": table.version, "rows": rows}))
        for row in [] if options["json"] else rows:
            self.stdout.write(f"{row['country']:<3} {row['people']:<18} {row['allowed']} ({row['from']})")

    def _set(self, owner: Any, who: Any, options: dict[str, Any]) -> None:
        grounds: Any = [] if options["nobody"] else None
        if options["allow"]:
            try:
                grounds = rules.as_json(rules.of_lines("\n".join(options["allow"])))
            except ValueError as error:
                raise BadInput(f"--allow: {error}", field="grounds") from error
        country = OTHERS if options["country"] == "*" else options["country"]
        with second_person.asked(who, options), dry_runs.perhaps(options["dry_run"]):
            made = bases.set_rule(
                owner, country, grounds, actor=who, reason=options["reason"], person_kind=options["people"],
                valid_from=_day(options["day"]), approval=options["approval"],
            )  # fmt: skip
        report = {"rule": made.version, "country": made.country or "*", "from": made.valid_from.isoformat()}
        told = " ".join(f"{key}={value}" for key, value in report.items())
        self.stdout.write(json.dumps(report) if options["json"] else told)


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise BadInput("Write a day as in 2026-01-31.", field="valid_from") from error
