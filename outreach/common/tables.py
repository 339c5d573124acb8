"""CSV files that people bring: read by streaming, judged cell by cell.

Memory stays flat whatever the file: cells end at CELL_CHARS, lines at LINE_CHARS, columns at MAX_COLUMNS.
What concerns the file as a whole raises BadInput, so that its reader imports nothing; what concerns one
row comes with the row as Refusals that name line, column and reason.

A cell that a spreadsheet would run as a formula is refused, since some export would hand it on. Where it is
meant as text, an apostrophe stands in front: `formulas.escape` puts it there, reading takes it away.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Self

from outreach.common import encodings, formulas
from outreach.common.addresses import header_text
from outreach.common.errors import BadInput
from outreach.common.refusals import OTHER_TITLE, TITLE, Refusal, Row

CELL_CHARS = 131_072  # the csv module's own limit, which belongs to the whole process
LINE_CHARS = 4 * 2**20
MAX_COLUMNS = 200
NAME_CHARS = 60
DELIMITERS = ",;\t"
_LOOK_CLOSER = frozenset(formulas.SIGNS) | frozenset(" '\"\u00a0")  # first characters
_TOO_LONG = "\x00line too long"  # stands for a line that nobody keeps in memory


@dataclass(frozen=True, slots=True)
class Shape:
    """What the columns of a kind of file must and may be.

    Of `one_of` at least one has to be there. `verbatim` columns hold secrets: no apostrophe is taken
    away and nothing is refused as a formula. `free` lets at most that many other columns in.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    verbatim: frozenset[str] = frozenset()
    free: int = 0

    @property
    def known(self) -> tuple[str, ...]:
        return (*self.one_of, *self.required, *self.optional)


