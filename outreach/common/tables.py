"""Files that people bring (CSV, workbooks, JSON lines): their header and their cells, judged the same way for all.

Memory stays flat whatever the file: cells end at CELL_CHARS, lines at LINE_CHARS, columns at MAX_COLUMNS; a workbook
is held in memory and ends at the limits of outreach.common.workbooks.
What concerns the file as a whole raises BadInput, so that its reader imports nothing; what concerns one
row comes with the row as Refusals that name line, column and reason.

A cell that a spreadsheet would run as a formula is refused, since some export would hand it on. Where it is
meant as text, an apostrophe stands in front: `formulas.escape` puts it there, reading takes it away.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Self

from outreach.common import csv_source, encodings, formulas, json_lines, workbooks
from outreach.common.addresses import header_text
from outreach.common.errors import BadInput
from outreach.common.refusals import OTHER_TITLE, TITLE, Refusal, Row
from outreach.common.sources import MAX_BYTES, Source, Trouble

NAME_CHARS = 60
_LINE_END = re.compile(r"\r\n|\r|\n")
_LOOK_CLOSER = frozenset(formulas.SIGNS) | frozenset(" '\"\u00a0")  # first characters


@dataclass(frozen=True, slots=True)
class Shape:
    """What the columns of a kind of file must and may be.

    Of `one_of` at least one has to be there. `verbatim` columns hold secrets: no apostrophe is taken
    away and nothing is refused as a formula. Cells of `texts` may have several lines. `free` lets at most that
    many other columns in.
    """

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    verbatim: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    free: int = 0

    @property
    def known(self) -> tuple[str, ...]:
        return (*self.one_of, *self.required, *self.optional)


class Table:
    """An open file with a known header. `rows()` may be called again: each call starts from the top.

    What kind it is its first bytes say: a workbook, JSON lines, else CSV. `mapping` leads from titles to the names
    that the import knows, and to "" for columns to leave out; `sheet` is the workbook's, by default the first. The
    header has to have all of `titles`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shape: Shape,
        *,
        sheet: str = "",
        mapping: Mapping[str, str] | None = None,
        titles: Iterable[str] = (),
        judged: bool = True,
    ) -> None:
        """Open the file and judge its header. Raises BadInput about the file as a whole.

        With `judged` False any header will do: for asking a person what its titles mean.
        """
        self.path, self.shape = Path(path), shape
        self._mapping = {_normal(title): name for title, name in (mapping or {}).items()}
        try:
            if not self.path.is_file():
                raise BadInput(f"There is no file {self.path}.")
            file = self.path.open("rb")
        except OSError as error:
            raise BadInput(f"{self.path} can't be read: {error.strerror}.") from error
        try:
            self.size = os.fstat(file.fileno()).st_size
            if self.size > MAX_BYTES:
                raise BadInput(
                    f"{self.path.name} has {self.size / 2**30:.1f} GiB, the limit is {MAX_BYTES >> 30}. Split it."
                )
            self._source = self._open(file, sheet)
            self.titles, self.delimiter, self.has_bom = (
                self._source.titles,
                self._source.delimiter,
                self._source.has_bom,
            )
            self._require(titles)
            if judged and not self._known(self.titles):
                raise BadInput(
                    f"{self.path.name} has no header: line 1 names none of the columns "
                    f"{', '.join(self.shape.known)}. Put their names in the first line.",
                    line=1,
                )
            self.columns = [self._name(title) for title in self.titles]
            self.ignored = self._ignored()
            if judged:
                self._judge_columns()
            verbatim = [place for place, name in enumerate(self.columns) if name in shape.verbatim]
            self._source.verbatim = frozenset(verbatim)
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    @property
    def position(self) -> int:
        """How many bytes were read, for a progress bar."""
        return min(self._source.position, self.size)

    @property
    def fields(self) -> list[str]:
        """The free columns, in the file's order."""
        known = {*self.shape.known, *(self.columns[place] for place in self.ignored)}
        return [name for name in self.columns if name not in known]

    def rows(self) -> Iterator[Row]:
        """The rows that hold something. Raises BadInput where the file can't be understood any more."""
        width = len(self.columns)
        for line, cells, wrong in self._source.records():
            if wrong:
                yield self._refused(line, cells, wrong)
                continue
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

    def placed(self, refusals: Iterable[Refusal]) -> list[Refusal]:
        """The refusals with the cells that a spreadsheet program shows, as in F7."""
        letters = dict(zip(self.columns, self._source.letters, strict=False))
        if not letters:
            return list(refusals)
        return [found._replace(cell=f"{letters.get(found.column, '')}{found.line}") for found in refusals]

    def _require(self, titles: Iterable[str]) -> None:
        """Raise BadInput when the header has not all of these."""
        own = {_normal(title): title for title in self.titles}
        for title in titles:
            if _normal(title) not in own:
                raise BadInput(
                    f"{self.path.name} has no column {title!r} to map{_nearest(title, own.values())}.", field="map"
                )

    def _open(self, file: BinaryIO, sheet: str) -> Source:
        sample = file.read(65536)
        if sample.startswith(b"PK\x03\x04"):
            return workbooks.Workbook(self.path, file, sheet)
        if sheet:
            raise BadInput(f"{self.path.name} is no workbook, so it has no sheet {sheet!r}.", field="sheet")
        encodings.refuse_foreign(self.path, sample)
        first = sample.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        if first == b"{":
            return json_lines.JsonLines(self.path, file)
        if first == b"[" and self.path.suffix.lower() in (".json", ".jsonl", ".ndjson"):
            raise BadInput(f"{self.path.name} is a JSON list. Write one object a line, without brackets.", line=1)
        return csv_source.CsvSource(self.path, file, self._known)

    def _name(self, title: str) -> str:
        """What the import calls this column."""
        normal = _normal(title)
        return self._mapping.get(normal) or normal

    def _known(self, titles: Iterable[str]) -> int:
        return len(set(map(self._name, titles)) & set(self.shape.known))

    def _refused(self, line: int, cells: list[str], wrong: Sequence[Trouble]) -> Row:
        """A row that its source could not read."""
        width = len(self.columns)
        refusals = [Refusal(line, "" if place is None else self.columns[place], reason) for place, reason in wrong]
        return Row(line, (cells + [""] * width)[:width], refusals)

    def _ignored(self) -> frozenset[int]:
        """Places of the columns to leave out, and of those that an earlier import wrote beside refused rows."""
        last = len(self.columns) - 1
        places = {place for place, name in enumerate(self.columns) if name == OTHER_TITLE}
        places |= {place for place, title in enumerate(self.titles) if self._mapping.get(_normal(title)) == ""}
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
        known = self.shape.known
        wrong += [
            (title, f"is mapped to {name}, which is not a column of this import{_nearest(name, known)}")
            for title, name in self._mapping.items()
            if name and name not in known and not self.shape.free
        ]
        if self.fields and not self.shape.free:
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
                header_text(_LINE_END.sub(" ", cell) if name in self.shape.texts else cell, name)
            except BadInput as error:
                refusals.append(Refusal(line, name, str(error)))
            else:
                if formulas.found(cell) and not verbatim:
                    reason = "begins like a formula; if it is meant as text, put an apostrophe (') first"
                    refusals.append(Refusal(line, name, reason))
        return Row(line, taken, refusals)


def plain_name(title: str) -> str:
    """A usable name of a free column as near to its title as can be, "" where nothing is left of it."""
    name = re.sub(r"[\W_]+", "_", _normal(title)).strip("_")[:NAME_CHARS]
    return name if name.isidentifier() else f"_{name}"[:NAME_CHARS] if name else ""


def _normal(title: str) -> str:
    return re.sub(r"[\s-]+", "_", title.strip().casefold())


def _nearest(name: str, names: Iterable[str]) -> str:
    found = get_close_matches(name, list(names), n=1)
    return f" (is {found[0]} meant?)" if found else ""
