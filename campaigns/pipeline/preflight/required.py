"""Which fields a wording can't do without: those it writes out and gives no default for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from campaigns.pipeline.preflight.ground import Wording
from campaigns.validation import SYSTEM_FIELDS

OUTPUT = re.compile(r"\{\{-?\s*(?:contact\.)?([A-Za-z_][\w-]*)\s*((?:\|[^}]*)?)-?\}\}")
DEFAULT = re.compile(r"\|\s*default\b")


def required_fields(wordings: Iterable[Wording]) -> dict[str, str]:
    """{field: the first wording that writes it out without a default}; what only conditions read is not among them."""
    found: dict[str, str] = {}
    for each in wordings:
        for part in (each.subject, each.text, each.html):
            for name, filters in OUTPUT.findall(part):
                if name not in SYSTEM_FIELDS and not DEFAULT.search(filters):
                    found.setdefault(name, each.name)
    return found