class Table:
    """An open CSV file with a known header. `rows()` may be called again: each call starts from the top."""

    def __init__(self, path: str | os.PathLike[str], shape: Shape) -> None:
        """Open the file and judge its header. Raises BadInput about the file as a whole."""
        self.path, self.shape = Path(path), shape
        try:
            if not self.path.is_file():
                raise BadInput(f"There is no file {self.path}.")
            self._file: BinaryIO = self.path.open("rb")
        except OSError as error:
            raise BadInput(f"{self.path} can't be read: {error.strerror}.") from error
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            sample = self._file.read(65536)
            encodings.refuse_foreign(self.path, sample)
            self.has_bom = sample.startswith(b"\xef\xbb\xbf")
            self.titles, self.delimiter = self._header()
            self.columns = [_normal(title) for title in self.titles]
            self.ignored = self._ignored()
            self._judge_columns()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def position(self) -> int:
        """How many bytes were read, for a progress bar."""
        return min(self._file.tell(), self.size)

    @property
    def fields(self) -> list[str]:
        """The free columns, in the file's order."""
        known = {*self.shape.known, *(self.columns[place] for place in self.ignored)}
        return [name for name in self.columns if name not in known]

    def rows(self) -> Iterator[Row]:
        """The rows that hold something. Raises BadInput where the file can't be understood any more."""
        reader = csv.reader(self._lines(), delimiter=self.delimiter, strict=True)
        next(reader)
        width, ended = len(self.columns), reader.line_num
        while True:
            try:
                for cells in reader:
                    line, ended = ended + 1, reader.line_num
                    text = "".join(cells)
                    if (
                        text.isprintable()
                        and len(cells) == width
                        and "=?" not in text
                        and _LOOK_CLOSER.isdisjoint([cell[:1] for cell in cells])
                    ):
                        if text:
                            yield Row(line, cells, ())
                    elif text.strip():
                        yield self._look_closer(line, cells)
                return
            except csv.Error as error:
                line, lines, ended = ended + 1, reader.line_num - ended, reader.line_num
                reason = _csv_reason(error)
                if lines > 1:
                    raise BadInput(
                        f"line {line} of {self.path.name}: a quoted cell begins here and {reason}: nobody "
                        "knows where the next row starts. Close the quote, then import again.",
                        line=line,
                    ) from error
                yield Row(line, [""] * width, [Refusal(line, "", f"a cell {reason}")])
            except UnicodeDecodeError as error:
                raise encodings.not_utf8(self.path, self._file) from error

    def _lines(self) -> Iterator[str]:
        """The file's lines with their ends; one that is too long is read past and replaced by a mark."""
        self._file.seek(0)
        text = io.TextIOWrapper(self._file, encoding="utf-8-sig", newline="")
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
            if not self._file.closed:  # a reading that was given up may end after the table
                text.detach()

    def _header(self) -> tuple[list[str], str]:
        """The first row under the delimiter that makes most of it."""
        lines = self._lines()
        try:
            first = next(lines, "")
        except UnicodeDecodeError as error:
            raise encodings.not_utf8(self.path, self._file) from error
        finally:
            lines.close()  # type: ignore[attr-defined]
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
            known = len(set(map(_normal, titles)) & set(self.shape.known))
            best = max(best, (known, len(titles), titles, delimiter), key=lambda found: found[:2])
        if best[0] < 1:
            raise BadInput(
                f"{self.path.name} has no header: line 1 names none of the columns "
                f"{', '.join(self.shape.known)}. Put their names in the first line.",
                line=1,
            )
        return best[2], best[3]

    def _ignored(self) -> frozenset[int]:
        """Places of the columns that an earlier import wrote beside refused rows."""
        last = len(self.columns) - 1
        places = {place for place, name in enumerate(self.columns) if name == OTHER_TITLE}
        if self.columns[last] == TITLE and TITLE not in self.shape.known:
            places.add(last)
        return frozenset(places)

    def _judge_columns(self) -> None:
        """Refuse the file when its columns can't be told apart or are not the ones that it needs."""
        wrong: list[tuple[str, str]] = []
        seen: dict[str, int] = {}
        for place, name in enumerate(self.columns, start=1):
            if not name:
                wrong.append((f"column {place}", "has no name"))
            elif name in seen:
                wrong.append((name, f"stands in the header twice, as columns {seen[name]} and {place}"))
            elif name not in self.shape.known and (not name.isidentifier() or len(name) > NAME_CHARS):
                shown = name[:NAME_CHARS].encode("unicode_escape").decode()
                wrong.append((shown, "is no usable name: take letters, digits and _, a letter first"))
            seen.setdefault(name, place)
        if self.fields and not self.shape.free:
            known = self.shape.known
            wrong += [(name, f"is not a column of this import{_nearest(name, known)}") for name in self.fields]
        elif len(self.fields) > self.shape.free:
            first = self.fields[self.shape.free]
            wrong.append((first, f"is one free column too many, the limit is {self.shape.free}"))
        missing = [name for name in self.shape.required if name not in seen]
        wrong += [(name, f"is missing{_nearest(name, self.fields)}") for name in missing]
        if self.shape.one_of and not any(name in seen for name in self.shape.one_of):
            wrong.append((" or ".join(self.shape.one_of), "is missing"))
        if wrong:
            text = "; ".join(f"{name} {reason}" for name, reason in wrong[:10])
            raise BadInput(f"{self.path.name} has an unusable header: {text}.", line=1, column=wrong[0][0])

    def _look_closer(self, line: int, cells: list[str]) -> Row:
        """Judge a row that has something unusual in it, and take the apostrophes away."""
        width = len(self.columns)
        if cells == [_TOO_LONG]:
            reason = f"is longer than {LINE_CHARS:,} characters, the limit"
            return Row(line, [""] * width, [Refusal(line, "", reason)])
        if len(cells) != width:
            reason = f"has {len(cells)} cells for {width} columns: look for a missing quote or delimiter"
            return Row(line, (cells + [""] * width)[:width], [Refusal(line, "", reason)])
        refusals, taken = [], []
        for place, (name, cell) in enumerate(zip(self.columns, cells, strict=True)):
            verbatim = name in self.shape.verbatim
            taken.append(cell if verbatim else formulas.restore(cell))
            if place in self.ignored:
                continue
            try:
                header_text(cell, name)
            except BadInput as error:
                refusals.append(Refusal(line, name, str(error)))
            else:
                if formulas.found(cell) and not verbatim:
                    reason = "begins like a formula; if it is meant as text, put an apostrophe (') first"
                    refusals.append(Refusal(line, name, reason))
        return Row(line, taken, refusals)


def _normal(title: str) -> str:
    return re.sub(r"[\s-]+", "_", title.strip().casefold())


def _nearest(name: str, names: Iterable[str]) -> str:
    found = get_close_matches(name, list(names), n=1)
    return f" (is {found[0]} meant?)" if found else ""


def _csv_reason(error: csv.Error) -> str:
    if "field larger" in str(error):
        return f"has more than {CELL_CHARS:,} characters, the limit"
    if "unexpected end" in str(error):
        return "is never closed"
    return "is not closed where the next one begins"
