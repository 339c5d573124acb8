"""Workbooks (.xlsx): one sheet of them, checked part by part before python-calamine reads it.

A workbook is a zip of XML, and either can be a bomb. So each part that is needed (workbook, strings, styles, one
sheet) is unpacked by streaming up to a limit and goes through `workbook_parts`, which counts what calamine would
build from it. calamine then sees a new zip of strings, styles and sheet alone, in a frame of ours: no links, no
macros, and no part under a name that it was not looked through for.
Nothing unpacked is written to disk, since a sheet may hold passwords.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any, BinaryIO

import python_calamine

from outreach.common import workbook_parts
from outreach.common.errors import BadInput
from outreach.common.sources import CELL_CHARS, NOT_TEXT, Record, Trouble, plain
from outreach.common.workbook_parts import Broken, letters_of

FILE_BYTES = 64 * 2**20
DIRECTORY_BYTES = 2**20
UNPACKED_BYTES = 256 * 2**20  # of all parts that are read
WORKBOOK, RELATIONS = "xl/workbook.xml", "xl/_rels/workbook.xml.rels"
STRINGS, STYLES, SHEET = "xl/sharedStrings.xml", "xl/styles.xml", "xl/worksheets/sheet1.xml"
_CHUNK = 1 << 18
_END, _END_64 = b"PK\x05\x06", b"PK\x06\x07"


class Workbook:
    """Its first row that holds something is the header; lines are the sheet's rows, as the program numbers them."""

    delimiter, has_bom = ",", True  # of the file of refused rows, for the same program
    letters: Sequence[str]
    verbatim: frozenset[int] = frozenset()
    _height: int

    def __init__(self, path: Path, file: BinaryIO, sheet: str = "") -> None:
        """Read one sheet. Raises BadInput about the workbook as a whole."""
        self.path, self._file = path, file
        try:
            self._check_directory()
            with zipfile.ZipFile(file) as packed:
                self._read(packed, sheet)
        except Broken as error:
            raise BadInput(f"{path.name}: {error}", line=1) from error
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, KeyError) as error:
            raise BadInput(f"{path.name} is no workbook that can be read: {str(error)[:100]}.", line=1) from error

    @property
    def position(self) -> int:
        return self._done

    def close(self) -> None:
        self._file.close()

    def records(self) -> Iterator[Record]:
        for line, values in self._rows():
            if line == self._header_line:
                continue
            cells: list[str] = []
            wrong: list[Trouble] = []
            if self._found.is_merged(line):
                wrong.append((None, "is merged with other cells; take the merging back"))
            troubled = self._found.troubles.get(line, {})
            for place, value in enumerate(values):
                text = plain(value)
                if reason := troubled.get(self._left_column + place):
                    wrong.append((place, reason))
                    text = ""
                elif place in self.verbatim and text and not isinstance(value, str):
                    wrong.append((place, NOT_TEXT))
                    text = ""
                elif len(text) > CELL_CHARS:
                    wrong.append((place, f"has more than {CELL_CHARS:,} characters, the limit"))
                    text = ""
                cells.append(text)
            if any(cells) or wrong:
                yield line, cells, wrong

    def _rows(self) -> Iterator[tuple[int, list[Any]]]:
        size = self._file.seek(0, io.SEEK_END)
        for number, values in enumerate(self._sheet.iter_rows(), start=1):
            self._done = size * number // self._height
            yield number, values

    def _check_directory(self) -> None:
        """zipfile reads the whole directory of a zip before anybody can count it."""
        size = self._file.seek(0, io.SEEK_END)
        if size > FILE_BYTES:
            raise Broken(f"has more than {FILE_BYTES >> 20} MiB, the limit of a workbook. Save the sheet as CSV.")
        self._file.seek(max(0, size - 65_557))
        tail = self._file.read()
        end = tail.rfind(_END)
        if end < 0 or _END_64 in tail or int.from_bytes(tail[end + 12 : end + 16], "little") > DIRECTORY_BYTES:
            raise Broken("is a zip file that was cut off, or that no spreadsheet program writes.")

    def _read(self, packed: zipfile.ZipFile, wanted: str) -> None:
        names = packed.namelist()
        if len(set(names)) != len(names):
            raise Broken("has two parts of the same name.")
        if WORKBOOK not in names:
            raise Broken("is a zip file, but no Excel workbook. Save the sheet as .xlsx or as CSV.")
        self._left = UNPACKED_BYTES
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as clean:
            sheets = workbook_parts.Sheets()
            self._read_part(packed, WORKBOOK, sheets.names)
            self._read_part(packed, RELATIONS, sheets.relations)
            part = sheets.choose(wanted)
            for name, text in sheets.frame().items():
                clean.writestr(name, text)
            strings = workbook_parts.Strings()
            self._found = workbook_parts.Cells(strings.lengths)
            copied: tuple[tuple[str, str, workbook_parts.Part], ...] = (
                (sheets.part("sharedStrings"), STRINGS, strings),
                (sheets.part("styles"), STYLES, workbook_parts.Plain()),
                (part, SHEET, self._found),
            )
            for source, target, reader in copied:
                if source in names:
                    with clean.open(target, "w") as copy:
                        self._read_part(packed, source, reader, copy)
        self._load(made, workbook_parts.NAME)

    def _read_part(
        self, packed: zipfile.ZipFile, name: str, part: workbook_parts.Part, copy: IO[bytes] | None = None
    ) -> None:
        """Unpack and look through. Never more than the declared size comes, and that is counted."""
        info = packed.getinfo(name)
        self._left -= info.file_size
        if self._left < 0:
            raise Broken(f"has more than {UNPACKED_BYTES >> 20} MiB of contents, the limit. Save the sheet as CSV.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Broken("is packed in a way that no spreadsheet program uses.")
        reader = workbook_parts.Reader(part)
        with packed.open(info) as source:
            while chunk := source.read(_CHUNK):
                reader.feed(chunk)
                if copy is not None:
                    copy.write(chunk)
        reader.close()

    def _load(self, made: io.BytesIO, name: str) -> None:
        if not self._found.rows:
            raise Broken("has nothing in this sheet.")
        try:
            made.seek(0)
            self._sheet = python_calamine.load_workbook(made).get_sheet_by_name(name)
        except python_calamine.CalamineError as error:
            raise Broken(f"can't be read: {str(error)[:100]}.") from error
        except BaseException as error:
            if type(error).__name__ != "PanicException":  # a fault of the Rust code, which is no Exception
                raise
            raise Broken("can't be read: its contents contradict each other.") from error
        start, end = self._sheet.start, self._sheet.end
        if start is None or end is None:
            raise Broken("has nothing in this sheet.")
        # Its rows begin at the sheet's first one, its columns at the first that is filled.
        self._done, self._height, self._left_column = 0, end[0] + 1, start[1]
        self._header_line, titles = next(((line, row) for line, row in self._rows() if any(map(plain, row))), (0, []))
        if not titles:
            raise Broken("has nothing in this sheet.")
        if self._found.is_merged(self._header_line):
            raise Broken("has merged cells in its header. Give each column a cell of its own.")
        if reason := next(iter(self._found.troubles.get(self._header_line, {}).values()), ""):
            raise Broken(f"has a header cell that {reason}.")
        self.titles = list(map(plain, titles))
        self.letters = [letters_of(self._left_column + place) for place in range(len(titles))]
