"""YAML files that people write: read with bounds, and refused with the place of what is wrong."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from outreach.common.errors import BadInput

MAX_FILE_BYTES = 2_000_000
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")  # NUL, and half a pair: UTF-8 has no bytes for it


def read(file: Path) -> Any:
    """The content of a YAML file. Raises BadInput with the line."""
    try:
        raw = file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no path has such characters
        raise BadInput(f"{str(file)!r}: {getattr(error, 'strerror', None) or error}.") from error
    if len(raw) > MAX_FILE_BYTES:
        raise BadInput(f"{file}: {len(raw)} bytes, and at most {MAX_FILE_BYTES} are read.")
    try:
        return yaml.safe_load(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: is not UTF-8 (byte {error.start}); save it as UTF-8.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: 2026-13-45 looks like a date
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise BadInput(f"{file}: {place}{getattr(error, 'problem', None) or 'not valid YAML'}.") from error


def storable(text: str) -> bool:
    """Whether a column of text can hold it."""
    return not _UNSTORABLE.search(text)
