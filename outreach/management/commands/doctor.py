"""One screen: what runs, what does not, and what to do."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from outreach.management import checkup

MARKS = {checkup.GOOD: "ok  ", checkup.WARNING: "look", checkup.BAD: "BAD "}


class Command(BaseCommand):
    help = "Look at database, roles, clock, migrations, queue, stuck rows, keys, settings. Exit 1 if one is bad."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *, json: bool, **options: Any) -> None:
        findings = list(checkup.look())
        sound = all(finding.state != checkup.BAD for finding in findings)
        self.stdout.write(as_json(sound, findings) if json else as_screen(findings))
        if not sound:
            raise SystemExit(1)


def as_json(sound: bool, findings: list[checkup.Finding]) -> str:
    return json.dumps({"ok": sound, "findings": [finding.as_dict() for finding in findings]})


def as_screen(findings: list[checkup.Finding]) -> str:
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.state]}  {finding.name:<16} {finding.found}")
        if finding.remedy:
            lines.append(f"{'':22} -> {finding.remedy}")
    return "\n".join(lines)
