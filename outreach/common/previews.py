"""What an import would make of each row: kept as JSON lines in a file without a name, so memory stays flat."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import IO, Any

from outreach.common.errors import BadInput
from outreach.common.refusals import Refusal


class Preview:
    """Rows with a verdict: new, changed (which fields, from what to what), unchanged, refused (why). No secrets."""

    def __init__(self) -> None:
        self._file: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (it goes with the report)

    def add(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Take the rows of one chunk; they are put in the file's order."""
        for entry in sorted(entries, key=lambda entry: entry["line"]):
            self._file.write(json.dumps(entry, ensure_ascii=False, default=str) + "\n")

    def lines(self) -> Iterator[str]:
        """All rows, each as one JSON object."""
        self._file.seek(0)
        for line in self._file:
            yield line.rstrip("\n")

    def entries(self) -> Iterator[dict[str, Any]]:
        """All rows, as they were added."""
        return map(json.loads, self.lines())

    def first(self, count: int) -> Iterator[str]:
        """The first rows as text."""
        for entry in islice(self.entries(), count):
            text = f"{entry['line']}: {entry['verdict']} {entry.get('subject', '')}".rstrip()
            notes = [f"{name} {old!r} -> {new!r}" for name, (old, new) in entry.get("changes", {}).items()]
            notes += entry.get("reasons", [])
            yield f"{text}: {'; '.join(notes)}" if notes else text

    def save(self, path: Path) -> None:
        """Write all rows to a file of mode 0600. Raises BadInput when it is there or can't be written."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise BadInput(f"{path} can't be written: {error.strerror}. Name another file with --preview.") from error
        with os.fdopen(handle, "w", encoding="utf-8") as target:
            target.writelines(f"{line}\n" for line in self.lines())


def loaded(value: Any) -> dict[str, Any]:
    """A JSON object of the database, which a cursor may hand over as text."""
    return json.loads(value) if isinstance(value, str) else dict(value)


def refused(line: int, subject: str, refusals: Iterable[Refusal]) -> dict[str, Any]:
    return {"line": line, "verdict": "refused", "subject": subject, "reasons": [str(found) for found in refusals]}
