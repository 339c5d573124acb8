"""Take mailboxes from a file into a tenant, or take an import back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from mailboxes.management.imports import FleetImport
from mailboxes.models import Import, SignInTest
from mailboxes.services import importing, sign_ins
from outreach.common import csv_files
from outreach.common.errors import BadInput
from outreach.common.refusals import Report
from tenants.models import Tenant
from tenants.services.actors import Actor


class Command(FleetImport):
    help = (
        "Import mailboxes. Columns: address, pool, smtp_host, smtp_port, smtp_security (tls, starttls); optional "
        "display_name, reserve (yes, no), smtp_username, smtp_password, daily_cap, min_gap_seconds, "
        "tags (with ; between), signature, ramp (name of a plan), imap_host, imap_port."
    )
    kind = Import.Kind.MAILBOXES
    service = staticmethod(importing.import_mailboxes)
    own_options = ("ramp", "test_sign_in")

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--ramp", metavar="PLAN", default="", help="put on that ramp whose row names none; 'standard' is made"
        )
        parser.add_argument(
            "--test-sign-in",
            action="store_true",
            help="sign in over SMTP, and IMAP where the server has one, with each accepted mailbox after the import",
        )

    def reports(self, options: dict[str, Any]) -> Iterable[Report]:
        if options["test_sign_in"] and options["dry_run"]:
            raise BadInput("A dry run leaves nothing that could sign in; take one of --dry-run and --test-sign-in.")
        return super().reports(options)

    def follow_up(self, tenant: Tenant, actor: Actor, report: Report, options: dict[str, Any]) -> Iterable[Report]:
        if options["test_sign_in"]:
            yield from _sign_in(tenant, actor, report, Path(f"{options['file']}.sign-ins.csv"))

    def more_wrong(self, report: Report) -> list[str]:
        told = report.sign_ins or {}
        if not (count := told.get("refused", 0)):
            return []
        which = "1 sign-in was refused by its host" if count == 1 else f"{count:,} sign-ins were refused by their host"
        return [f"{which}; see {told['file']}."]


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
