"""Rows as CSV files for people: safe to open in a spreadsheet, complete when the function returns.

A file is made at once, while the rows of its reader are in scope; nothing is read later, when they no longer are.
No cell begins like a formula; what import_contacts reads from such a file is what stood in the row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from outreach.common import formulas
from outreach.common.errors import BadInput

LIMIT = 200_000  # rows of one file
CHUNK = 2_000  # rows that are read at once
MEMORY_BYTES = 4 * 2**20  # of one file; the rest is on disk
Cells = Callable[[Any], Iterable[Any]]


def in_chunks(rows: Any) -> Iterator[Any]:
    """The rows of a query set by their numbers, few in memory at a time."""
    last = 0
    while chunk := list(rows.filter(pk__gt=last).order_by("pk")[:CHUNK]):
        yield from chunk
        last = chunk[-1].pk


def count(rows: Any) -> int:
    """How many rows a file will have. Raises BadInput for more than LIMIT."""
    found = rows.order_by().values("pk")[: LIMIT + 1].count()
    if found > LIMIT:
        raise BadInput(f"These are more than {LIMIT:,} rows, the limit of one file. Filter them and export the parts.")
    return found


def write(rows: Iterable[Any], columns: Sequence[str], cells: Cells) -> IO[bytes]:
    """The file, at its beginning: a header and a line for each row, UTF-8 with a mark that spreadsheets read."""
    made: Any = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 (the response closes it)
    try:
        text = io.TextIOWrapper(made, encoding="utf-8-sig", newline="", write_through=True)
        writer = csv.writer(text, quoting=csv.QUOTE_ALL)
        writer.writerow(map(cell, columns))
        for row in rows:
            writer.writerow(map(cell, cells(row)))
        text.detach()
        made.seek(0)
    except BaseException:
        made.close()
        raise
    return made


def cell(value: Any) -> str:
    """A value as the text of a cell."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return formulas.escape(value.isoformat() if isinstance(value, date) else str(value))
