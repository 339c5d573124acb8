"""ramp start|stop|show ADDRESS...|--pool NAME --tenant SLUG."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from mailboxes.models import Mailbox, Pool, RampDay, RampPlan
from mailboxes.services import ramp
from outreach.common import dry_runs, yaml_files
from outreach.common.errors import BadInput, Missing, NeedsApproval, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant
from tenants.services.actors import Actor


class Command(BaseCommand):
    help = "Put mailboxes on a ramp, take them off, or show where they stand."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
        start = acts.add_parser("start", help="the cap begins low and rises by mail that went out")
        start.add_argument("--plan", metavar="NAME", help="without it: standard, made when it is missing")
        stop = acts.add_parser("stop", help="from now on the mailbox's own cap alone holds")
        stop.add_argument("--reason", default="", help="stands in the audit")
        second_person.add_arguments(stop)
        show = acts.add_parser("show", help="the cap of today, and why")
        for one in (start, stop, show):
            one.add_argument("addresses", nargs="*", metavar="ADDRESS")
            one.add_argument("--pool", metavar="NAME", help="all mailboxes of the pool that are not retired")
            acting.add_arguments(one, writes=one is not show)

    def handle(self, *, act: str, tenant: str, actor: str | None = None, **options: Any) -> None:
        try:
            with acting.in_tenant(tenant, actor) as (owner, who):
                boxes = chosen(owner, options["addresses"], options["pool"])
                report = show(who, boxes) if act == "show" else self.change(act, owner, who, boxes, options)
        except OutreachError as error:
            raise acting.refused(self, error, as_json=options["json"]) from error
        self.say(report, as_json=options["json"])
        if report.get("refused"):
            raise CommandError(f"Refused: {'; '.join(report['refused'][:20])}", returncode=2)

    def change(
        self, act: str, owner: Tenant, who: Actor, boxes: Sequence[Mailbox], options: dict[str, Any]
    ) -> dict[str, Any]:
        """One transaction for each mailbox, since each act locks the audit to its end; with --dry-run one for all."""
        reason = options.get("reason", "")
        if not yaml_files.storable(reason):
            raise BadInput("--reason: holds bytes that are no text.")
        done, refused = 0, []
        with dry_runs.perhaps(options["dry_run"]):
            plan = plan_of(owner, options["plan"], who) if act == "start" else None
            for n, box in enumerate(boxes, 1):
                try:
                    if plan is not None:
                        ramp.start_ramp(box, plan, actor=who)
                    else:
                        with second_person.asked(who, options):
                            ramp.leave_ramp(box, actor=who, reason=reason, approval=options["approval"])
                    done += 1
                except NeedsApproval:
                    if len(boxes) == 1:
                        raise
                    refused.append(f"{box} needs a second person")
                except OutreachError as error:
                    refused.append(str(error))
                if n % 100 == 0:
                    self.stderr.write(f"{n:,} of {len(boxes):,}", ending="\r")
        return {"act": act, "done": done, "refused": refused, "dry_run": options["dry_run"]}

    def say(self, report: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(report))
        elif "mailboxes" in report:
            for row in report["mailboxes"]:
                self.stdout.write(" ".join(f"{key}={'' if value is None else value}" for key, value in row.items()))
        else:
            self.stdout.write(f"act={report['act']} done={report['done']} refused={len(report['refused'])}")


def chosen(owner: Tenant, addresses: Sequence[str], pool: str | None) -> list[Mailbox]:
    """The mailboxes of those addresses, or of the pool. Raises BadInput, Missing."""
    if bool(addresses) == (pool is not None):
        raise BadInput("Name addresses, or a pool with --pool.")
    rows = Mailbox.objects.filter(tenant=owner).select_related("ramp").order_by("pk")
    if pool is not None:
        if not yaml_files.storable(pool) or not Pool.objects.filter(tenant=owner, name=pool).exists():
            raise Missing(f"{owner.slug} has no pool {pool!r}.")
        return list(rows.filter(pool__name=pool).exclude(state=Mailbox.State.RETIRED))
    wanted = [address.strip().lower() for address in addresses]
    found = {box.address_key: box for box in rows.filter(address_key__in=filter(yaml_files.storable, wanted))}
    for key in wanted:
        if key not in found:
            raise Missing(f"{owner.slug} has no mailbox {key!r}.")
    return list(found.values())


def plan_of(owner: Tenant, name: str | None, who: Actor) -> RampPlan:
    """The plan of that name; without a name the standard one, made with the numbers of RULES if need be."""
    if name is not None and not yaml_files.storable(name):
        raise BadInput("--plan: holds bytes that are no text.")
    plan = ramp.find_plan(owner, name or ramp.STANDARD)
    if plan is None and name is not None:
        raise Missing(f"{owner.slug} has no ramp plan {name!r}.")
    return plan or ramp.add_plan(owner, ramp.STANDARD, actor=who)


def show(who: Actor, boxes: Sequence[Mailbox]) -> dict[str, Any]:
    """Where each mailbox stands; the last day's decision with its reason."""
    for box in boxes[:1]:
        who.require("mailboxes.view", box)
    days = RampDay.objects.filter(mailbox__in=[box.pk for box in boxes]).order_by("mailbox_id", "-day")
    last = {day.mailbox_id: day for day in days.distinct("mailbox_id")}
    return {"mailboxes": [_standing(box, last.get(box.pk)) for box in boxes]}


def _standing(box: Mailbox, day: RampDay | None) -> dict[str, Any]:
    return {
        "address": box.address,
        "state": box.state,
        "plan": box.ramp and box.ramp.name,
        "ramp_cap": box.ramp_cap,
        "daily_cap": box.daily_cap,
        "cap": box.cap_of_day,
        "day": day and day.day.isoformat(),
        "decision": day and day.kind,
        "why": day and str(day.why),
        "until": day and day.until and day.until.isoformat(),
    }
