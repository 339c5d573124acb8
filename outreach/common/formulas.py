"""Cells that a spreadsheet would run: recognised, made safe to write, restored when read."""

from __future__ import annotations

import re

# = + - @ with their full-width and small forms, behind blanks or quotes too, tab and CR (OWASP)
SIGNS = "-=+@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"  # a dash first: in a set it stands for itself
_FORMULA = re.compile(rf"[\s\"]*[{SIGNS}\t\r]")
_ESCAPED = re.compile(rf"'+[\s\"]*[{SIGNS}\t\r]")
_NUMBER = re.compile(r"[+-]\d[\d .,()/-]*\Z")  # a phone or an amount calculates nothing


def found(cell: str) -> bool:
    """Whether a spreadsheet could take the cell for a formula that does something."""
    return bool(_FORMULA.match(cell)) and not _NUMBER.match(cell)


def escape(cell: str) -> str:
    """The cell as it may stand in a file that people open in a spreadsheet; `restore` undoes it exactly."""
    return f"'{cell}" if _FORMULA.match(cell) or _ESCAPED.match(cell) else cell


def restore(cell: str) -> str:
    """The cell before `escape`, or as it is when it was never escaped."""
    return cell[1:] if _ESCAPED.match(cell) else cell
