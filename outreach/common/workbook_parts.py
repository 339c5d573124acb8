"""The XML parts of a workbook (ECMA-376), looked through by streaming: what is in them, and whether it is too much.

expat expands no entity here: a document type refuses the file, as does anything that is no XML.
"""

from __future__ import annotations

import posixpath
import re
from array import array
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Protocol
from xml.parsers import expat

from outreach.common.sources import CELL_CHARS, MAX_COLUMNS

MAX_CELLS = 4_000_000  # of the rectangle from A1 to what is filled
TEXT_CHARS = 256 * 2**20  # of all cells together, a shared string as often as it is used
MAX_TROUBLES = 100_000
MAX_MERGED = 1_000
MAX_SHEETS = 1_000
MAX_STRINGS = 4_000_000
NAME = "Sheet"  # of the only sheet in a frame
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_CELL = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
FORMULA = "is a formula; put its value in its place"
ERROR = "shows an error of the spreadsheet program"


class Broken(Exception):
    """Why a workbook is refused; begins with what it has or is."""


class Part(Protocol):
    """Looks at one part: elements by their local names."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None: ...

    def text(self, data: str) -> None: ...

    def end(self, name: str) -> None: ...


class Reader:
    """Feeds a part's bytes to expat."""

    def __init__(self, part: Part) -> None:
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        # With a separator a name is "namespace local"; attributes of no namespace have none.
        self._parser.StartElementHandler = lambda name, attributes: part.start(name.rpartition(" ")[2], attributes)
        self._parser.EndElementHandler = lambda name: part.end(name.rpartition(" ")[2])
        self._parser.CharacterDataHandler = part.text

    def feed(self, chunk: bytes) -> None:
        self._parse(chunk, False)

    def close(self) -> None:
        self._parse(b"", True)

    def _parse(self, chunk: bytes, final: bool) -> None:
        try:
            self._parser.Parse(chunk, final)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise Broken(f"has a part that is no XML: {str(error)[:80]}.") from error


def _refuse_doctype(*_: object) -> None:
    raise Broken("has a document type in its XML, which no spreadsheet program writes.")


class Plain:
    """A part of which only has to be known that it is XML without a document type."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        pass

    def text(self, data: str) -> None:
        pass

    def end(self, name: str) -> None:
        pass


class _Starts(Plain):
    def __init__(self, found: list[tuple[str, Mapping[str, str]]], *wanted: str) -> None:
        self.found, self.wanted = found, wanted

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name in self.wanted:
            if len(self.found) >= MAX_SHEETS:
                raise Broken(f"has more than {MAX_SHEETS:,} sheets or links.")
            self.found.append((name, attributes))


class Sheets:
    """The sheets in the order of their tabs, and where they and what belongs to them are."""

    def __init__(self) -> None:
        self._sheets: list[tuple[str, Mapping[str, str]]] = []
        self._relations: list[tuple[str, Mapping[str, str]]] = []
        self.names, self.relations = (
            _Starts(self._sheets, "sheet", "workbookPr"),
            _Starts(self._relations, "Relationship"),
        )

    def part(self, kind: str) -> str:
        """The part that the workbook names for this; "" for none."""
        return next(iter(self._parts(kind).values()), "")

    def choose(self, wanted: str) -> str:
        """The part of the sheet of that name, or of the first one. Sheets with charts alone don't count."""
        parts = self._parts("worksheet")
        sheets: dict[str, str] = {}
        for name, found in self._sheets:
            relation = next((value for key, value in found.items() if key.rpartition(" ")[2] == "id"), "")
            if name == "sheet" and relation in parts:
                sheets.setdefault(found.get("name", ""), parts[relation])
        if not sheets:
            raise Broken("has no sheet with cells.")
        if not wanted:
            return next(iter(sheets.values()))
        if wanted not in sheets:
            near = get_close_matches(wanted, sheets, n=1)
            hint = f" (is {near[0]!r} meant?)" if near else ""
            raise Broken(f"has no sheet {wanted!r}{hint}, but: {', '.join(list(sheets)[:20])}.")
        return sheets[wanted]

    def frame(self) -> dict[str, str]:
        """The parts of a workbook around one sheet; of the original it keeps from which year days count."""
        from_1904 = any(found.get("date1904") in ("1", "true") for name, found in self._sheets if name == "workbookPr")
        days = '<workbookPr date1904="1"/>' if from_1904 else ""
        links = "".join(
            f'<Relationship Id="r{kind}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
            for kind, target in (
                ("worksheet", "worksheets/sheet1.xml"),
                ("sharedStrings", "sharedStrings.xml"),
                ("styles", "styles.xml"),
            )
        )
        return {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
            "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" '
            f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
            "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}">{days}<sheets>'
            f'<sheet name="{NAME}" sheetId="1" r:id="rworksheet"/></sheets></workbook>',
            "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">{links}</Relationships>',
        }

    def _parts(self, kind: str) -> dict[str, str]:
        return {
            found.get("Id", ""): posixpath.normpath(posixpath.join("/xl", found.get("Target", ""))).lstrip("/")
            for _, found in self._relations
            if found.get("Type", "").endswith(f"/{kind}") and found.get("TargetMode") != "External"
        }


