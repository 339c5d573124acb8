"""campaign create FILE, check, preview, test, start, schedule, pause, recall, resume, cancel, revise and others."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from campaigns.models import Campaign
from campaigns.pipeline import explain_today, previewing
from campaigns.pipeline.preflight import probing
from campaigns.services import campaigns, cloning, preflighting, scheduling, steps, testing
from outreach.common import dry_runs, isolation, yaml_files
from outreach.common.errors import BadInput, Missing, NotReady, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant
from tenants.services import actors

LONGEST_ID = 20  # digits: no id has as many
ACTS: dict[str, Any] = {
    "start": campaigns.start,
    "schedule": scheduling.schedule,
    "unschedule": scheduling.unschedule,
    "recall": campaigns.recall,
    "clone": cloning.clone,
    "pause": campaigns.pause,
    "resume": campaigns.resume,
    "cancel": campaigns.cancel,
}


class Command(BaseCommand):
    help = (
        "Create a campaign from a YAML file or from another one; check, preview, test, start, schedule, pause, recall, "
        "resume, cancel or show one. check ends with 2 when something keeps it from starting."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        create = acts.add_parser("create", help="a draft from a YAML file")
        create.add_argument(
            "file",
            help="keys: name, pool, list, subject, text, html or steps, window, pace, batch_size, daily_cap, "
            "handover, stop_on_colleague, doubt",
        )
        acting.add_arguments(create, writes=True)
        for act, help_text in (
            ("check", "what keeps it from starting, what wants a tick, what is worth knowing"),
            ("preview", "its mail as one person would get it; nothing is sent"),
            ("test", "queue a test mail of it to one of us or to a verified seed address"),
            ("start", "launch it"),
            ("schedule", "let it start by itself at a time"),
            ("unschedule", "make a scheduled one a draft again"),
            ("recall", "pause, and take back everything planned"),
            ("clone", "a draft like it, without people"),
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
            if act in ("start", "schedule"):
                second_person.add_arguments(one)
                one.add_argument("--accept", nargs="+", default=[], metavar="CODE", help="accept these warnings")
            if act == "schedule":
                one.add_argument("--at", required=True, metavar="TIME", help="as 2026-05-01T08:00+02:00")
            if act == "clone":
                one.add_argument("--name", required=True, help="of the new campaign")
            if act == "test":
                one.add_argument("--to", required=True, metavar="ADDRESS", help="who gets it")
                one.add_argument("--step", type=int, metavar="N", help="position; else the first")
                one.add_argument("--contact", default="", metavar="ADDRESS", help="as it is for; else the list's first")
                one.add_argument("--mailbox", default="", metavar="ADDRESS", help="one of the pool; else one that may")
            if act == "check":
                one.add_argument("--offline", action="store_true", help="don't ask its links and unsubscribe hosts")
            if act in ("pause", "recall", "resume", "cancel", "unschedule"):
                one.add_argument("--reason", default="", help="stands in the campaign and in the audit")
            acting.add_arguments(one, writes=act in ACTS or act == "test")
        revise = acts.add_parser("revise", help="change a step of a launched campaign: a new version")
        revise.add_argument("campaign", help="its name, or its id")
        revise.add_argument("position", type=int, help="which step, from 1")
        revise.add_argument("file", help="YAML with subject, text, html or variants, delay_days, delay_hours")
        revise.add_argument("--reason", default="", help="stands in the audit")
        second_person.add_arguments(revise)
        acting.add_arguments(revise)

    def handle(self, *, act: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        try:
            with acting.in_tenant(tenant, actor) as (owner, who):
                if act == "create":
                    report = self._create(owner, who, options)
                else:
                    report = self._act(act, find(owner, options["campaign"]), who, options)
        except NotReady as error:
            if options["json"]:
                codes = {"warnings": error.details["warnings"]} if "warnings" in error.details else {}
                self.stdout.write(json.dumps({"error": error.code, "missing": error.missing, **codes}))
            wants_ticks = error.code == preflighting.NeedsTick.code
            head = "Accept these first, with --accept CODE:" if wants_ticks else "It can't start yet:"
            raise CommandError("\n- ".join([head, *error.missing]), returncode=1) from error
        except OutreachError as error:
            raise CommandError(str(error), returncode=1) from error
        self._print(report, as_json=options["json"])
        if act == "check" and report["errors"]:
            raise SystemExit(2)

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
            return self._check(campaign, who, offline=options["offline"])
        if act == "test":
            return self._test(campaign, who, options)
        given = {"reason": options["reason"]} if "reason" in options else {}
        if not all(yaml_files.storable(text) for text in given.values()):
            raise BadInput("--reason: holds bytes that are no text.")
        if act == "revise":
            return self._revise(campaign, who, options)
        if act in ("start", "schedule"):
            given = {"approval": options["approval"], "accept": options["accept"]}
        if act == "schedule":
            given["at"] = moment(options["at"])
        if act == "clone":
            given["name"] = options["name"]
        with second_person.asked(who, options), dry_runs.perhaps(options["dry_run"]):
            done = ACTS[act](campaign, actor=who, **given)
            if act == "recall":
                campaign.refresh_from_db()
                return campaigns.status(campaign) | {"taken_back": done}
            return campaigns.status(done)

    def _test(self, campaign: Campaign, who: actors.Actor, options: dict[str, Any]) -> dict[str, Any]:
        given = {name: options[name] for name in ("step", "contact", "mailbox")}
        with dry_runs.perhaps(options["dry_run"]):
            test = testing.send(campaign, options["to"], actor=who, **given)
        return {
            "campaign": campaign.pk,
            "test": test.pk,
            "to": test.hint,
            "mailbox": str(test.mailbox),
            "state": test.state,
        }

    def _check(self, campaign: Campaign, who: actors.Actor, *, offline: bool) -> dict[str, Any]:
        if not offline and who.can("campaigns.start", campaign.tenant_id):
            campaign = probing.probe(campaign, actor=who)
        report = preflighting.look(campaign)
        found = {"campaign": campaign.pk, "name": campaign.name, **report.as_dict(campaign.accepted_warnings)}
        return found | {"missing": [str(finding.sentence) for finding in report.errors]}

    def _revise(self, campaign: Campaign, who: actors.Actor, options: dict[str, Any]) -> dict[str, Any]:
        block = yaml_files.read(Path(options["file"]))
        with second_person.asked(who, options), dry_runs.perhaps(options["dry_run"]):
            step = steps.revise(
                campaign, options["position"], block, actor=who, reason=options["reason"], approval=options["approval"]
            )
            return {"campaign": campaign.pk, "step": step.pk, "position": step.position, "version": step.version}

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
                value = "".join(f"\n  - {_line(line)}" for line in value) or "nothing"
            self.stdout.write(f"{key}: {value}")


def _line(value: Any) -> Any:
    """A finding as a line of text: its code, the sentence, what to do."""
    if not isinstance(value, dict):
        return value
    ticked = " (accepted)" if value.get("accepted") else ""
    return f"{value['code']}{ticked}: {value['sentence']} {value['remedy']}".rstrip()


def moment(text: str) -> datetime:
    """Raises BadInput."""
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"--at: {text!r} is no time; write it as 2026-05-01T08:00+02:00.", field="at") from error


def find(owner: Any, name: str) -> Campaign:
    """The tenant's campaign of that name or id. Raises Missing."""
    found = Campaign.objects.filter(tenant=owner, name=name).first() if yaml_files.storable(name) else None
    if found is None and name.isascii() and name.isdecimal() and len(name) < LONGEST_ID:
        found = Campaign.objects.filter(tenant=owner, pk=int(name)).first()
    if found is None:
        raise Missing(f"{owner.slug} has no campaign {name!r}; the name is case-sensitive.")
    return found
