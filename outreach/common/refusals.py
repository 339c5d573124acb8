"""What an import refused and what it took: the reasons, the counts, and the file for correcting."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from outreach.common import formulas
from outreach.common.errors import BadInput

if TYPE_CHECKING:
    from outreach.common.previews import Preview
    from outreach.common.tables import Table

TITLE = "reason"  # the column that a file of refused rows has more
OTHER_TITLE = "refused_reason"  # its name where the file has a `reason` of its own


class Refusal(NamedTuple):
    """Why a row, or one cell of it, was not taken. Lines count from 1, as an editor shows them.

    `cell` is the place in a workbook (F7, or 7 for the whole row), and empty for other files.
    """

    line: int
    column: str
    reason: str
    cell: str = ""

    def __str__(self) -> str:
        if letter := self.cell.rstrip("0123456789"):
            return f"row {self.line}, column {letter} ({self.column}): {self.reason}"
        if self.cell:
            return f"row {self.line}{self.column and f', {self.column}'}: {self.reason}"
        place = f"line {self.line}, {self.column}" if self.column else f"line {self.line}"
        return f"{place}: {self.reason}"


class Row(NamedTuple):
    """One row, with an apostrophe before formulas taken away; of a refused one what could be read."""

    line: int
    cells: list[str]
    refusals: Sequence[Refusal]


@dataclass(slots=True)
class Report:
    """How far an import is, and at the end what became of the file's rows."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    suppressed: int = 0
    repeated: int = 0
    refused: int = 0
    refusals: list[Refusal] = field(default_factory=list)  # the first KEPT of them
    refused_file: str = ""
    fields: list[str] = field(default_factory=list)
    dry_run: bool = False
    bytes_read: int = 0
    bytes_total: int = 0
    phase: str = "reading"
    import_id: int | None = None  # of what can be rolled back
    preview: Preview | None = None
    sign_ins: dict[str, Any] | None = None  # by result, where each was tried

    KEPT = 1000

    def refuse(self, refusals: Iterable[Refusal]) -> None:
        """Count one refused row."""
        self.refused += 1
        self.refusals.extend(islice(refusals, max(0, self.KEPT - len(self.refusals))))

    def as_dict(self) -> dict[str, Any]:
        """The result as a command prints it."""
        counts = ("read", "created", "updated", "unchanged", "suppressed", "repeated", "refused")
        return (
            {name: getattr(self, name) for name in counts}
            | {
                "refusals": [
                    {name: value for name, value in refusal._asdict().items() if name != "cell" or value}
                    for refusal in self.refusals
                ],
                "refused_file": self.refused_file or None,
                "fields": self.fields,
                "dry_run": self.dry_run,
                "import": self.import_id,
            }
            | ({} if self.sign_ins is None else {"sign_ins": self.sign_ins})
        )


class RefusedRows:
    """The file of refused rows: the same columns and the reason, safe to open in a spreadsheet, mode 0600.

    It appears under its name only with `keep`; until then, and after `discard`, nothing is there. Without `secrets`
    neither verbatim columns nor torn rows, whose cells may stand in any column, are in it.
    """

    def __init__(self, table: Table, path: Path, *, secrets: bool = True) -> None:
        self.table, self.path, self.secrets = table, path, secrets
        self._places = [place for place in range(len(table.columns)) if place not in table.ignored]
        self._file: Any = None

    def add(self, row: Row) -> list[Refusal]:
        """Write one row; return its refusals with their places. Raises BadInput when the folder can't be written."""
        if self._file is None:
            self._open()
        refusals = self.table.placed(row.refusals)
        cells, notes = [], [str(refusal) for refusal in refusals]
        is_torn = any(not refusal.column for refusal in refusals)
        for place in self._places:
            cell, name = row.cells[place].replace("\x00", "\ufffd"), self.table.columns[place]
            if not self.secrets and (is_torn or name in self.table.shape.verbatim):
                cell = ""
            elif name not in self.table.shape.verbatim:
                cell = formulas.escape(cell)
            elif formulas.escape(cell) != cell:  # an apostrophe would change the secret, none would run it
                cell = ""
                notes.append(f"{name} was left out here, enter it again")
            cells.append(cell)
        self._rows.writerow([*cells, "; ".join(notes)])
        return refusals

    def keep(self) -> Path | None:
        """Put the file in its place and return it; None when no row was refused."""
        if self._file is None:
            return None
        self._file.close()
        os.replace(self._file.name, self.path)
        self._file = None
        return self.path

    def discard(self) -> None:
        """Leave nothing behind."""
        if self._file is not None:
            self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None

    def _open(self) -> None:
        encoding = "utf-8-sig" if self.table.has_bom else "utf-8"
        try:
            self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115 (closed by keep and discard)
                "w",
                encoding=encoding,
                errors="replace",
                newline="",
                dir=self.path.parent,
                prefix=f".{self.path.name}.",
                delete=False,
            )
        except OSError as error:
            raise BadInput(
                f"Rows were refused, but {self.path} can't be written: {error.strerror}. "
                "Name another file with --refused."
            ) from error
        self._rows = csv.writer(self._file, delimiter=self.table.delimiter)
        own = {name for place, name in enumerate(self.table.columns) if place not in self.table.ignored}
        title = OTHER_TITLE if TITLE in own else TITLE
        self._rows.writerow([*(self.table.titles[place] for place in self._places), title])
