"""CSV in UTF-8, with comma, semicolon or tab between the cells, read by streaming."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from outreach.common import encodings
from outreach.common.errors import BadInput
from outreach.common.sources import CELL_CHARS, LINE_CHARS, MAX_COLUMNS, Known, Record

DELIMITERS = ",;\t"
_TOO_LONG = "\x00line too long"  # stands for a line that nobody keeps in memory


def lines(file: BinaryIO) -> Iterator[str]:
    """The file's lines with their ends; one that is too long is read past and replaced by a mark."""
    file.seek(0)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    read = text.readline
    try:
        # With a limit, since a file without line ends would be one line and take all memory.
        while line := read(LINE_CHARS):
            if len(line) < LINE_CHARS:
                yield line
                continue
            while line and not line.endswith(("\n", "\r")):
                line = read(LINE_CHARS)
            yield _TOO_LONG
    finally:
        if not file.closed:  # a reading that was given up may end after the table
            text.detach()


def is_too_long(line: str) -> bool:
    return line == _TOO_LONG


class CsvSource:
    """Lines count as in an editor; a row begins at the line of its first cell."""

    letters: Sequence[str] = ()
    verbatim: frozenset[int] = frozenset()

    def __init__(self, path: Path, file: BinaryIO, known: Known) -> None:
        self.path, self._file = path, file
        file.seek(0)
        self.has_bom = file.read(3) == b"\xef\xbb\xbf"
        self.titles, self.delimiter = self._header(known)

    @property
    def position(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()

    def records(self) -> Iterator[Record]:
        reader = csv.reader(lines(self._file), delimiter=self.delimiter, strict=True)
        next(reader)
        ended = reader.line_num
        while True:
            try:
                for cells in reader:
                    line, ended = ended + 1, reader.line_num
                    if cells == [_TOO_LONG]:
                        yield line, [], [(None, f"is longer than {LINE_CHARS:,} characters, the limit")]
                    else:
                        yield line, cells, ()
                return
            except csv.Error as error:
                line, count, ended = ended + 1, reader.line_num - ended, reader.line_num
                reason = _csv_reason(error)
                if count > 1:
                    raise BadInput(
                        f"line {line} of {self.path.name}: a quoted cell begins here and {reason}: nobody "
                        "knows where the next row starts. Close the quote, then import again.",
                        line=line,
                    ) from error
                yield line, [], [(None, f"a cell {reason}")]
            except UnicodeDecodeError as error:
                raise encodings.not_utf8(self.path, self._file) from error

    def _header(self, known: Known) -> tuple[list[str], str]:
        """The first row under the delimiter that makes most of it."""
        found = lines(self._file)
        try:
            first = next(found, "")
        except UnicodeDecodeError as error:
            raise encodings.not_utf8(self.path, self._file) from error
        finally:
            found.close()  # type: ignore[attr-defined]
        if not first.strip("\ufeff \t\r\n,;"):
            raise BadInput(f"{self.path.name} has no header: its first line is empty. Name the columns there.", line=1)
        if first == _TOO_LONG or max(map(first.count, DELIMITERS)) >= MAX_COLUMNS:
            raise BadInput(f"{self.path.name} has more than {MAX_COLUMNS} columns, the limit.", line=1)
        best: tuple[int, int, list[str], str] = (-1, 0, [], ",")
        for delimiter in DELIMITERS:
            try:
                titles = next(csv.reader([first], delimiter=delimiter, strict=True))
            except csv.Error:
                continue
            best = max(best, (known(titles), len(titles), titles, delimiter), key=lambda found: found[:2])
        return best[2], best[3]


def _csv_reason(error: csv.Error) -> str:
    if "field larger" in str(error):
        return f"has more than {CELL_CHARS:,} characters, the limit"
    if "unexpected end" in str(error):
        return "is never closed"
    return "is not closed where the next one begins"
