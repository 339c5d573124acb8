"""campaign create FILE | check | preview | start | pause | resume | cancel | status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from campaigns.models import Campaign
from campaigns.pipeline import explain_today, previewing
from campaigns.services import campaigns
from outreach.common import dry_runs, isolation, yaml_files
from outreach.common.errors import BadInput, Missing, NotReady, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant
from tenants.services import actors

LONGEST_ID = 20  # digits: no id has as many
ACTS = {
    "start": campaigns.start,
    "pause": campaigns.pause,
    "resume": campaigns.resume,
    "cancel": campaigns.cancel,
}


class Command(BaseCommand):
    help = "Create a campaign from a YAML file, or start, pause, resume, cancel, check, preview or show one."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        create = acts.add_parser("create", help="a draft from a YAML file")
        create.add_argument(
            "file",
            help="keys: name, pool, list, subject, text, html or steps, window, pace, batch_size, daily_cap, handover",
        )
        acting.add_arguments(create, writes=True)
        for act, help_text in (
            ("check", "what is still missing"),
            ("preview", "its mail as one person would get it; nothing is sent"),
            ("start", "launch it"),
            ("pause", "stop handing out its mail"),
            ("resume", "go on"),
            ("cancel", "end it for good"),
            ("status", "counts of people and messages"),
        ):
            one = acts.add_parser(act, help=help_text)
            one.add_argument("campaign", help="its name, or its id")
            if act == "preview":
                one.add_argument("--contact", required=True, metavar="ADDRESS", help="a person of its list")
                one.add_argument("--step", type=int, default=1, metavar="N", help="1 without it")
                one.add_argument("--variant", default="", metavar="LABEL", help="the person's own without it")
            if act == "start":
                second_person.add_arguments(one)
            if act in ("pause", "resume", "cancel"):
                one.add_argument("--reason", default="", help="stands in the campaign and in the audit")
            acting.add_arguments(one, writes=act in ACTS)

    def handle(self, *, act: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        try:
            with acting.in_tenant(tenant, actor) as (owner, who):
                if act == "create":
                    report = self._create(owner, who, options)
                else:
                    report = self._act(act, find(owner, options["campaign"]), who, options)
        except NotReady as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": error.code, "missing": error.missing}))
            raise CommandError("\n- ".join(["It can't start yet:", *error.missing]), returncode=1) from error
        except OutreachError as error:
            raise CommandError(str(error), returncode=1) from error
        self._print(report, as_json=options["json"])

    def _create(self, owner: Tenant, who: actors.Actor, options: dict[str, Any]) -> dict[str, Any]:
        with transaction.atomic():
            made = campaigns.create(owner, yaml_files.read(Path(options["file"])), actor=who)
            missing = campaigns.preflight(made)
            transaction.set_rollback(options["dry_run"])
        return {"campaign": made.pk, "name": made.name, "status": made.status, "missing": missing}

    def _act(self, act: str, campaign: Campaign, who: actors.Actor, options: dict[str, Any]) -> dict[str, Any]:
        if act == "status":
            return campaigns.status(campaign)
        if act == "preview":
            return self._preview(campaign, options)
        if act == "check":
            return {"campaign": campaign.pk, "name": campaign.name, "missing": campaigns.preflight(campaign)}
        given = {"reason": options["reason"]} if "reason" in options else {}
        if not all(yaml_files.storable(text) for text in given.values()):
            raise BadInput("--reason: holds bytes that are no text.")
        if act == "start":
            given = {"approval": options["approval"]}
        with second_person.asked(who, options), dry_runs.perhaps(options["dry_run"]):
            campaign = ACTS[act](campaign, actor=who, **given)
            return campaigns.status(campaign)

    def _preview(self, campaign: Campaign, options: dict[str, Any]) -> dict[str, Any]:
        """The mail, or as JSON its parts; what is in its way is told in both."""
        scope = isolation.current()
        found = previewing.preview(
            campaign,
            previewing.find(campaign, options["contact"]),
            now=explain_today.clock(),
            position=options["step"],
            variant=options["variant"],
            knows_platform=scope is not None and scope.platform,
        )
        if options["json"]:
            return found.as_dict()
        headers = "".join(f"\n  {name}: {value}" for name, value in found.headers)
        return {
            "size": f"{len(found.content)} bytes",
            "headers": headers or "none",
            "text": "\n" + found.text if found.text else "none",
            "html": "\n" + found.html if found.html else "none",
            "not so": [f"{each.title}: {each.value}" for each in found.hindrances],
        }

    def _print(self, report: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(report, default=str))
            return
        for key, value in report.items():
            if isinstance(value, dict):
                value = " ".join(f"{name}={count}" for name, count in sorted(value.items())) or "-"
            elif isinstance(value, list):
                value = "".join(f"\n  - {line}" for line in value) or "nothing"
            self.stdout.write(f"{key}: {value}")


def find(owner: Any, name: str) -> Campaign:
    """The tenant's campaign of that name or id. Raises Missing."""
    found = Campaign.objects.filter(tenant=owner, name=name).first() if yaml_files.storable(name) else None
    if found is None and name.isascii() and name.isdecimal() and len(name) < LONGEST_ID:
        found = Campaign.objects.filter(tenant=owner, pk=int(name)).first()
    if found is None:
        raise Missing(f"{owner.slug} has no campaign {name!r}; the name is case-sensitive.")
    return found
