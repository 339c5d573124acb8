"""Take mailboxes from a file into a tenant, or take an import back."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from mailboxes.models import SignInTest
from mailboxes.services import importing, imports, sign_ins
from outreach.common import csv_files
from outreach.common.errors import BadInput, OutreachError
from outreach.common.import_commands import ImportCommand
from outreach.common.refusals import Report
from tenants.management import acting
from tenants.models import Tenant
from tenants.services.actors import Actor


class Command(ImportCommand):
    help = (
        "Import mailboxes. Columns: address, pool, smtp_host, smtp_port, smtp_security (tls, starttls); optional "
        "display_name, reserve (yes, no), smtp_username, smtp_password, daily_cap, min_gap_seconds, "
        "ramp (name of a plan), imap_host, imap_port."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        next(action for action in parser._actions if action.dest == "file").nargs = "?"
        parser.add_argument("--tenant", metavar="SLUG", required=True)
        parser.add_argument(
            "--map",
            metavar="TITLE=NAME",
            action="append",
            default=[],
            help="what a column of the file is; NAME empty: leave it out",
        )
        parser.add_argument("--source", metavar="NAME", default="", help="where the file comes from: its --map is kept")
        parser.add_argument(
            "--ramp", metavar="PLAN", default="", help="put on that ramp whose row names none; 'standard' is made"
        )
        parser.add_argument(
            "--test-sign-in",
            action="store_true",
            help="sign in over SMTP, and IMAP where the server has one, with each accepted mailbox after the import",
        )
        parser.add_argument("--preview", metavar="FILE", help="with --dry-run: what becomes of each row, as JSON lines")
        parser.add_argument("--rollback", metavar="ID", type=int, help="take that import back instead of a file in")

    def handle(self, *, file: str | None, json: bool, **options: Any) -> None:  # type: ignore[override]
        if options["rollback"] is not None:
            self._roll_back(options, as_json=json)
        elif file is None:
            raise CommandError("Name a FILE, or an import with --rollback ID.", returncode=1)
        else:
            super().handle(file=file, json=json, **options)

    def reports(self, options: dict[str, Any]) -> Iterable[Report]:
        if options["test_sign_in"] and options["dry_run"]:
            raise BadInput("A dry run leaves nothing that could sign in; take one of --dry-run and --test-sign-in.")
        with acting.in_tenant(options["tenant"], options["actor"]) as (tenant, actor):
            report = Report()
            for report in importing.import_mailboxes(
                tenant,
                options["file"],
                actor=actor,
                dry_run=options["dry_run"],
                refused_path=options["refused"],
                sheet=options["sheet"],
                source=options["source"],
                mapping=_mapping(options["map"]),
                ramp=options["ramp"],
                test_sign_in=options["test_sign_in"],
            ):
                yield report
            if options["test_sign_in"] and report.import_id:
                yield from _sign_in(tenant, actor, report, Path(f"{options['file']}.sign-ins.csv"))

    def more_wrong(self, report: Report) -> list[str]:
        told = report.sign_ins or {}
        if not (count := told.get("refused", 0)):
            return []
        which = "1 sign-in was refused by its host" if count == 1 else f"{count:,} sign-ins were refused by their host"
        return [f"{which}; see {told['file']}."]

    def _roll_back(self, options: dict[str, Any], *, as_json: bool) -> None:
        try:
            with acting.in_tenant(options["tenant"], options["actor"]) as (tenant, actor):
                done = imports.roll_back(imports.find(tenant, options["rollback"]), actor=actor)
        except OutreachError as error:
            if as_json:
                self.stdout.write(json.dumps({"error": error.code, "message": str(error), **error.details}))
            raise CommandError(str(error), returncode=2 if error.http_status == 409 else 1) from error
        result = {"import": done.pk, "state": done.state, "created": done.created, "updated": done.updated}
        self.stdout.write(json.dumps(result) if as_json else f"import {done.pk} was rolled back")


def _sign_in(tenant: Tenant, actor: Actor, report: Report, path: Path) -> Iterable[Report]:
    """Try each sign-in that the import noted; those that did not end well stand in a file of mode 0600."""
    if report.import_id is None:
        return
    for tests in sign_ins.run(tenant, report.import_id, actor=actor):
        waits = ", waits for places at the host" if tests.waits_for_host else ""
        report.phase = f"signing in, {tests.tested:,} of {tests.total:,}{waits}"
        report.sign_ins = tests.as_dict() | {"file": ""}
        yield report
    problems = sign_ins.problems(tenant, report.import_id)
    if (first := next(problems, None)) is not None and report.sign_ins is not None:
        titles = ("address", "door", "host", "result", "tries", "text")
        made = csv_files.write(chain([first], problems), titles, _cells)
        with made, open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
            shutil.copyfileobj(made, target)
        report.sign_ins["file"] = str(path)


def _cells(test: SignInTest) -> tuple[Any, ...]:
    return test.mailbox.address, test.door, test.host, test.result, test.tries, test.text


def _mapping(given: list[str]) -> dict[str, str]:
    found = {}
    for text in given:
        title, sign, name = text.rpartition("=")
        if not sign or not title.strip():
            raise BadInput(f"--map {text!r} has no TITLE=NAME.", field="map")
        found[title.strip()] = name.strip()
    return found
