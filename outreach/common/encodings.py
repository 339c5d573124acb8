"""Which encoding a file that should be UTF-8 really has, and what to do about it."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import BinaryIO

from outreach.common.errors import BadInput

_CHUNK = 1 << 20
_MARKS = (  # longest first: the mark of UTF-32-LE begins with that of UTF-16-LE
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_OTHER_KINDS = ((b"\xd0\xcf\x11\xe0", "an old Excel workbook"),)


def refuse_foreign(path: Path, sample: bytes) -> None:
    """Raise BadInput when the first bytes are no text in UTF-8: empty, zeros, UTF-16, UTF-32, an old workbook."""
    if not sample.strip(b"\xef\xbb\xbf \t\r\n"):
        raise BadInput(f"{path.name} is empty.", line=1)
    if not sample.strip(b"\0"):
        raise BadInput(f"{path.name} holds nothing but zero bytes; it may be a copy that was broken off.", line=1)
    for mark, encoding in _MARKS:
        if sample.startswith(mark):
            raise _refused(path, encoding, 1)
    for magic, kind in _OTHER_KINDS:
        if sample.startswith(magic):
            raise BadInput(f"{path.name} is {kind}. Save it as .xlsx or as CSV UTF-8 and import that.", line=1)
    if sample.count(0) * 4 > len(sample):
        big_endian = sample[::2].count(0) > sample[1::2].count(0)
        raise _refused(path, "UTF-16BE" if big_endian else "UTF-16LE", 1)


def not_utf8(path: Path, file: BinaryIO) -> BadInput:
    """The refusal of a file that turned out not to be UTF-8, with the line and the likely encoding."""
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, last = 1, b""
    while chunk := file.read(_CHUNK):
        held = decoder.getstate()[0]  # the beginning of a character that the last chunk cut
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            data = held + chunk
            line += _line_ends(data[: error.start], last)
            return _refused(path, guess(data[error.start : error.start + 65536]), line)
        line += _line_ends(chunk, last)
        last = chunk[-1:]
    return _refused(path, "", line)  # it ends in the middle of a character


def _line_ends(data: bytes, before: bytes) -> int:
    """How many lines end in `data`, which follows the byte `before`: at CR, LF or CR LF."""
    pairs = data.count(b"\r\n") + (before == b"\r" and data.startswith(b"\n"))
    return data.count(b"\r") + data.count(b"\n") - pairs


def guess(sample: bytes) -> str:
    """The likely encoding of text that is not UTF-8: Windows-1251, KOI8-R, Windows-1252, or "" for unknown.

    Cyrillic words are runs of high bytes; Western text has single ones between ASCII letters. In
    Windows-1251 the small letters, which are most, are E0 to FF, in KOI8-R C0 to DF.
    """
    high = [place for place, byte in enumerate(sample) if byte >= 0x80]
    runs = sum(1 for before, after in zip(high, high[1:], strict=False) if after == before + 1)
    letters = sum(sample[place] >= 0xC0 for place in high)
    if letters * 10 < len(high) * 6:
        return ""
    if runs * 2 < len(high):
        return "Windows-1252"
    small = sum(sample[place] >= 0xE0 for place in high)
    return "Windows-1251" if small * 2 >= letters else "KOI8-R"


def _refused(path: Path, encoding: str, line: int) -> BadInput:
    if not encoding:
        text = f"{path.name} is not UTF-8: line {line} has a byte that can't be. Save it as CSV UTF-8."
    else:
        text = (
            f"{path.name} is not UTF-8 but looks like {encoding} (line {line}). Save it as CSV UTF-8, "
            f"or convert it: iconv -f {encoding.upper()} -t UTF-8 {path.name} > utf8.csv"
        )
    return BadInput(text, line=line, encoding=encoding or None)
