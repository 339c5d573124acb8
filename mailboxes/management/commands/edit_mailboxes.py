"""Change many mailboxes of a tenant at once, or take such a change back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from mailboxes.edits import Difference, Wish
from mailboxes.management import choosing
from mailboxes.models import BulkEdit
from mailboxes.services import editing, ramp
from outreach.common import dry_runs, yaml_files
from outreach.common.errors import BadInput, Missing, OutreachError
from tenants.management import acting, second_person
from tenants.models import Tenant
from tenants.services.actors import Actor

NUMBERS: dict[str, Callable[[str], Any]] = {
    "daily_cap": int, "min_gap_seconds": int, "weight": float, "reserve_share": float,
}  # fmt: skip
TEXTS = ("signature", "state")
SHOWN = 20  # mailboxes of a difference on a terminal; --json has all


class Command(BaseCommand):
    help = (
        "Change mailboxes in one go: --set daily_cap=30, weight, min_gap_seconds, reserve_share, signature "
        "(\\n between lines), state (reserve, active); --add-tag, --remove-tag, --tags; --pool-to; --ramp, "
        "--leave-ramp."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        choosing.add_arguments(parser)
        parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
        parser.add_argument("--add-tag", action="append", default=[], metavar="T")
        parser.add_argument("--remove-tag", action="append", default=[], metavar="T")
        parser.add_argument("--tags", metavar="T;T", help="these tags instead of all others; empty: none")
        parser.add_argument("--pool-to", metavar="NAME", help="move them into this pool")
        parser.add_argument("--ramp", metavar="PLAN", help="put them on this ramp plan")
        parser.add_argument("--leave-ramp", action="store_true", help="take them off their ramps")
        parser.add_argument("--apply", type=int, metavar="ID", help="do what this draft says")
        parser.add_argument("--undo", type=int, metavar="ID", help="take this edit back")
        acting.add_arguments(parser)
        second_person.add_arguments(parser)

    def handle(self, *, tenant: str, actor: str | None = None, **options: Any) -> None:
        as_json, dry_run = options["json"], options["dry_run"]
        try:
            with (
                acting.in_tenant(tenant, actor) as (owner, who),
                second_person.asked(who, options),
                dry_runs.perhaps(dry_run),
            ):
                edit = self.edit(owner, who, options)
                undoes = options["undo"] is not None
                found = editing.preview(edit)
                if not dry_run and undoes:
                    edit = editing.undo_edit(edit, actor=who, digest=found.digest, approval=options["approval"])
                elif not dry_run:
                    edit = editing.apply(edit, actor=who, digest=found.digest, approval=options["approval"])
        except OutreachError as error:
            raise acting.refused(self, error, as_json=as_json) from error
        self.say(edit, found, as_json=as_json, dry_run=dry_run)
        if found.refused:
            told = [f"{each.address} {each.reason}" for each in found.refused]
            raise CommandError(f"Refused: {'; '.join(told[:SHOWN])}", returncode=2)

    def edit(self, owner: Tenant, who: Actor, options: dict[str, Any]) -> BulkEdit:
        """The edit that is named, or a new draft of what is to change. Raises BadInput, Missing."""
        if options["apply"] is not None or options["undo"] is not None:
            if None not in (options["apply"], options["undo"]):
                raise BadInput("--apply and --undo are two acts; name one.")
            return editing.find(owner, options["undo"] if options["apply"] is None else options["apply"])
        wish = wish_of(owner, options)
        ids = list(choosing.chosen(owner, options).values_list("pk", flat=True)[: editing.MOST + 1])
        with transaction.atomic():
            return editing.draft(owner, ids, wish, actor=who)

    def say(self, edit: BulkEdit, found: Difference, *, as_json: bool, dry_run: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(as_object(edit, found, dry_run=dry_run)))
            return
        for each in found.changes[:SHOWN]:
            told = "; ".join(f"{name} {each.before[name]!r} -> {new!r}" for name, new in each.after.items())
            self.stdout.write(f"{each.address}: {told}")
        if len(found.changes) > SHOWN:
            self.stdout.write(f"and {len(found.changes) - SHOWN:,} more")
        number = "" if dry_run else f"edit={edit.pk} "
        self.stdout.write(
            f"{number}state={edit.state} changed={len(found.changes)} unchanged={found.unchanged} "
            f"refused={len(found.refused)} taken_back={found.waiting}"
        )


def as_object(edit: BulkEdit, found: Difference, *, dry_run: bool) -> dict[str, Any]:
    """The result as --json prints it."""
    return {
        "edit": None if dry_run else edit.pk,
        "state": edit.state,
        "changed": len(found.changes),
        "unchanged": found.unchanged,
        "refused": [{"address": each.address, "reason": each.reason} for each in found.refused],
        "taken_back": found.waiting,
        "dry_run": dry_run,
        "changes": [
            {"address": each.address, "before": {name: each.before[name] for name in each.after}, "after": each.after}
            for each in found.changes
        ],
    }


def wish_of(owner: Tenant, options: dict[str, Any]) -> Wish:
    """What the options say. Raises BadInput, Missing."""
    values: dict[str, Any] = {"leave_ramp": options["leave_ramp"] or None}
    for given in options["set"]:
        name, sign, text = given.partition("=")
        if not sign or name not in (*NUMBERS, *TEXTS):
            raise BadInput(f"--set takes NAME=VALUE with one of {', '.join((*NUMBERS, *TEXTS))}, not {given!r}.")
        values[name] = _value(name, text)
    for name in ("add_tag", "remove_tag"):
        values[f"{name}s"] = tuple(options[name])
    if options["tags"] is not None:
        values["tags"] = [part for part in options["tags"].split(";") if part.strip()]
    if options["pool_to"] is not None:
        values["pool"] = choosing.pool_of(owner, options["pool_to"], "--pool-to").pk
    if options["ramp"] is not None:
        plan = ramp.find_plan(owner, options["ramp"]) if yaml_files.storable(options["ramp"]) else None
        if plan is None:
            raise Missing(f"{owner.slug} has no ramp plan {options['ramp']!r}.")
        values["ramp"] = plan.pk
    return Wish.of(**values)


def _value(name: str, text: str) -> Any:
    if name == "signature":
        return text.replace("\\n", "\n")
    if name in TEXTS:
        return text
    try:
        return NUMBERS[name](text)
    except ValueError as error:
        raise BadInput(f"--set {name} takes a number, not {text!r}.", field=name) from error
