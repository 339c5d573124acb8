"""mailbox cap ADDRESS N | quarantine, probe, release, handover, retire ADDRESS."""

from __future__ import annotations

import json
from argparse import ArgumentTypeError
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from mailboxes import reserves as rules
from mailboxes.models import Mailbox, Retirement
from mailboxes.services import mailboxes, quarantine, reserves
from outreach.common import dry_runs, yaml_files
from outreach.common.errors import BadInput, Missing, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant
from tenants.services.actors import Actor


class Command(BaseCommand):
    help = "Change a mailbox's daily cap, take it out of use, or let it come back."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        cap = acts.add_parser("cap", help="messages a day from now on")
        cap.add_argument("address")
        cap.add_argument("daily_cap", type=int, metavar="N")
        second_person.add_arguments(cap)
        acting.add_arguments(cap)
        for name, help_text, reason_wanted in (
            ("quarantine", "send nothing more from it; --dry-run says who is affected", True),
            ("probe", "let a quarantined one send a few mails a day", False),
            ("release", "let it send again", False),
            ("handover", "hand over who still waits for one that is out of use", False),
            ("retire", "end it for good; --dry-run says who is affected", True),
        ):
            one = acts.add_parser(name, help=help_text)
            one.add_argument("address")
            one.add_argument(
                "--reason", default="", required=reason_wanted, help="stands with the mailbox and in the audit"
            )
            if name == "release":
                second_person.add_arguments(one)
            if name == "quarantine":
                one.add_argument("--no-reserve", action="store_true", help="promote no reserve")
                one.add_argument("--evidence", action="append", default=[], metavar="NAME=VALUE")
            if name == "retire":
                _add_answers(one)
            acting.add_arguments(one)

    def handle(self, *, act: str, address: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        for name in ("reason", "replies_to"):
            if not yaml_files.storable(options.get(name) or ""):
                raise acting.refused(
                    self, BadInput(f"--{name}: holds bytes that are no text."), as_json=options["json"]
                )
        try:
            with (
                acting.in_tenant(tenant, actor) as (owner, who),
                second_person.asked(who, options),
                dry_runs.perhaps(options["dry_run"]),
            ):
                report = self._act(act, find(owner, address), who, options)
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        affected = report.pop("affected", [])
        if options["json"]:
            self.stdout.write(
                json.dumps(report | {"affected": affected} if act in ("quarantine", "retire") else report)
            )
            return
        for row in affected:
            self.stdout.write(" ".join(f"{key}={value}" for key, value in row.items()))
        self.stdout.write(" ".join(f"{key}={value}" for key, value in report.items()))

    def _act(self, act: str, box: Mailbox, who: Actor, options: dict[str, Any]) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if act == "cap":
            box = mailboxes.set_cap(box, options["daily_cap"], actor=who, approval=options["approval"])
        elif act == "probe":
            box = mailboxes.probe(box, actor=who, reason=options["reason"])
        elif act == "release":
            box = mailboxes.release(box, actor=who, reason=options["reason"], approval=options["approval"])
        elif act == "handover":
            more["handed_over"] = quarantine.hand_over(box, actor=who, reason=options["reason"])
        else:
            box, more = _take_out(act, box, who, options)
        return {
            "mailbox": box.pk, "address": box.address, "state": box.state, "daily_cap": box.daily_cap, **more,
        }  # fmt: skip


def _add_answers(parser: CommandParser) -> None:
    parser.add_argument("--kept-as", required=True, choices=Retirement.Kept.values, help="how its address is kept")
    parser.add_argument(
        "--keep-until", required=True, type=_day, metavar="YYYY-MM-DD", help="60 days after the last mail"
    )
    parser.add_argument("--replies-to", required=True, metavar="EMAIL", help="a person of the console, or any address")
    parser.add_argument(
        "--threads", required=True, choices=Retirement.Threads.values, help="of campaigns that would wait for it"
    )
    parser.add_argument("--promote", action="store_true", help="a reserve takes its place")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day as 2026-12-31") from error


def _take_out(act: str, box: Mailbox, who: Actor, options: dict[str, Any]) -> tuple[Mailbox, dict[str, Any]]:
    """Quarantine or retire it; what is told of who is affected is how it stood just before."""
    leaving = reserves.leaving_of([box])
    if act == "quarantine":
        evidence = dict(pair.partition("=")[::2] for pair in options["evidence"])
        promote = not options["no_reserve"]
        box = mailboxes.quarantine(box, actor=who, reason=options["reason"], evidence=evidence, promote=promote)
        case = quarantine.open_case(box)
        successor = case.promoted if case is not None else None
        more = {"reserve": successor.address if successor else None, "swap": case.swap if case is not None else ""}
        instead = ""
    else:
        answers = {
            name: options[name] for name in ("reason", "kept_as", "keep_until", "replies_to", "threads", "promote")
        }
        box = mailboxes.retire(box, actor=who, **answers)
        made = Retirement.objects.select_related("successor").get(mailbox=box)
        successor = made.successor
        more = {"successor": successor.address if successor else None, "keep_until": made.keep_until.isoformat()}
        instead = options["threads"]
    rows = [
        {
            "campaign": one.campaign,
            "policy": one.policy,
            "handover": rules.handled(one.policy, successor is not None, instead),
            "bound": one.bound,
            "retries": one.retries,
            "free": one.free,
        }
        for one in leaving.campaigns
    ]
    return box, more | {"under_way": leaving.under_way, "affected": rows}


def find(owner: Tenant, address: str) -> Mailbox:
    """The tenant's mailbox of that address. Raises Missing."""
    found = None
    if yaml_files.storable(address):
        found = Mailbox.objects.filter(tenant=owner, address_key=address.strip().lower()).first()
    if found is None:
        raise Missing(f"{owner.slug} has no mailbox {address!r}.")
    return found
