"""What the three import commands share: arguments, progress, result, exit codes.

Exit 0: everything was taken. Exit 2: rows or the whole file were refused. Exit 1: anything else.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from outreach.common import progress
from outreach.common.errors import BadInput, OutreachError
from outreach.common.previews import Preview
from outreach.common.refusals import Report

SHOWN = 20  # refusals that stand on the screen; the file of refused rows has all


class ImportCommand(BaseCommand):
    """A command that feeds one file to one service."""

    def add_arguments(self, parser: CommandParser) -> None:
        """FILE and what every import takes; subclasses add where it goes."""
        parser.add_argument("file", metavar="FILE", help="CSV in UTF-8, workbook (.xlsx), or one JSON object a line")
        parser.add_argument("--sheet", metavar="NAME", default="", help="sheet of a workbook; default: the first")
        parser.add_argument("--dry-run", action="store_true", help="judge every row, change nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON object")
        parser.add_argument("--actor", metavar="EMAIL", help="who imports; default: the system")
        parser.add_argument("--refused", metavar="PATH", help="file for refused rows; default: FILE.refused.csv")

    def reports(self, options: dict[str, Any]) -> Iterable[Report]:
        """The service's reports for these options."""
        raise NotImplementedError

    def handle(self, *, file: str, json: bool, **options: Any) -> None:
        """Print the result on stdout, progress on stderr."""
        started = time.monotonic()
        try:
            report = self._follow(self.reports({"file": file, "json": json, **options}), file)
        except OutreachError as error:
            if json:
                self._print({"error": error.code, "message": str(error), **error.details})
            raise CommandError(str(error), returncode=2 if isinstance(error, BadInput) else 1) from error
        result = report.as_dict() | {"file": file, "seconds": round(time.monotonic() - started, 3)}
        if report.preview and options.get("preview"):
            report.preview.save(Path(options["preview"]))
        if json and report.preview:
            self._print_rows(result, report.preview)
        elif json:
            self._print(result)
        else:
            self._say(report)
        wrong = [self._refused(report)] if report.refused else []
        if wrong := wrong + self.more_wrong(report):
            raise CommandError(" ".join(wrong), returncode=2)

    def more_wrong(self, report: Report) -> list[str]:
        """What else ends the command with 2, as sentences."""
        return []

    def _follow(self, reports: Iterable[Report], file: str) -> Report:
        report = Report()
        with progress.bar(None, file, unit="B") as bar:
            for report in reports:
                bar.total = report.bytes_total
                bar.set_postfix_str(f"{report.read:,} rows, {report.phase}", refresh=False)
                bar.update(report.bytes_read - bar.n)
        return report

    def _print(self, result: dict[str, Any]) -> None:
        self.stdout.write(json.dumps(result, ensure_ascii=False, default=str))

    def _print_rows(self, result: dict[str, Any], preview: Preview) -> None:
        """One object with a list of all rows, which are never in memory together."""
        self.stdout.write(json.dumps(result, ensure_ascii=False, default=str).removesuffix("}"), ending=', "rows": [')
        for number, line in enumerate(preview.lines()):
            self.stdout.write(f", {line}" if number else line, ending="")
        self.stdout.write("]}")

    def _say(self, report: Report) -> None:
        for line in report.preview.first(SHOWN) if report.preview else ():
            self.stdout.write(line)
        for refusal in report.refusals[:SHOWN]:
            self.stdout.write(str(refusal))
        if report.refused > SHOWN:
            self.stdout.write(f"... and more, {report.refused:,} rows in all")
        counts = {name: value for name, value in report.as_dict().items() if type(value) is int and name != "import"}
        text = " ".join(f"{name}={value}" for name, value in counts.items())
        self.stdout.write(f"{'dry run, nothing changed: ' if report.dry_run else ''}{text}")
        if report.import_id:
            self.stdout.write(f"import {report.import_id}")
        if report.sign_ins is not None:
            told = (f"{name}={value}" for name, value in report.sign_ins.items() if value != "")
            self.stdout.write(f"sign-ins: {' '.join(told)}")
        if report.fields:
            self.stdout.write(f"kept as free fields: {', '.join(report.fields)}")

    def _refused(self, report: Report) -> str:
        rows = "1 row was refused" if report.refused == 1 else f"{report.refused:,} rows were refused"
        if not report.refused_file:
            return f"{rows}."
        return f"{rows}. Correct {report.refused_file} and import it."
