"""What every kind of file gives to `tables.Table`: titles, and records one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

CELL_CHARS = 131_072  # the csv module's own limit, which belongs to the whole process
LINE_CHARS = 4 * 2**20
MAX_COLUMNS = 200
MAX_BYTES = 2 * 2**30  # of one file: ten million rows of 200 bytes

Trouble = tuple[int | None, str]  # the cell's place from 0, None for the whole row, and why it can't be taken
Record = tuple[int, list[str], Sequence[Trouble]]  # line, cells, what is wrong with it already
Known = Callable[[Sequence[str]], int]  # how many of these titles an import knows


class Source(Protocol):
    """An open file of one kind. `records()` may be called again: each call starts from the top."""

    titles: list[str]
    delimiter: str  # for the file of refused rows
    has_bom: bool
    letters: Sequence[str]  # of the columns, where its program shows letters; else empty
    verbatim: frozenset[int]  # places whose cells have to be text already, since they hold secrets

    @property
    def position(self) -> int:
        """How many bytes were read."""

    def records(self) -> Iterator[Record]:
        """The records below the header. Raises BadInput where the file can't be understood any more."""

    def close(self) -> None: ...


def plain(value: object) -> str:
    """A cell's value as somebody would type it: no .0 behind whole numbers, dates as 2026-01-31."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return text.removesuffix("T00:00:00")


NOT_TEXT = "is a number or a date here, which may have lost digits; make it text"
