"""Verify the audit, sign its head, write it to a file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import now

from outreach.common import progress
from outreach.common.errors import BadInput, OutreachError
from tenants import chain
from tenants.management import acting
from tenants.services import audit, tenants, verifying
from tenants.services.verifying import Report

MOST_BYTES = 100_000_000  # of a file with signed heads, each of which takes about 120


class Command(BaseCommand):
    help = "Follow every chain of the audit, name the first broken row of each, and sign where the chains stand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--tenant", metavar="SLUG", help="this tenant's chain alone; default: all, and the platform's"
        )
        parser.add_argument(
            "--head", metavar="FILE", type=Path,
            help="look for the heads that FILE has signed; when all holds, put the new signed heads in their place",
        )  # fmt: skip
        parser.add_argument("--export", metavar="FILE", type=Path, help="write every entry as a line of JSON, signed")
        parser.add_argument("--actor", metavar="EMAIL", help="who verifies; default: the system")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(
        self, *, tenant: str | None, head: Path | None, export: Path | None, actor: str | None, **options: Any
    ) -> None:
        try:
            for path in filter(None, (head, export)):
                _check(path)
            signed = _signed_by(head) if head else []
            with acting.acting(actor) as who:
                ids = [tenants.find(tenant).pk] if tenant else verifying.chains_of(who, signed)
                with _Export(export) as out, progress.bar(None, "audit", unit="entries") as bar:
                    report = Report()
                    for report in verifying.verify(ids, actor=who, signed=signed, each=out.write):
                        bar.update(report.entries - bar.n)
                    out.finish(report)
            if head and report.holds:
                others = [old for old in signed if old.tenant_id not in ids]
                _put(head, chain.sign(audit.keys(), [*others, *report.heads], at=now()))
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.", returncode=2) from error
        except OutreachError as error:
            raise CommandError(str(error), returncode=1) from error
        self._say(report, signed_before=bool(signed), head=head, as_json=options["json"])

    def _say(self, report: Report, *, signed_before: bool, head: Path | None, as_json: bool) -> None:
        cut = "" if signed_before else "No head signed earlier was given, so a cut tail would not show."
        if as_json:
            said = {
                "holds": report.holds, "entries": report.entries, "chains": len(report.heads) + len(report.faults),
                "signed_heads_found": report.known, "faults": [fault.as_json() for fault in report.faults],
                "further": report.further,
                "warning": cut, "head": str(head) if head and report.holds else None, "public_key": audit.keys().public,
            }  # fmt: skip
            self.stdout.write(json.dumps(said))
        elif report.holds:
            self.stdout.write(f"The audit holds: entries={report.entries} chains={len(report.heads)}. {cut}".strip())
            if head:
                self.stdout.write(f"Signed head: {head} (public key {audit.keys().public}). Keep it away from here.")
        if not report.holds:
            more = [f"Behind those, {report.further} more are broken."] if report.further else []
            raise CommandError("\n".join([*map(_sentence, report.faults), *more]), returncode=1)


def _sentence(fault: chain.Fault) -> str:
    where = "the platform's chain" if fault.tenant_id is None else f"the chain of tenant {fault.tenant_id}"
    row = f" (row {fault.entry_id})" if fault.entry_id else ""
    return f"Broken: {where}, {fault.what}{row}."


def _check(path: Path) -> None:
    """Raise BadInput for what is no place for a file: it is put in the place of what stands there."""
    try:
        os.fsencode(path)
        if not path.name or "\0" in str(path) or (path.exists() and not path.is_file()):
            raise BadInput(f"{path}: is no file; name one, or one that is to be made.")
    except UnicodeError:
        raise BadInput("The path of a file has characters that no path has.") from None


def _signed_by(path: Path) -> list[chain.Head]:
    """The heads in a file; none when there is no file yet. Raises BadInput."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        text = file.read(MOST_BYTES + 1)
    if len(text) > MOST_BYTES:
        raise BadInput(f"{path}: has more than {MOST_BYTES:,} bytes, so it is no signed head.")
    return chain.read_signed(audit.keys(), text)


def _put(path: Path, text: str) -> None:
    """The text in place of what stood there: whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    os.replace(draft, path)


class _Export:
    """The entries as lines; the last line signs the SHA-256 of those before it. Nothing is left of a broken run."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.draft = path.with_name(f".{path.name}.{os.getpid()}") if path else None
        self.file: IO[bytes] | None = None
        self.digest = hashlib.sha256()

    def __enter__(self) -> _Export:
        if self.draft:
            self.file = os.fdopen(os.open(self.draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        return self

    def write(self, rows: Sequence[verifying.Row]) -> None:
        if self.file:
            for row in rows:
                line = verifying.as_line(row)
                self.digest.update(line)
                self.file.write(line)

    def finish(self, report: Report) -> None:
        if self.file and self.draft and self.path:
            faults = [fault.as_json() for fault in report.faults]
            more = {"entries": report.entries, "sha256": self.digest.hexdigest(), "faults": faults}
            self.file.write(chain.sign(audit.keys(), report.heads, at=now(), **more).encode())
            self.file.close()
            os.replace(self.draft, self.path)

    def __exit__(self, *error: object) -> None:
        if self.file and not self.file.closed:
            self.file.close()
        if self.draft:
            self.draft.unlink(missing_ok=True)
