"""Seal all secrets with the newest key, so that older keys can be taken out."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from outreach.common import draining, progress
from outreach.common.errors import BadInput, OutreachError
from tenants.management import acting
from tenants.services import sealing
from tenants.services.sealing import Report

SHOWN = 20  # secrets that can't be opened, on the screen; --json has all
EXIT_GO_ON = 75  # EX_TEMPFAIL of sysexits.h: start me again


class Command(BaseCommand):
    help = (
        "Seal with the newest key of CREDENTIAL_KEYS whatever an older one has sealed, in all tenants, while mail goes "
        "out. Exit 0: older keys may be taken out. 2: some secrets can't be opened. 75: stopped or rows in use, start "
        "it again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=200, metavar="N", help="rows in one transaction")
        parser.add_argument("--dry-run", action="store_true", help="open everything, change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--actor", metavar="EMAIL", help="act as this person instead of the system")

    def handle(self, *, batch: int, dry_run: bool, actor: str | None, **options: Any) -> None:
        try:
            with stoppable(), acting.acting(actor) as who, progress.bar(None, "secrets") as bar:
                for report in sealing.rotate(actor=who, batch=batch, dry_run=dry_run):
                    bar.update(report.read - bar.n)
        except OutreachError as error:
            if options["json"]:
                self.stdout.write(json.dumps({"error": error.code, "message": str(error), **error.details}))
            raise CommandError(str(error), returncode=2 if isinstance(error, BadInput) else 1) from error
        self.stdout.write(json.dumps(report.as_dict()) if options["json"] else line(report))
        if report.broken:
            raise CommandError("\n".join(broken(report)), returncode=2)
        if report.stopped:
            raise CommandError("Stopped; start it again to go on.", returncode=EXIT_GO_ON)
        if report.waiting and not dry_run:
            raise CommandError("Some rows were in use all the time; start it again.", returncode=EXIT_GO_ON)


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGTERM and Ctrl-C end the command after the batch under way."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, lambda *_: draining.stopping.set())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def line(report: Report) -> str:
    """The result in one line."""
    counts = f"current={report.current} resealed={report.resealed} waiting={report.waiting} broken={len(report.broken)}"
    used = ", ".join(f"{key} {count}" for key, count in sorted(report.keys.items())) or "none"
    may = f"may be taken out: {', '.join(report.removable)}" if report.removable else "no key may be taken out"
    return f"{'dry run, nothing changed: ' if report.dry_run else ''}{counts}; sealed by: {used}; {may}"


def broken(report: Report) -> list[str]:
    """What can't be opened, for the screen."""
    shown = [str(row) for row in report.broken[:SHOWN]]
    more = len(report.broken) - len(shown)
    return [*shown, *([f"... and {more:,} more"] if more else []), "Enter these secrets again."]
