"""JSON, one flat object a line, read by streaming: a line for each row, a key for each column."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from outreach.common import csv_source, encodings
from outreach.common.errors import BadInput
from outreach.common.sources import CELL_CHARS, LINE_CHARS, MAX_COLUMNS, NOT_TEXT, Record, Trouble, plain


class JsonLines:
    """Its columns are the keys of all its objects, in the order in which they are met."""

    letters: Sequence[str] = ()
    delimiter, has_bom = ",", False
    verbatim: frozenset[int] = frozenset()

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file
        self.titles = self._keys()

    @property
    def position(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()

    def records(self) -> Iterator[Record]:
        for line, found in self._objects():
            if isinstance(found, str):
                yield line, [], [(None, found)]
                continue
            cells: list[str] = []
            wrong: list[Trouble] = []
            for place, title in enumerate(self.titles):
                value = found.get(title)
                if isinstance(value, (dict, list)):
                    wrong.append((place, "is an object or a list; one value is what a column takes"))
                    value = None
                elif place in self.verbatim and value is not None and not isinstance(value, str):
                    wrong.append((place, NOT_TEXT))
                    value = None
                text = plain(value)
                if len(text) > CELL_CHARS:
                    wrong.append((place, f"has more than {CELL_CHARS:,} characters, the limit"))
                    text = ""
                cells.append(text)
            yield line, cells, wrong

    def _objects(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """Line and object, or what is wrong with the line; empty lines are passed over."""
        line = 0
        try:
            for text in csv_source.lines(self._file):
                line += 1
                if csv_source.is_too_long(text):
                    yield line, f"is longer than {LINE_CHARS:,} characters, the limit"
                elif not text.isspace():
                    yield line, _object(text)
        except UnicodeDecodeError as error:
            raise encodings.not_utf8(self.path, self._file) from error

    def _keys(self) -> list[str]:
        keys: dict[str, None] = {}
        for line, found in self._objects():
            if not isinstance(found, str) and len(found) <= MAX_COLUMNS:
                keys.update(dict.fromkeys(found))
            if len(keys) > MAX_COLUMNS or (not isinstance(found, str) and len(found) > MAX_COLUMNS):
                raise BadInput(f"{self.path.name} has more than {MAX_COLUMNS} columns, the limit.", line=line)
        return list(keys)


def _object(text: str) -> dict[str, Any] | str:
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        return f"is no JSON: {error.msg} at character {error.pos + 1}"
    except RecursionError:
        return "is nested too deeply"
    except ValueError as error:
        return f"is no JSON that can be taken: {str(error)[:100]}"
    return found if isinstance(found, dict) else "is no JSON object; one in braces is a row"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