class Strings(Plain):
    """How long each shared string is."""

    def __init__(self) -> None:
        self.lengths = array("I")
        self._now = 0

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "si":
            self._now = 0

    def text(self, data: str) -> None:
        self._now += len(data)

    def end(self, name: str) -> None:
        if name == "si":
            if self._now > CELL_CHARS or len(self.lengths) >= MAX_STRINGS:
                raise Broken(f"has a cell of more than {CELL_CHARS:,} characters, or too many different texts.")
            self.lengths.append(self._now)


class Cells:
    """One sheet: how far its cells reach, and which of them can't be taken."""

    def __init__(self, lengths: array[int]) -> None:
        self.rows = 0
        self.troubles: dict[int, dict[int, str]] = {}  # row from 1 -> column from 0 -> reason
        self._merged: list[tuple[int, int]] = []
        self._lengths, self._chars, self._count = lengths, 0, 0
        self._row = self._column = self._kept = 0
        self._height = self._width = 0
        self._kind, self._digits, self._in_value = "", "", False

    def is_merged(self, row: int) -> bool:
        return any(first <= row <= last for first, last in self._merged)

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        if name == "c":
            self._column += 1
            if reference := attributes.get("r"):
                self._row, self._column = _place(reference)
            self._kind = attributes.get("t", "")
            if self._kind == "e":
                self._trouble(ERROR)
        elif name in ("v", "t"):
            self._in_value, self._digits = True, ""
        elif name == "f":
            self._trouble(FORMULA)
        elif name == "row":
            self._row, self._column = self._row + 1, -1
            if number := attributes.get("r"):
                self._row = _whole(number)
        elif name == "mergeCell":
            first, _, last = attributes.get("ref", "").partition(":")
            if len(self._merged) >= MAX_MERGED:
                raise Broken(f"has more than {MAX_MERGED:,} merged cells, the limit. Save the sheet as CSV.")
            self._merged.append((_place(first)[0], _place(last or first)[0]))

    def text(self, data: str) -> None:
        if self._in_value:
            self._chars += len(data)
            if self._kind == "s" and len(self._digits) < 10:
                self._digits += data

    def end(self, name: str) -> None:
        if name in ("v", "t"):
            self._in_value = False
            if self._kind == "s" and name == "v":
                place = _whole(self._digits)
                if place >= len(self._lengths):
                    raise Broken("has a cell that shows a text which is not there.")
                self._chars += self._lengths[place]
            self._reach()

    def _reach(self) -> None:
        """Count the cell that holds something; calamine keeps the whole rectangle."""
        self.rows += 1
        self._height, self._width = max(self._height, self._row), max(self._width, self._column + 1)
        if self._width > MAX_COLUMNS:
            raise Broken(f"has more than {MAX_COLUMNS} columns, the limit.")
        if self._height * self._width > MAX_CELLS or self._chars > TEXT_CHARS:
            raise Broken(f"reaches over more than {MAX_CELLS:,} cells or has too much text. Save the sheet as CSV.")

    def _trouble(self, reason: str) -> None:
        self._kept += 1
        if self._kept > MAX_TROUBLES:
            raise Broken(f"has more than {MAX_TROUBLES:,} cells with formulas or errors. Copy it as values.")
        self.troubles.setdefault(self._row, {}).setdefault(self._column, reason)
        self._reach()


def _place(reference: str) -> tuple[int, int]:
    """Row from 1 and column from 0 of a reference as in B7."""
    found = _CELL.fullmatch(reference)
    if found is None:
        raise Broken("has a cell in a place that does not exist.")
    column = 0
    for letter in found[1]:
        column = column * 26 + ord(letter) - 64
    return _whole(found[2]), column - 1


def _whole(text: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 8) or int(text) > 1_048_576 * 8:
        raise Broken("has a cell in a place that does not exist.")
    return int(text)


def letters_of(column: int) -> str:
    """The letters of a column from 0: A, Z, AA."""
    found = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        found = chr(65 + rest) + found
    return found
